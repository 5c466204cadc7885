//! Tokens become an [`Expression`], by recursive descent that continues after errors.
//!
//! ```text
//! any   := all { "||" all }
//! all   := unary { "&&" unary }
//! unary := { "!" } ( "(" any ")" | name "(" value { "," value } ")" )
//! ```

use std::ops::Range;

use gangway_diagnostic::{Code, Finding, Severity, Span, codes, quoted};

use super::condition::{self, Argument};
use super::expression::{Condition, Expression};
use super::lexer::{Spanned, Token, tokens};

/// The length of the longest rule, which is the limit of a label's value.
pub const RULE_LEN_MAX: usize = 4096;

/// The deepest nesting of parentheses. A rule must not exhaust the stack.
pub const DEPTH_MAX: usize = 32;

/// The most findings about one rule.
pub const FINDINGS_MAX: usize = 20;

/// Reads a rule. None where the findings contain an error; otherwise all findings are warnings.
pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Expression> {
    parse_with(condition::read, text, findings)
}

/// Makes a condition of the name of a matcher, its place in the rule, and its values. None where the findings contain an
/// error.
pub(crate) type ReadCondition = fn(&str, Range<usize>, &[Argument], &mut Vec<Finding>) -> Option<Condition>;

/// Reads a rule whose matchers are those of another dialect, as [`parse()`] does.
pub(crate) fn parse_with(read: ReadCondition, text: &str, findings: &mut Vec<Finding>) -> Option<Expression> {
    let mut found = Vec::new();
    let expression = Parser::read(read, text, &mut found);
    found.sort_by_key(|finding| (finding.span, finding.code));
    found.dedup();
    let failed = found.iter().any(|finding| finding.severity == Severity::Error);
    if failed {
        // A warning about a rule that is not in force would only distract.
        found.retain(|finding| finding.severity == Severity::Error);
    }
    findings.extend(found.into_iter().take(FINDINGS_MAX));
    expression.filter(|_| !failed)
}

struct Parser<'t, 'f> {
    read: ReadCondition,
    text: &'t str,
    tokens: Vec<Spanned>,
    next: usize,
    depth: usize,
    findings: &'f mut Vec<Finding>,
    /// Whether an unclosed quote took the rest of the text, with the closing parentheses in it. They are not reported a
    /// second time.
    quote_unclosed: bool,
}

impl Parser<'_, '_> {
    fn read(read: ReadCondition, text: &str, findings: &mut Vec<Finding>) -> Option<Expression> {
        if text.len() > RULE_LEN_MAX {
            findings.push(Finding::error(
                codes::RULE_TOO_LONG,
                0..0,
                format!("rule of {} bytes is too long", text.len()),
                format!("at most {RULE_LEN_MAX}"),
                "split it into several routes",
            ));
            return None;
        }
        if text.trim().is_empty() {
            findings.push(Finding::error(
                codes::RULE_EMPTY,
                0..text.len(),
                "empty rule",
                "nothing here",
                "leave the label out to serve the default host, or write Host(`*`) to take every request",
            ));
            return None;
        }
        let tokens = tokens(text, findings);
        let quote_unclosed = findings.iter().any(|finding| finding.code == codes::QUOTE_UNCLOSED);
        let mut parser = Parser { read, text, tokens, next: 0, depth: 0, findings, quote_unclosed };
        let mut parts = vec![parser.any()];
        while let Some(Spanned { span, .. }) = parser.advance() {
            // `any` stops early only at a `)` without its `(`.
            parser.found(
                codes::PARENTHESIS,
                span,
                "unmatched `)`",
                "closes nothing",
                "remove it, or add the missing `(`",
            );
            if parser.peek().is_some() {
                parser.accept(&Token::And);
                parser.accept(&Token::Or);
                parts.push(parser.any());
            }
        }
        Some(Expression::all(parts.into_iter().collect::<Option<_>>()?))
    }

    fn any(&mut self) -> Option<Expression> {
        let mut parts = vec![self.all()];
        loop {
            if self.accept(&Token::Or) || self.word_for("or", "||") {
                parts.push(self.all());
            } else if let Some(span) = self.take(&Token::Comma) {
                self.found(
                    codes::TEXT_UNEXPECTED,
                    span,
                    "`,` between conditions",
                    "separates arguments only",
                    "write `||` or `&&`",
                );
                parts.push(self.all());
            } else {
                return Some(Expression::any(parts.into_iter().collect::<Option<_>>()?));
            }
        }
    }

    fn all(&mut self) -> Option<Expression> {
        let mut parts = vec![self.unary()];
        loop {
            if self.accept(&Token::And) || self.word_for("and", "&&") {
                parts.push(self.unary());
            } else if let Some(span) = self.operand() {
                // A word that stands alone is reported as such. The missing operator before it is not reported
                // too.
                if self.peek().is_some_and(|next| next.token != Token::Word) || self.is_call() {
                    self.found(
                        codes::RULE_INCOMPLETE,
                        span,
                        "no operator between two conditions",
                        "`&&` or `||` is missing before this",
                        "join conditions by `&&` or `||`",
                    );
                }
                parts.push(self.unary());
            } else {
                return Some(Expression::all(parts.into_iter().collect::<Option<_>>()?));
            }
        }
    }

    /// The place of the next token, if it begins an operand.
    fn operand(&self) -> Option<Range<usize>> {
        let next = self.peek()?;
        let begins = match &next.token {
            Token::Word => !self.is_word_for("or"),
            Token::Value(_) | Token::Open | Token::Not => true,
            Token::Close | Token::Comma | Token::And | Token::Or => false,
        };
        begins.then(|| next.span.clone())
    }

    fn unary(&mut self) -> Option<Expression> {
        let start = self.peek().map(|next| next.span.start);
        let mut negated = false;
        while self.accept(&Token::Not) || self.word_for("not", "!") {
            negated = !negated;
        }
        let inner = self.primary()?;
        let span = Span { start: start.unwrap_or_default(), end: inner.span().end };
        Some(if negated { Expression::not(inner).at(span) } else { inner })
    }

    fn primary(&mut self) -> Option<Expression> {
        let Some(Spanned { token, span }) = self.peek().cloned() else {
            self.missing();
            return None;
        };
        match token {
            Token::Open => self.group(span),
            Token::Word => self.matcher(span),
            Token::Value(value) => {
                self.next += 1;
                let help = format!("write {}(…)", if value.text.starts_with('/') { "PathPrefix" } else { "Host" });
                let message = format!("{} without a matcher", quoted(&value.text));
                self.found(codes::TEXT_UNEXPECTED, span, message, "a value alone says nothing", help);
                None
            }
            Token::Not | Token::Close | Token::Comma | Token::And | Token::Or => {
                self.missing();
                None
            }
        }
    }

    fn group(&mut self, open: Range<usize>) -> Option<Expression> {
        self.next += 1;
        if self.depth == DEPTH_MAX {
            self.found(
                codes::RULE_TOO_DEEP,
                open,
                "rule nested too deeply",
                format!("more than {DEPTH_MAX} parentheses are open here"),
                "take parentheses out; `a && (b && c)` is the same as `a && b && c`",
            );
            // Findings about the rest would make no sense.
            self.next = self.tokens.len();
            return None;
        }
        self.depth += 1;
        let inner = self.any();
        self.depth -= 1;
        let end = self.close(open.clone());
        Some(inner?.at(Span { start: open.start, end }))
    }

    fn matcher(&mut self, name: Range<usize>) -> Option<Expression> {
        self.next += 1;
        let Some(open) = self.take(&Token::Open) else {
            let word = &self.text[name.clone()];
            let (code, note, help) = match condition::known(word) {
                Some(known) => (codes::RULE_INCOMPLETE, "needs arguments", format!("write {known}(`…`)")),
                None => (codes::TEXT_UNEXPECTED, "neither a matcher nor an operator", likely(word)),
            };
            let message = format!("{} stands alone", quoted(word));
            self.found(code, name, message, note, help);
            return None;
        };
        let arguments = self.arguments();
        let end = self.close(open);
        let condition = (self.read)(&self.text[name.clone()], name.clone(), &arguments, self.findings)?;
        Some(Expression::is(condition).at(Span { start: name.start, end }))
    }

    /// Reads the arguments up to the closing parenthesis, which is not consumed.
    fn arguments(&mut self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        let mut comma = None;
        while let Some(Spanned { token, span }) = self.peek().cloned() {
            let argument = match token {
                Token::Value(value) => Argument { text: value.text, span, start: value.literal.then_some(value.start) },
                Token::Word if !self.is_call() => {
                    let word = &self.text[span.clone()];
                    let message = format!("{} is not quoted", quoted(word));
                    let help = format!("write `{}` in backticks", bare(word));
                    self.found(codes::VALUE_UNQUOTED, span.clone(), message, "values stand in quotes", help);
                    Argument { text: bare(word).into(), start: None, span }
                }
                Token::Comma => {
                    // A comma without a value before it; the one after a value is consumed below.
                    self.next += 1;
                    self.found(
                        codes::RULE_INCOMPLETE,
                        span,
                        "`,` without a value",
                        "a value is missing before this",
                        "remove it",
                    );
                    continue;
                }
                Token::Word | Token::Open | Token::Close | Token::And | Token::Or | Token::Not => break,
            };
            if comma.is_none() && !arguments.is_empty() {
                let place = argument.span.clone();
                self.found(
                    codes::RULE_INCOMPLETE,
                    place,
                    "no `,` between two values",
                    "missing before this",
                    "separate values by `,`",
                );
            }
            self.next += 1;
            comma = self.take(&Token::Comma);
            arguments.push(argument);
        }
        if let (Some(comma), Some(Token::Close)) = (comma, self.peek().map(|next| &next.token)) {
            self.found(
                codes::RULE_INCOMPLETE,
                comma,
                "`,` without a value",
                "a value is missing after this",
                "remove it",
            );
        }
        arguments
    }

    /// Consumes the `)` that belongs to `open`, and returns its end.
    fn close(&mut self, open: Range<usize>) -> usize {
        if let Some(close) = self.take(&Token::Close) {
            return close.end;
        }
        if !self.quote_unclosed && self.next <= self.tokens.len() {
            let is_depth_error = self.findings.iter().any(|finding| finding.code == codes::RULE_TOO_DEEP);
            if !is_depth_error {
                self.found(
                    codes::PARENTHESIS,
                    open,
                    "unclosed `(`",
                    "opened here, never closed",
                    "add the closing `)`",
                );
            }
        }
        self.peek().map_or(self.text.len(), |next| next.span.start)
    }

    /// Reports that a condition is missing at this place.
    fn missing(&mut self) {
        let before = self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map(|last| last.span.clone());
        let here = self.peek().map(|next| next.span.clone());
        if self.quote_unclosed && here.is_none() {
            return;
        }
        let (span, note) = match (before, here) {
            (Some(before), _) => (before, "a condition is missing after this"),
            (None, Some(here)) => (here, "a condition is missing before this"),
            (None, None) => (0..self.text.len(), "a condition is missing"),
        };
        let message = format!("nothing beside {}", quoted(&self.text[span.clone()]));
        self.found(
            codes::RULE_INCOMPLETE,
            span,
            message,
            note,
            "add a matcher such as Host(`shop.example.org`), or remove this",
        );
    }

    /// Consumes an operator that was written as a word.
    fn word_for(&mut self, word: &str, operator: &str) -> bool {
        if !self.is_word_for(word) {
            return false;
        }
        let span = self.tokens[self.next].span.clone();
        let message = format!("{} is not an operator", quoted(&self.text[span.clone()]));
        self.next += 1;
        self.found(codes::OPERATOR_SINGLE, span, message, "a word", format!("write `{operator}`"));
        true
    }

    fn is_word_for(&self, word: &str) -> bool {
        self.peek()
            .is_some_and(|next| next.token == Token::Word && self.text[next.span.clone()].eq_ignore_ascii_case(word))
    }

    /// Whether an opening parenthesis follows the next token.
    fn is_call(&self) -> bool {
        self.tokens.get(self.next + 1).is_some_and(|after| after.token == Token::Open)
    }

    fn peek(&self) -> Option<&Spanned> {
        self.tokens.get(self.next)
    }

    fn advance(&mut self) -> Option<Spanned> {
        let next = self.peek().cloned();
        self.next += 1;
        next
    }

    fn accept(&mut self, token: &Token) -> bool {
        self.take(token).is_some()
    }

    fn take(&mut self, token: &Token) -> Option<Range<usize>> {
        let span = self.peek().filter(|next| next.token == *token)?.span.clone();
        self.next += 1;
        Some(span)
    }

    fn found(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        note: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding::error(code, span, message, note, help));
    }
}

/// A word without the typographic quotes that an editor put around it.
fn bare(word: &str) -> &str {
    word.trim_matches(['“', '”', '„', '‘', '’', '‚', '«', '»', '´'])
}

/// A guess at the meaning of a word that stands alone.
fn likely(word: &str) -> String {
    let matcher = if word.starts_with('/') { "PathPrefix" } else { "Host" };
    if word.contains(['.', '/']) {
        format!("write {matcher}(`{}`)", bare(word))
    } else {
        "remove it, or write a matcher such as Host(`shop.example.org`)".to_owned()
    }
}
