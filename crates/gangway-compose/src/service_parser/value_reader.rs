//! The values of one service, with their variables put in.

use std::collections::BTreeSet;
use std::path::Path;

use gangway_diagnostic::Code;

use crate::environment::Environment;
use crate::interpolation::interpolate;
use crate::load_session::LoadSession;
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::FileSpan;
use crate::spanned_text::SpannedText;
use crate::variable_diagnostic::variable_diagnostic;
use crate::yaml::{Node, NodeKind};

/// The file that a service is read from.
pub(crate) struct FileContext<'a, 'f> {
    pub(crate) session: &'a mut LoadSession<'f>,
    pub(crate) environment: &'a Environment,
    /// The folder that relative paths start from.
    pub(crate) folder: &'a Path,
}

/// The part that a value plays. It decides whether an unset variable in it is worth a diagnostic.
#[derive(Clone, Copy)]
pub(crate) enum Relevance<'l> {
    /// The value belongs to the label of this key.
    Label(&'l str),
    /// The value decides about routes in another way.
    Routing,
    /// The value matters only if the service is Gangway itself. Compose reports unset variables in it well enough.
    GangwayOnly,
}

/// Reads the values of one service.
pub(crate) struct ValueReader<'a, 'f> {
    /// The name of the service.
    pub(crate) service: &'a str,
    pub(crate) file: FileContext<'a, 'f>,
    /// The names of the variables that are set inside the container.
    pub(crate) inside: BTreeSet<String>,
    /// Diagnostics about values that matter only if the service is Gangway itself.
    pub(crate) gangway_only: Vec<SourceDiagnostic>,
}

impl<'a, 'f> ValueReader<'a, 'f> {
    pub(crate) fn new(service: &'a str, file: FileContext<'a, 'f>) -> Self {
        Self { service, file, inside: BTreeSet::new(), gangway_only: Vec::new() }
    }

    /// An error about the service.
    pub(crate) fn error(&self, code: Code, span: FileSpan, message: impl Into<String>) -> SourceDiagnostic {
        SourceDiagnostic::error(&self.file.session.sources, code, span, message).about_service(self.service)
    }

    pub(crate) fn report(&mut self, diagnostic: SourceDiagnostic) {
        self.file.session.diagnostics.push(diagnostic);
    }

    /// A text with its variables put in.
    pub(crate) fn resolve(&mut self, text: &SpannedText, relevance: Relevance<'_>) -> SpannedText {
        let mut errors = Vec::new();
        let result = interpolate(text, self.file.environment, &mut errors);
        for error in errors {
            let is_refused = error.is_refused();
            let sources = &self.file.session.sources;
            let diagnostic = variable_diagnostic(sources, error, |name| self.inside.contains(name));
            let diagnostic = match relevance {
                Relevance::Label(key) => diagnostic.about_label(self.service, key),
                Relevance::Routing | Relevance::GangwayOnly => diagnostic.about_service(self.service),
            };
            match relevance {
                Relevance::GangwayOnly if !is_refused => self.gangway_only.push(diagnostic),
                Relevance::Label(_) | Relevance::Routing | Relevance::GangwayOnly => self.report(diagnostic),
            }
        }
        result
    }

    pub(crate) fn scalar(&mut self, node: &Node, relevance: Relevance<'_>) -> Option<SpannedText> {
        node.text().map(|text| self.resolve(text, relevance))
    }

    pub(crate) fn text(&mut self, node: Option<&Node>, relevance: Relevance<'_>) -> Option<SpannedText> {
        node.and_then(|node| self.scalar(node, relevance))
    }

    /// The texts of a scalar or of a list of them.
    pub(crate) fn texts(&mut self, node: Option<&Node>, relevance: Relevance<'_>) -> Vec<SpannedText> {
        let Some(node) = node else { return Vec::new() };
        match &node.kind {
            NodeKind::Scalar(text) => vec![self.resolve(text, relevance)],
            NodeKind::List(items) => items.iter().filter_map(|item| self.scalar(item, relevance)).collect(),
            NodeKind::Null | NodeKind::Map(_) => Vec::new(),
        }
    }
}
