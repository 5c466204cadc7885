//! The rule language: text → [`Expression`] and findings.
//!
//! [`parse`] reports everything it finds and goes on; it never fails otherwise, never panics, and needs
//! bounded time and stack for any text. Printing an expression and parsing it again gives the same
//! expression.
//!
//! A [`Finding`] has no place: whoever read the text out of a label or a file adds it, together with
//! the effect. There is deliberately no evaluation here; see [`crate::matcher`].

pub mod codes;
mod condition;
mod expression;
mod lexer;
mod nearest;
mod parser;
mod pattern;
mod print;

use std::ops::Range;

pub use expression::{Condition, Expression, Term};
pub(crate) use lexer::values;
pub use nearest::{distance, nearest};
pub use parser::{DEPTH_MAX, FINDINGS_MAX, RULE_LEN_MAX, parse};
pub use pattern::{PATTERN_SIZE_MAX, Pattern};

use crate::diagnostic::{Code, Severity, Span};

/// Something found in a text, before it is known where the text stands.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// Which kind of finding; one of [`codes`].
    pub code: Code,
    /// How bad: an error means that nothing was made of the text.
    pub severity: Severity,
    /// The byte range of the text under the caret.
    pub span: Span,
    /// One clause, lower case, no full stop, the thing itself in backticks.
    pub message: String,
    /// What the caret says.
    pub note: String,
    /// Something to do.
    pub help: String,
}

impl Finding {
    /// What was asked for is not in force.
    pub(crate) fn error(
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        note: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            span: Span { start: span.start, end: span.end },
            message: message.into(),
            note: note.into(),
            help: help.into(),
        }
    }

    /// In force, but surely not meant.
    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same finding in a longer text in which the examined one begins at `offset`.
    pub fn shifted(mut self, offset: usize) -> Self {
        self.span.start += offset;
        self.span.end += offset;
        self
    }
}

/// A piece of the user's text for a message: short, on one line, in backticks.
pub(crate) fn shown(text: &str) -> String {
    /// Longer pieces are cut: the text itself stands above the caret anyway.
    const LEN_MAX: usize = 60;
    let mut shown = String::with_capacity(text.len().min(LEN_MAX) + 2);
    shown.push('`');
    for (position, char) in text.chars().enumerate() {
        if position == LEN_MAX {
            shown.push('…');
            break;
        }
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown.push('`');
    shown
}
