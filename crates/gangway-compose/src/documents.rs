//! The documents of all compose files that were read.
//!
//! A file is one document or several, and each is merged by itself. Documents are shared, because `extends` returns
//! to them long after they were merged.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gangway_diagnostic::codes::NOT_COMPOSE;

use crate::environment::Environment;
use crate::file_access::{FileError, Input};
use crate::interpolation::interpolate;
use crate::load_session::LoadSession;
use crate::resets::Resets;
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::{FileId, FileSpan, SourceMap};
use crate::spanned_text::SpannedText;
use crate::variable_diagnostic::variable_diagnostic;
use crate::yaml::{Node, NodeKind, parse};

/// The number of times that `extends` is followed in one load. In a file of several documents, each may define every
/// service of a chain, so the number would otherwise grow exponentially with the length of the chain.
pub(crate) const EXTENDED_MAX: usize = 10_000;

/// One document of a compose file.
pub(crate) struct Document {
    pub(crate) id: FileId,
    pub(crate) root: Node,
    /// The paths that it removes from the documents that it is merged into.
    pub(crate) resets: Resets,
    /// Whether the file has no other document.
    is_alone: bool,
    /// The folder that relative paths start from.
    pub(crate) folder: PathBuf,
    pub(crate) environment: Rc<Environment>,
}

impl Document {
    /// Whether it has another part of a compose file than services. A file that only adds networks, removes values or
    /// includes others is a compose file, too.
    pub(crate) fn has_other_parts(&self) -> bool {
        let removes = self.resets.paths().next().is_some();
        let has = |key: &&str| self.root.get(key).is_some();
        !self.is_alone || removes || ["include", "networks", "volumes", "name"].iter().any(has)
    }
}

/// The documents that were read, and the session that they were read in.
pub(crate) struct Documents<'f> {
    pub(crate) session: LoadSession<'f>,
    read: Vec<Rc<Document>>,
    /// Documents of files that services extend, by their path as opened. A base that many services extend is read
    /// once.
    bases: HashMap<PathBuf, Vec<Rc<Document>>>,
    /// The number of times that `extends` was followed.
    extended: usize,
}

impl<'f> Documents<'f> {
    pub(crate) fn new(session: LoadSession<'f>) -> Self {
        Self { session, read: Vec::new(), bases: HashMap::new(), extended: 0 }
    }

    pub(crate) fn sources(&self) -> &SourceMap {
        &self.session.sources
    }

    pub(crate) fn report(&mut self, diagnostic: SourceDiagnostic) {
        self.session.diagnostics.push(diagnostic);
    }

    /// The beginning of the first document, for diagnostics that belong to no other place.
    pub(crate) fn start(&self) -> Option<FileSpan> {
        self.read.first().map(|document| FileSpan::new(document.id, 0..0))
    }

    /// The YAML documents of a file. A file that is no YAML has none, and becomes a diagnostic.
    pub(crate) fn roots(&mut self, id: FileId) -> Vec<Node> {
        parse(id, self.session.sources.text(id)).unwrap_or_else(|error| {
            let span = FileSpan::new(id, error.range);
            let diagnostic = SourceDiagnostic::error(self.sources(), NOT_COMPOSE, span, error.message);
            self.report(diagnostic.with_help(error.help).with_effect("nothing of this file was checked"));
            Vec::new()
        })
    }

    /// Keeps the documents of a file with the folder and the variables that hold for them.
    pub(crate) fn keep(
        &mut self,
        id: FileId,
        mut roots: Vec<Node>,
        folder: &Path,
        environment: &Rc<Environment>,
    ) -> Vec<Rc<Document>> {
        if roots.len() > 1 {
            // Three dashes at the beginning or the end of a file make an empty document.
            roots.retain(|root| !root.is_null());
        }
        let is_alone = roots.len() == 1;
        let document = |mut root: Node| {
            let (folder, environment) = (folder.to_owned(), Rc::clone(environment));
            Rc::new(Document { id, resets: Resets::take_from(&mut root), root, is_alone, folder, environment })
        };
        let documents: Vec<_> = roots.into_iter().map(document).collect();
        self.read.extend(documents.iter().map(Rc::clone));
        documents
    }

    /// The documents of a file that a service extends. A file that is no YAML has none, and becomes a diagnostic.
    pub(crate) fn base(&mut self, document: &Document, file: &SpannedText) -> Result<Vec<Rc<Document>>, FileError> {
        let path = document.folder.join(file.as_str());
        if let Some(known) = self.bases.get(&path) {
            return Ok(known.clone());
        }
        let same =
            |known: &&Rc<Document>| self.session.is_same_file(Path::new(self.session.sources.name(known.id)), &path);
        let known: Vec<_> = self.read.iter().filter(same).map(Rc::clone).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        let input = Input::Path(path.clone());
        let id = self.session.open(&input)?;
        let roots = self.roots(id);
        let read = self.keep(id, roots, &input.folder(), &document.environment);
        self.bases.insert(path, read.clone());
        Ok(read)
    }

    /// Counts one more `extends` that is followed. False where there were too many.
    pub(crate) fn count_extended(&mut self) -> bool {
        self.extended += 1;
        self.extended <= EXTENDED_MAX
    }

    /// The text of a scalar with its variables put in.
    pub(crate) fn text(&mut self, environment: &Environment, node: &Node) -> Option<SpannedText> {
        let mut errors = Vec::new();
        let text = interpolate(node.text()?, environment, &mut errors);
        let sources = &self.session.sources;
        let diagnostics = errors.into_iter().map(|error| variable_diagnostic(sources, error, |_| false));
        self.session.diagnostics.extend(diagnostics);
        Some(text)
    }

    /// The texts of a scalar or of a list of them.
    pub(crate) fn texts(&mut self, environment: &Environment, node: &Node) -> Vec<SpannedText> {
        let items = if let NodeKind::List(items) = &node.kind { items.as_slice() } else { std::slice::from_ref(node) };
        items.iter().filter_map(|item| self.text(environment, item)).collect()
    }
}
