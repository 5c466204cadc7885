//! What is wrong with a template.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use gangway_diagnostic::Span;

/// Why a template cannot be read, or gives no text. `Display` is one clause, lower case, without a full stop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateError {
    /// The byte of the template at which it shows.
    pub offset: usize,
    /// How many bytes from there are meant.
    pub len: usize,
    /// One clause, lower case, no full stop, the thing itself in backticks.
    pub message: String,
    /// Something to do.
    pub help: String,
}

impl TemplateError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        let Span { start, end } = span.into();
        Self { offset: start, len: end - start, message: message.into(), help: help.into() }
    }

    /// The bytes of the template that are meant.
    pub fn span(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

impl Display for TemplateError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}
