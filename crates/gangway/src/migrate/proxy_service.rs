//! The service that is Traefik becomes Gangway's.

use std::collections::BTreeMap;
use std::path::Path;

use gangway_compose::{FileId, Service, SourceMap, SpannedText, VolumeMount};

use super::data_folder::{DATA, kept_folder};
use super::lines::{FileEdits, flow_end, flow_head};
use super::migration::Migration;
use super::published_ports;
use super::variables::References;
use crate::check::traefik_stack::TraefikStack;

/// Variables of which the value becomes a part of a flag.
const OF_PROVIDERS: [&str; 3] = ["EXEC_PATH", "HTTPREQ_ENDPOINT", "ACME_DNS_API_BASE"];

/// Where Traefik's files are.
const FOLDER: &str = "/etc/traefik";

pub(super) fn edit(
    service: &Service,
    migration: &Migration<'_>,
    sources: &SourceMap,
    edits: &mut BTreeMap<FileId, FileEdits>,
) {
    let stack = migration.stack;
    let own = service.name.span().file;
    if let Some(image) = service.image.as_ref().map(SpannedText::span).filter(|image| image.file == own) {
        edits.entry(own).or_default().replace(image.start..image.end, "gangway".to_owned());
    }
    command(service, migration, sources, edits);
    programs(service, sources, edits);
    mounts(service, stack, sources, edits);
    variables(service, sources, edits);
    ports(service, migration, sources, edits.entry(own).or_default());
}

/// Nothing listens at the port of Traefik's own pages.
fn ports(service: &Service, migration: &Migration<'_>, sources: &SourceMap, edits: &mut FileEdits) {
    let entry_points = &migration.stack.config.entry_points;
    let own_pages = migration.plan.own_pages().and_then(|name| entry_points.get(name)?.address);
    let removals = own_pages.and_then(|address| published_ports::removals(service, address.port, sources));
    removals.into_iter().flatten().for_each(|removal| removal.apply(edits));
}

/// Our flags in place of Traefik's.
fn command(service: &Service, migration: &Migration<'_>, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
    let own = service.name.span().file;
    let variables = service.variables();
    let of_provider = variables.iter().filter(|(name, _)| OF_PROVIDERS.contains(&name.as_str()));
    let texts = service.command.iter().chain(of_provider.map(|(_, (_, value))| value));
    let references = References::of(texts, sources);
    let flags: Vec<String> =
        flags(Some(service), migration).iter().map(|flag| references.put_into(&flag.replace('$', "$$"))).collect();
    let comments: Vec<String> = migration.options.comments.iter().map(|what| format!("# {what}")).collect();
    let words: Vec<_> = service.command.iter().map(SpannedText::span).filter(|span| span.file == own).collect();
    let Some(first) = words.first().map(|span| sources.position(own, span.start).line) else {
        let head = sources.position(own, service.name.span().start).line;
        let indent = indent_of(sources.line(own, head).0) + "  ";
        let image = service.image.as_ref().map(SpannedText::span).filter(|image| image.file == own);
        let below = image.map_or(head, |image| sources.position(own, image.start).line);
        let mut lines: Vec<String> = comments.iter().map(|comment| format!("{indent}{comment}")).collect();
        if !flags.is_empty() {
            lines.push(format!("{indent}command:"));
            lines.extend(flags.iter().map(|flag| format!("{indent}  - {flag}")));
        }
        return edits.entry(own).or_default().insert(below + 1, lines);
    };
    let line = sources.line(own, first).0;
    let is_block = line.trim_start().starts_with("- ");
    let own_edits = edits.entry(own).or_default();
    for span in &words {
        let last = sources.position(own, span.end.saturating_sub(1).max(span.start)).line;
        own_edits.remove(sources.position(own, span.start).line..last + 1);
    }
    let head = (1..=first).rev().find(|line| sources.line(own, *line).0.trim_start().starts_with("command:"));
    let head = head.unwrap_or(first);
    let head_indent = indent_of(sources.line(own, head).0);
    let item_indent = if is_block { indent_of(line) } else { format!("{head_indent}  ") };
    own_edits.insert(head, comments.iter().map(|comment| format!("{head_indent}{comment}")).collect());
    let items = flags.iter().map(|flag| format!("{item_indent}- {flag}")).collect();
    if flags.is_empty() {
        own_edits.remove(head..head + 1);
    } else if is_block {
        own_edits.insert(first, items);
    } else {
        own_edits.insert(head, vec![format!("{head_indent}command:")]);
        own_edits.insert(head, items);
    }
    if !is_block {
        let text = |line| sources.line(own, line).0.to_owned();
        let last = words.iter().map(|span| sources.position(own, span.end.saturating_sub(1)).line).max();
        let last = flow_end(&text, last.unwrap_or(first), sources.text(own).lines().count());
        own_edits.remove(head..last + 1);
    }
}

/// The entrypoint and the health check of Traefik's image call programs that ours does not have, or ask for what only Traefik's
/// entry points answer.
fn programs(service: &Service, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
    let own = service.name.span().file;
    let is_ours = |word: &SpannedText| word.as_str().rsplit('/').next() == Some("gangway");
    let of_health = match service.health_test.as_slice() {
        [first, program, ..] if first.as_str() == "CMD" && is_ours(program) => None,
        words => words.first(),
    };
    for (key, word, comment) in [
        ("entrypoint:", service.entrypoint.first(), "the image runs Gangway by itself, without an entrypoint"),
        (
            "healthcheck:",
            of_health,
            "the image has a health check of its own, and no program but Gangway to call in another one",
        ),
    ] {
        let Some(span) = word.map(SpannedText::span).filter(|span| span.file == own) else { continue };
        let text = |line| sources.line(own, line).0;
        let at = sources.position(own, span.start).line;
        let Some(head) = (1..=at).rev().find(|line| text(*line).trim_start().starts_with(key)) else { continue };
        let indent = indent_of(text(head));
        let count = sources.text(own).lines().count();
        // Items of a list may stand as far to the left as their key.
        let is_below = |line: &str| {
            let own = indent_of(line);
            own.len() > indent.len() || (own == indent && line.trim_start().starts_with(['-', ']', '}']))
        };
        let end = (head + 1..=count).find(|line| !is_below(text(*line)) && *line > at).unwrap_or(count + 1);
        let own_edits = edits.entry(own).or_default();
        own_edits.remove(head..end);
        own_edits.insert(head, vec![format!("{indent}# {comment}")]);
    }
}

/// Our flags that say the same. None where the static configuration is elsewhere.
pub(super) fn flags(service: Option<&Service>, migration: &Migration<'_>) -> Vec<String> {
    if !migration.stack.is_known {
        return Vec::new();
    }
    let is_kept = service.is_some_and(|service| kept_folder(service, migration.stack).is_some());
    let kept = |(name, value): &&(&str, String)| match *name {
        "data" => is_kept,
        "docker" => value != "unix:///var/run/docker.sock",
        "log-level" => value != "info",
        "log-format" => value != "text",
        _ => true,
    };
    let others = migration.options.flags.iter().filter(kept).map(|(name, value)| format!("--{name}={value}"));
    migration.plan.flags().into_iter().chain(others).collect()
}

/// Traefik's own files are no longer mounted. What keeps certificates stays where it is, or becomes our volume.
fn mounts(service: &Service, stack: &TraefikStack, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
    let own = service.name.span().file;
    let storages: Vec<&Path> =
        stack.config.resolvers.iter().filter_map(|resolver| resolver.storage.as_deref()).collect();
    let is_storage = |target: &str| storages.iter().any(|storage| storage.starts_with(target));
    let kept = kept_folder(service, stack);
    let is_of_kept = |target: &str| kept.as_deref().is_some_and(|folder| Path::new(folder).starts_with(target));
    let mut has_data = kept.is_some() || service.mounts.contains_key(DATA);
    let mut last = None;
    let mut flow_end_of_items = None;
    for (target, VolumeMount { source, span, .. }) in service.mounts.iter().filter(|(_, mount)| mount.span.file == own)
    {
        let (line, end) =
            (sources.position(own, span.start).line, sources.position(own, span.end.saturating_sub(1)).line);
        let indent = indent_of(sources.line(own, line).0);
        let edits = edits.entry(own).or_default();
        let text = |line| sources.line(own, line).0.to_owned();
        if flow_head(&text, line, "volumes:").is_some() {
            flow_end_of_items = flow_end_of_items.max(Some(span.end));
            if is_storage(target) && !has_data {
                has_data = true;
                let source = source.as_deref().filter(|_| !storages.contains(&Path::new(target)));
                edits.replace(span.start..span.end, format!("\"{}:{DATA}\"", source.unwrap_or("./gangway")));
            }
            continue;
        }
        let item = |source: &str| format!("{indent}- {source}:{DATA}");
        if let Some(folder) = kept.as_deref().filter(|_| is_of_kept(target)) {
            let storage = storages.iter().find(|storage| storage.starts_with(target));
            let storage = storage.map(|storage| storage.display().to_string()).unwrap_or_default();
            let source = source.as_deref().unwrap_or_default();
            let beside = |path: &str| format!("{source}{}", path.strip_prefix(target.as_str()).unwrap_or(path));
            let command = if source.starts_with(['.', '/', '~']) {
                format!("gangway certs import {} --data {}", beside(&storage), beside(folder))
            } else {
                let service = service.name.as_str();
                format!("docker compose exec {service} gangway certs import {storage} --data {folder}")
            };
            let comment = format!("{indent}# once, so that nothing is ordered anew: {command}");
            edits.insert(line, vec![comment]);
        } else if is_storage(target) && !has_data {
            has_data = true;
            let source = source.as_deref().unwrap_or("gangway");
            let storage = storages.iter().find_map(|storage| storage.strip_prefix(target).ok());
            let inside = storage.map(|storage| storage.display().to_string()).unwrap_or_default();
            // A file cannot become a folder.
            let (folder, command) = if inside.is_empty() {
                ("./gangway", format!("gangway certs import {source} --data ./gangway"))
            } else if source.starts_with(['.', '/', '~']) {
                (source, format!("gangway certs import {source}/{inside} --data {source}"))
            } else {
                let service = service.name.as_str();
                (source, format!("docker compose exec {service} gangway certs import {DATA}/{inside}"))
            };
            edits.remove(line..end + 1);
            edits.insert(line, vec![format!("{indent}# once, so that nothing is ordered anew: {command}")]);
            edits.insert(line, vec![item(folder)]);
        } else if is_storage(target) || Path::new(target).starts_with(FOLDER) {
            edits.remove(line..end + 1);
        }
        last = last.max(Some((end, indent)));
    }
    if let Some(end) = flow_end_of_items.filter(|_| !has_data) {
        edits.entry(own).or_default().replace(end..end, format!(", \"./gangway:{DATA}\""));
    } else if let Some((line, indent)) = last.filter(|_| !has_data) {
        edits.entry(own).or_default().insert(line + 1, vec![format!("{indent}- ./gangway:{DATA}")]);
    }
}

/// Traefik's variables mean nothing to us, and those of DNS providers stay.
fn variables(service: &Service, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
    for (name, (key, value)) in &service.environment {
        let span = key.span();
        if name.starts_with("TRAEFIK_")
            && sources.line(span.file, sources.position(span.file, span.start).line).0.contains(name)
        {
            let end = value.span().end.max(span.end).saturating_sub(1);
            let lines = sources.position(span.file, span.start).line..sources.position(span.file, end).line + 1;
            edits.entry(span.file).or_default().remove(lines);
        }
    }
}

fn indent_of(line: &str) -> String {
    line[..line.len() - line.trim_start().len()].to_owned()
}
