//! A service from its YAML.

mod command;
mod entries;
mod key_files;
mod mounts;
mod ports;
mod value_reader;

use std::collections::BTreeMap;

use gangway_diagnostic::codes::NOT_COMPOSE;

use self::command::command;
use self::mounts::mounts;
use self::ports::ports;
pub(crate) use self::value_reader::FileContext;
use self::value_reader::{Relevance, ValueReader};
use crate::service::{Extends, Service};
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::FileSpan;
use crate::spanned_text::SpannedText;
use crate::yaml::{Node, NodeKind};

/// Reads the keys that matter here. A mistake becomes a diagnostic, and the rest is kept.
pub(crate) fn parse_service(name: &SpannedText, node: &Node, file: FileContext<'_, '_>) -> Service {
    if !matches!(node.kind, NodeKind::Map(_)) {
        let span = if node.is_null() { name.span() } else { node.span() };
        let message = format!("the service `{}` is not a mapping", name.as_str());
        let diagnostic = SourceDiagnostic::error(&file.session.sources, NOT_COMPOSE, span, message)
            .with_help("write its keys below it, indented: `image:`, `labels:`")
            .with_effect("compose starts nothing of this file; the service was taken as empty");
        file.session.diagnostics.push(diagnostic);
    }
    let mut reader = ValueReader::new(name.as_str(), file);
    entries::labels_outside(&mut reader, node);
    // First, so that a diagnostic about an unset variable in a label can say that it is set inside the container only.
    let environment = entries::environment(&mut reader, node.get("environment"));
    let env_files = key_files::entries(&mut reader, node.get("env_file"));
    reader.inside = environment.keys().chain(env_files.keys()).cloned().collect();
    Service {
        name: name.clone(),
        extends: extends(&mut reader, node.get("extends")),
        image: reader.text(node.get("image"), Relevance::GangwayOnly),
        container_name: reader.text(node.get("container_name"), Relevance::GangwayOnly),
        network_mode: reader.text(node.get("network_mode"), Relevance::Routing),
        networks: networks(&mut reader, node.get("networks")),
        labels: entries::labels(&mut reader, node.get("labels")),
        label_files: key_files::entries(&mut reader, node.get("label_file")),
        deploy_labels: entries::labels(&mut reader, node.get("deploy").and_then(|deploy| deploy.get("labels"))),
        build_labels: entries::labels(&mut reader, node.get("build").and_then(|build| build.get("labels"))),
        environment,
        env_files,
        entrypoint: command(&mut reader, node.get("entrypoint")),
        command: command(&mut reader, node.get("command")),
        ports: ports(&mut reader, node.get("ports")),
        expose: ports(&mut reader, node.get("expose")),
        mounts: mounts(&mut reader, node.get("volumes")),
        borrows_mounts: node.get("volumes_from").is_some_and(|node| !node.items().is_empty()),
        healthcheck: node.get("healthcheck").map(|healthcheck| !is_disabled(healthcheck)),
        health_test: reader.texts(
            node.get("healthcheck").filter(|node| !is_disabled(node)).and_then(|node| node.get("test")),
            Relevance::GangwayOnly,
        ),
        profiles: reader.texts(node.get("profiles"), Relevance::Routing),
        gangway_only: reader.gangway_only,
    }
}

fn extends(reader: &mut ValueReader<'_, '_>, node: Option<&Node>) -> Option<Extends> {
    let node = node?;
    match &node.kind {
        NodeKind::Scalar(text) => Some(Extends { service: reader.resolve(text, Relevance::Routing), file: None }),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => Some(Extends {
            service: reader.text(node.get("service"), Relevance::Routing)?,
            file: reader.text(node.get("file"), Relevance::Routing),
        }),
    }
}

/// The keys under the file's `networks`: the items of a list, or the keys of a mapping.
fn networks(reader: &mut ValueReader<'_, '_>, node: Option<&Node>) -> BTreeMap<String, FileSpan> {
    let mut networks = BTreeMap::new();
    for name in reader.texts(node, Relevance::Routing) {
        networks.insert(name.as_str().to_owned(), name.span());
    }
    for (name, _) in node.map(Node::entries).unwrap_or_default() {
        networks.insert(name.as_str().to_owned(), name.span());
    }
    networks
}

fn is_disabled(healthcheck: &Node) -> bool {
    let none = healthcheck.get("test").is_some_and(|test| test.items().iter().any(|word| word.is_scalar("NONE")));
    none || healthcheck.get("disable").is_some_and(|disable| disable.is_scalar("true"))
}
