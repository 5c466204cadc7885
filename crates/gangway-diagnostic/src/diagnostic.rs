//! One diagnostic.

use crate::code::Code;
use crate::place::Place;
use crate::severity::Severity;
use crate::span::Span;

/// One finding at its place. `Display` writes the text in which it is shown everywhere.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Diagnostic {
    /// The kind of finding.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// One clause, lower case, no full stop, the thing itself in backticks.
    pub message: String,
    /// Where the finding was made.
    pub place: Place,
    /// The text under the caret: the label's value, or its key. Empty where there is no caret.
    /// It never holds the value of a label that may be a secret.
    pub text: String,
    /// The byte range of `text` under the caret.
    pub span: Span,
    /// The words beside the caret, such as `not a matcher`.
    pub note: String,
    /// Something to do.
    pub help: String,
    /// What Gangway did instead. Never empty.
    pub effect: String,
}

impl Diagnostic {
    /// An error without a caret, a help and an effect; the methods below add them.
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, place, message)
    }

    /// Like [`error`](Self::error), for something that is in force, but surely not meant.
    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, place, message)
    }

    /// Like [`error`](Self::error), for something that is not wrong.
    pub fn note(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, place, message)
    }

    /// Like [`error`](Self::error), with a severity that the caller determines.
    pub fn new(severity: Severity, code: Code, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            place,
            text: String::new(),
            span: Span::default(),
            note: String::new(),
            help: String::new(),
            effect: String::new(),
        }
    }

    /// Puts the caret under `span` of `text`, with `note` beside it.
    #[must_use]
    pub fn with_caret(self, text: impl Into<String>, span: impl Into<Span>, note: impl Into<String>) -> Self {
        Self { text: text.into(), span: span.into(), note: note.into(), ..self }
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// Says what Gangway did instead.
    #[must_use]
    pub fn with_effect(self, effect: impl Into<String>) -> Self {
        Self { effect: effect.into(), ..self }
    }
}
