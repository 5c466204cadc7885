//! The config file, checked by the same code that `serve` reads it with.

use std::ops::Range;

use gangway_model::settings::FileRoute;
use gangway_model::{Diagnostic, Settings};
use gangway_watcher::DockerEnvironment;

use super::finding::{Finding, Subject};
use super::settings::judge;
use super::source::{FileId, Files, Spot};
use crate::settings::file::{ValuePositions, parse_partially};
use crate::settings::{NOT_STARTED, ProcessLayer};

/// What a config file says, as far as it decides about routes.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) id: FileId,
    pub(super) settings: Settings,
}

/// Reads one that is kept in `files`; what is wrong with it goes to the findings. One that is no TOML says nothing.
pub(super) fn read(id: FileId, files: &Files, findings: &mut Vec<Finding>) -> Read {
    let name = files.name(id);
    let (config, mut diagnostics) = parse_partially(name, files.text(id), NOT_STARTED);
    let raw = ProcessLayer::default().over(config);
    let (settings, found) = judge(&raw, &DockerEnvironment::default());
    diagnostics.extend(found);
    findings.extend(diagnostics.iter().map(|diagnostic| placed(diagnostic, id, files)));
    let routes: Vec<FileRoute> = raw.routes;
    let settings = match settings {
        Some(settings) => settings.for_model(routes),
        None => Settings { file_routes: routes, ..Settings::default() },
    };
    Read { id, settings }
}

/// A diagnostic about the file, at its place.
pub(super) fn placed(diagnostic: &Diagnostic, id: FileId, files: &Files) -> Finding {
    let spot = Spot::new(id, range(diagnostic, id, files));
    let mut subject = Subject::default();
    if !diagnostic.place.label.is_empty() {
        subject.key = Some(diagnostic.place.label.to_string());
    }
    Finding { level: diagnostic.severity.into(), ..Finding::error(diagnostic.code, spot, diagnostic.message.clone()) }
        .about(subject)
        .note(diagnostic.note.clone())
        .help(diagnostic.help.clone())
        .effect(diagnostic.effect.clone())
}

fn range(diagnostic: &Diagnostic, id: FileId, files: &Files) -> Range<usize> {
    let Some(at) = &diagnostic.place.file else { return 0..0 };
    let (line, line_start) = files.line(id, at.line as usize);
    let start = line_start + line.char_indices().nth(at.column as usize - 1).map_or(line.len(), |(byte, _)| byte);
    let part = diagnostic.span.start..diagnostic.span.end;
    // Findings about the file show its line; those about a route, the value or the key.
    if diagnostic.text == line {
        return line_start + part.start..line_start + part.end;
    }
    if diagnostic.text == *diagnostic.place.label {
        let key = diagnostic.text.rsplit('.').next().unwrap_or_default();
        let before = &line[..start - line_start];
        return before.rfind(key).map_or(start..start, |at| line_start + at..line_start + at + key.len());
    }
    if diagnostic.text.is_empty() {
        // The route's name, behind `[routes.`.
        let name = line[start - line_start..].find([']', '.', '=', ' ']);
        return start..name.map_or(line_start + line.len(), |len| start + len);
    }
    ValuePositions::new(files.text(id)).find(start, part).unwrap_or(start..start)
}
