//! `gangway migrate`: a stack with Traefik's labels, printed with ours.
//!
//! What Traefik's labels and files mean is compiled as it is at run time, and our labels are made of the routes, so no meaning is
//! known here a second time. The files are edited line by line: everything that is not Traefik's stays as it was written, and what
//! has no equal becomes a comment.

mod file_routes;
mod lines;
mod listeners;
mod proxy_service;
mod route_labels;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use gangway_compose::{
    ComposeSnapshot, Environment, FileId, Input, LoadError, Loader, Project, Service, SourceMap, SpannedText,
};
use gangway_diagnostic::{Diagnostic, Severity, codes};
use gangway_model::{Compiled, Route, Settings, compile};

use self::lines::FileEdits;
use self::listeners::ListenerPlan;
use self::route_labels::{LabelStyle, label_lines};
use self::variables::{References, with_stand_ins};
use crate::check::disk::Disk;
use crate::check::invocation::{ComposeInputs, Invocation, InvocationError};
use crate::check::process_environment;
use crate::check::traefik_stack::{GivenFiles, TraefikStack, is_label};
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
                MigrateError::Invocation(_) | MigrateError::Unreadable(_) => ExitStatus::Usage.into(),
            }
        }
    }
}

/// The reason why nothing is printed.
#[derive(Debug, thiserror::Error)]
enum MigrateError {
    #[error("there is nothing of Traefik in these files")]
    NothingToDo,
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    #[error(transparent)]
    Unreadable(#[from] LoadError),
}

fn migrated(files: &[String], env_files: &[String], process: Environment) -> Result<String, MigrateError> {
    with_migration(files, env_files, process, |migration, sources, inputs| migration.print(sources, inputs))
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
    let migration = Migration::new(&project, &compose, &stack, &compiled);
    Ok(seen(&migration, loader.sources(), &inputs))
}

/// What becomes of a stack.
struct Migration<'m> {
    project: &'m Project,
    stack: &'m TraefikStack,
    compose: &'m ComposeSnapshot<'m>,
    compiled: &'m Compiled,
    plan: ListenerPlan,
    /// The routes of each service, by its name.
    of_services: BTreeMap<&'m str, Vec<&'m Arc<Route>>>,
    /// The services without a label of Traefik, which it serves all the same, with the rule of each.
    unlabelled: BTreeMap<&'m str, &'m str>,
    /// Routes that lead to no container of these files.
    of_files: Vec<&'m Arc<Route>>,
    /// The priority of each route that has to say one, by its id.
    priorities: BTreeMap<&'m str, i64>,
}

impl<'m> Migration<'m> {
    fn new(
        project: &'m Project,
        compose: &'m ComposeSnapshot<'m>,
        stack: &'m TraefikStack,
        compiled: &'m Compiled,
    ) -> Self {
        let plan = ListenerPlan::new(stack, &compiled.table);
        let (mut of_services, mut of_files) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        let mut unlabelled = BTreeMap::new();
        for route in compiled.table.routes().iter().filter(|route| !plan.goes_without_saying(route)) {
            let of_endpoint = route.upstream.endpoints.iter().find(|endpoint| !endpoint.key.container.is_empty());
            let container = of_endpoint.map(|endpoint| &endpoint.name).or_else(|| route.origin.first());
            match container.and_then(|name| compose.service(name)) {
                Some(service) if !service.all_labels().keys().any(|key| is_label(key)) => {
                    unlabelled.insert(service.name.as_str(), &*route.rule);
                }
                Some(service) => of_services.entry(service.name.as_str()).or_default().push(route),
                None => of_files.push(route),
            }
        }
        let priorities = priorities(project, compiled);
        Self { project, stack, compose, compiled, plan, of_services, unlabelled, of_files, priorities }
    }

    fn print(&self, sources: &SourceMap, inputs: &[Input]) -> String {
        let mut edits: BTreeMap<FileId, FileEdits> = BTreeMap::new();
        for service in self.project.services.values() {
            let is_proxy = self.stack.service.as_deref() == Some(service.name.as_str());
            self.labels(service, is_proxy, sources, &mut edits);
            if is_proxy {
                proxy_service::edit(service, self.stack, &self.plan, sources, &mut edits);
            }
        }
        let mut printed = String::new();
        if !self.stack.is_known && self.stack.service.is_none() {
            printed += "# Entry points are not in these files. They were taken for the usual pair, of which the one in clear redirects to the other.\n";
        }
        let names: BTreeSet<String> = inputs.iter().map(Input::name).collect();
        let mut is_first = true;
        for id in sources.ids().filter(|id| names.contains(sources.name(*id))) {
            if names.len() > 1 {
                printed += &format!("{}# {}\n", if is_first { "" } else { "\n" }, sources.name(id));
            }
            is_first = false;
            printed += &edits.remove(&id).unwrap_or_default().applied(sources.text(id));
        }
        printed + &file_routes::shown(&self.of_files, self, sources)
    }

    /// Replaces Traefik's labels of a service.
    fn labels(&self, service: &Service, is_proxy: bool, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
        let all = service.all_labels();
        let theirs: Vec<&(SpannedText, SpannedText)> =
            all.iter().filter(|(key, _)| is_label(key)).map(|(_, entry)| entry).collect();
        let routes = self.of_services.get(service.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if theirs.is_empty() {
            return self.unlabelled(service, sources, edits);
        }
        let references = References::of(theirs.iter().map(|(_, value)| value), sources);
        let own_file = service.name.span().file;
        let mut spans: Vec<_> = theirs.iter().map(|(key, value)| (key.span(), value.span())).collect();
        spans.sort();
        let in_own = spans.iter().find(|(key, _)| key.file == own_file);
        let first_line = in_own.map(|(key, _)| sources.position(own_file, key.start).line);
        let head = sources.position(own_file, service.name.span().start).line;
        let style = match first_line {
            Some(line) => LabelStyle::of_line(sources.line(own_file, line).0),
            None => LabelStyle::below(sources.line(own_file, head).0),
        };
        let lines = label_lines(self, service, routes, &style, is_proxy, &references);
        for (key, value) in &spans {
            let first = sources.position(key.file, key.start).line;
            let end = value.end.max(key.end).saturating_sub(1).max(key.start);
            edits.entry(key.file).or_default().remove(first..sources.position(key.file, end).line + 1);
        }
        let own = edits.entry(own_file).or_default();
        let others = || all.iter().filter(|(key, _)| !is_label(key)).map(|(_, entry)| entry);
        match first_line {
            // A list or a map on one line is replaced as a whole.
            Some(line) if style.is_flow => own.insert(line, style.whole_block(lines, others())),
            Some(line) => {
                let is_emptied =
                    theirs.len() == all.len() && lines.iter().all(|line| line.trim_start().starts_with('#'));
                own.insert(line, lines);
                if is_emptied {
                    let above = (1..line).rev().find(|above| sources.line(own_file, *above).0.trim() == "labels:");
                    above.into_iter().for_each(|above| own.remove(above..above + 1));
                }
            }
            None if lines.is_empty() => {}
            // They stand in another file, or in what several services share.
            None => own.insert(head + 1, style.whole_block(lines, std::iter::empty())),
        }
    }

    /// Says of a service without labels that Traefik serves it.
    fn unlabelled(&self, service: &Service, sources: &SourceMap, edits: &mut BTreeMap<FileId, FileEdits>) {
        let Some(rule) = self.unlabelled.get(service.name.as_str()).filter(|_| self.stack.is_known) else { return };
        let file = service.name.span().file;
        let head = sources.position(file, service.name.span().start).line;
        let indent: String = sources.line(file, head).0.chars().take_while(|char| char.is_whitespace()).collect();
        let comment = format!(
            "{indent}  # Traefik serves it by {rule}, since `exposedByDefault` is on; if that is meant, give it the label `gangway.enable`"
        );
        edits.entry(file).or_default().insert(head + 1, vec![comment]);
    }

    /// What was found about the labels of a service, one sentence each.
    fn findings(&self, service: &Service) -> Vec<&str> {
        let is_of = |found: &&Diagnostic| {
            let of = found.place.container().and_then(|name| self.compose.service(name));
            of.is_some_and(|of| of.name.as_str() == service.name.as_str()) && found.severity != Severity::Note
        };
        let mut messages: Vec<&str> = Vec::new();
        for found in self.compiled.diagnostics.iter().filter(is_of) {
            // What resolvers are called matters no longer.
            if found.code != codes::TRAEFIK_RESOLVER && !messages.contains(&&*found.message) {
                messages.push(&found.message);
            }
        }
        messages
    }
}

/// The priorities that have to be said: those that a label says, and those of routes that share a host with one of these.
fn priorities<'m>(project: &Project, compiled: &'m Compiled) -> BTreeMap<&'m str, i64> {
    let routes = compiled.table.routes();
    let all: BTreeMap<usize, i64> =
        compiled.table.precedences().map(|(position, precedence)| (position, precedence.priority)).collect();
    let labels: BTreeSet<String> = project
        .services
        .values()
        .flat_map(|service| service.all_labels().into_keys())
        .map(|key| key.to_ascii_lowercase())
        .filter(|key| is_label(key) && key.ends_with(".priority"))
        .collect();
    let is_said = |route: &Route| {
        let name = route.name.split('@').next().unwrap_or_default().to_ascii_lowercase();
        labels.contains(&format!("traefik.http.routers.{name}.priority"))
    };
    let said: Vec<&Arc<Route>> = routes.iter().filter(|route| is_said(route)).collect();
    let shares_host = |one: &Route, other: &Route| one.hosts.iter().any(|host| other.hosts.contains(host));
    let needed = routes.iter().enumerate().filter(|(_, route)| said.iter().any(|said| shares_host(said, route)));
    // One that stands alone has nothing to come before.
    let needed: Vec<_> = needed.collect();
    let has_other = |route: &Route| needed.iter().any(|(_, other)| other.id != route.id && shares_host(other, route));
    needed
        .iter()
        .filter(|(_, route)| has_other(route))
        .filter_map(|(position, route)| Some((&*route.id, *all.get(position)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use gangway_model::{BasicAuth, KnownListener, ListenerProtocol, NativeLabels};

    use super::*;

    /// A route as its labels say it, in any order.
    type Said = BTreeSet<(String, String)>;

    fn said(route: &Route) -> Said {
        let users =
            |basic: &BasicAuth| Some(basic.users.iter().map(|user| &*user.name).collect::<Vec<_>>().join(", ").into());
        let labels = NativeLabels::of(route, &users).labels;
        // The last one counts where Traefik sets a field twice.
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value.into())).collect();
        labels.into_iter().collect()
    }

    /// What the routes of a compose file of ours say, with the services that they are of.
    fn compiled(text: &str) -> Vec<(String, Said, bool)> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("compose.yaml");
        std::fs::write(&file, text).expect("a file");
        let mut loader = Loader::new(&Disk);
        let inputs = [Input::Path(file)];
        let environment = with_stand_ins(&inputs, Environment::default());
        let project = loader.project(&inputs, environment).expect("a project");
        let compose = ComposeSnapshot::new(&project);
        let mut settings = Settings::default();
        let internal = gangway_model::ListenerName::parse("internal").expect("a name");
        settings.listeners.push(KnownListener { name: internal, protocol: ListenerProtocol::Detected });
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
            .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
            .collect();
        files.sort();
        assert!(files.len() > 4, "{files:?}");
        files
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
                    (migration.print(sources, inputs), expected, differences)
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
