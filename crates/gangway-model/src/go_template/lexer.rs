//! A template → texts and the words of its actions.

use std::ops::Range;

use super::error::TemplateError;

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// `"…"` or `` `…` ``, without its quotes.
    Text(Box<str>),
    Number(i64),
    /// A function, `if`, `true`.
    Name(Box<str>),
    /// `.A.B`; without names for `.` alone.
    Field(Vec<Box<str>>),
    Pipe,
    Open,
    Close,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text { text: Box<str>, offset: usize },
    Action { words: Vec<(Word, Range<usize>)>, span: Range<usize> },
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// Cuts a template into texts and actions. Comments are left out, and `{{-` and `-}}` have taken their spaces.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trims_next = false;
    loop {
        let rest = &template[at..];
        let open = rest.find(OPEN).map(|start| at + start);
        let mut text = at..open.unwrap_or(template.len());
        if trims_next {
            text.start = text.end - template[text.clone()].trim_start().len();
        }
        let Some(open) = open else {
            push_text(template, text, &mut pieces);
            return Ok(pieces);
        };
        let trims_before = has_left_marker(&template[open..]);
        if trims_before {
            text.end = text.start + template[text.clone()].trim_end().len();
        }
        push_text(template, text, &mut pieces);
        let inner = open + OPEN.len() + if trims_before { 1 } else { 0 };
        let action = Action::read(template, open, inner)?;
        if !action.is_comment {
            pieces.push(Piece::Action { words: action.words, span: open..action.end });
        }
        at = action.end;
        trims_next = action.trims_after;
    }
}

fn push_text(template: &str, text: Range<usize>, pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text { text: template[text.clone()].into(), offset: text.start });
    }
}

/// `{{-` counts only before a space: `{{-1}}` is a number.
fn has_left_marker(text: &str) -> bool {
    text.strip_prefix("{{-").is_some_and(|rest| rest.starts_with(is_space))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_name(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// What stands between `{{` and `}}`.
struct Action {
    words: Vec<(Word, Range<usize>)>,
    /// Behind `}}`.
    end: usize,
    trims_after: bool,
    is_comment: bool,
}

impl Action {
    fn read(template: &str, open: usize, inner: usize) -> Result<Self, TemplateError> {
        let unclosed = || TemplateError::new(open..open + OPEN.len(), "`{{` is never closed", "close it with `}}`");
        let mut at = skip_spaces(template, inner);
        if template[at..].starts_with("/*") {
            let end = template[at..].find("*/").map(|len| at + len + "*/".len()).ok_or_else(unclosed)?;
            let (end, trims_after) = closing(template, end).ok_or_else(unclosed)?;
            return Ok(Self { words: Vec::new(), end, trims_after, is_comment: true });
        }
        let mut words = Vec::new();
        loop {
            if let Some((end, trims_after)) = closing(template, at) {
                return Ok(Self { words, end, trims_after, is_comment: false });
            }
            at = skip_spaces(template, at);
            if at == template.len() {
                return Err(unclosed());
            }
            let (word, end) = read_word(template, at)?;
            words.push((word, at..end));
            at = end;
        }
    }
}

fn skip_spaces(template: &str, at: usize) -> usize {
    template.len() - template[at..].trim_start_matches(is_space).len()
}

/// Behind the end of an action, if it ends here; and whether the spaces after it go.
fn closing(template: &str, at: usize) -> Option<(usize, bool)> {
    let here = skip_spaces(template, at);
    // `-}}` counts only after a space.
    let marker = if here > at { "-}}" } else { "" };
    if !marker.is_empty() && template[here..].starts_with(marker) {
        return Some((here + marker.len(), true));
    }
    template[here..].starts_with(CLOSE).then_some((here + CLOSE.len(), false))
}

/// The word that begins at `at`, and where it ends.
fn read_word(template: &str, at: usize) -> Result<(Word, usize), TemplateError> {
    let rest = &template[at..];
    let mut characters = rest.chars();
    let first = characters.next().unwrap_or('\0');
    let one = |word| Ok((word, at + first.len_utf8()));
    match first {
        '|' => one(Word::Pipe),
        '(' => one(Word::Open),
        ')' => one(Word::Close),
        '`' => {
            let end = rest[1..].find('`').ok_or_else(|| unclosed_text(at))?;
            Ok((Word::Text(rest[1..=end].into()), at + end + 2))
        }
        '"' => quoted_text(template, at),
        '.' => Ok(fields(template, at)),
        '-' | '+' | '0'..='9' => number(template, at),
        _ if is_name(first) => {
            let end = at + rest.find(|character| !is_name(character)).unwrap_or(rest.len());
            Ok((Word::Name(template[at..end].into()), end))
        }
        '$' | ':' | '=' | ',' => Err(TemplateError::new(
            at..at + 1,
            format!("`{first}` belongs to variables of templates, which Gangway does not have"),
            "write the expression in each place instead",
        )),
        _ => Err(TemplateError::new(
            at..at + first.len_utf8(),
            format!("unexpected `{}` in a template", gangway_diagnostic::printable(&first.to_string())),
            "texts stand in quotes or backticks",
        )),
    }
}

fn unclosed_text(at: usize) -> TemplateError {
    TemplateError::new(at..at + 1, "a text of the template is never closed", "close its quote")
}

/// `.A.B`: the names are part of one word, so a space before a dot begins another.
fn fields(template: &str, start: usize) -> (Word, usize) {
    let mut names = Vec::new();
    let mut at = start;
    while let Some(rest) = template[at..].strip_prefix('.') {
        let len = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        if len == 0 {
            at += usize::from(names.is_empty());
            break;
        }
        names.push(rest[..len].into());
        at += 1 + len;
    }
    (Word::Field(names), at)
}

fn number(template: &str, at: usize) -> Result<(Word, usize), TemplateError> {
    let rest = &template[at..];
    let len =
        rest[1..].find(|character: char| !is_name(character) && character != '.').map_or(rest.len(), |len| len + 1);
    let number = rest[..len].parse().map_err(|_| {
        TemplateError::new(
            at..at + len,
            format!("`{}` is not a whole number", gangway_diagnostic::printable(&rest[..len])),
            "write digits alone",
        )
    })?;
    Ok((Word::Number(number), at + len))
}

/// A text in double quotes, with the escapes of Go.
fn quoted_text(template: &str, start: usize) -> Result<(Word, usize), TemplateError> {
    let mut text = String::new();
    let mut characters = template[start + 1..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Ok((Word::Text(text.into()), start + 1 + offset + 1)),
            '\n' => break,
            '\\' => {
                let at = start + 1 + offset;
                let escape = characters.next().map(|(_, escape)| escape).ok_or_else(|| unclosed_text(start))?;
                let digits = |count: usize| {
                    let digits = template.get(at + 2..at + 2 + count)?;
                    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                    u32::from_str_radix(digits, 16).ok().filter(|_| is_number).and_then(char::from_u32)
                };
                let count = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                let character = match escape {
                    'n' => Some('\n'),
                    't' => Some('\t'),
                    'r' => Some('\r'),
                    '\\' | '"' => Some(escape),
                    'x' | 'u' | 'U' => digits(count),
                    _ => None,
                };
                text.push(character.ok_or_else(|| {
                    let end = at + 1 + escape.len_utf8();
                    TemplateError::new(
                        at..end,
                        "unknown escape in a text of the template",
                        "write the text in backticks",
                    )
                })?);
                for _ in 0..count {
                    characters.next();
                }
            }
            other => text.push(other),
        }
    }
    Err(unclosed_text(start))
}
