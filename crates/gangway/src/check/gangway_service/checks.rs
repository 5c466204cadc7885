//! Checks of Gangway's service: its settings, its published ports, and its mounts.

use std::collections::BTreeSet;
use std::path::Path;

use gangway_compose::{Service, ServicePort, SourceDiagnostic, VolumeMount};
use gangway_diagnostic::codes::{DATA_NOT_KEPT, DATA_READ_ONLY, PORT_NOT_LISTENED, SOCKET_NOT_MOUNTED};
use gangway_watcher::{DockerEnvironment, LOCAL_SOCKET};

use super::context::GangwayService;
use super::service_settings::ServiceSettings;
use crate::check::offline_settings::read_settings;
use crate::settings::schema::{CONFIG, DOCKER};
use crate::settings::{NOT_STARTED, ServeSettings};

/// Adds the diagnostics about the service that a compose file alone allows.
pub(crate) fn check(gangway: GangwayService<'_>, given: &ServiceSettings, found: &mut Vec<SourceDiagnostic>) {
    let service = gangway.service;
    // Compose leaves these variables empty, so Gangway does not get the values.
    found.extend(service.gangway_only.iter().cloned());
    let variable = |name: &str| service.variables().get(name).map(|(_, value)| value.as_str().to_owned());
    let docker = DockerEnvironment { host: variable("DOCKER_HOST"), tls_verify: variable("DOCKER_TLS_VERIFY") };
    let (settings, diagnostics) = read_settings(&given.raw, &docker);
    found.extend(diagnostics.iter().map(|diagnostic| {
        let span = given.span(diagnostic).unwrap_or_else(|| gangway.span());
        gangway.moved(diagnostic, span)
    }));
    let Some(settings) = settings else { return };
    found.extend(ports_without_listener(gangway, given, &settings));
    if gangway.is_whole() && !service.borrows_mounts {
        found.extend(missing_sockets(gangway, given, docker.host.as_deref()));
        found.extend(data_not_kept(gangway, &settings));
    }
}

/// Diagnostics about published ports of the container at which Gangway does not listen.
fn ports_without_listener(
    gangway: GangwayService<'_>,
    given: &ServiceSettings,
    settings: &ServeSettings,
) -> Vec<SourceDiagnostic> {
    let service = gangway.service;
    // The config file may open further listeners.
    let may_be_elsewhere = given.raw.layer.contains(&CONFIG);
    if may_be_elsewhere || service.network_mode.as_ref().is_some_and(|mode| mode.as_str() == "host") {
        return Vec::new();
    }
    let addresses = settings.public_addresses().chain([settings.admin]);
    let listening: BTreeSet<u16> = addresses.map(|address| address.port()).collect();
    let others = service.ports.iter().filter(|port| !listening.contains(&port.port));
    others.map(|port| port_without_listener(gangway, port, settings)).collect()
}

fn port_without_listener(
    gangway: GangwayService<'_>,
    ServicePort { port, published, span }: &ServicePort,
    settings: &ServeSettings,
) -> SourceDiagnostic {
    let is_secure = |port: u16| port % 1000 == 443;
    let name = if is_secure(*port) || published.is_some_and(is_secure) { "https" } else { "http" };
    let listener = settings.listeners.iter().find(|listener| *listener.name == *name);
    let published = published.unwrap_or(*port);
    let help = match listener.and_then(|listener| listener.addresses.first()) {
        Some(address) => {
            format!("write `{published}:{}`, or let Gangway listen there: `--{name} :{port}`", address.port())
        }
        None => format!("let Gangway listen there: `--{name} :{port}`"),
    };
    let message = format!("Gangway does not listen at port {port} of its container");
    gangway
        .error(PORT_NOT_LISTENED, span.clone(), message)
        .with_note("nobody listens there")
        .with_help(help)
        .with_effect(format!("port {published} of the host leads nowhere"))
}

/// Diagnostics about sockets of engines that are not mounted inside the container.
fn missing_sockets(
    gangway: GangwayService<'_>,
    given: &ServiceSettings,
    docker_host: Option<&str>,
) -> Vec<SourceDiagnostic> {
    // The config file may name the engine.
    if given.raw.layer.contains(&CONFIG) && !given.raw.layer.contains(&DOCKER) {
        return Vec::new();
    }
    let mut urls = given.items(&DOCKER);
    if urls.is_empty() {
        urls.push(docker_host.filter(|host| !host.is_empty()).unwrap_or(LOCAL_SOCKET));
    }
    let sockets = urls.into_iter().filter_map(|url| url.strip_prefix("unix://"));
    let missing = sockets.filter(|socket| mount_at(gangway.service, socket).is_none());
    missing.map(|socket| missing_socket(gangway, socket)).collect()
}

fn missing_socket(gangway: GangwayService<'_>, socket: &str) -> SourceDiagnostic {
    gangway
        .error(SOCKET_NOT_MOUNTED, gangway.span(), "the engine's socket is not mounted")
        .with_note(format!("no `{socket}` inside"))
        .with_help(format!(
            "add `- {socket}:{socket}:ro` to its `volumes`; or name an engine with `--docker tcp://…`, as behind a socket proxy"
        ))
        .with_effect("Gangway finds no containers, and serves none")
}

/// A diagnostic about the folder of certificates and keys, where no volume keeps it or it cannot be written.
fn data_not_kept(gangway: GangwayService<'_>, settings: &ServeSettings) -> Option<SourceDiagnostic> {
    let data = settings.data.to_string_lossy();
    match mount_at(gangway.service, &data) {
        Some(VolumeMount { is_read_only: true, span, .. }) => {
            let error = gangway.error(DATA_READ_ONLY, span.clone(), format!("`{data}` is mounted read-only"));
            let error = error.with_note("cannot be written").with_help("leave out `:ro`, or `read_only: true`");
            Some(error.with_effect(NOT_STARTED))
        }
        Some(VolumeMount { source: Some(_), .. }) => None,
        anonymous_or_none => {
            let span = anonymous_or_none.map_or_else(|| gangway.span(), |mount| mount.span.clone());
            let message = format!("no volume is mounted at `{data}`");
            let warning = SourceDiagnostic::warning(gangway.sources, DATA_NOT_KEPT, span, message)
                .about_service(gangway.service.name.as_str())
                .with_note("nothing is kept")
                .with_help(format!("add `- gangway:{data}` to its `volumes`, and `gangway:` to `volumes:` at the end of the file"))
                .with_effect(
                    "certificates, keys and the internal root are lost whenever the container is made anew, and authorities \
                     limit how often they can be had",
                );
            Some(warning)
        }
    }
}

/// The mount that a path inside the container lies in.
fn mount_at<'s>(service: &'s Service, path: &str) -> Option<&'s VolumeMount> {
    // `/var/run` leads to `/run` in most images, and either is written.
    let plain =
        |path: &str| path.strip_prefix("/var").filter(|rest| rest.starts_with("/run")).unwrap_or(path).to_owned();
    let path = plain(path);
    Path::new(&path).ancestors().find_map(|above| {
        service.mounts.iter().find(|(target, _)| Path::new(&plain(target)) == above).map(|(_, mount)| mount)
    })
}
