//! The config file, checked by the same code that `serve` reads it with.

use std::ops::Range;

use gangway_compose::{FileId, FileSpan, SourceDiagnostic, SourceMap};
use gangway_diagnostic::{Diagnostic, Place, Span};
use gangway_model::Settings;
use gangway_watcher::DockerEnvironment;

use super::offline_settings::read_settings;
use crate::settings::file::{ValuePositions, parse_partially};
use crate::settings::{NOT_STARTED, ProcessLayer, RawSettings, undefined_defaults};

/// A config file, as far as it decides about routes.
#[derive(Debug)]
pub(super) struct CheckedConfig {
    pub(super) id: FileId,
    pub(super) settings: Settings,
}

impl CheckedConfig {
    /// Reads a file of `sources`, and adds the diagnostics about it. A file that is no TOML has no settings.
    pub(super) fn read(id: FileId, sources: &SourceMap, found: &mut Vec<SourceDiagnostic>) -> Self {
        let (config, mut diagnostics) = parse_partially(sources.name(id), sources.text(id), NOT_STARTED);
        let raw = ProcessLayer::default().over(config);
        let (settings, more) = read_settings(&raw, &DockerEnvironment::default());
        diagnostics.extend(more);
        let undefined = undefined_defaults(&raw.layer, &raw.middlewares);
        diagnostics.extend(undefined.iter().map(|error| error.diagnostic(NOT_STARTED)));
        found.extend(diagnostics.iter().map(|diagnostic| locate(diagnostic, id, sources)));
        let RawSettings { routes, middlewares, users, .. } = raw;
        let wrong = users.iter().flat_map(|table| table.parse().1);
        found.extend(wrong.map(|diagnostic| locate(&diagnostic, id, sources)));
        let mut settings = match settings {
            Some(settings) => settings.for_model(routes, middlewares),
            None => Settings { file_routes: routes, middlewares, ..Settings::default() },
        };
        // Gangway would not start, which is said once and not for every route.
        let Settings { default_use, middlewares, .. } = &mut settings;
        default_use.retain(|name| middlewares.iter().any(|table| table.name == *name));
        Self { id, settings }
    }
}

/// A diagnostic about the config file, with its bytes of the file.
pub(super) fn locate(diagnostic: &Diagnostic, id: FileId, sources: &SourceMap) -> SourceDiagnostic {
    let key = diagnostic.place.subject().map(Into::into);
    let span = FileSpan::new(id, range(diagnostic, id, sources));
    let place = Place::ConfigFile { key, at: sources.file_position(&span) };
    let diagnostic = Diagnostic { place, text: String::new(), span: Span::default(), ..diagnostic.clone() };
    SourceDiagnostic { diagnostic, span }
}

fn range(diagnostic: &Diagnostic, id: FileId, sources: &SourceMap) -> Range<usize> {
    let Some(at) = diagnostic.place.position() else { return 0..0 };
    let (line, line_start) = sources.line(id, index(at.line));
    let start = line_start + line.char_indices().nth(index(at.column) - 1).map_or(line.len(), |(byte, _)| byte);
    let part = diagnostic.span.start..diagnostic.span.end;
    // A diagnostic about the file shows its line. One about a route shows the value or the key.
    if diagnostic.text == line {
        return line_start + part.start..line_start + part.end;
    }
    if Some(&*diagnostic.text) == diagnostic.place.subject() {
        let key = diagnostic.text.rsplit('.').next().unwrap_or_default();
        let before = &line[..start - line_start];
        return before.rfind(key).map_or(start..start, |at| line_start + at..line_start + at + key.len());
    }
    if diagnostic.text.is_empty() {
        // The route's name, behind `[routes.`.
        let name = line[start - line_start..].find([']', '.', '=', ' ']);
        return start..name.map_or(line_start + line.len(), |len| start + len);
    }
    ValuePositions::new(sources.text(id)).find(start, part).unwrap_or(start..start)
}

/// A number of a position, to count with.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
