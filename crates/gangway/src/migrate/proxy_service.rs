//! The service that is Traefik becomes Gangway's.

use std::collections::BTreeMap;
use std::path::Path;

use gangway_compose::{FileId, Service, SourceMap, SpannedText, VolumeMount};
use gangway_traefik::{Resolver, serve_flags};

use super::lines::{FileEdits, flow_end, flow_head};
use super::listeners::ListenerPlan;
use super::variables::References;
use crate::check::traefik_stack::TraefikStack;

/// Where Gangway keeps certificates and keys.
const DATA: &str = "/data";

/// Where Traefik's files are.
const FOLDER: &str = "/etc/traefik";

pub(super) fn edit(
    service: &Service,
    stack: &TraefikStack,
    plan: &ListenerPlan,
    sources: &SourceMap,
    edits: &mut BTreeMap<FileId, FileEdits>,
) {
    let own = service.name.span().file;
    if let Some(image) = service.image.as_ref().map(SpannedText::span).filter(|image| image.file == own) {
        edits.entry(own).or_default().replace(image.start..image.end, "gangway".to_owned());
    }
    command(service, stack, plan, sources, edits);
    mounts(service, stack, sources, edits);
    variables(service, sources, edits);
}

/// Our flags in place of Traefik's.
fn command(
    service: &Service,
    stack: &TraefikStack,
    plan: &ListenerPlan,
    sources: &SourceMap,
    edits: &mut BTreeMap<FileId, FileEdits>,
) {
    let own = service.name.span().file;
    let references = References::of(service.command.iter(), sources);
    let flags: Vec<String> =
        if stack.is_known { plan.flags().into_iter().chain(flags(stack)).collect() } else { Vec::new() };
    let flags: Vec<String> = flags.iter().map(|flag| references.put_into(&flag.replace('$', "$$"))).collect();
    let comments: Vec<String> = stack.without_equal.iter().map(|what| format!("# {what}")).collect();
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

/// Our flags that say the same, but for the folder of certificates: that is always a mount.
fn flags(stack: &TraefikStack) -> Vec<String> {
    let kept = |(name, value): &(&str, String)| match *name {
        "data" => false,
        "docker" => value != "unix:///var/run/docker.sock",
        "log-level" => value != "info",
        "log-format" => value != "text",
        _ => true,
    };
    let mut flags = serve_flags(&stack.config);
    flags.extend(issuing(&stack.config.resolvers));
    flags.iter().filter(|flag| kept(flag)).map(|(name, value)| format!("--{name}={value}")).collect()
}

/// What the resolvers say, in flags. One set of them is for all authorities: that of the first resolver, and the DNS provider
/// of the first that has one.
fn issuing(resolvers: &[Resolver]) -> Vec<(&'static str, String)> {
    let mut flags = Vec::new();
    if let Some(Resolver { email, ca_server, ca_certificates, profile, .. }) = resolvers.first() {
        flags.extend(email.as_deref().map(|email| ("acme-email", email.to_owned())));
        flags.extend(ca_server.as_deref().map(|server| ("acme-ca", server.to_owned())));
        flags.extend(ca_certificates.first().map(|file| ("acme-ca-root", file.display().to_string())));
        flags.extend(profile.as_deref().map(|profile| ("acme-profile", profile.to_owned())));
    }
    let provider = resolvers.iter().find_map(|resolver| resolver.dns_provider.as_deref());
    flags.extend(provider.map(|provider| ("acme-dns", provider.to_owned())));
    flags
}

/// Traefik's own files are no longer mounted, and what keeps certificates becomes our volume.
fn mounts(service: &Service, stack: &TraefikStack, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
    let own = service.name.span().file;
    let storages: Vec<&Path> =
        stack.config.resolvers.iter().filter_map(|resolver| resolver.storage.as_deref()).collect();
    let is_storage = |target: &str| storages.iter().any(|storage| storage.starts_with(target));
    let mut has_data = false;
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
                let source = source.as_deref().unwrap_or("gangway");
                edits.replace(span.start..span.end, format!("\"{source}:{DATA}\""));
            }
            continue;
        }
        let item = |source: &str| format!("{indent}- {source}:{DATA}");
        if is_storage(target) && !has_data {
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
