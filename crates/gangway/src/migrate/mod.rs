//! `gangway migrate`: a stack with Traefik's labels, printed with ours.
//!
//! What Traefik's labels and files mean is compiled as it is at run time, and our labels are made of the routes, so no meaning is
//! known here a second time. The files are edited line by line: everything that is not Traefik's stays as it was written, and what
//! has no equal becomes a comment.

mod data_folder;
mod file_tables;
mod issuers;
mod lines;
mod listener_trust;
mod listeners;
mod migration;
mod printing;
mod proxy_service;
mod published_ports;
mod route_labels;
mod static_options;
mod variables;

use std::process::ExitCode;

use gangway_compose::{ComposeSnapshot, Environment, Input, LoadError, Loader, Project, SourceDiagnostic, SourceMap};
use gangway_diagnostic::codes;
use gangway_model::{Settings, compile};

use self::migration::Migration;
use self::printing::printed;
use self::variables::with_stand_ins;
use crate::check::disk::Disk;
use crate::check::invocation::{ComposeInputs, Invocation, InvocationError};
use crate::check::process_environment;
use crate::check::traefik_stack::{GivenFiles, TraefikStack};
use crate::cli::MigrateArgs;
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};

/// Prints the files with labels of ours. Without files, those that compose would take here.
pub(crate) fn run(arguments: &MigrateArgs) -> ExitCode {
    match migrated(&arguments.files, &arguments.env_files, process_environment()) {
        Ok(text) => {
            print(text);
            ExitStatus::Success.into()
        }
        Err(error) => {
            print_error(format_args!("gangway migrate: {error}"));
            match error {
                MigrateError::NothingToDo => ExitStatus::Problem.into(),
                MigrateError::Broken(_) | MigrateError::Invocation(_) | MigrateError::Unreadable(_) => {
                    ExitStatus::Usage.into()
                }
            }
        }
    }
}

/// The reason why nothing is printed.
#[derive(Debug, thiserror::Error)]
enum MigrateError {
    #[error("there is nothing of Traefik in these files")]
    NothingToDo,
    #[error("{0}; `gangway check` shows it")]
    Broken(String),
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    #[error(transparent)]
    Unreadable(#[from] LoadError),
}

fn migrated(files: &[String], env_files: &[String], process: Environment) -> Result<String, MigrateError> {
    with_migration(files, env_files, process, printed)
}

/// Reads the files, and lets the caller see what becomes of them.
fn with_migration<T>(
    files: &[String],
    env_files: &[String],
    process: Environment,
    seen: impl FnOnce(&Migration<'_>, &SourceMap, &[Input]) -> T,
) -> Result<T, MigrateError> {
    let mut files = files.to_vec();
    let given = GivenFiles::take_from(&mut files);
    let mut loader = Loader::new(&Disk);
    let (project, inputs, environment) = if files.is_empty() && !given.is_empty() {
        (Project::default(), Vec::new(), process)
    } else {
        let ComposeInputs { files, environment } =
            Invocation { files: &files, env_files, process }.inputs(&mut loader)?;
        let environment = with_stand_ins(&files, environment);
        (loader.project(&files, environment.clone())?, files, environment)
    };
    let broken = loader.take_diagnostics().into_iter().find(|found| found.diagnostic.code == codes::NOT_COMPOSE);
    if let Some(SourceDiagnostic { diagnostic, .. }) = broken {
        let file = diagnostic.place.position().map(|at| format!("{}:{}: ", at.file, at.line)).unwrap_or_default();
        return Err(MigrateError::Broken(format!("{file}{}", diagnostic.message)));
    }
    let folder = inputs.first().map(Input::folder).unwrap_or_default();
    let mut found = Vec::new();
    let stack = TraefikStack::read(&project, &folder, &given, &environment, &mut loader, &mut found);
    let stack = stack.ok_or(MigrateError::NothingToDo)?;
    let settings = Settings {
        traefik: Some(stack.settings.clone()),
        listeners: stack.listeners(),
        network: stack.config.docker.as_ref().and_then(|docker| docker.network.clone()),
        ..Settings::default()
    };
    let compose = ComposeSnapshot::new(&project);
    let compiled = compile(&compose.snapshot, &settings);
    let migration = Migration::new(&project, &compose, &stack, &compiled, loader.sources());
    Ok(seen(&migration, loader.sources(), &inputs))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs::File;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    use gangway_model::{BasicAuth, KnownListener, ListenerProtocol, NativeLabels, Route};
    use gangway_traefik::{CATALOGUE, Fate, Kind, Setting};

    use super::route_labels::close_what_no_label_protects;
    use super::*;

    /// A route as its labels say it, in any order.
    type Said = BTreeSet<(String, String)>;

    fn said(route: &Route) -> Said {
        let users =
            |basic: &BasicAuth| Some(basic.users.iter().map(|user| &*user.name).collect::<Vec<_>>().join(", ").into());
        let mut native = NativeLabels::of(route, &users);
        close_what_no_label_protects(route, &mut native);
        let labels = native.labels;
        // The last one counts where Traefik sets a field twice.
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value.into())).collect();
        // Redirections to https belong to the listeners.
        labels.into_iter().filter(|(key, _)| key != "redirect").collect()
    }

    /// What the routes of a compose file of ours say, with the services that they are of.
    fn compiled(text: &str) -> Vec<(String, Said, bool)> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("compose.yaml");
        File::create(&file).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        let mut loader = Loader::new(&Disk);
        let inputs = [Input::Path(file)];
        let environment = with_stand_ins(&inputs, Environment::default());
        let project = loader.project(&inputs, environment).expect("a project");
        let compose = ComposeSnapshot::new(&project);
        let mut settings = Settings::default();
        for name in ["internal", "websecure"] {
            let name = gangway_model::ListenerName::parse(name).expect("a name");
            settings.listeners.push(KnownListener { name, protocol: ListenerProtocol::Detected });
        }
        let compiled = compile(&compose.snapshot, &settings);
        let routes = compiled.table.routes().iter();
        routes
            .map(|route| {
                let service = route.origin.first().and_then(|name| compose.service(name));
                let service = service.map_or_else(String::new, |service| service.name.as_str().to_owned());
                (service, said(route), route.listener.is_over_tls())
            })
            .collect()
    }

    fn files(folder: &str) -> Vec<PathBuf> {
        let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let paths = std::fs::read_dir(all).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<PathBuf> = paths
            .map(|path| if path.is_dir() { path.join("compose.yaml") } else { path })
            .filter(|path| path.extension().is_some_and(|kind| kind == "yaml") && path.exists())
            .collect();
        files.sort();
        assert!(files.len() > 4, "{files:?}");
        files
    }

    /// A value of an option that asks for something else than what goes without saying.
    fn value(setting: Setting, kind: Kind) -> &'static str {
        match setting {
            Setting::EntryPointAddress => ":8443",
            Setting::RedirectionTo => "websecure",
            Setting::RedirectionPermanent | Setting::DockerExposedByDefault | Setting::FileWatch => "false",
            Setting::EntryPointTlsResolver => "le",
            Setting::AcmeCaServer => "https://ca.example.org/directory",
            Setting::AcmeKeyType => "EC256",
            Setting::DnsProvider => "hetzner",
            Setting::DockerDefaultRule => "Host(`other.example.org`)",
            Setting::DockerConstraints => "Label(`a`,`b`)",
            Setting::LogLevel => "DEBUG",
            Setting::LogFormat | Setting::AccessLogFormat => "json",
            Setting::AccessLogDefaultMode
            | Setting::AccessLogFieldMode
            | Setting::AccessLogHeadersDefaultMode
            | Setting::AccessLogHeaderMode => "redact",
            Setting::PrometheusBuckets => "0.5",
            Setting::PingTerminatingStatus => "503",
            Setting::ApiBasePath | Setting::FileFilename | Setting::FileDirectory => "/x",
            _ => match kind {
                Kind::Section | Kind::Bool => "true",
                Kind::Int => "3",
                Kind::Duration => "7s",
                Kind::List => "10.9.9.9",
                Kind::Text | Kind::Secret => "x",
            },
        }
    }

    #[test]
    fn no_option_that_is_in_force_is_lost_without_a_trace() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("compose.yaml");
        let printed_with = |flags: &[String]| {
            let words: String = flags.iter().map(|flag| format!("      - '{flag}'\n")).collect();
            let text = format!(
                "services:\n  traefik:\n    image: traefik:v3\n    command:\n{words}  app:\n    image: example/app\n    labels:\n      \
                 - traefik.http.routers.app.rule=Host(`app.example.org`)\n      - traefik.http.services.app.loadbalancer.server.scheme=https\n"
            );
            File::create(&file).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
            migrated(&[file.display().to_string()], &[], Environment::default()).expect("something of Traefik")
        };
        let base = [
            "providers.docker=true",
            "entrypoints.web.address=:80",
            "entrypoints.websecure.address=:443",
            "certificatesresolvers.le.acme.email=you@example.org",
        ];
        let base = base.map(|flag| format!("--{flag}"));
        // What is there in any case, or asks for nothing by itself.
        let without_trace = [
            Setting::EntryPoint,
            Setting::ProxyProtocol,
            Setting::Docker,
            Setting::Acme,
            Setting::HttpChallenge,
            Setting::HttpChallengeEntryPoint,
            Setting::TlsChallenge,
            Setting::DnsChallenge,
        ];
        for option in CATALOGUE {
            let Fate::InForce(setting) = option.fate else { continue };
            let mut base = base.to_vec();
            // Each option of TLS switches it on by itself.
            if !option.path.contains(".http.tls") {
                base.push("--entrypoints.websecure.http.tls=true".to_owned());
            }
            let is_redirection = option.path.contains("redirections");
            if is_redirection && setting != Setting::RedirectionTo {
                base.push("--entrypoints.web.http.redirections.entrypoint.to=websecure".to_owned());
            }
            let path = option.path.replace(
                "entryPoints.<name>",
                if is_redirection { "entryPoints.web" } else { "entryPoints.websecure" },
            );
            let path = path
                .replace("certificatesResolvers.<name>", "certificatesResolvers.le")
                .replace("[n]", "[0]")
                .replace("<name>", "some");
            let written = format!("--{path}");
            let flags = [&base[..], &[format!("{written}={}", value(setting, option.kind))]].concat();
            let (before, after) = (printed_with(&base), printed_with(&flags));
            let has_trace = before != after;
            assert_eq!(has_trace, !without_trace.contains(&setting), "{written}:\n{after}");
        }
    }

    #[test]
    fn labels_that_are_printed_make_the_same_routes_and_every_difference_is_a_line() {
        for file in files("migrate").into_iter().chain(files("migrate_real")) {
            let name = file.display().to_string();
            let (printed, expected, differences) = with_migration(
                std::slice::from_ref(&name),
                &[],
                Environment::default(),
                |migration, sources, inputs| {
                    let mut expected = Vec::new();
                    let mut differences = Vec::new();
                    for (service, routes) in &migration.of_services {
                        for route in routes {
                            let native = NativeLabels::of(route, &|_| Some("x".into()));
                            differences.extend(native.differences);
                            expected.push(((*service).to_owned(), said(route), route.listener.is_over_tls()));
                        }
                    }
                    (printed(migration, sources, inputs), expected, differences)
                },
            )
            .expect("something of Traefik");
            let mut made = compiled(&printed);
            for route in expected {
                let at = made.iter().position(|made| *made == route);
                let at = at.unwrap_or_else(|| panic!("{name}: {route:#?} is not among {made:#?}\n{printed}"));
                made.remove(at);
            }
            assert!(made.is_empty(), "{name}: {made:#?}\n{printed}");
            for difference in differences {
                assert!(printed.contains(&*difference), "{name}: `{difference}` is not named:\n{printed}");
            }
        }
    }
}
