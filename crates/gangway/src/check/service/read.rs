//! A service from its YAML.

use std::collections::{BTreeMap, BTreeSet};

use gangway_model::codes::{FILE_UNREADABLE, LABEL_OUTSIDE_LABELS, LABELS_MALFORMED, NOT_COMPOSE};

use super::super::finding::{Finding, Subject, about_variable};
use super::super::reading::Reading;
use super::super::source::Spot;
use super::super::text::Text;
use super::super::variables::interpolate;
use super::super::yaml::{Kind, Node};
use super::{Entries, Extends, Mount, Port, Service, is_ours};

/// A range such as `1-65535` names more ports than anyone publishes for HTTP.
const PORT_RANGE_MAX: u16 = 100;

impl Service {
    /// Reads what matters; what is wrong goes to the findings and the rest is kept.
    pub(in super::super) fn read(name: &Text, node: &Node, reading: &mut Reading<'_>) -> Self {
        if !matches!(node.kind, Kind::Map(_)) {
            let spot = if node.is_null() { name.whole() } else { Spot::new(node.file, node.range.clone()) };
            reading.findings.push(
                Finding::error(NOT_COMPOSE, spot, format!("the service `{}` is not a mapping", name.as_str()))
                    .help("write its keys below it, indented: `image:`, `labels:`")
                    .effect("compose starts nothing of this file; the service was taken as empty"),
            );
        }
        let mut reader = ServiceReader { name: name.as_str(), reading, inside: BTreeSet::new(), aside: Vec::new() };
        reader.misplaced(node);
        // First, so that a label that names one of these can be told why that does not work.
        let environment = reader.entries(node.get("environment"), Section::Environment);
        let env_files = reader.key_files(node.get("env_file"));
        reader.inside = environment.keys().chain(env_files.keys()).cloned().collect();
        Self {
            name: name.clone(),
            extends: reader.extends(node.get("extends")),
            image: reader.text(node.get("image"), Weight::Aside),
            container_name: reader.text(node.get("container_name"), Weight::Aside),
            network_mode: reader.text(node.get("network_mode"), Weight::Decides),
            networks: reader.networks(node.get("networks")),
            labels: reader.entries(node.get("labels"), Section::Labels),
            label_files: reader.key_files(node.get("label_file")),
            deploy_labels: reader.entries(node.get("deploy").and_then(|deploy| deploy.get("labels")), Section::Labels),
            build_labels: reader.entries(node.get("build").and_then(|build| build.get("labels")), Section::Labels),
            environment,
            env_files,
            entrypoint: reader.command(node.get("entrypoint")),
            command: reader.command(node.get("command")),
            ports: reader.ports(node.get("ports")),
            expose: reader.ports(node.get("expose")),
            mounts: reader.mounts(node.get("volumes")),
            borrows_mounts: node.get("volumes_from").is_some_and(|node| !node.items().is_empty()),
            healthcheck: node.get("healthcheck").map(|healthcheck| !is_disabled(healthcheck)),
            profiles: reader.texts(node.get("profiles"), Weight::Decides),
            aside: reader.aside,
        }
    }
}

/// A list or mapping of keys with values.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Section {
    Labels,
    Environment,
}

/// What a value decides about, and so whom a variable in it that is not set concerns.
#[derive(Clone, Copy)]
enum Weight<'l> {
    /// A label.
    Label(&'l str),
    /// Something else that decides about routes.
    Decides,
    /// Nothing, unless the service is Gangway itself. Compose says enough about these.
    Aside,
}

struct ServiceReader<'a, 'r> {
    name: &'a str,
    reading: &'a mut Reading<'r>,
    /// Variables that exist inside the container.
    inside: BTreeSet<String>,
    aside: Vec<Finding>,
}

impl ServiceReader<'_, '_> {
    /// A text with its variables put in.
    fn resolve(&mut self, text: &Text, weight: Weight<'_>) -> Text {
        let mut complaints = Vec::new();
        let result = interpolate(text, self.reading.environment, &mut complaints);
        for complaint in complaints {
            let mut subject = Subject::service(self.name);
            if let Weight::Label(label) = weight {
                subject.label = Some(label.to_owned());
            }
            let is_refused = complaint.is_refused();
            let finding = about_variable(complaint, |name| self.inside.contains(name)).about(subject);
            match weight {
                Weight::Aside if !is_refused => self.aside.push(finding),
                _ => self.reading.findings.push(finding),
            }
        }
        result
    }

    fn scalar(&mut self, node: &Node, weight: Weight<'_>) -> Option<Text> {
        node.text().map(|text| self.resolve(text, weight))
    }

    fn text(&mut self, node: Option<&Node>, weight: Weight<'_>) -> Option<Text> {
        node.and_then(|node| self.scalar(node, weight))
    }

    /// A text or a list of them.
    fn texts(&mut self, node: Option<&Node>, weight: Weight<'_>) -> Vec<Text> {
        let Some(node) = node else { return Vec::new() };
        match &node.kind {
            Kind::Scalar(text) => vec![self.resolve(text, weight)],
            _ => node.items().iter().filter_map(|item| self.scalar(item, weight)).collect(),
        }
    }

    fn extends(&mut self, node: Option<&Node>) -> Option<Extends> {
        let node = node?;
        match &node.kind {
            Kind::Scalar(text) => Some(Extends { service: self.resolve(text, Weight::Decides), file: None }),
            _ => Some(Extends {
                service: self.text(node.get("service"), Weight::Decides)?,
                file: self.text(node.get("file"), Weight::Decides),
            }),
        }
    }

    fn networks(&mut self, node: Option<&Node>) -> BTreeMap<String, Spot> {
        let mut networks = BTreeMap::new();
        for name in self.texts(node, Weight::Decides) {
            networks.insert(name.as_str().to_owned(), name.whole());
        }
        for (name, _) in node.map(Node::entries).unwrap_or_default() {
            networks.insert(name.as_str().to_owned(), name.whole());
        }
        networks
    }

    /// `key: value` or `- key=value`.
    fn entries(&mut self, node: Option<&Node>, section: Section) -> Entries {
        let mut value = Entries::new();
        let Some(section_node) = node else { return value };
        for (key, node) in section_node.entries() {
            if let Some(text) = self.entry_value(key, node, section) {
                value.insert(key.as_str().to_owned(), (key.clone(), text));
            }
        }
        for item in section_node.items() {
            match &item.kind {
                Kind::Scalar(text) => {
                    let label = text.as_str().split('=').next().unwrap_or_default().to_owned();
                    let text = self.resolve(text, section.weight(&label));
                    let (key, text) = text.split_once('=').unwrap_or_else(|| {
                        let end = text.as_str().len();
                        (text.clone(), text.slice(end..end))
                    });
                    value.insert(key.as_str().to_owned(), (key, text));
                }
                Kind::Null => {}
                _ if section == Section::Labels => self.not_an_item(item),
                _ => {}
            }
        }
        if section == Section::Labels && section_node.text().is_some() {
            let spot = Spot::new(section_node.file, section_node.range.clone());
            self.malformed(spot, "labels are a list or a mapping", "write `labels:` and below it `- key=value` lines");
        }
        if section == Section::Environment {
            self.not_environment(&value);
        }
        value
    }

    fn entry_value(&mut self, key: &Text, node: &Node, section: Section) -> Option<Text> {
        match &node.kind {
            Kind::Scalar(text) => Some(self.resolve(text, section.weight(key.as_str()))),
            Kind::Null => Some(Text::made(node.file, "", node.range.clone())),
            _ if section == Section::Labels => {
                let name = key.as_str();
                let first = node.entries().first().map_or("host", |(inner, _)| inner.as_str());
                let help = if matches!(node.kind, Kind::Map(_)) {
                    format!("write the whole key: `{name}.{first}: …`")
                } else {
                    format!("write one text, with commas: `{name}: one, two`")
                };
                self.malformed(key.whole(), format!("the label `{name}` is not a text"), help);
                None
            }
            _ => None,
        }
    }

    /// `- gangway.host: x`, which looks right and is a mapping.
    fn not_an_item(&mut self, item: &Node) {
        let spot = Spot::new(item.file, item.range.clone());
        let Some((key, node)) = item.entries().first() else {
            return self.malformed(spot, "this label is not a text", "write `- key=value`");
        };
        let value = node.text().map_or("…", Text::as_str);
        let help = format!("write `- {}={value}`, or leave out the dashes", key.as_str());
        self.malformed(key.whole(), format!("`{}` is a mapping in a list of labels", key.as_str()), help);
    }

    fn malformed(&mut self, spot: Spot, message: impl Into<String>, help: impl Into<String>) {
        self.reading.findings.push(
            Finding::error(LABELS_MALFORMED, spot, message)
                .about(Subject::service(self.name))
                .help(help)
                .effect("compose starts nothing of this file; the label was left out here"),
        );
    }

    /// Labels of ours that stand beside `labels`, one level too high.
    fn misplaced(&mut self, service: &Node) {
        for (key, _) in service.entries().iter().filter(|(key, _)| is_ours(key.as_str())) {
            let finding = Finding::error(
                LABEL_OUTSIDE_LABELS,
                key.whole(),
                format!("the label `{}` does not stand under `labels`", key.as_str()),
            );
            self.reading.findings.push(
                finding
                    .about(Subject::label(self.name, key.as_str()))
                    .help("put it below `labels:`, one level deeper")
                    .effect("compose starts nothing of this file; the label was left out here"),
            );
        }
    }

    fn not_environment(&mut self, environment: &Entries) {
        for (key, _) in environment.values().filter(|(key, _)| is_ours(key.as_str())) {
            let finding = Finding::warning(
                LABEL_OUTSIDE_LABELS,
                key.whole(),
                format!("the label `{}` stands under `environment`", key.as_str()),
            );
            self.reading.findings.push(
                finding
                    .about(Subject::label(self.name, key.as_str()))
                    .help("put it below `labels:`")
                    .effect("it is a variable of the app, and no label"),
            );
        }
    }

    /// A path, a list of them, or of mappings with `path` and `required`.
    fn key_files(&mut self, node: Option<&Node>) -> Entries {
        let Some(node) = node else { return Entries::new() };
        let items = if let Kind::List(items) = &node.kind { items.as_slice() } else { std::slice::from_ref(node) };
        let mut entries = Entries::new();
        for item in items {
            let required = item.get("required").and_then(Node::text).is_none_or(|text| text.as_str() != "false");
            let Some(path) = self.scalar(item.get("path").unwrap_or(item), Weight::Decides) else { continue };
            entries.extend(self.key_file(&path, required));
        }
        entries
    }

    fn key_file(&mut self, path: &Text, required: bool) -> Entries {
        match self.reading.lines(path) {
            Ok(lines) => lines.into_iter().map(|(key, value)| (key.as_str().to_owned(), (key, value))).collect(),
            Err(error) => {
                if required || !error.is_missing() {
                    let message = format!("failed to read `{}`: {error}", path.as_str());
                    self.reading.findings.push(
                        Finding::error(FILE_UNREADABLE, path.whole(), message)
                            .about(Subject::service(self.name))
                            .help("make the file, or correct its name; it is looked for beside the compose file")
                            .effect("compose starts nothing of this file; it was taken as empty here"),
                    );
                }
                Entries::new()
            }
        }
    }

    fn command(&mut self, node: Option<&Node>) -> Vec<Text> {
        match node.and_then(Node::text) {
            Some(line) => words(&self.resolve(line, Weight::Aside)),
            None => self.texts(node, Weight::Aside),
        }
    }

    fn ports(&mut self, node: Option<&Node>) -> Vec<Port> {
        let mut ports = Vec::new();
        for item in node.map(Node::items).unwrap_or_default() {
            let spot = Spot::new(item.file, item.range.clone());
            let mut add = |(port, published)| ports.push(Port { port, published, spot: spot.clone() });
            if let Some(target) = item.get("target") {
                let published = self.text(item.get("published"), Weight::Decides);
                let published = published.and_then(|text| text.as_str().parse().ok());
                let protocol = item.get("protocol").and_then(Node::text).map_or("tcp", Text::as_str).to_owned();
                let target = self.scalar(target, Weight::Decides).and_then(|text| text.as_str().parse().ok());
                target.filter(|_| protocol == "tcp").into_iter().for_each(|target: u16| add((target, published)));
            } else if let Some(text) = self.scalar(item, Weight::Decides) {
                short_ports(text.as_str()).into_iter().for_each(add);
            }
        }
        ports
    }

    fn mounts(&mut self, node: Option<&Node>) -> BTreeMap<String, Mount> {
        let mut mounts = BTreeMap::new();
        for item in node.map(Node::items).unwrap_or_default() {
            let spot = Spot::new(item.file, item.range.clone());
            let long = self.text(item.get("target"), Weight::Aside).map(|target| {
                let source = self.text(item.get("source"), Weight::Aside).map(|source| source.as_str().to_owned());
                let is_read_only = item.get("read_only").is_some_and(|node| is_text(node, "true"));
                (target.as_str().to_owned(), source, is_read_only)
            });
            let short = || Some(short_mount(self.scalar(item, Weight::Aside)?.as_str()));
            if let Some((target, source, is_read_only)) = long.or_else(short) {
                mounts.insert(target.trim_end_matches('/').to_owned(), Mount { source, is_read_only, spot });
            }
        }
        mounts
    }
}

impl Section {
    fn weight(self, key: &str) -> Weight<'_> {
        match self {
            Self::Labels => Weight::Label(key),
            Self::Environment => Weight::Aside,
        }
    }
}

fn is_disabled(healthcheck: &Node) -> bool {
    let none = healthcheck.get("test").is_some_and(|test| test.items().iter().any(|word| is_text(word, "NONE")));
    none || healthcheck.get("disable").is_some_and(|disable| is_text(disable, "true"))
}

/// A command in one line, as a shell would split it; quotes are taken off.
fn words(line: &Text) -> Vec<Text> {
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    let text = line.as_str();
    for (at, char) in text.char_indices().chain([(text.len(), ' ')]) {
        match quote {
            Some(open) if open == char => quote = None,
            Some(_) => {}
            None if char.is_whitespace() => {
                if let Some(start) = start.take() {
                    words.push(unquoted(line, start, at));
                }
                continue;
            }
            None if matches!(char, '"' | '\'') => quote = Some(char),
            None => {}
        }
        start.get_or_insert(at);
    }
    words
}

fn unquoted(line: &Text, start: usize, end: usize) -> Text {
    let word = &line.as_str()[start..end];
    let is_quoted = |quote| word.len() > 1 && word.starts_with(quote) && word.ends_with(quote);
    if is_quoted('"') || is_quoted('\'') { line.slice(start + 1..end - 1) } else { line.slice(start..end) }
}

/// `[source:]target[:mode]`: target, source and whether it is read-only.
fn short_mount(text: &str) -> (String, Option<String>, bool) {
    let mut parts = text.split(':');
    let (first, second, mode) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
    let is_read_only = mode.split(',').any(|word| word == "ro");
    match second {
        Some(target) => (target.to_owned(), Some(first.to_owned()), is_read_only),
        None => (first.to_owned(), None, false),
    }
}

fn is_text(node: &Node, expected: &str) -> bool {
    node.text().is_some_and(|text| text.as_str() == expected)
}

/// `[[address:]host:]container[/protocol]`, each port a number or a range: those in the container, and on the host.
fn short_ports(text: &str) -> Vec<(u16, Option<u16>)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if protocol != "tcp" {
        return Vec::new();
    }
    let mut parts = ports.rsplit(':');
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u16>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        (first <= last && last - first < PORT_RANGE_MAX).then_some(first..=last)
    };
    let Some(container) = parts.next().and_then(range) else { return Vec::new() };
    let host = parts.next().and_then(range);
    let mut host = host.into_iter().flatten();
    container.map(|port| (port, host.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::source::Files;

    #[test]
    fn ports_are_read_in_every_short_form() {
        assert_eq!(short_ports("8080"), [(8080, None)]);
        assert_eq!(short_ports("80:8080"), [(8080, Some(80))]);
        assert_eq!(short_ports("127.0.0.1:80:8080/tcp"), [(8080, Some(80))]);
        assert_eq!(short_ports("127.0.0.1::8080"), [(8080, None)]);
        assert_eq!(short_ports("80-81:8080-8081"), [(8080, Some(80)), (8081, Some(81))]);
        assert_eq!(short_ports("[::1]:80:8080"), [(8080, Some(80))]);
        assert_eq!(short_ports("53:53/udp"), []);
        assert_eq!(short_ports("nonsense"), []);
        assert_eq!(short_ports("1-65535"), []);
    }

    #[test]
    fn a_command_in_one_line_is_split_as_a_shell_does() {
        let text = " serve  --domain \"home lan\" --x='y z' ";
        let file = Files::default().add("compose.yaml".into(), text.into());
        let words = words(&Text::copied(file, text, 0..text.len()));
        let shown: Vec<_> = words.iter().map(Text::as_str).collect();
        assert_eq!(shown, ["serve", "--domain", "home lan", "--x='y z'"]);
        assert_eq!((words[2].whole().start, words[2].whole().end), (18, 26));
    }

    #[test]
    fn mounts_are_read_in_their_short_form() {
        let mount = |target: &str, source: Option<&str>, ro| (target.to_owned(), source.map(str::to_owned), ro);
        assert_eq!(short_mount("/data"), mount("/data", None, false));
        assert_eq!(short_mount("data:/data"), mount("/data", Some("data"), false));
        assert_eq!(short_mount("./data:/data:ro,z"), mount("/data", Some("./data"), true));
    }
}
