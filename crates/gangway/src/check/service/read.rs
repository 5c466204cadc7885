//! A service from its YAML.

use std::collections::{BTreeMap, BTreeSet};

use gangway_model::codes::{FILE_UNREADABLE, LABEL_OUTSIDE_LABELS, LABELS_MALFORMED, NOT_COMPOSE};

use super::super::finding::{Finding, Subject, about_variable};
use super::super::reading::Reading;
use super::super::source::Spot;
use super::super::text::Text;
use super::super::variables::interpolate;
use super::super::yaml::{Kind, MergeTag, Node};
use super::{Entries, Extends, Part, Port, Service};

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
        let mut reader = ServiceReader { name: name.as_str(), reading, inside: BTreeSet::new() };
        reader.misplaced(node);
        // First, so that a label that names one of these can be told why that does not work.
        let environment = reader.entries(node.get("environment"), Section::Environment);
        let env_files = reader.env_files(node.get("env_file"));
        reader.inside = environment.value.keys().chain(env_files.value.keys()).cloned().collect();
        Self {
            name: name.clone(),
            extends: reader.extends(node.get("extends")),
            image: reader.text(node.get("image")),
            container_name: reader.text(node.get("container_name")),
            network_mode: reader.text(node.get("network_mode")),
            networks: reader.networks(node.get("networks")),
            labels: reader.entries(node.get("labels"), Section::Labels),
            label_files: reader.label_files(node.get("label_file")),
            deploy_labels: reader.entries(node.get("deploy").and_then(|deploy| deploy.get("labels")), Section::Labels),
            build_labels: reader.entries(node.get("build").and_then(|build| build.get("labels")), Section::Labels),
            environment,
            env_files,
            command: reader.command(node.get("command")),
            ports: reader.ports(node.get("ports")),
            expose: reader.ports(node.get("expose")),
            healthcheck: reader.healthcheck(node.get("healthcheck")),
        }
    }
}

/// A list or mapping of keys with values.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Section {
    Labels,
    Environment,
}

struct ServiceReader<'a, 'r> {
    name: &'a str,
    reading: &'a mut Reading<'r>,
    /// Variables that exist inside the container.
    inside: BTreeSet<String>,
}

impl ServiceReader<'_, '_> {
    /// A text with its variables put in; what is wrong with them is said of `label`, where one is meant.
    fn resolve(&mut self, text: &Text, label: Option<&str>) -> Text {
        let mut complaints = Vec::new();
        let result = interpolate(text, self.reading.environment, &mut complaints);
        for complaint in complaints {
            let mut subject = Subject::service(self.name);
            subject.label = label.map(str::to_owned);
            let finding = about_variable(complaint, |name| self.inside.contains(name));
            self.reading.findings.push(finding.about(subject));
        }
        result
    }

    fn scalar(&mut self, node: &Node) -> Option<Text> {
        node.text().map(|text| self.resolve(text, None))
    }

    fn text(&mut self, node: Option<&Node>) -> Part<Option<Text>> {
        Part { value: node.and_then(|node| self.scalar(node)), alone: alone(node) }
    }

    /// A text or a list of them.
    fn texts(&mut self, node: Option<&Node>) -> Vec<Text> {
        let Some(node) = node else { return Vec::new() };
        match &node.kind {
            Kind::Scalar(text) => vec![self.resolve(text, None)],
            _ => node.items().iter().filter_map(|item| self.scalar(item)).collect(),
        }
    }

    fn extends(&mut self, node: Option<&Node>) -> Option<Extends> {
        let node = node?;
        match &node.kind {
            Kind::Scalar(text) => Some(Extends { service: self.resolve(text, None), file: None }),
            _ => Some(Extends {
                service: node.get("service").and_then(|service| self.scalar(service))?,
                file: node.get("file").and_then(|file| self.scalar(file)),
            }),
        }
    }

    fn networks(&mut self, node: Option<&Node>) -> Part<BTreeMap<String, Spot>> {
        let mut value = BTreeMap::new();
        for name in self.texts(node) {
            value.insert(name.as_str().to_owned(), name.whole());
        }
        for (name, _) in node.map(Node::entries).unwrap_or_default() {
            value.insert(name.as_str().to_owned(), name.whole());
        }
        Part { value, alone: alone(node) }
    }

    /// `key: value` or `- key=value`.
    fn entries(&mut self, node: Option<&Node>, section: Section) -> Part<Entries> {
        let mut value = Entries::new();
        let Some(section_node) = node else { return Part::default() };
        for (key, node) in section_node.entries() {
            if let Some(text) = self.entry_value(key, node, section) {
                value.insert(key.as_str().to_owned(), (key.clone(), text));
            }
        }
        for item in section_node.items() {
            match &item.kind {
                Kind::Scalar(text) => {
                    let label = text.as_str().split('=').next().unwrap_or_default().to_owned();
                    let text = self.resolve(text, (section == Section::Labels).then_some(&*label));
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
        Part { value, alone: alone(node) }
    }

    fn entry_value(&mut self, key: &Text, node: &Node, section: Section) -> Option<Text> {
        match &node.kind {
            Kind::Scalar(text) => Some(self.resolve(text, (section == Section::Labels).then_some(key.as_str()))),
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

    fn env_files(&mut self, node: Option<&Node>) -> Part<Entries> {
        Part { value: self.key_files(node), alone: alone(node) }
    }

    fn label_files(&mut self, node: Option<&Node>) -> Part<Entries> {
        Part { value: self.key_files(node), alone: alone(node) }
    }

    /// A path, a list of them, or of mappings with `path` and `required`.
    fn key_files(&mut self, node: Option<&Node>) -> Entries {
        let Some(node) = node else { return Entries::new() };
        let items = if let Kind::List(items) = &node.kind { items.as_slice() } else { std::slice::from_ref(node) };
        let mut entries = Entries::new();
        for item in items {
            let required = item.get("required").and_then(Node::text).is_none_or(|text| text.as_str() != "false");
            let Some(path) = item.get("path").unwrap_or(item).text().map(|text| self.resolve(text, None)) else {
                continue;
            };
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

    fn command(&mut self, node: Option<&Node>) -> Part<Vec<Text>> {
        let mut value = self.texts(node);
        if let Some(line) = node.and_then(Node::text) {
            let line = self.resolve(line, None);
            value = line.as_str().split_whitespace().map(|word| Text::made(line.file(), word, 0..0)).collect();
        }
        Part { value, alone: alone(node) }
    }

    fn ports(&mut self, node: Option<&Node>) -> Part<Vec<Port>> {
        let mut value = Vec::new();
        for item in node.map(Node::items).unwrap_or_default() {
            if let Some(target) = item.get("target") {
                let published = item.get("published").and_then(|node| self.scalar(node));
                let published = published.and_then(|text| text.as_str().parse().ok());
                let protocol = item.get("protocol").and_then(Node::text).map_or("tcp", Text::as_str).to_owned();
                let target = self.scalar(target).and_then(|text| text.as_str().parse().ok());
                value.extend(target.filter(|_| protocol == "tcp").map(|target: u16| (target, published)));
            } else if let Some(text) = self.scalar(item) {
                value.extend(short_ports(text.as_str()));
            }
        }
        Part { value, alone: alone(node) }
    }

    fn healthcheck(&mut self, node: Option<&Node>) -> Part<Option<bool>> {
        let disabled = |node: &Node| {
            let none = node.get("test").is_some_and(|test| test.items().iter().any(|word| is_text(word, "NONE")));
            none || node.get("disable").is_some_and(|disable| is_text(disable, "true"))
        };
        Part { value: node.map(|node| !disabled(node)), alone: alone(node) }
    }
}

fn alone(node: Option<&Node>) -> bool {
    matches!(node.and_then(|node| node.tag), Some(MergeTag::Reset | MergeTag::Override))
}

fn is_text(node: &Node, expected: &str) -> bool {
    node.text().is_some_and(|text| text.as_str() == expected)
}

fn is_ours(key: &str) -> bool {
    key.get(.."gangway.".len()).is_some_and(|start| start.eq_ignore_ascii_case("gangway."))
}

/// `[[address:]host:]container[/protocol]`, each port a number or a range.
fn short_ports(text: &str) -> Vec<Port> {
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
}
