//! Everything that is read before the process starts to serve: flags, variables and the config file.

use std::ffi::OsString;

use gangway_diagnostic::Diagnostic;
use gangway_watcher::DockerEnvironment;

use crate::settings::reload::{ConfigReload, ConfigStatus};
use crate::settings::{
    EnvironmentLayer, Layer, NOT_STARTED, ProcessLayer, RawSettings, ServeSettings, read_environment,
    undefined_defaults,
};
use crate::traefik::InTraefiksPlace;
use crate::traefik::followed_files::FollowedFiles;

/// The settings at the start.
pub(super) struct StartSettings {
    pub(super) settings: ServeSettings,
    pub(super) raw: RawSettings,
    process: ProcessLayer,
    docker: DockerEnvironment,
    /// Diagnostics that do not keep Gangway from starting.
    diagnostics: Vec<Diagnostic>,
    /// Variables that only look like settings.
    foreign_variables: Vec<String>,
    /// What is said where Gangway runs in Traefik's place.
    place: Option<String>,
    /// The files of Traefik's file provider.
    pub(super) traefik_files: Option<FollowedFiles>,
}

impl StartSettings {
    /// Reads the environment and the config file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the settings, if Gangway cannot start with them.
    pub(super) fn read(flags: Layer, place: Option<InTraefiksPlace>) -> Result<Self, Vec<Diagnostic>> {
        let environment = read_environment(std::env::vars_os(), NOT_STARTED);
        let EnvironmentLayer { layer, foreign: foreign_variables, mut diagnostics } = environment;
        let is_environment_usable = diagnostics.is_empty();
        let variable = |name| std::env::var_os(name).map(OsString::into_string).and_then(Result::ok);
        let docker = DockerEnvironment { host: variable("DOCKER_HOST"), tls_verify: variable("DOCKER_TLS_VERIFY") };
        let process = match &place {
            // What is said to Gangway itself precedes what is said to Traefik.
            Some(place) => place.usable_below(&layer, &docker, &mut diagnostics),
            None => ProcessLayer::new(flags, layer),
        };
        let raw = match process.read() {
            Ok(raw) => raw,
            Err(found) => {
                diagnostics.extend(found);
                return Err(diagnostics);
            }
        };
        let (settings, errors) = ServeSettings::parse(&raw, &docker);
        let undefined = undefined_defaults(&raw.layer, &raw.middlewares);
        let fatal = undefined.iter().chain(&errors).map(|error| error.diagnostic(NOT_STARTED));
        diagnostics.extend(fatal);
        match settings {
            Some(mut settings) if is_environment_usable && undefined.is_empty() => {
                let (mut said, mut traefik_files) = (None, None);
                if let Some(place) = place {
                    let rest = place.take(&mut settings, &raw.layer);
                    diagnostics.extend(rest.diagnostics);
                    (said, traefik_files) = (Some(rest.said), rest.files);
                }
                Ok(Self { settings, raw, process, docker, diagnostics, foreign_variables, place: said, traefik_files })
            }
            Some(_) | None => Err(diagnostics),
        }
    }

    /// The state of the global settings at the start.
    pub(super) fn config_status(&self) -> ConfigStatus {
        ConfigStatus { in_force: true, diagnostics: self.diagnostics.clone() }
    }

    /// The config file to follow, if there is one.
    pub(super) fn config_reload(&self) -> Option<ConfigReload> {
        ConfigReload::new(&self.process, &self.raw, &self.settings, &self.docker)
    }

    /// Says that Gangway runs in Traefik's place, where it does.
    pub(super) fn log_place(&self) {
        if let Some(said) = &self.place {
            tracing::info!("{said}");
        }
    }

    pub(super) fn log_foreign_variables(&self) {
        if !self.foreign_variables.is_empty() {
            let variables = self.foreign_variables.join(" ");
            tracing::info!(
                variables,
                "not settings: a container link or Kubernetes makes these variables for a service called `gangway`"
            );
        }
    }
}
