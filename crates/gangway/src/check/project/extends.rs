//! `extends`: a service that another one stands on.

use std::path::Path;
use std::rc::Rc;

use gangway_model::codes::{BASE_UNKNOWN, FILE_UNREADABLE};

use super::super::finding::{Finding, Subject};
use super::super::reading::open;
use super::super::service::{Extends, Service};
use super::super::source::{FileId, Origin, ReadError};
use super::super::text::Text;
use super::super::yaml::Node;
use super::{CHAIN_MAX, Document, Loader, Project, same_file};

impl Loader {
    /// What a service extends, itself complete. Every failure was told.
    pub(super) fn base(
        &mut self,
        document: &Rc<Document>,
        name: &Text,
        extends: &Extends,
        project: &Project,
        chain: &mut Vec<(FileId, String)>,
    ) -> Option<Service> {
        let sources = match &extends.file {
            None => vec![Rc::clone(document)],
            Some(file) => match self.base_documents(document, file) {
                Ok(sources) => sources,
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", file.as_str());
                    let help = "correct the path; it starts at the folder of this file";
                    self.findings.push(failed(Finding::error(FILE_UNREADABLE, file.whole(), message).help(help), name));
                    return None;
                }
            },
        };
        let id = sources.first()?.id;
        let base = extends.service.as_str();
        let fail = |message: String| Finding::error(BASE_UNKNOWN, extends.service.whole(), message);
        if let Some(message) = endless(chain, id, base) {
            self.findings.push(failed(fail(message).help("let one of them stand on its own"), name));
            return None;
        }
        let mut found: Option<Service> = None;
        for source in &sources {
            let services = source.root.get("services").map(Node::entries).unwrap_or_default();
            let Some((key, node)) = services.iter().find(|(key, _)| key.as_str() == base) else { continue };
            let service = self.service(source, key, node, project, chain);
            found = match found.take() {
                Some(mut earlier) => {
                    source.resets.of_service(base).for_each(|path| earlier.reset(path));
                    earlier.join(service);
                    Some(earlier)
                }
                None => Some(service),
            };
        }
        if found.is_some() {
            return found;
        }
        // A later file may extend what an earlier one or an included one defines.
        if let Some(service) = project.services.get(base).filter(|_| extends.file.is_none()) {
            return Some(service.clone());
        }
        let message = format!("there is no service `{base}` in {} to extend", self.files.name(id));
        self.findings.push(failed(fail(message).help("correct the name, or add the service"), name));
        None
    }

    /// The documents of the file that a base stands in, read once. None for one that is no YAML, which was told.
    fn base_documents(&mut self, document: &Document, file: &Text) -> Result<Vec<Rc<Document>>, ReadError> {
        let path = document.folder.join(file.as_str());
        if let Some(known) = self.bases.get(&path) {
            return Ok(known.clone());
        }
        let same = |known: &&Rc<Document>| same_file(Path::new(self.files.name(known.id)), &path);
        let known: Vec<_> = self.documents.iter().filter(same).map(Rc::clone).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        let origin = Origin::Path(path.clone());
        let (id, text) = open(&mut self.files, &origin)?;
        let roots = self.roots(id, &text);
        let read = self.keep(id, roots, &origin.folder(), &document.environment);
        self.bases.insert(path, read.clone());
        Ok(read)
    }
}

/// Why this base must not be followed, if so.
fn endless(chain: &[(FileId, String)], file: FileId, base: &str) -> Option<String> {
    if chain.iter().any(|(id, extended)| *id == file && extended == base) {
        let circle: Vec<_> = chain.iter().map(|(_, name)| format!("`{name}`")).collect();
        return Some(format!("services extend each other in a circle: {} extends `{base}`", circle.join(" extends ")));
    }
    (chain.len() > CHAIN_MAX).then(|| format!("more than {CHAIN_MAX} services extend each other"))
}

fn failed(finding: Finding, name: &Text) -> Finding {
    finding
        .about(Subject::service(name.as_str()))
        .effect("compose starts nothing of this file; the service was checked without its base")
}
