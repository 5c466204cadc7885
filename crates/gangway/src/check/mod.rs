//! `gangway check`: compose files and the config file, checked offline.
//!
//! Files become services as compose would put them together, services become the snapshot an engine
//! would give, and the model compiles that as ever, with the routes of the config file beside it. What it finds
//! is traced back to the line, and where possible the very characters, that were written. No engine, no image
//! and no network is asked.

mod config;
mod dotenv;
mod finding;
mod foreign;
mod invocation;
mod own;
mod profiles;
mod project;
mod reading;
mod report;
mod resets;
mod service;
mod settings;
mod snapshot;
mod source;
mod text;
mod variables;
mod yaml;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use gangway_model::codes::LABELS_BELOW_DEPLOY;
use gangway_model::{Code, Diagnostic, Settings, codes, compile};

use self::finding::{Finding, Level, Subject};
use self::invocation::{Invocation, Meant};
use self::profiles::Party;
use self::project::{Loader, Project};
use self::reading::open;
use self::service::Service;
use self::snapshot::{Offline, Placed, offline};
use self::source::{Origin, Spot};
use self::text::Text;
use self::variables::Environment;
use crate::cli::{Check, CheckFormat};
use crate::terminal::Paint;

/// Nothing was found, or nothing that is wrong.
const FINE: u8 = 0;
/// Something was found.
const FOUND: u8 = 1;
/// What was asked for cannot be done.
const USAGE: u8 = 2;

/// Checks compose files, merged in the order given, and the config file; without any, the compose files that
/// compose would take here. `-` is standard input.
///
/// Prints every finding and ends with 0 for none that is more than a note, 1 for some, and 2 where a file cannot
/// be read.
pub(crate) fn run(asked: &Check) -> ExitCode {
    let checked = match Checked::new(&asked.files, &asked.env_files, Environment::of_process()) {
        Ok(checked) => checked,
        Err(error) => {
            // Nobody is left to tell if this cannot be written.
            let _ = writeln!(io::stderr(), "gangway check: {error}");
            return ExitCode::from(USAGE);
        }
    };
    // A reader that went away, as `head` does, has seen what it wanted.
    let _ = io::stdout().write_all(checked.shown(asked.format).as_bytes());
    ExitCode::from(if checked.is_fine() { FINE } else { FOUND })
}

/// Everything that was found.
struct Checked {
    loader: Loader,
    findings: Vec<Finding>,
    /// Said where nothing is wrong.
    summary: String,
}

impl Checked {
    fn new(files: &[String], env_files: &[String], process: Environment) -> Result<Self, String> {
        let mut loader = Loader::new();
        let (configs, compose): (Vec<String>, Vec<String>) = files.iter().cloned().partition(|file| is_config(file));
        let mut configs = configs.iter().map(|file| config(file, &mut loader)).collect::<Result<Vec<_>, _>>()?;
        if configs.len() > 1 && !compose.is_empty() {
            return Err("beside compose files there is one config file at most; check others by themselves".into());
        }
        let mut wholes = Vec::new();
        if compose.is_empty() && !configs.is_empty() {
            wholes.extend(configs.into_iter().map(Whole::of_config));
        } else {
            let invocation = Invocation { files: &compose, env_files, process };
            let Meant { origins, environment } = invocation.meant(&mut loader.files, &mut loader.findings)?;
            let project = loader.project(&origins, environment.clone()).map_err(|error| error.to_string())?;
            wholes.push(Whole { project: Some((project, origins)), environment, config: configs.pop() });
        }
        let (mut findings, mut summary) = (std::mem::take(&mut loader.findings), String::new());
        for whole in &wholes {
            let routes = whole.check(&loader, &mut findings);
            summary += &whole.summed_up(&loader, &routes);
        }
        findings.sort_by(|one, other| {
            let key = |finding: &Finding| {
                let Finding { at, code, subject, message, .. } = finding;
                (at.clone(), *code, subject.service.clone(), message.clone())
            };
            key(one).cmp(&key(other))
        });
        findings.dedup();
        Ok(Self { loader, findings, summary })
    }

    fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.level == Level::Note)
    }

    fn shown(&self, format: CheckFormat) -> String {
        let files = &self.loader.files;
        match format {
            CheckFormat::Json => return report::json(&self.findings, files),
            CheckFormat::Sarif => return report::sarif(&self.findings, files),
            CheckFormat::Github => return report::github(&self.findings, files),
            CheckFormat::Text => {}
        }
        let shown: Vec<_> = self.findings.iter().map(|finding| report::text(finding, files) + "\n").collect();
        let shown = Paint::of_stdout().diagnostics(&shown.concat());
        let last = if self.is_fine() { self.summary.clone() } else { report::count(&self.findings) + "\n" };
        shown + &last
    }
}

/// Whether a file is the config file rather than a compose file.
fn is_config(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
}

fn config(file: &str, loader: &mut Loader) -> Result<config::Read, String> {
    let opened = open(&mut loader.files, &Origin::Path(file.into()));
    let (id, _) = opened.map_err(|error| format!("failed to read {file}: {error}"))?;
    Ok(config::read(id, &loader.files, &mut loader.findings))
}

/// What is in force together: a project of compose files, a config file, or both.
struct Whole {
    project: Option<(Project, Vec<Origin>)>,
    environment: Environment,
    config: Option<config::Read>,
}

/// Name and rule of each route, by its id.
type Routes = BTreeMap<Box<str>, (Box<str>, Box<str>)>;

impl Whole {
    fn of_config(config: config::Read) -> Self {
        Self { project: None, environment: Environment::default(), config: Some(config) }
    }

    /// Adds what is found; gives all routes that are served at one time or another.
    fn check(&self, loader: &Loader, findings: &mut Vec<Finding>) -> Routes {
        let nothing = Project::default();
        let project = self.project.as_ref().map_or(&nothing, |(project, _)| project);
        let mut settings = self.config.as_ref().map(|config| config.settings.clone()).unwrap_or_default();
        for service in project.services.values().filter(|service| snapshot::is_gangway(service)) {
            let Some(told) = own::told(service, findings) else { continue };
            own::check(service, &told, findings);
            settings = told.over(settings);
        }
        findings.extend(project.services.values().filter_map(below_deploy));
        findings.extend(foreign::notes(project));
        let mut compiling = Compiling { whole: self, loader, project, settings, findings };
        let parties = profiles::parties(project, &self.environment);
        if parties.iter().any(|party| party.len() == project.services.len()) {
            return compiling.compile(None, |_| true);
        }
        compiling.compile(None, |code| !is_between_routes(code));
        let routes = parties.iter().map(|party| compiling.compile(Some(party), is_between_routes));
        routes
            .reduce(|mut all, more| {
                all.extend(more);
                all
            })
            .unwrap_or_default()
    }

    /// Where a finding stands that belongs nowhere else. None where not even the first file could be read.
    fn start(&self, loader: &Loader) -> Option<Spot> {
        let config = || self.config.as_ref().map(|config| Spot::new(config.id, 0..0));
        loader.start().or_else(config)
    }

    fn summed_up(&self, loader: &Loader, routes: &Routes) -> String {
        let mut names: Vec<_> = self.project.iter().flat_map(|(_, origins)| origins).map(Origin::name).collect();
        names.extend(self.config.iter().map(|config| loader.files.name(config.id).to_owned()));
        let mut text = format!("{}: ", names.join(", "));
        if let Some((project, _)) = &self.project {
            let services = project.services.len();
            text += &format!("{services} service{}, ", report::plural(services));
        }
        text += &format!("{} route{}, nothing found\n", routes.len(), report::plural(routes.len()));
        for (name, rule) in routes.values() {
            text += &format!("  {name}: {rule}\n");
        }
        text
    }
}

/// Compiles the services that start together, or all.
struct Compiling<'c> {
    whole: &'c Whole,
    loader: &'c Loader,
    project: &'c Project,
    settings: Settings,
    findings: &'c mut Vec<Finding>,
}

impl Compiling<'_> {
    /// Adds what is found with a code that counts, and gives the routes.
    fn compile(&mut self, party: Option<&Party>, counts: impl Fn(Code) -> bool) -> Routes {
        let offline = offline(self.project, party);
        let compiled = compile(&offline.snapshot, &self.settings);
        if let Some(start) = self.whole.start(self.loader) {
            let diagnostics = compiled.diagnostics.iter().filter(|diagnostic| counts(diagnostic.code));
            let placed = diagnostics.filter_map(|diagnostic| match &self.whole.config {
                Some(config) if diagnostic.place.file.is_some() => {
                    Some(config::placed(diagnostic, config.id, &self.loader.files))
                }
                _ => placed(diagnostic, &offline, &start),
            });
            self.findings.extend(placed);
        }
        let routes = compiled.table.routes().iter();
        routes.map(|route| (route.id.clone(), (route.name.clone(), route.rule.clone()))).collect()
    }
}

/// Whether a code says something about two routes that meet, and not about one alone.
fn is_between_routes(code: Code) -> bool {
    (300..400).contains(&code.0) || code == codes::HANDSHAKE_OF_OTHERS
}

/// Labels of ours where only Swarm's service has them, and no container.
fn below_deploy(service: &Service) -> Option<Finding> {
    let ours = || service.deploy_labels.values().map(|(key, _)| key).filter(|key| service::is_ours(key.as_str()));
    let first = ours().min_by_key(|key| key.whole())?;
    let more = ours().count() - 1;
    let others = if more > 0 { format!(" and {more} more") } else { String::new() };
    let finding = Finding::error(LABELS_BELOW_DEPLOY, first.whole(), "labels below `deploy` never reach the container");
    Some(
        finding
            .about(Subject::label(service.name.as_str(), first.as_str()))
            .note("a label of the Swarm service")
            .help(format!("put `{}`{others} below `labels:` of the service itself, beside `image:`", first.as_str()))
            .effect("the container has no such label, so it does nothing"),
    )
}

/// A diagnostic of the model, at its place in the files. None for what cannot be known offline.
fn placed(diagnostic: &Diagnostic, offline: &Offline<'_>, start: &Spot) -> Option<Finding> {
    let place = offline.services.get(&*diagnostic.place.container);
    if !place.is_none_or(|place| known_offline(diagnostic, place)) {
        return None;
    }
    let part = diagnostic.span.start..diagnostic.span.end.max(diagnostic.span.start);
    let finding = |spot: Spot| Finding {
        level: diagnostic.severity.into(),
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
            let published = place.service.ports.iter().filter_map(|port| port.published);
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
    fn check(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        match Checked::new(&[path.display().to_string()], &[], Environment::default()) {
            Ok(checked) => {
                let formats = [CheckFormat::Text, CheckFormat::Json, CheckFormat::Sarif, CheckFormat::Github];
                formats.map(|format| checked.shown(format)).concat()
            }
            Err(error) => error,
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
            "profiles: [a]",
            "deploy:",
            "volumes: [/data]",
            "command: serve --http ",
            "entrypoint: /gangway",
            "environment:",
            "GANGWAY_HTTP",
            "traefik.http.routers.a.rule",
            "caddy",
            "VIRTUAL_HOST",
            "0x1F",
            "1_0",
            "\u{0}",
            "\u{7f}",
            "\u{2028}",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    /// Lines of config files, most of them good, so that the routes are compiled.
    fn soup_of_toml() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "[routes.a]",
            "[routes.\"b c\"]",
            "[routes.a.response.header]",
            "[[routes.x]]",
            "host = \"a.test\"",
            "host = [\"ü.test\", 'b', 1]",
            "hots = '''a\n'''",
            "rule = \"Host(`🦀`) && (\"",
            "upstream = \"192.0.2.9:1\"",
            "upstream = [\"http://a\", \"b\"]",
            "\"timeout.response\" = \"soon\"",
            "X-Header = { a = 1 }",
            "allow = [[1], {}]",
            "domain = \"exa mple\"",
            "http = [\":80\", \"x\"] # ü",
            "acme-dns = \"cloudflare\"",
            "priority = 0x1F",
            "= broken",
            "\r",
        ]);
        prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            check("compose.yaml", &text);
            check("gangway.toml", &text);
        }

        #[test]
        fn no_soup_of_compose_makes_it_panic(text in soup()) {
            check("compose.yaml", &text);
        }

        #[test]
        fn no_soup_of_toml_makes_it_panic(text in soup_of_toml()) {
            check("gangway.toml", &text);
        }
    }
}
