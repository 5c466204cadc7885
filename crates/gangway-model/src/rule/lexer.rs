//! Text becomes tokens. Only white space is skipped: any other text becomes a [`Token::Word`], which the parser reports.

use std::ops::Range;

use gangway_diagnostic::{Finding, codes, quoted};

/// One token and its place in the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Spanned {
    pub token: Token,
    pub span: Range<usize>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// Letters, and all text that is no other token: `Host`, or an unquoted `a.org`.
    Word,
    /// A quoted value, without its quotes.
    Value(Value),
    Open,
    Close,
    Comma,
    And,
    Or,
    Not,
}

/// A quoted value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Value {
    /// The text with escapes resolved.
    pub text: String,
    /// The position at which the text within the quotes begins.
    pub start: usize,
    /// Whether the rule has the same text, so that a place in one is a place in the other.
    pub literal: bool,
}

/// The values of all matchers in a rule. The cost of reading it is estimated from them.
pub(crate) fn values(text: &str) -> Vec<String> {
    let tokens = tokens(text, &mut Vec::new()).into_iter();
    tokens
        .filter_map(|Spanned { token, .. }| if let Token::Value(value) = token { Some(value.text) } else { None })
        .collect()
}

/// Cuts a rule into tokens.
pub(super) fn tokens(text: &str, findings: &mut Vec<Finding>) -> Vec<Spanned> {
    let mut tokens = Vec::new();
    let mut position = 0;
    while let Some(char) = text[position..].chars().next() {
        let start = position;
        position += char.len_utf8();
        let doubled = text[position..].starts_with(char);
        let token = match char {
            _ if char.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '!' => Token::Not,
            '&' | '|' if doubled => {
                position += 1;
                if char == '&' { Token::And } else { Token::Or }
            }
            '&' | '|' => {
                findings.push(Finding::error(
                    codes::OPERATOR_SINGLE,
                    start..position,
                    format!("single `{char}`"),
                    "not an operator",
                    format!("write `{char}{char}`"),
                ));
                // Use it as the operator, so that the rest is read as it was meant.
                if char == '&' { Token::And } else { Token::Or }
            }
            '`' => {
                let end = close(text, position, '`', start, findings);
                let value = Value { text: text[position..end].into(), start: position, literal: true };
                position = (end + 1).min(text.len());
                Token::Value(value)
            }
            '\'' => {
                let end = close(text, position, '\'', start, findings);
                let value = Value { text: text[position..end].into(), start: position, literal: true };
                position = (end + 1).min(text.len());
                if text[..position].ends_with('\'') && position > end {
                    findings.push(Finding::error(
                        codes::VALUE_UNQUOTED,
                        start..position,
                        format!("single quotes around {}", quoted(&value.text)),
                        "not a quote here",
                        "use backticks or double quotes",
                    ));
                }
                Token::Value(value)
            }
            '"' => {
                let (value, end) = double_quoted(text, position, start, findings);
                position = end;
                Token::Value(value)
            }
            _ => {
                let word = text[start..].find(|next: char| next.is_whitespace() || "(),!&|`\"'".contains(next));
                position = word.map_or(text.len(), |len| start + len);
                Token::Word
            }
        };
        tokens.push(Spanned { token, span: start..position });
    }
    tokens
}

/// The end of a value without escapes.
fn close(text: &str, from: usize, quote: char, start: usize, findings: &mut Vec<Finding>) -> usize {
    match text[from..].find(quote) {
        Some(len) => from + len,
        None => {
            findings.push(unclosed(quote, start));
            text.len()
        }
    }
}

fn double_quoted(text: &str, from: usize, start: usize, findings: &mut Vec<Finding>) -> (Value, usize) {
    let mut value = Value { text: String::new(), start: from, literal: true };
    let mut position = from;
    loop {
        let Some(char) = text[position..].chars().next() else {
            findings.push(unclosed('"', start));
            return (value, position);
        };
        match char {
            '"' => return (value, position + 1),
            '\\' => {
                value.literal = false;
                match escape(&text[position + 1..]) {
                    Some((char, len)) => {
                        value.text.push(char);
                        position += 1 + len;
                    }
                    None => {
                        let end = position + 1 + text[position + 1..].chars().next().map_or(0, char::len_utf8);
                        findings.push(Finding::error(
                            codes::ESCAPE_UNKNOWN,
                            position..end,
                            format!("unknown escape {}", quoted(&text[position..end])),
                            "a backslash begins an escape in double quotes",
                            "double the backslash, or use backticks, in which it is an ordinary character",
                        ));
                        position += 1;
                    }
                }
            }
            _ => {
                value.text.push(char);
                position += char.len_utf8();
            }
        }
    }
}

/// The character that an escape stands for, and the escape's length without the backslash.
fn escape(rest: &str) -> Option<(char, usize)> {
    match rest.chars().next()? {
        '\\' => Some(('\\', 1)),
        '"' => Some(('"', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'x' => {
            let code = u8::from_str_radix(rest.get(1..3).filter(|hex| is_hex(hex))?, 16).ok()?;
            // A single byte beyond ASCII is no character.
            code.is_ascii().then_some((char::from(code), 3))
        }
        'u' => {
            let (hex, len) = match rest.strip_prefix("u{") {
                Some(braced) => braced.split_once('}').map(|(hex, _)| (hex, hex.len() + 3))?,
                None => (rest.get(1..5)?, 5),
            };
            let code = u32::from_str_radix(Some(hex).filter(|hex| is_hex(hex))?, 16).ok()?;
            Some((char::from_u32(code)?, len))
        }
        _ => None,
    }
}

/// `from_str_radix` would accept a sign.
fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unclosed(quote: char, start: usize) -> Finding {
    let named = if quote == '`' { "backtick".to_owned() } else { format!("`{quote}`") };
    Finding::error(
        codes::QUOTE_UNCLOSED,
        start..start + 1,
        "unclosed quote",
        "opened here, never closed",
        format!("add the closing {named}"),
    )
}
