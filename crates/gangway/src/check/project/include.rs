//! `include`: whole projects inside a project, each with its own folder and `.env`.

use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gangway_model::Code;
use gangway_model::codes::{BASE_UNKNOWN, FILE_UNREADABLE};

use super::super::finding::Finding;
use super::super::reading::{open, with_env_file};
use super::super::source::Origin;
use super::super::text::Text;
use super::super::variables::Environment;
use super::super::yaml::Node;
use super::{CHAIN_MAX, Document, Loader, Project, same_file};

impl Loader {
    /// Everything that a document includes, itself complete.
    pub(super) fn included(&mut self, document: &Rc<Document>, name: &str, chain: &mut Vec<PathBuf>) -> Project {
        let mut all = Project::named(name);
        for item in document.root.get("include").map(Node::items).unwrap_or_default() {
            let paths = self.texts(document, item.get("path").unwrap_or(item));
            let Some(first) = paths.first() else { continue };
            if is_remote(first.as_str()) {
                self.findings.push(not_read(first));
                continue;
            }
            let path = document.folder.join(first.as_str());
            if chain.len() >= CHAIN_MAX || chain.iter().any(|above| same_file(above, &path)) {
                let message = format!("`{}` includes itself", first.as_str());
                self.findings.push(failed(BASE_UNKNOWN, first, message));
                continue;
            }
            chain.push(path);
            let one = self.included_files(document, item, &paths, chain);
            chain.pop();
            self.take_in(first, one, &mut all);
        }
        all
    }

    /// One entry: several files of it are merged.
    fn included_files(
        &mut self,
        document: &Rc<Document>,
        item: &Node,
        paths: &[Text],
        chain: &mut Vec<PathBuf>,
    ) -> Project {
        let folder = item.get("project_directory").and_then(|node| self.text(document, node));
        let folder = match (folder, chain.last()) {
            (Some(folder), _) => document.folder.join(folder.as_str()),
            (None, first) => first.and_then(|first| first.parent()).unwrap_or(Path::new("")).to_owned(),
        };
        let environment = Rc::new(self.included_environment(document, item, &folder));
        let mut project = Project::named(document.environment.get("COMPOSE_PROJECT_NAME").unwrap_or_default());
        for path in paths {
            match open(&mut self.files, &Origin::Path(document.folder.join(path.as_str()))) {
                Ok((id, text)) => {
                    let roots = self.roots(id, &text);
                    for read in self.keep(id, roots, &folder, &environment) {
                        self.add(&read, &mut project, chain);
                    }
                }
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", path.as_str());
                    self.findings.push(failed(FILE_UNREADABLE, path, message));
                }
            }
        }
        project
    }

    /// The variables around the include, and below them those of its own `env_file` or `.env`.
    fn included_environment(&mut self, document: &Document, item: &Node, folder: &Path) -> Environment {
        let mut environment = (*document.environment).clone();
        let Some(named) = item.get("env_file").map(|node| self.texts(document, node)) else {
            let beside = with_env_file(&mut self.files, &mut self.findings, &environment, folder.join(".env"));
            return beside.unwrap_or(environment);
        };
        for path in named.iter().rev() {
            let file = document.folder.join(path.as_str());
            match with_env_file(&mut self.files, &mut self.findings, &environment, file) {
                Ok(more) => environment = more,
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", path.as_str());
                    self.findings.push(failed(FILE_UNREADABLE, path, message));
                }
            }
        }
        environment
    }

    /// Joins two included projects. Compose refuses two services of one name.
    fn take_in(&mut self, path: &Text, included: Project, all: &mut Project) {
        for (key, name) in included.networks {
            all.networks.entry(key).or_insert(name);
        }
        for (name, service) in included.services {
            match all.services.entry(name) {
                Entry::Vacant(place) => drop(place.insert(service)),
                Entry::Occupied(first) => {
                    let message = format!("`{}` brings a second service `{}`", path.as_str(), first.key());
                    self.findings.push(failed(BASE_UNKNOWN, path, message));
                }
            }
        }
    }
}

/// What compose would fetch: an artifact of a registry, or a repository.
fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("oci:")
}

fn not_read(path: &Text) -> Finding {
    Finding::warning(FILE_UNREADABLE, path.whole(), format!("`{}` is not on this machine", path.as_str()))
        .note("not read")
        .help("fetch it, and check it by its own name")
        .effect("it was checked without that part")
}

fn failed(code: Code, path: &Text, message: String) -> Finding {
    Finding::error(code, path.whole(), message)
        .help("correct `include`; paths start at the folder of this file")
        .effect("compose starts nothing of this file; it was checked without that part")
}
