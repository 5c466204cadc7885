//! Documents merged into a project, with the projects that they include.
//!
//! `include` names whole projects inside a project, each with its own folder and `.env`. An included document is
//! merged like any other, so both steps call each other.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gangway_diagnostic::Code;
use gangway_diagnostic::codes::{BASE_UNKNOWN, FILE_UNREADABLE, NOT_COMPOSE};

use crate::documents::{Document, Documents};
use crate::environment::Environment;
use crate::extends::service_with_bases;
use crate::file_access::Input;
use crate::project::Project;
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::{FileSpan, SourceMap};
use crate::spanned_text::SpannedText;
use crate::yaml::{Node, NodeKind};

/// The length of the longest chain of files that include each other.
const CHAIN_MAX: usize = 32;

/// Merges a document, with the projects that it includes, into a project. `path` is the path of its file.
pub(crate) fn merge_document(
    documents: &mut Documents<'_>,
    document: &Rc<Document>,
    path: PathBuf,
    project: &mut Project,
) {
    DocumentMerger { documents, chain: vec![path] }.document(document, project);
}

struct DocumentMerger<'m, 'f> {
    documents: &'m mut Documents<'f>,
    /// The files between the first one and the current one.
    chain: Vec<PathBuf>,
}

impl DocumentMerger<'_, '_> {
    fn document(&mut self, document: &Rc<Document>, project: &mut Project) {
        let included = self.included(document, &project.name);
        project.networks.extend(included.networks);
        let mut names: BTreeSet<String> = BTreeSet::new();
        for (name, service) in included.services {
            names.insert(name.clone());
            project.merge_service(name, service);
        }
        document.resets.paths().for_each(|path| project.reset(path));
        self.networks(document, project);
        let services = document.root.get("services");
        match services.map(|services| &services.kind) {
            Some(NodeKind::Map(services)) => {
                for (name, node) in services {
                    if names.contains(name.as_str()) {
                        let diagnostic = defined_twice(self.documents.sources(), name);
                        self.documents.report(diagnostic);
                    }
                    let service = service_with_bases(self.documents, document, (name, node), project);
                    project.merge_service(name.as_str().to_owned(), service);
                }
            }
            Some(NodeKind::Null) | None if document.has_other_parts() => {}
            Some(NodeKind::Null | NodeKind::Scalar(_) | NodeKind::List(_)) | None => {
                let diagnostic = without_services(self.documents.sources(), document);
                self.documents.report(diagnostic);
            }
        }
    }

    /// The engine's names of the networks that a document defines.
    fn networks(&mut self, document: &Document, project: &mut Project) {
        for (key, node) in document.root.get("networks").map(Node::entries).unwrap_or_default() {
            let external = node.get("external");
            let is_external = external.is_some_and(|node| node.text().is_none_or(|text| text.as_str() == "true"));
            let named = node.get("name").or_else(|| external.and_then(|external| external.get("name")));
            let name = match named.and_then(|node| self.documents.text(&document.environment, node)) {
                Some(name) => name.as_str().to_owned(),
                None if is_external => key.as_str().to_owned(),
                None => project.network(key.as_str()),
            };
            project.networks.insert(key.as_str().to_owned(), name);
        }
    }

    /// The complete projects that a document includes, joined into one.
    fn included(&mut self, document: &Rc<Document>, name: &str) -> Project {
        let mut all = Project::named(name);
        for item in document.root.get("include").map(Node::items).unwrap_or_default() {
            let paths = self.documents.texts(&document.environment, item.get("path").unwrap_or(item));
            let Some(first) = paths.first() else { continue };
            if is_remote(first.as_str()) {
                let diagnostic = not_read(self.documents.sources(), first);
                self.documents.report(diagnostic);
                continue;
            }
            let path = document.folder.join(first.as_str());
            if self.chain.len() >= CHAIN_MAX || self.is_in_chain(&path) {
                let message = format!("`{}` includes itself", first.as_str());
                self.report_not_included(BASE_UNKNOWN, first, message);
                continue;
            }
            self.chain.push(path);
            let one = self.included_files(document, item, &paths);
            self.chain.pop();
            self.join(first, one, &mut all);
        }
        all
    }

    fn is_in_chain(&self, path: &Path) -> bool {
        self.chain.iter().any(|above| self.documents.session.is_same_file(above, path))
    }

    /// The project of one entry of `include`. Several files of it are merged.
    fn included_files(&mut self, document: &Rc<Document>, item: &Node, paths: &[SpannedText]) -> Project {
        let folder = item.get("project_directory").and_then(|node| self.documents.text(&document.environment, node));
        let folder = match (folder, self.chain.last()) {
            (Some(folder), _) => document.folder.join(folder.as_str()),
            (None, first) => first.and_then(|first| first.parent()).unwrap_or(Path::new("")).to_owned(),
        };
        let environment = Rc::new(self.included_environment(document, item, &folder));
        let mut project = Project::named(document.environment.get("COMPOSE_PROJECT_NAME").unwrap_or_default());
        for path in paths {
            match self.documents.session.open(&Input::Path(document.folder.join(path.as_str()))) {
                Ok(id) => {
                    let roots = self.documents.roots(id);
                    for read in self.documents.keep(id, roots, &folder, &environment) {
                        self.document(&read, &mut project);
                    }
                }
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", path.as_str());
                    self.report_not_included(FILE_UNREADABLE, path, message);
                }
            }
        }
        project
    }

    /// The variables around the include, and below them those of its own `env_file` or `.env`.
    fn included_environment(&mut self, document: &Document, item: &Node, folder: &Path) -> Environment {
        let mut environment = (*document.environment).clone();
        let Some(node) = item.get("env_file") else {
            let beside = self.documents.session.environment_with_file(&environment, folder.join(".env"));
            return beside.unwrap_or(environment);
        };
        for path in self.documents.texts(&document.environment, node).iter().rev() {
            let file = document.folder.join(path.as_str());
            match self.documents.session.environment_with_file(&environment, file) {
                Ok(more) => environment = more,
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", path.as_str());
                    self.report_not_included(FILE_UNREADABLE, path, message);
                }
            }
        }
        environment
    }

    /// Adds an included project to those before it. Compose refuses two services of one name.
    fn join(&mut self, path: &SpannedText, included: Project, all: &mut Project) {
        for (key, name) in included.networks {
            all.networks.entry(key).or_insert(name);
        }
        for (name, service) in included.services {
            match all.services.entry(name) {
                Entry::Vacant(place) => drop(place.insert(service)),
                Entry::Occupied(first) => {
                    let message = format!("`{}` brings a second service `{}`", path.as_str(), first.key());
                    self.report_not_included(BASE_UNKNOWN, path, message);
                }
            }
        }
    }

    fn report_not_included(&mut self, code: Code, path: &SpannedText, message: String) {
        let diagnostic = SourceDiagnostic::error(self.documents.sources(), code, path.span(), message)
            .with_help("correct `include`; paths start at the folder of this file")
            .with_effect("compose starts nothing of this file; it was checked without that part");
        self.documents.report(diagnostic);
    }
}

/// Whether compose would fetch the path: an artifact of a registry, or a repository.
fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("oci:")
}

fn not_read(sources: &SourceMap, path: &SpannedText) -> SourceDiagnostic {
    let message = format!("`{}` is not on this machine", path.as_str());
    SourceDiagnostic::warning(sources, FILE_UNREADABLE, path.span(), message)
        .with_note("not read")
        .with_help("fetch it, and check it by its own name")
        .with_effect("it was checked without that part")
}

fn defined_twice(sources: &SourceMap, name: &SpannedText) -> SourceDiagnostic {
    let message = format!("the service `{}` stands in an included file as well", name.as_str());
    SourceDiagnostic::error(sources, BASE_UNKNOWN, name.span(), message)
        .about_service(name.as_str())
        .with_help("rename one of them, or put what is to be changed into an override file")
        .with_effect("compose starts nothing of this file; both were merged here")
}

fn without_services(sources: &SourceMap, document: &Document) -> SourceDiagnostic {
    let root = &document.root;
    let flat = root.entries().iter().find(|(_, node)| node.get("image").or_else(|| node.get("build")).is_some());
    let (span, message, help) = match (flat, root.get("services")) {
        (Some((name, _)), None) => (
            name.span(),
            format!("`{}` stands outside `services`", name.as_str()),
            "write `services:` first and indent everything below it",
        ),
        (_, Some(services)) => (
            services.span(),
            "`services` is not a mapping".to_owned(),
            "write each service as a name with its keys below it",
        ),
        (None, None) => (
            FileSpan::new(document.id, 0..0),
            "this is no compose file: it has no `services`".to_owned(),
            "name a compose file, or write `services:` with at least one service",
        ),
    };
    SourceDiagnostic::error(sources, NOT_COMPOSE, span, message)
        .with_help(help)
        .with_effect("nothing of this file was checked")
}
