//! Labels and variables: a mapping of keys, or a list of `key=value`.

use gangway_diagnostic::codes::{LABEL_OUTSIDE_LABELS, LABELS_MALFORMED};

use super::value_reader::{Relevance, ValueReader};
use crate::service::{Entries, is_gangway_label};
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::FileSpan;
use crate::spanned_text::SpannedText;
use crate::yaml::{Node, NodeKind};

/// The labels of a section. A value that compose refuses becomes a diagnostic, and is left out.
pub(crate) fn labels(reader: &mut ValueReader<'_, '_>, section: Option<&Node>) -> Entries {
    let Some(section) = section else { return Entries::new() };
    let mut labels = Entries::new();
    for (key, node) in section.entries() {
        match entry_value(reader, node, Relevance::Label(key.as_str())) {
            Some(value) => drop(labels.insert(key.as_str().to_owned(), (key.clone(), value))),
            None => not_a_text(reader, key, node),
        }
    }
    for item in section.items() {
        match &item.kind {
            NodeKind::Scalar(text) => {
                let key = text.as_str().split('=').next().unwrap_or_default().to_owned();
                insert_item(&mut labels, &reader.resolve(text, Relevance::Label(&key)));
            }
            NodeKind::Null => {}
            NodeKind::List(_) | NodeKind::Map(_) => not_an_item(reader, item),
        }
    }
    if section.text().is_some() {
        let help = "write `labels:` and below it `- key=value` lines";
        malformed(reader, section.span(), "labels are a list or a mapping", help);
    }
    labels
}

/// The variables that `environment` sets inside the container. Values that are no text are left out.
pub(crate) fn environment(reader: &mut ValueReader<'_, '_>, section: Option<&Node>) -> Entries {
    let Some(section) = section else { return Entries::new() };
    let mut variables = Entries::new();
    for (key, node) in section.entries() {
        if let Some(value) = entry_value(reader, node, Relevance::GangwayOnly) {
            variables.insert(key.as_str().to_owned(), (key.clone(), value));
        }
    }
    for text in section.items().iter().filter_map(Node::text) {
        insert_item(&mut variables, &reader.resolve(text, Relevance::GangwayOnly));
    }
    labels_in_environment(reader, &variables);
    variables
}

/// Adds an item `key=value`. A key alone has an empty value.
fn insert_item(entries: &mut Entries, text: &SpannedText) {
    let (key, value) = text.split_once('=').unwrap_or_else(|| {
        let end = text.as_str().len();
        (text.clone(), text.slice(end..end))
    });
    entries.insert(key.as_str().to_owned(), (key, value));
}

/// The value of a key in a mapping. None for a list or a mapping.
fn entry_value(reader: &mut ValueReader<'_, '_>, node: &Node, relevance: Relevance<'_>) -> Option<SpannedText> {
    match &node.kind {
        NodeKind::Scalar(text) => Some(reader.resolve(text, relevance)),
        NodeKind::Null => Some(SpannedText::generated(node.file, "", node.range.clone())),
        NodeKind::List(_) | NodeKind::Map(_) => None,
    }
}

fn not_a_text(reader: &mut ValueReader<'_, '_>, key: &SpannedText, node: &Node) {
    let name = key.as_str();
    let first = node.entries().first().map_or("host", |(inner, _)| inner.as_str());
    let help = if matches!(node.kind, NodeKind::Map(_)) {
        format!("write the whole key: `{name}.{first}: …`")
    } else {
        format!("write one text, with commas: `{name}: one, two`")
    };
    malformed(reader, key.span(), format!("the label `{name}` is not a text"), help);
}

/// Reports `- gangway.host: x`, which looks right and is a mapping.
fn not_an_item(reader: &mut ValueReader<'_, '_>, item: &Node) {
    let Some((key, node)) = item.entries().first() else {
        return malformed(reader, item.span(), "this label is not a text", "write `- key=value`");
    };
    let value = node.text().map_or("…", SpannedText::as_str);
    let help = format!("write `- {}={value}`, or leave out the dashes", key.as_str());
    malformed(reader, key.span(), format!("`{}` is a mapping in a list of labels", key.as_str()), help);
}

fn malformed(reader: &mut ValueReader<'_, '_>, span: FileSpan, message: impl Into<String>, help: impl Into<String>) {
    let diagnostic = reader.error(LABELS_MALFORMED, span, message).with_help(help);
    reader.report(diagnostic.with_effect("compose starts nothing of this file; the label was left out here"));
}

/// Reports labels of Gangway that stand beside `labels`, one level too high.
pub(crate) fn labels_outside(reader: &mut ValueReader<'_, '_>, service: &Node) {
    for (key, _) in service.entries().iter().filter(|(key, _)| is_gangway_label(key.as_str())) {
        let message = format!("the label `{}` does not stand under `labels`", key.as_str());
        let diagnostic = reader
            .error(LABEL_OUTSIDE_LABELS, key.span(), message)
            .about_label(reader.service, key.as_str())
            .with_help("put it below `labels:`, one level deeper")
            .with_effect("compose starts nothing of this file; the label was left out here");
        reader.report(diagnostic);
    }
}

fn labels_in_environment(reader: &mut ValueReader<'_, '_>, environment: &Entries) {
    for (key, _) in environment.values().filter(|(key, _)| is_gangway_label(key.as_str())) {
        let message = format!("the label `{}` stands under `environment`", key.as_str());
        let sources = &reader.file.session.sources;
        let diagnostic = SourceDiagnostic::warning(sources, LABEL_OUTSIDE_LABELS, key.span(), message)
            .about_label(reader.service, key.as_str())
            .with_help("put it below `labels:`")
            .with_effect("it is a variable of the app, and no label");
        reader.report(diagnostic);
    }
}
