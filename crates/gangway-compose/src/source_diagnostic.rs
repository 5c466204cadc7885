//! A diagnostic with the bytes of the file that it is about.

use std::ops::Range;

use gangway_diagnostic::{Code, Diagnostic, Place, Severity, Span};

use crate::source_map::{FileSpan, SourceMap};
use crate::spanned_text::TextLocation;

/// A diagnostic about a part of a file.
///
/// The place of the diagnostic has the line and column. Reports that show the line, or mark the end of the part, need
/// its bytes, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceDiagnostic {
    /// The diagnostic. Its text is empty, except where the file does not show the value because it came from
    /// variables.
    pub diagnostic: Diagnostic,
    /// The bytes of the file.
    pub span: FileSpan,
}

impl SourceDiagnostic {
    /// An error in a compose file, without a service, note, help and effect. The methods below add them.
    pub fn error(sources: &SourceMap, code: Code, span: FileSpan, message: impl Into<String>) -> Self {
        Self { diagnostic: Diagnostic::error(code, compose_place(sources, &span), message), span }
    }

    /// Like [`error`](Self::error), for something that is in force, but surely not meant.
    pub fn warning(sources: &SourceMap, code: Code, span: FileSpan, message: impl Into<String>) -> Self {
        let error = Self::error(sources, code, span, message);
        Self { diagnostic: Diagnostic { severity: Severity::Warning, ..error.diagnostic }, ..error }
    }

    /// Like [`error`](Self::error), for something that is not wrong.
    pub fn note(sources: &SourceMap, code: Code, span: FileSpan, message: impl Into<String>) -> Self {
        let error = Self::error(sources, code, span, message);
        Self { diagnostic: Diagnostic { severity: Severity::Note, ..error.diagnostic }, ..error }
    }

    /// A diagnostic of the model, or about settings, moved to a place in a compose file.
    pub fn moved(sources: &SourceMap, diagnostic: &Diagnostic, span: FileSpan) -> Self {
        let place = compose_place(sources, &span);
        let diagnostic = Diagnostic { place, text: String::new(), span: Span::default(), ..diagnostic.clone() };
        Self { diagnostic, span }
    }

    /// Names the service.
    #[must_use]
    pub fn about_service(self, name: &str) -> Self {
        self.about(name, None)
    }

    /// Names the service and its label.
    #[must_use]
    pub fn about_label(self, service: &str, key: &str) -> Self {
        self.about(service, Some(key.into()))
    }

    fn about(mut self, name: &str, key: Option<Box<str>>) -> Self {
        if let Place::ComposeFile { service, label, .. } = &mut self.diagnostic.place {
            *service = Some(name.into());
            *label = key;
        }
        self
    }

    /// Sets the words beside the caret.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.diagnostic.note = note.into();
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { diagnostic: self.diagnostic.with_help(help), ..self }
    }

    /// Says what was done instead.
    #[must_use]
    pub fn with_effect(self, effect: impl Into<String>) -> Self {
        Self { diagnostic: self.diagnostic.with_effect(effect), ..self }
    }

    /// Shows the value as well, where it came from variables and the file does not show it.
    #[must_use]
    pub(crate) fn with_value(mut self, location: &TextLocation, value: &str, part: Range<usize>) -> Self {
        if location.from_variable {
            value.clone_into(&mut self.diagnostic.text);
            self.diagnostic.span = part.into();
        }
        self
    }
}

fn compose_place(sources: &SourceMap, span: &FileSpan) -> Place {
    Place::ComposeFile { at: sources.file_position(span), service: None, label: None }
}
