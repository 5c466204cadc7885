//! `gangway check`: compose files and the config file, checked offline.
//!
//! `gangway-compose` loads the files and lists their services as an engine would, and the model compiles them as it
//! compiles containers, beside the routes of the config file. Labels and files of Traefik are read by its dialect, where
//! Gangway would run in Traefik's place. Each diagnostic is traced back to the line, and where
//! possible the characters, that were written. No engine, image or network is asked.

mod config_file;
mod deployment;
pub(crate) mod disk;
mod gangway_service;
pub(crate) mod invocation;
mod offline_settings;
mod other_proxies;
mod report;
pub(crate) mod traefik_stack;

use std::path::Path;
use std::process::ExitCode;

use gangway_admin::redacted;
use gangway_compose::{Environment, Input, LoadError, Loader, Project, SourceDiagnostic, SourceMap};
use gangway_diagnostic::{Place, Severity};

use self::config_file::CheckedConfig;
use self::deployment::{ComposeProject, Deployment};
use self::disk::Disk;
use self::invocation::{ComposeInputs, Invocation, InvocationError};
use self::traefik_stack::{GivenFiles, TraefikStack};
use crate::cli::{CheckArgs, CheckFormat};
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::terminal::Paint;

/// Checks compose files, merged in the order given, and the config file. Without files, those that compose would take
/// here are checked. `-` is standard input.
///
/// Prints every diagnostic. One that is more than a note is a problem.
pub(crate) fn run(arguments: &CheckArgs) -> ExitCode {
    let mut loader = Loader::new(&Disk);
    let checked = match Checked::new(&mut loader, &arguments.files, &arguments.env_files, process_environment()) {
        Ok(checked) => checked,
        Err(error) => {
            print_error(format_args!("gangway check: {error}"));
            return ExitStatus::Usage.into();
        }
    };
    print(checked.report(arguments.format, loader.sources()));
    if checked.has_problem() { ExitStatus::Problem.into() } else { ExitStatus::Success.into() }
}

/// The variables of this process. Compose cannot use those that are not UTF-8.
pub(crate) fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The result of a check.
struct Checked {
    /// In the order of the files.
    diagnostics: Vec<SourceDiagnostic>,
    /// The text that is shown where nothing is wrong.
    summary: String,
}

impl Checked {
    fn new(
        loader: &mut Loader<'_>,
        files: &[String],
        env_files: &[String],
        process: Environment,
    ) -> Result<Self, CheckError> {
        let mut files = files.to_vec();
        let of_traefik = GivenFiles::take_from(&mut files);
        let (configs, compose): (Vec<String>, Vec<String>) = files.into_iter().partition(|file| is_config(file));
        let mut found = Vec::new();
        let mut configs =
            configs.iter().map(|file| read_config(file, loader, &mut found)).collect::<Result<Vec<_>, _>>()?;
        if configs.len() > 1 && !compose.is_empty() {
            return Err(CheckError::SeveralConfigFiles);
        }
        let mut deployments = Vec::new();
        if compose.is_empty() && !of_traefik.is_empty() {
            let nothing = Project::default();
            let traefik = TraefikStack::read(&nothing, Path::new(""), &of_traefik, &process, loader, &mut found);
            deployments.push(Deployment { project: None, config: configs.pop(), traefik });
        } else if compose.is_empty() && !configs.is_empty() {
            let alone = |config| Deployment { project: None, config: Some(config), traefik: None };
            deployments.extend(configs.into_iter().map(alone));
        } else {
            let invocation = Invocation { files: &compose, env_files, process };
            let ComposeInputs { files, environment } = invocation.inputs(loader)?;
            let project = loader.project(&files, environment.clone())?;
            let folder = files.first().map(Input::folder).unwrap_or_default();
            let traefik = TraefikStack::read(&project, &folder, &of_traefik, &environment, loader, &mut found);
            let project = Some(ComposeProject { project, files, environment });
            deployments.push(Deployment { project, config: configs.pop(), traefik });
        }
        found.extend(loader.take_diagnostics());
        let summary = deployments.iter().map(|deployment| deployment.check(loader, &mut found)).collect();
        Ok(Self { diagnostics: sorted(found), summary })
    }

    fn has_problem(&self) -> bool {
        self.diagnostics.iter().any(|found| found.diagnostic.severity != Severity::Note)
    }

    fn report(&self, format: CheckFormat, sources: &SourceMap) -> String {
        // Runners of continuous integration keep what is printed.
        let diagnostics: Vec<SourceDiagnostic> = self
            .diagnostics
            .iter()
            .map(|found| SourceDiagnostic { diagnostic: redacted(&found.diagnostic), span: found.span.clone() })
            .collect();
        match format {
            CheckFormat::Json => report::json(&diagnostics, sources),
            CheckFormat::Sarif => report::sarif(&diagnostics, sources),
            CheckFormat::Github => report::github(&diagnostics, sources),
            CheckFormat::Text => {
                let shown: Vec<_> = diagnostics.iter().map(|found| report::text(found, sources) + "\n").collect();
                let shown = Paint::of_stdout().diagnostics(&shown.concat());
                let last =
                    if self.has_problem() { report::count(&self.diagnostics) + "\n" } else { self.summary.clone() };
                shown + &last
            }
        }
    }
}

/// Diagnostics in the order of the files, without repeats.
fn sorted(mut found: Vec<SourceDiagnostic>) -> Vec<SourceDiagnostic> {
    found.sort_by(|one, other| order(one).cmp(&order(other)));
    found.dedup();
    found
}

fn order(found: &SourceDiagnostic) -> impl Ord {
    let SourceDiagnostic { diagnostic, span } = found;
    let service = match &diagnostic.place {
        Place::ComposeFile { service, .. } => service.clone(),
        Place::Configuration
        | Place::Flag(_)
        | Place::Variable(_)
        | Place::ConfigFile { .. }
        | Place::Name(_)
        | Place::Container { .. } => None,
    };
    (span.clone(), diagnostic.code, service, diagnostic.message.clone())
}

/// Whether a file is the config file rather than a compose file.
fn is_config(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
}

fn read_config(
    file: &str,
    loader: &mut Loader<'_>,
    found: &mut Vec<SourceDiagnostic>,
) -> Result<CheckedConfig, CheckError> {
    let id = loader.read(&Input::Path(file.into()))?;
    Ok(CheckedConfig::read(id, loader.sources(), found))
}

/// The reason why nothing can be checked.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("beside compose files there is one config file at most; check others by themselves")]
    SeveralConfigFiles,
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    #[error(transparent)]
    Unreadable(#[from] LoadError),
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Checks a file and prints the result in every format.
    fn check(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        let loader = &mut Loader::new(&Disk);
        match Checked::new(loader, &[path.display().to_string()], &[], Environment::default()) {
            Ok(checked) => {
                let formats = [CheckFormat::Text, CheckFormat::Json, CheckFormat::Sarif, CheckFormat::Github];
                formats.map(|format| checked.report(format, loader.sources())).concat()
            }
            Err(error) => error.to_string(),
        }
    }

    /// Parts of compose files, so that most texts get further than the first line.
    fn compose_text() -> impl Strategy<Value = String> {
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

    /// Lines of config files. Most are valid, so that the routes are compiled.
    fn toml_text() -> impl Strategy<Value = String> {
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
        fn no_parts_of_compose_files_make_it_panic(text in compose_text()) {
            check("compose.yaml", &text);
        }

        #[test]
        fn no_lines_of_config_files_make_it_panic(text in toml_text()) {
            check("gangway.toml", &text);
        }
    }
}
