//! The files that are in force together, compiled as the running Gangway would compile them.

use std::collections::BTreeMap;

use gangway_compose::{
    ComposeSnapshot, Environment, FileSpan, Input, Loader, Project, Service, SourceDiagnostic, service_sets,
};
use gangway_diagnostic::{Code, Diagnostic, Severity, codes};
use gangway_model::{HTTP, HTTPS, KnownListener, Settings, compile};

use super::config_file::{self, CheckedConfig};
use super::gangway_service::{self, GangwayService, ServiceSettings};
use super::other_proxies;
use super::report::plural;
use super::traefik_stack::TraefikStack;

/// A project of compose files, a config file, or both.
pub(super) struct Deployment {
    pub(super) project: Option<ComposeProject>,
    pub(super) config: Option<CheckedConfig>,
    /// Traefik's configuration, where Gangway would run in its place.
    pub(super) traefik: Option<TraefikStack>,
}

/// A project with the files that it was loaded from.
pub(super) struct ComposeProject {
    pub(super) project: Project,
    pub(super) files: Vec<Input>,
    pub(super) environment: Environment,
}

/// The name and the rule of each route, by its id.
type RouteList = BTreeMap<Box<str>, (Box<str>, Box<str>)>;

impl Deployment {
    /// Adds the diagnostics about it, and returns the summary that is shown where nothing is wrong.
    pub(super) fn check(&self, loader: &Loader<'_>, found: &mut Vec<SourceDiagnostic>) -> String {
        let routes = self.compile(loader, found);
        self.summary(loader, &routes)
    }

    /// Adds the diagnostics, and returns the routes that are served at one time or another.
    fn compile(&self, loader: &Loader<'_>, found: &mut Vec<SourceDiagnostic>) -> RouteList {
        let mut settings = self.config.as_ref().map(|config| config.settings.clone()).unwrap_or_default();
        let nothing = Project::default();
        let project = self.project.as_ref().map_or(&nothing, |project| &project.project);
        let mut are_all_settings_known = false;
        // In Traefik's place, the command is Traefik's.
        let is_ours = |service: &&Service| self.traefik.is_none() && service.is_gangway();
        for service in project.services.values().filter(is_ours) {
            let gangway = GangwayService { service, sources: loader.sources() };
            let Some(given) = ServiceSettings::read(gangway, found) else { continue };
            are_all_settings_known |= given.are_all(gangway, self.config.is_some());
            gangway_service::check(gangway, &given, found);
            settings = given.over(settings);
        }
        for service in project.services.values() {
            let takes_place = self.traefik.as_ref().and_then(|traefik| traefik.service.as_deref());
            if takes_place.map_or_else(|| service.is_gangway(), |name| name == service.name.as_str()) {
                gangway_service::check_programs(GangwayService { service, sources: loader.sources() }, found);
            }
        }
        let of_traefik = self.traefik.as_ref().filter(|traefik| traefik.is_known);
        if let Some(traefik) = of_traefik
            && let Some(service) = traefik.service.as_ref().and_then(|name| project.services.get(name))
        {
            let gangway = GangwayService { service, sources: loader.sources() };
            gangway_service::check_in_traefiks_place(gangway, &traefik.config, found);
        }
        if self.config.is_none() {
            // The definitions stand in a file that is not here.
            settings.default_use.clear();
        }
        // Where Gangway is started may say what is not in these files.
        settings.has_geoip |= !are_all_settings_known;
        settings.has_crowdsec |= !are_all_settings_known;
        settings.has_appsec |= !are_all_settings_known;
        found.extend(other_proxies::notes(loader.sources(), project, self.traefik.is_some()));
        if let Some(traefik) = &self.traefik {
            settings.listeners = traefik.listeners();
            settings.traefik = Some(traefik.settings.clone());
            settings.network = traefik.config.docker.as_ref().and_then(|docker| docker.network.clone());
        }
        let is_named = |known: &KnownListener| ![HTTP, HTTPS].contains(&&*known.name);
        let are_in_file = self.config.as_ref().is_some_and(|config| config.settings.listeners.iter().any(is_named));
        let are_listeners_known = are_all_settings_known || are_in_file;
        let (config, traefik) = (self.config.as_ref(), self.traefik.as_ref());
        let compiler = OfflineCompiler { loader, config, traefik, settings, are_listeners_known };
        let Some(ComposeProject { project, environment, .. }) = &self.project else {
            return compiler.compile(&ComposeSnapshot::new(project), |_| true, found);
        };
        let sets = service_sets(project, environment);
        if sets.iter().any(|set| set.len() == project.services.len()) {
            return compiler.compile(&ComposeSnapshot::new(project), |_| true, found);
        }
        // Not all services start together. Each is checked by itself, and its claims beside those of each set.
        compiler.compile(&ComposeSnapshot::new(project), |code| !is_between_routes(code), found);
        let mut routes = RouteList::new();
        for set in &sets {
            routes.extend(compiler.compile(&ComposeSnapshot::of_services(project, set), is_between_routes, found));
        }
        routes
    }

    fn summary(&self, loader: &Loader<'_>, routes: &RouteList) -> String {
        let files = self.project.iter().flat_map(|project| &project.files);
        let mut names: Vec<_> = files.map(Input::name).collect();
        names.extend(self.config.iter().map(|config| loader.sources().name(config.id).to_owned()));
        let mut text = format!("{}: ", names.join(", "));
        if let Some(ComposeProject { project, .. }) = &self.project {
            let services = project.services.len();
            text += &format!("{services} service{}, ", plural(services));
        }
        text += &format!("{} route{}, nothing found\n", routes.len(), plural(routes.len()));
        for (name, rule) in routes.values() {
            text += &format!("  {name}: {rule}\n");
        }
        text
    }
}

/// Compiles snapshots, and adds the diagnostics at their place in the files.
struct OfflineCompiler<'c, 'f> {
    loader: &'c Loader<'f>,
    config: Option<&'c CheckedConfig>,
    traefik: Option<&'c TraefikStack>,
    settings: Settings,
    /// Otherwise there may be more listeners than are known here.
    are_listeners_known: bool,
}

impl OfflineCompiler<'_, '_> {
    /// Adds the diagnostics for whose code `counts` is true, and returns the routes.
    fn compile(
        &self,
        compose: &ComposeSnapshot<'_>,
        counts: impl Fn(Code) -> bool,
        found: &mut Vec<SourceDiagnostic>,
    ) -> RouteList {
        let compiled = compile(&compose.snapshot, &self.settings);
        let counts = |code| counts(code) && (self.are_listeners_known || code != codes::LISTENER_UNKNOWN);
        if let Some(start) = self.start() {
            let diagnostics = compiled.diagnostics.iter().filter(|diagnostic| counts(diagnostic.code));
            let diagnostics: Vec<Diagnostic> = diagnostics.map(|found| self.as_far_as_files_tell(found)).collect();
            let of_traefik = |diagnostic| self.traefik?.locate(diagnostic, self.loader.sources());
            found.extend(diagnostics.iter().filter_map(|diagnostic| match self.config {
                _ if let Some(located) = of_traefik(diagnostic) => Some(located),
                Some(config) if diagnostic.place.position().is_some() => {
                    Some(config_file::locate(diagnostic, config.id, self.loader.sources()))
                }
                Some(_) | None => compose.locate(self.loader.sources(), diagnostic, &start),
            }));
        }
        let routes = compiled.table.routes().iter();
        routes.map(|route| (route.id.clone(), (route.name.clone(), route.rule.clone()))).collect()
    }

    /// A log-in service that is not in these files may run as another project, which only the engine knows; and a shared
    /// definition stands in a config file that may not be among them.
    fn as_far_as_files_tell(&self, diagnostic: &Diagnostic) -> Diagnostic {
        let effect = match diagnostic.code {
            codes::AUTH_SERVICE_UNKNOWN => "another project may run it; the route is closed while none does",
            codes::USE_UNKNOWN if self.config.is_none() => {
                "the config file was not given; the route is closed while that does not define it"
            }
            code if self.traefik.is_some_and(|traefik| traefik.may_be_elsewhere(code)) => {
                "Traefik's own configuration is not among these files; what it declares is not missed there"
            }
            _ => return diagnostic.clone(),
        };
        let message = format!("{} in these files", diagnostic.message);
        let (note, effect) = (String::new(), effect.to_owned());
        Diagnostic { severity: Severity::Note, message, note, effect, ..diagnostic.clone() }
    }

    /// The place of diagnostics that belong to no other place. None where not even the first file could be read.
    fn start(&self) -> Option<FileSpan> {
        let config = || self.config.map(|config| FileSpan::new(config.id, 0..0));
        self.loader.start().or_else(config).or_else(|| self.traefik?.start())
    }
}

/// Whether a code is about two routes that meet, and not about one alone.
fn is_between_routes(code: Code) -> bool {
    (300..400).contains(&code.0) || code == codes::HANDSHAKE_OF_OTHERS
}
