//! The files of a stack with everything of Traefik replaced, line by line.

use std::collections::{BTreeMap, BTreeSet};

use gangway_compose::{FileId, Input, Service, SourceMap, SpannedText};

use super::lines::{FileEdits, flow_end, flow_head};
use super::migration::Migration;
use super::route_labels::{LabelStyle, label_lines};
use super::variables::References;
use super::{file_tables, proxy_service};
use crate::check::traefik_stack::is_label;

/// The files with everything of Traefik replaced.
pub(super) fn printed(migration: &Migration<'_>, sources: &SourceMap, inputs: &[Input]) -> String {
    Printer { migration, sources, edits: BTreeMap::new() }.print(inputs)
}

/// What the static configuration becomes where no service of these files has it.
fn elsewhere(migration: &Migration<'_>) -> Vec<String> {
    if migration.stack.service.is_some() || !migration.stack.is_known {
        return Vec::new();
    }
    let mut lines = vec!["Flags of Gangway that say what the static configuration says:".to_owned(), String::new()];
    lines.extend(migration.options.comments.iter().map(|comment| format!("# {comment}")));
    lines.extend(proxy_service::flags(None, migration));
    lines
}

struct Printer<'p, 'm> {
    migration: &'p Migration<'m>,
    sources: &'p SourceMap,
    edits: BTreeMap<FileId, FileEdits>,
}

impl Printer<'_, '_> {
    fn print(mut self, inputs: &[Input]) -> String {
        let (migration, sources) = (self.migration, self.sources);
        for service in migration.project.services.values() {
            let is_proxy = migration.stack.service.as_deref() == Some(service.name.as_str());
            self.labels(service, is_proxy);
            if is_proxy {
                proxy_service::edit(service, migration, sources, &mut self.edits);
            }
        }
        let mut printed = String::new();
        if !migration.stack.is_known {
            printed += "# Entry points are not in these files. They were taken for the usual pair, of which the one in clear redirects to the other.\n\
                        # What they say to their routers, such as middlewares that protect, is lost: name Traefik's own file as well where there is one.\n";
        }
        let names: BTreeSet<String> = inputs.iter().map(Input::name).collect();
        let mut is_first = true;
        for id in sources.ids().filter(|id| names.contains(sources.name(*id))) {
            if names.len() > 1 {
                printed += &format!("{}# {}\n", if is_first { "" } else { "\n" }, sources.name(id));
            }
            is_first = false;
            printed += &self.edits.remove(&id).unwrap_or_default().applied(sources.text(id));
        }
        // Flags of a service that is not in these files.
        let sections = [elsewhere(migration), file_tables::lines(migration)];
        for lines in sections.iter().filter(|lines| !lines.is_empty()) {
            printed += if printed.is_empty() { "" } else { "\n" };
            // As comments, so that what is printed stays a compose file.
            printed.extend(
                lines.iter().map(|line| if line.is_empty() { "#\n".to_owned() } else { format!("# {line}\n") }),
            );
        }
        printed
    }

    /// Replaces Traefik's labels of a service.
    fn labels(&mut self, service: &Service, is_proxy: bool) {
        let (migration, sources) = (self.migration, self.sources);
        let all = service.all_labels();
        let theirs: Vec<&(SpannedText, SpannedText)> =
            all.iter().filter(|(key, _)| is_label(key)).map(|(_, entry)| entry).collect();
        let routes = migration.of_services.get(service.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if theirs.is_empty() {
            return self.unlabelled(service);
        }
        let references = References::of(theirs.iter().map(|(_, value)| value), sources);
        let own_file = service.name.span().file;
        let mut spans: Vec<_> = theirs.iter().map(|(key, value)| (key.span(), value.span())).collect();
        spans.sort();
        let in_own = spans.iter().find(|(key, _)| key.file == own_file);
        let first_line = in_own.map(|(key, _)| sources.position(own_file, key.start).line);
        let head = sources.position(own_file, service.name.span().start).line;
        let text = |line| sources.line(own_file, line).0.to_owned();
        let flow = first_line.and_then(|line| flow_head(&text, line, "labels:")).filter(|flow| *flow > head);
        let style = match (first_line, flow) {
            (_, Some(flow)) => LabelStyle::instead_of_flow(&text(flow)),
            (Some(line), None) => LabelStyle::of_line(&text(line)),
            (None, None) => LabelStyle::below(&text(head)),
        };
        let lines = label_lines(migration, service, routes, &style, is_proxy, &references);
        for (key, value) in &spans {
            let first = sources.position(key.file, key.start).line;
            let end = value.end.max(key.end).saturating_sub(1).max(key.start);
            self.edits.entry(key.file).or_default().remove(first..sources.position(key.file, end).line + 1);
        }
        let own = self.edits.entry(own_file).or_default();
        let others = || all.iter().filter(|(key, _)| !is_label(key)).map(|(_, entry)| entry);
        match (first_line, flow) {
            // What stands between brackets is replaced as a whole.
            (_, Some(flow)) => {
                let in_own = all.values().map(|(_, value)| value.span()).filter(|span| span.file == own_file);
                let last = in_own.map(|span| sources.position(own_file, span.end.saturating_sub(1)).line).max();
                let count = sources.text(own_file).lines().count();
                own.remove(flow..flow_end(&text, last.unwrap_or(flow), count) + 1);
                own.insert(flow, style.whole_block(lines, others()));
            }
            (Some(line), None) => {
                let is_emptied =
                    theirs.len() == all.len() && lines.iter().all(|line| line.trim_start().starts_with('#'));
                own.insert(line, lines);
                if is_emptied {
                    let above = (1..line).rev().find(|above| sources.line(own_file, *above).0.trim() == "labels:");
                    above.into_iter().for_each(|above| own.remove(above..above + 1));
                }
            }
            (None, None) if lines.is_empty() => {}
            // They stand in another file, or in what several services share.
            (None, None) => own.insert(head + 1, style.whole_block(lines, std::iter::empty())),
        }
    }

    /// Says of a service without labels that Traefik serves it.
    fn unlabelled(&mut self, service: &Service) {
        let (migration, sources) = (self.migration, self.sources);
        let rule = migration.unlabelled.get(service.name.as_str()).filter(|_| migration.stack.is_known);
        let Some(rule) = rule else { return };
        let file = service.name.span().file;
        let head = sources.position(file, service.name.span().start).line;
        let indent: String = sources.line(file, head).0.chars().take_while(|char| char.is_whitespace()).collect();
        let comment = format!(
            "{indent}  # Traefik serves it by {rule}, since `exposedByDefault` is on; if that is meant, give it the label `gangway.enable`"
        );
        self.edits.entry(file).or_default().insert(head + 1, vec![comment]);
    }
}
