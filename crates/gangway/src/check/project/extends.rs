//! `extends`: a service that another one stands on.

use std::path::Path;
use std::rc::Rc;

use gangway_model::codes::{BASE_UNKNOWN, FILE_UNREADABLE};

use super::super::finding::{Finding, Subject};
use super::super::reading::open;
use super::super::service::{Extends, Service};
use super::super::source::{FileId, Origin, ReadError};
use super::super::text::Text;
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
        let source = match &extends.file {
            None => Rc::clone(document),
            Some(file) => match self.base_document(document, file) {
                Ok(source) => source?,
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", file.as_str());
                    let help = "correct the path; it starts at the folder of this file";
                    self.findings.push(failed(Finding::error(FILE_UNREADABLE, file.whole(), message).help(help), name));
                    return None;
                }
            },
        };
        let base = extends.service.as_str();
        let fail = |message: String| Finding::error(BASE_UNKNOWN, extends.service.whole(), message);
        if let Some(message) = endless(chain, source.id, base) {
            self.findings.push(failed(fail(message).help("let one of them stand on its own"), name));
            return None;
        }
        let services = source.root.get("services");
        let found = services.and_then(|services| services.entries().iter().find(|(key, _)| key.as_str() == base));
        if let Some((key, node)) = found {
            return Some(self.service(&source, key, node, project, chain));
        }
        // A later file may extend what an earlier one or an included one defines.
        if let Some(service) = project.services.get(base).filter(|_| extends.file.is_none()) {
            return Some(service.clone());
        }
        let message = format!("there is no service `{base}` in {} to extend", self.files.name(source.id));
        self.findings.push(failed(fail(message).help("correct the name, or add the service"), name));
        None
    }

    /// The file that a base stands in, read once. None for one that is no YAML, which was told.
    fn base_document(&mut self, document: &Document, file: &Text) -> Result<Option<Rc<Document>>, ReadError> {
        let path = document.folder.join(file.as_str());
        if let Some(known) = self.bases.get(&path) {
            return Ok(known.clone());
        }
        let same = |known: &&Rc<Document>| same_file(Path::new(self.files.name(known.id)), &path);
        if let Some(known) = self.documents.iter().find(same) {
            return Ok(Some(Rc::clone(known)));
        }
        let origin = Origin::Path(path.clone());
        let (id, text) = open(&mut self.files, &origin)?;
        let root = self.root(id, &text);
        let read = root.map(|root| self.keep(id, root, &origin.folder(), &document.environment));
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
