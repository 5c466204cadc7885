//! Checks of Gangway's service: its settings, its published ports, and its mounts.

use std::collections::BTreeSet;
use std::path::Path;

use gangway_compose::{Service, ServicePort, SourceDiagnostic, SpannedText, VolumeMount};
use gangway_diagnostic::codes::{
    DATA_NOT_KEPT, DATA_READ_ONLY, PORT_NOT_LISTENED, PROGRAM_MISSING, SOCKET_NOT_MOUNTED,
};
use gangway_diagnostic::printable;
use gangway_traefik::{StaticConfig, serve_flags};
use gangway_watcher::{DockerEnvironment, LOCAL_SOCKET};

use super::context::GangwayService;
use super::service_settings::ServiceSettings;
use crate::check::offline_settings::read_settings;
use crate::settings::schema::{CONFIG, DATA, DOCKER};
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

/// Adds diagnostics about an entrypoint and a health check that call a program which the image does not have.
pub(crate) fn check_programs(gangway: GangwayService<'_>, found: &mut Vec<SourceDiagnostic>) {
    let service = gangway.service;
    // Another image may have more programs.
    let image = service.image.as_ref().and_then(|image| image.as_str().rsplit('/').next());
    let name = image.and_then(|image| image.split([':', '@']).next());
    if !matches!(name, Some("gangway" | "traefik")) {
        return;
    }
    let is_missing = |word: &SpannedText| !is_of_image(word) && mount_at(service, word.as_str()).is_none();
    if let Some(program) = service.entrypoint.first().filter(|word| is_missing(word)) {
        let message = format!("the image of Gangway has no program `{}`", printable(program.as_str()));
        found.push(
            gangway
                .error(PROGRAM_MISSING, program.span(), message)
                .with_note("not in the image")
                .with_help("take `entrypoint` out; the image runs Gangway by itself")
                .with_effect(NOT_STARTED),
        );
    }
    let (program, message) = match service.health_test.as_slice() {
        [first, program, ..] if first.as_str() == "CMD" => {
            if !is_missing(program) {
                return;
            }
            (
                program,
                format!(
                    "the health check calls `{}`, which the image of Gangway does not have",
                    printable(program.as_str())
                ),
            )
        }
        [first] if first.as_str() == "CMD" => return,
        [_, line, ..] => (line, "the health check needs a shell, which the image of Gangway does not have".to_owned()),
        [line] => (line, "the health check needs a shell, which the image of Gangway does not have".to_owned()),
        [] => return,
    };
    found.push(
        gangway
            .error(PROGRAM_MISSING, program.span(), message)
            .with_note("not in the image")
            .with_help(
                "take `healthcheck` out, since the image has one; or write `test: [\"CMD\", \"gangway\", \"healthcheck\"]`",
            )
            .with_effect("the container is never healthy, and what waits for that does not start"),
    );
}

/// Whether the word is a program of the image.
fn is_of_image(word: &SpannedText) -> bool {
    let path = Path::new(word.as_str());
    let is_named = path.file_name().is_some_and(|name| name == "gangway" || name == "traefik");
    let folder = path.parent().map(Path::to_string_lossy).unwrap_or_default();
    is_named && (["", "/usr/local/bin"].contains(&&*folder) || word.as_str() == "/gangway")
}

/// Adds a diagnostic about the folder that certificates of resolvers are kept in, where Gangway runs in Traefik's place.
pub(crate) fn check_in_traefiks_place(
    gangway: GangwayService<'_>,
    config: &StaticConfig,
    found: &mut Vec<SourceDiagnostic>,
) {
    let service = gangway.service;
    if config.resolvers.is_empty() || !gangway.is_whole() || service.borrows_mounts {
        return;
    }
    let variables = service.variables();
    let given = variables.get("GANGWAY_DATA").map(|(_, value)| value.as_str().to_owned());
    let flags = serve_flags(config);
    let beside = flags.into_iter().find(|(name, _)| *name == "data").map(|(_, folder)| folder);
    // A folder that cannot be written is not taken.
    let beside = beside.filter(|folder| !mount_at(service, folder).is_some_and(|mount| mount.is_read_only));
    let data = given.or(beside).unwrap_or_else(|| DATA.default.to_owned());
    if mount_at(service, &data).is_some_and(|mount| mount.source.is_some()) {
        return;
    }
    let storage = config.resolvers.iter().find_map(|resolver| resolver.storage.as_deref());
    let mount = storage.and_then(|storage| mount_at(service, &storage.to_string_lossy()));
    let span = mount.map_or_else(|| gangway.span(), |mount| mount.span.clone());
    let message = format!("no volume is mounted at `{data}`, where Gangway keeps certificates");
    let help = format!(
        "mount a folder with `acme.json` in it, as `./letsencrypt:/letsencrypt`, and let `storage` name the file there; or add \
         `- gangway:{data}` to its `volumes`, and `gangway:` to `volumes:` at the end of the file"
    );
    found.push(
        SourceDiagnostic::warning(gangway.sources, DATA_NOT_KEPT, span, message)
            .about_service(service.name.as_str())
            .with_note("nothing new is kept")
            .with_help(help)
            .with_effect(
                "certificates that are obtained, and the internal root, are lost whenever the container is made anew; \
                 `acme.json` stays as it is",
            ),
    );
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
