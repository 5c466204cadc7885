//! `extends`: a service that takes the values of another one.

use std::rc::Rc;

use gangway_diagnostic::Code;
use gangway_diagnostic::codes::{BASE_UNKNOWN, FILE_UNREADABLE};

use crate::documents::{Document, Documents, EXTENDED_MAX};
use crate::project::Project;
use crate::service::{Extends, Service};
use crate::service_parser::{FileContext, parse_service};
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::FileId;
use crate::spanned_text::SpannedText;
use crate::yaml::Node;

/// The length of the longest chain of services that extend each other.
const CHAIN_MAX: usize = 32;

/// A service of a document, with the values of the services that it extends.
pub(crate) fn service_with_bases(
    documents: &mut Documents<'_>,
    document: &Rc<Document>,
    (name, node): (&SpannedText, &Node),
    project: &Project,
) -> Service {
    ServiceResolver { documents, project, chain: Vec::new() }.service(document, name, node)
}

struct ServiceResolver<'r, 'f> {
    documents: &'r mut Documents<'f>,
    /// The definitions of earlier files.
    project: &'r Project,
    /// The services between the first one and the current one.
    chain: Vec<(FileId, String)>,
}

impl ServiceResolver<'_, '_> {
    fn service(&mut self, document: &Rc<Document>, name: &SpannedText, node: &Node) -> Service {
        let file = FileContext {
            session: &mut self.documents.session,
            environment: &document.environment,
            folder: &document.folder,
        };
        let service = parse_service(name, node, file);
        let Some(extends) = service.extends.clone() else { return service };
        self.chain.push((document.id, name.as_str().to_owned()));
        let base = self.base(document, name, &extends);
        self.chain.pop();
        match base {
            Some(mut base) => {
                document.resets.of_service(name.as_str()).for_each(|path| base.reset(path));
                base.merge(service);
                base
            }
            None => service,
        }
    }

    /// The service that `name` extends, with its own bases. None where there is none, which becomes a diagnostic.
    fn base(&mut self, document: &Rc<Document>, name: &SpannedText, extends: &Extends) -> Option<Service> {
        let sources = match &extends.file {
            None => vec![Rc::clone(document)],
            Some(file) => match self.documents.base(document, file) {
                Ok(sources) => sources,
                Err(error) => {
                    let message = format!("failed to read `{}`: {error}", file.as_str());
                    let help = "correct the path; it starts at the folder of this file";
                    self.report_without_base(name, FILE_UNREADABLE, file, message, help);
                    return None;
                }
            },
        };
        let id = sources.first()?.id;
        let base = extends.service.as_str();
        if let Some(message) = self.endless(id, base) {
            let help = "let one of them stand on its own";
            self.report_without_base(name, BASE_UNKNOWN, &extends.service, message, help);
            return None;
        }
        let mut found: Option<Service> = None;
        for source in &sources {
            let services = source.root.get("services").map(Node::entries).unwrap_or_default();
            let Some((key, node)) = services.iter().find(|(key, _)| key.as_str() == base) else { continue };
            let service = self.service(source, key, node);
            found = match found.take() {
                Some(mut earlier) => {
                    source.resets.of_service(base).for_each(|path| earlier.reset(path));
                    earlier.merge(service);
                    Some(earlier)
                }
                None => Some(service),
            };
        }
        if found.is_some() {
            return found;
        }
        // A later file may extend a service of an earlier file or of an included one.
        if let Some(service) = self.project.services.get(base).filter(|_| extends.file.is_none()) {
            return Some(service.clone());
        }
        let message = format!("there is no service `{base}` in {} to extend", self.documents.sources().name(id));
        let help = "correct the name, or add the service";
        self.report_without_base(name, BASE_UNKNOWN, &extends.service, message, help);
        None
    }

    /// Reports that a service has no base, because of the text `at`.
    fn report_without_base(&mut self, name: &SpannedText, code: Code, at: &SpannedText, message: String, help: &str) {
        let diagnostic = SourceDiagnostic::error(self.documents.sources(), code, at.span(), message)
            .about_service(name.as_str())
            .with_help(help)
            .with_effect("compose starts nothing of this file; the service was checked without its base");
        self.documents.report(diagnostic);
    }

    /// The reason why a base must not be followed, where there is one.
    fn endless(&mut self, file: FileId, base: &str) -> Option<String> {
        if self.chain.iter().any(|(id, extended)| *id == file && extended == base) {
            let circle: Vec<_> = self.chain.iter().map(|(_, name)| format!("`{name}`")).collect();
            let circle = circle.join(" extends ");
            return Some(format!("services extend each other in a circle: {circle} extends `{base}`"));
        }
        if self.chain.len() > CHAIN_MAX {
            return Some(format!("more than {CHAIN_MAX} services extend each other"));
        }
        (!self.documents.count_extended()).then(|| format!("services are extended more than {EXTENDED_MAX} times"))
    }
}
