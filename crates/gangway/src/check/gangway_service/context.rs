//! Gangway's service, and the files that diagnostics about it point into.

use gangway_compose::{FileSpan, Service, SourceDiagnostic, SourceMap};
use gangway_diagnostic::{Code, Diagnostic};

/// A service that is Gangway itself.
#[derive(Clone, Copy)]
pub(crate) struct GangwayService<'s> {
    pub(crate) service: &'s Service,
    pub(crate) sources: &'s SourceMap,
}

impl GangwayService<'_> {
    /// Whether the file has all of the service. One without ports and mounts is a part, and the rest is in another file.
    pub(crate) fn is_whole(self) -> bool {
        !self.service.ports.is_empty() || !self.service.mounts.is_empty()
    }

    /// An error about the service.
    pub(crate) fn error(self, code: Code, span: FileSpan, message: impl Into<String>) -> SourceDiagnostic {
        SourceDiagnostic::error(self.sources, code, span, message).about_service(self.service.name.as_str())
    }

    /// A diagnostic about a setting, moved to its place in the compose file.
    pub(crate) fn moved(self, diagnostic: &Diagnostic, span: FileSpan) -> SourceDiagnostic {
        SourceDiagnostic::moved(self.sources, diagnostic, span).about_service(self.service.name.as_str())
    }

    /// The place of diagnostics about the service as a whole.
    pub(crate) fn span(self) -> FileSpan {
        self.service.name.span()
    }
}
