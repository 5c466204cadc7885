//! Compose files → services, as compose itself would put them together.
//!
//! Several files, and several documents of one, are merged in order, `extends` and `include` are followed, and
//! every profile counts: a label that is wrong in a service nobody starts today is wrong all the same.

mod extends;
mod include;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gangway_model::codes::{BASE_UNKNOWN, NETWORK_UNDEFINED, NOT_COMPOSE};

use super::finding::{Finding, Subject, about_variable};
use super::reading::{Reading, open};
use super::resets::Resets;
use super::service::Service;
use super::source::{FileId, Files, Origin, ReadError, Spot};
use super::text::Text;
use super::variables::{Environment, interpolate};
use super::yaml::{Kind, Node, parse};

/// `extends` of services that extend others; `include` of files that include others.
const CHAIN_MAX: usize = 32;

/// Everything that one set of compose files says.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) services: BTreeMap<String, Service>,
    /// The engine's name of each network, by its key in the file.
    pub(super) networks: HashMap<String, String>,
}

impl Project {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds a service, or puts it over the one of that name.
    fn join(&mut self, name: String, service: Service) {
        match self.services.entry(name) {
            Entry::Occupied(mut base) => base.get_mut().join(service),
            Entry::Vacant(place) => drop(place.insert(service)),
        }
    }

    /// Forgets what stands at a path, as if it had never been set.
    fn reset(&mut self, path: &[String]) {
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["services"] => self.services.clear(),
            ["services", name] => drop(self.services.remove(*name)),
            ["services", name, ..] => {
                if let Some(service) = self.services.get_mut(*name) {
                    service.reset(&path[2..]);
                }
            }
            ["networks"] => self.networks.clear(),
            ["networks", key, ..] => drop(self.networks.remove(*key)),
            _ => {}
        }
    }

    /// The engine's name of a network.
    pub(super) fn network(&self, key: &str) -> String {
        self.networks.get(key).cloned().unwrap_or_else(|| format!("{}_{key}", self.name))
    }
}

/// A file that was asked for by name and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {name}: {error}")]
pub(super) struct Unreadable {
    pub(super) name: String,
    pub(super) error: ReadError,
}

/// Reads compose files and keeps what was read and found.
pub(super) struct Loader {
    pub(super) files: Files,
    pub(super) findings: Vec<Finding>,
    documents: Vec<Rc<Document>>,
    /// By path as opened, so that a base that many services extend is read once.
    bases: HashMap<PathBuf, Vec<Rc<Document>>>,
}

/// One document of a compose file as read.
struct Document {
    id: FileId,
    root: Node,
    /// What it takes away from what it is put over.
    resets: Resets,
    /// Whether it is all that the file has.
    is_alone: bool,
    folder: PathBuf,
    environment: Rc<Environment>,
}

impl Loader {
    pub(super) fn new() -> Self {
        Self { files: Files::default(), findings: Vec::new(), documents: Vec::new(), bases: HashMap::new() }
    }

    /// Reads files that belong together, the later ones over the earlier.
    pub(super) fn project(&mut self, origins: &[Origin], environment: Environment) -> Result<Project, Unreadable> {
        let folder = origins.first().map(Origin::folder).unwrap_or_default();
        let mut roots = Vec::new();
        for origin in origins {
            let (id, text) =
                open(&mut self.files, origin).map_err(|error| Unreadable { name: origin.name(), error })?;
            roots.push((id, self.roots(id, &text)));
        }
        let (name, environment) = self.named(&roots, environment, &folder);
        let mut project = Project::named(&name);
        let mut documents = Vec::new();
        for (id, roots) in roots {
            documents.extend(self.keep(id, roots, &folder, &environment));
        }
        for document in documents {
            let path = PathBuf::from(self.files.name(document.id));
            self.add(&document, &mut project, &mut vec![path]);
        }
        self.check_networks(&project);
        Ok(project)
    }

    /// The project's name, which references may use as well: as given, as the last file says, or the
    /// folder's.
    fn named(
        &mut self,
        roots: &[(FileId, Vec<Node>)],
        mut environment: Environment,
        folder: &Path,
    ) -> (String, Rc<Environment>) {
        let mut name = environment.get("COMPOSE_PROJECT_NAME").map(normal_name).filter(|name| !name.is_empty());
        if name.is_none() {
            let mut all = roots.iter().flat_map(|(_, roots)| roots).rev();
            let written = all.find_map(|root| root.get("name").and_then(Node::text));
            name = written.map(|written| {
                let mut complaints = Vec::new();
                let text = interpolate(written, &environment, &mut complaints);
                self.findings.extend(complaints.into_iter().map(|complaint| about_variable(complaint, |_| false)));
                normal_name(text.as_str())
            });
        }
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| folder_name(folder));
        environment.set("COMPOSE_PROJECT_NAME", &name);
        (name, Rc::new(environment))
    }

    /// The beginning of the first compose file, for what belongs nowhere else.
    pub(super) fn start(&self) -> Option<Spot> {
        self.documents.first().map(|document| Spot::new(document.id, 0..0))
    }

    /// The documents of a file; none where it is no YAML, which is told.
    fn roots(&mut self, id: FileId, text: &str) -> Vec<Node> {
        parse(id, text).unwrap_or_else(|error| {
            let finding = Finding::error(NOT_COMPOSE, Spot::new(id, error.range), error.message);
            self.findings.push(finding.help(error.help).effect("nothing of this file was checked"));
            Vec::new()
        })
    }

    fn keep(
        &mut self,
        id: FileId,
        mut roots: Vec<Node>,
        folder: &Path,
        environment: &Rc<Environment>,
    ) -> Vec<Rc<Document>> {
        if roots.len() > 1 {
            // What three dashes at the beginning or the end of a file make.
            roots.retain(|root| !root.is_null());
        }
        let is_alone = roots.len() == 1;
        let document = |mut root: Node| {
            let (folder, environment) = (folder.to_owned(), Rc::clone(environment));
            Rc::new(Document { id, resets: Resets::take_from(&mut root), root, is_alone, folder, environment })
        };
        let documents: Vec<_> = roots.into_iter().map(document).collect();
        self.documents.extend(documents.iter().map(Rc::clone));
        documents
    }

    /// Puts a document, with what it includes, over what is there.
    fn add(&mut self, document: &Rc<Document>, project: &mut Project, chain: &mut Vec<PathBuf>) {
        let included = self.included(document, &project.name, chain);
        project.networks.extend(included.networks);
        let mut brought: BTreeSet<String> = BTreeSet::new();
        for (name, service) in included.services {
            brought.insert(name.clone());
            project.join(name, service);
        }
        document.resets.paths().for_each(|path| project.reset(path));
        self.networks(document, project);
        let services = document.root.get("services");
        match services.map(|services| &services.kind) {
            Some(Kind::Map(services)) => {
                for (name, node) in services {
                    if brought.contains(name.as_str()) {
                        self.findings.push(brought_twice(name));
                    }
                    let service = self.service(document, name, node, project, &mut Vec::new());
                    project.join(name.as_str().to_owned(), service);
                }
            }
            Some(Kind::Null) | None if has_other_parts(document) => {}
            _ => self.no_services(document),
        }
    }

    fn no_services(&mut self, document: &Document) {
        let root = &document.root;
        let flat = root.entries().iter().find(|(_, node)| node.get("image").or_else(|| node.get("build")).is_some());
        let (spot, message, help) = match (flat, root.get("services")) {
            (Some((name, _)), None) => (
                name.whole(),
                format!("`{}` stands outside `services`", name.as_str()),
                "write `services:` first and indent everything below it",
            ),
            (_, Some(services)) => (
                Spot::new(services.file, services.range.clone()),
                "`services` is not a mapping".to_owned(),
                "write each service as a name with its keys below it",
            ),
            _ => (
                Spot::new(document.id, 0..0),
                "this is no compose file: it has no `services`".to_owned(),
                "name a compose file, or write `services:` with at least one service",
            ),
        };
        self.findings
            .push(Finding::error(NOT_COMPOSE, spot, message).help(help).effect("nothing of this file was checked"));
    }

    /// A service with what it extends below it.
    fn service(
        &mut self,
        document: &Rc<Document>,
        name: &Text,
        node: &Node,
        project: &Project,
        chain: &mut Vec<(FileId, String)>,
    ) -> Service {
        let mut reading = Reading {
            files: &mut self.files,
            findings: &mut self.findings,
            environment: &document.environment,
            folder: &document.folder,
        };
        let service = Service::read(name, node, &mut reading);
        let Some(extends) = service.extends.clone() else { return service };
        chain.push((document.id, name.as_str().to_owned()));
        let base = self.base(document, name, &extends, project, chain);
        chain.pop();
        match base {
            Some(mut base) => {
                document.resets.of_service(name.as_str()).for_each(|path| base.reset(path));
                base.join(service);
                base
            }
            None => service,
        }
    }

    fn networks(&mut self, document: &Document, project: &mut Project) {
        for (key, node) in document.root.get("networks").map(Node::entries).unwrap_or_default() {
            let external = node.get("external");
            let is_external = external.is_some_and(|node| node.text().is_none_or(|text| text.as_str() == "true"));
            let named = node.get("name").or_else(|| external.and_then(|external| external.get("name")));
            let name = match named.and_then(|node| self.text(document, node)) {
                Some(name) => name.as_str().to_owned(),
                None if is_external => key.as_str().to_owned(),
                None => match project.networks.get(key.as_str()) {
                    Some(known) => known.clone(),
                    None => format!("{}_{}", project.name, key.as_str()),
                },
            };
            project.networks.insert(key.as_str().to_owned(), name);
        }
    }

    fn check_networks(&mut self, project: &Project) {
        for service in project.services.values() {
            for (key, spot) in &service.networks {
                if key != "default" && !project.networks.contains_key(key) {
                    let message = format!("the network `{key}` is not defined");
                    self.findings.push(
                        Finding::error(NETWORK_UNDEFINED, spot.clone(), message)
                            .about(Subject::service(service.name.as_str()))
                            .note("not under `networks`")
                            .help(format!("add `{key}:` to `networks:` at the end of the file, with `external: true` where another file makes it"))
                            .effect("compose starts nothing of this file; the network was taken as one of this project here"),
                    );
                }
            }
        }
    }

    fn text(&mut self, document: &Document, node: &Node) -> Option<Text> {
        let mut complaints = Vec::new();
        let text = interpolate(node.text()?, &document.environment, &mut complaints);
        self.findings.extend(complaints.into_iter().map(|complaint| about_variable(complaint, |_| false)));
        Some(text)
    }

    fn texts(&mut self, document: &Document, node: &Node) -> Vec<Text> {
        let items = if let Kind::List(items) = &node.kind { items.as_slice() } else { std::slice::from_ref(node) };
        items.iter().filter_map(|item| self.text(document, item)).collect()
    }
}

fn brought_twice(name: &Text) -> Finding {
    Finding::error(
        BASE_UNKNOWN,
        name.whole(),
        format!("the service `{0}` stands in an included file as well", name.as_str()),
    )
    .about(Subject::service(name.as_str()))
    .help("rename one of them, or put what is to be changed into an override file")
    .effect("compose starts nothing of this file; both were merged here")
}

/// A file that only adds networks, takes something away or includes others is a file all the same.
fn has_other_parts(document: &Document) -> bool {
    let takes_away = document.resets.paths().next().is_some();
    let has = |key: &&str| document.root.get(key).is_some();
    !document.is_alone || takes_away || ["include", "networks", "volumes", "name"].iter().any(has)
}

fn folder_name(folder: &Path) -> String {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = folder.file_name().map(|name| normal_name(&name.to_string_lossy())).unwrap_or_default();
    if name.is_empty() { "default".into() } else { name }
}

/// Whether two paths lead to one file, as far as that can be known.
fn same_file(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// As compose makes a project's name of any text.
fn normal_name(text: &str) -> String {
    let kept = |char: &char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '-' | '_');
    text.to_lowercase().chars().filter(kept).collect::<String>().trim_start_matches(['-', '_']).to_owned()
}
