//! `gangway check`: compose files compiled offline.
//!
//! Files become services as compose would put them together, services become the snapshot an engine
//! would give, and the model compiles that as ever. What it finds is traced back to the line, and where
//! possible the very characters, that were written. No engine, no image and no network is asked.

mod dotenv;
mod finding;
mod project;
mod reading;
mod report;
mod service;
mod snapshot;
mod source;
mod text;
mod variables;
mod yaml;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gangway_model::{Compiled, Diagnostic, codes, compile};

use self::finding::{Finding, Subject};
use self::project::{Loader, Project, default_files};
use self::snapshot::{Offline, Placed, offline};
use self::source::{Origin, Spot};
use self::text::Text;
use self::variables::Environment;
use crate::cli::Format;
use crate::terminal::Paint;

/// Nothing was found.
const FINE: u8 = 0;
/// Something was found.
const FOUND: u8 = 1;
/// What was asked for cannot be done.
const USAGE: u8 = 2;

/// Checks compose files, merged in the order given; without any, those that compose would take here.
/// `-` is standard input.
///
/// Prints every finding and ends with 0 for none, 1 for some, and 2 where a file cannot be read.
pub(crate) fn run(files: &[String], format: Format) -> ExitCode {
    let environment = Environment::of_process();
    let checked = origins(files, &environment).and_then(|origins| {
        let mut loader = Loader::new(environment);
        let project = loader.project(&origins).map_err(|error| error.to_string())?;
        Ok(Checked::new(loader, &project, &origins))
    });
    let (out, code) = match checked {
        Ok(checked) => (checked.shown(format), if checked.findings.is_empty() { FINE } else { FOUND }),
        Err(error) => {
            // Nobody is left to tell if this cannot be written.
            let _ = writeln!(io::stderr(), "gangway check: {error}");
            return ExitCode::from(USAGE);
        }
    };
    // A reader that went away, as `head` does, has seen what it wanted.
    let _ = io::stdout().write_all(out.as_bytes());
    ExitCode::from(code)
}

/// The files that are meant.
fn origins(files: &[String], environment: &Environment) -> Result<Vec<Origin>, String> {
    if files.is_empty() {
        if let Some(named) = environment.get("COMPOSE_FILE").filter(|named| !named.is_empty()) {
            let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty()).unwrap_or(":");
            return Ok(named.split(separator).map(|path| Origin::Path(path.into())).collect());
        }
        return default_files(Path::new("")).ok_or_else(|| {
            "there is no compose.yaml, compose.yml, docker-compose.yaml or docker-compose.yml here; name a file".into()
        });
    }
    let mut origins = Vec::new();
    for file in files {
        let path = PathBuf::from(file);
        if file == "-" {
            origins.push(Origin::Stdin);
        } else if path.is_dir() {
            origins.extend(default_files(&path).ok_or_else(|| format!("there is no compose.yaml in {file}"))?);
        } else {
            origins.push(Origin::Path(path));
        }
    }
    if origins.iter().filter(|origin| **origin == Origin::Stdin).count() > 1 {
        return Err("standard input can be read once only".into());
    }
    Ok(origins)
}

/// Everything that was found.
struct Checked {
    loader: Loader,
    findings: Vec<Finding>,
    /// Said where nothing was found.
    summary: String,
}

impl Checked {
    fn new(mut loader: Loader, project: &Project, origins: &[Origin]) -> Self {
        let offline = offline(project);
        let compiled = compile(&offline.snapshot, &offline.settings);
        let mut findings = std::mem::take(&mut loader.findings);
        if let Some(start) = loader.start() {
            let placed = |diagnostic| placed(diagnostic, &offline, &start);
            findings.extend(compiled.diagnostics.iter().filter_map(placed));
        }
        findings.sort_by(|one, other| {
            let key = |finding: &Finding| (finding.at.clone(), finding.code, finding.subject.service.clone());
            key(one).cmp(&key(other))
        });
        findings.dedup();
        let names: Vec<_> = origins.iter().map(Origin::name).collect();
        let summary = summary(&names.join(", "), project, &compiled);
        Self { loader, findings, summary }
    }

    fn shown(&self, format: Format) -> String {
        let files = &self.loader.files;
        if format == Format::Json {
            return report::json(&self.findings, files);
        }
        if self.findings.is_empty() {
            return self.summary.clone();
        }
        let shown: Vec<_> = self.findings.iter().map(|finding| report::text(finding, files)).collect();
        let shown = Paint::of_stdout().diagnostics(&shown.join("\n"));
        format!("{shown}\n{}\n", report::count(&self.findings))
    }
}

fn summary(names: &str, project: &Project, compiled: &Compiled) -> String {
    let (services, routes) = (project.services.len(), compiled.table.routes().len());
    let mut text = format!(
        "{names}: {services} service{}, {routes} route{}, nothing found\n",
        report::plural(services),
        report::plural(routes)
    );
    for route in compiled.table.routes() {
        text += &format!("  {}: {}\n", route.name, route.rule);
    }
    text
}

/// A diagnostic of the model, at its place in the files. None for what cannot be known offline.
fn placed(diagnostic: &Diagnostic, offline: &Offline<'_>, start: &Spot) -> Option<Finding> {
    let place = offline.services.get(&*diagnostic.place.container);
    if !place.is_none_or(|place| known_offline(diagnostic, place)) {
        return None;
    }
    let part = diagnostic.span.start..diagnostic.span.end.max(diagnostic.span.start);
    let finding = |spot: Spot| Finding {
        severity: diagnostic.severity,
        ..Finding::error(diagnostic.code, spot, diagnostic.message.clone())
            .note(diagnostic.note.clone())
            .help(diagnostic.help.clone())
            .effect(diagnostic.effect.clone())
    };
    let Some(place) = place else { return Some(finding(start.clone())) };
    let service = place.service.name.as_str();
    let Some((key, value)) = label(place, &diagnostic.place.label) else {
        return Some(finding(place.service.name.whole()).about(Subject::service(service)));
    };
    let is_text = |text: &Text| diagnostic.text == text.as_str() && part.end <= text.as_str().len();
    let found = if is_text(value) {
        value.find(part.clone())
    } else if is_text(key) {
        key.find(part.clone())
    } else {
        key.find(0..key.as_str().len())
    };
    let finding = finding(found.spot.clone()).value(&found, &diagnostic.text, part);
    Some(finding.about(Subject::label(service, key.as_str())))
}

/// A label by its key as diagnostics show it: a very long one is cut.
fn label<'p>(place: &'p Placed<'_>, shown: &str) -> Option<&'p (Text, Text)> {
    let cut = || {
        let start = shown.strip_suffix('…')?;
        place.labels.range(start.to_owned()..).next().filter(|(key, _)| key.starts_with(start)).map(|(_, entry)| entry)
    };
    place.labels.get(shown).or_else(cut)
}

/// Whether a diagnostic holds whatever else the image exposes: a compose file tells only some ports.
fn known_offline(diagnostic: &Diagnostic, place: &Placed<'_>) -> bool {
    match diagnostic.code {
        codes::PORT_UNKNOWN => false,
        // A port of the host instead of the container's is a mistake in any case.
        codes::PORT_NOT_EXPOSED => {
            let published = place.service.ports.value.iter().filter_map(|(_, published)| *published);
            published.map(|port| port.to_string()).any(|port| port == diagnostic.text.trim())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that is done with a file, down to what is printed.
    fn check(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("compose.yaml");
        std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        let origins = [Origin::Path(path)];
        let mut loader = Loader::new(Environment::default());
        match loader.project(&origins) {
            Ok(project) => {
                let checked = Checked::new(loader, &project, &origins);
                checked.shown(Format::Json) + &checked.shown(Format::Text)
            }
            Err(error) => error.to_string(),
        }
    }

    /// Pieces of compose files, so that nonsense gets further than the first line.
    fn soup() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "services:",
            "\n",
            "\n  ",
            "\n    ",
            "\n      ",
            " web:",
            " labels:",
            "- ",
            "gangway.",
            "host",
            "=",
            ": ",
            "${X",
            "}",
            "$",
            "$$",
            ":-",
            "'",
            "\"",
            "\\",
            "|",
            ">",
            "{",
            "}",
            "[",
            "]",
            ",",
            "&a ",
            "*a",
            "<<: ",
            "#",
            "\t",
            "ü",
            "🦀",
            "\u{feff}",
            "\r\n",
            "---",
            "...",
            "!reset ",
            "!override ",
            "extends: ",
            "include: ",
            "networks:",
            "ports:",
            "8080",
            "env_file: .env",
            "label_file: compose.yaml",
            "~",
            "? ",
            "%YAML 1.2",
            "image: gangway",
            "network_mode: service:web",
            "rule: Host(`a`)",
            "\u{0}",
            "\u{7f}",
            "\u{2028}",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            check(&text);
        }

        #[test]
        fn no_soup_of_compose_makes_it_panic(text in soup()) {
            check(&text);
        }
    }
}
