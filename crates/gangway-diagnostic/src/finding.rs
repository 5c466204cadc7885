//! A finding about a text whose place is not known yet.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::place::Place;
use crate::severity::Severity;
use crate::span::Span;

/// A finding about a text, made by a parser that does not know where the text stands.
///
/// [`Finding::at`] adds the place and the effect and makes a [`Diagnostic`] of it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// The kind of finding.
    pub code: Code,
    /// An error means that nothing was made of the text.
    pub severity: Severity,
    /// The byte range of the text under the caret.
    pub span: Span,
    /// One clause, lower case, no full stop, the thing itself in backticks.
    pub message: String,
    /// The words beside the caret.
    pub note: String,
    /// Something to do.
    pub help: String,
}

impl Finding {
    /// A finding that leaves out what was asked for.
    pub fn error(
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        note: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            span: span.into(),
            message: message.into(),
            note: note.into(),
            help: help.into(),
        }
    }

    /// The same finding as a warning: the text is in force, but surely not meant.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same finding in a longer text in which the examined one begins at `offset`.
    #[must_use]
    pub fn shifted(self, offset: usize) -> Self {
        Self { span: self.span.shifted(offset), ..self }
    }

    /// The diagnostic of this finding in `text`, which stands at `place`.
    pub fn at(self, place: Place, text: impl Into<String>, effect: impl Into<String>) -> Diagnostic {
        let Self { code, severity, span, message, note, help } = self;
        Diagnostic { code, severity, message, place, text: text.into(), span, note, help, effect: effect.into() }
    }
}
