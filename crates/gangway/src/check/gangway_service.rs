//! Gangway's own service in a compose file: its settings, its ports, and its mounts.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;
use gangway_compose::{FileSpan, Finding, Service, ServicePort, SpannedText, Subject, VolumeMount};
use gangway_model::Diagnostic;
use gangway_model::codes::{ARGUMENT_UNKNOWN, DATA_NOT_KEPT, DATA_READ_ONLY, PORT_NOT_LISTENED, SOCKET_NOT_MOUNTED};
use gangway_model::rule::nearest;
use gangway_model::settings::Expose;
use gangway_watcher::{DockerEnvironment, LOCAL_SOCKET};

use super::offline_settings::read_settings;
use crate::cli::Cli;
use crate::settings::schema::{CONFIG, Count, DOCKER, DOMAIN, EXPOSE, Flag, HTTP, HTTPS, NETWORK, flag};
use crate::settings::{Layer, NOT_STARTED, RawSettings, ServeSettings, SettingValue, read_environment};

/// The settings that a service gives Gangway.
pub(super) struct ServiceSettings {
    raw: RawSettings,
    /// Each value with the name that a diagnostic gives it, such as `--http` or `GANGWAY_HTTP`.
    written: Vec<(String, SpannedText)>,
}

impl ServiceSettings {
    /// Reads the command and the variables of a service. Unknown ones become findings. None where the service does not
    /// serve, or runs a program whose arguments are not Gangway's.
    pub(super) fn read(service: &Service, findings: &mut Vec<Finding>) -> Option<Self> {
        let arguments = arguments(service, findings)?;
        let mut result = Self { raw: RawSettings::default(), written: Vec::new() };
        let flags = result.flags(service, &arguments, findings);
        let set = service.variables();
        result.written.extend(set.iter().map(|(name, (_, value))| (name.clone(), value.clone())));
        let pairs = set.iter().map(|(name, (_, value))| (OsString::from(name), OsString::from(value.as_str())));
        let environment = read_environment(pairs, NOT_STARTED);
        result.raw.layer = environment.layer.overlaid_by(flags);
        findings.extend(environment.diagnostics.iter().map(|diagnostic| {
            let key = diagnostic.place.subject().and_then(|name| set.get(name)).map_or(&service.name, |(key, _)| key);
            finding(diagnostic, service, key.span())
        }));
        Some(result)
    }

    /// The settings of the config file, with those that the service sets put over them.
    pub(super) fn over(&self, mut settings: gangway_model::Settings) -> gangway_model::Settings {
        let last = |flag: &Flag| self.raw.layer.last(flag).map(str::trim);
        if let Some(domain) = last(&DOMAIN) {
            settings.domain = domain.into();
        }
        if let Some(network) = last(&NETWORK) {
            settings.network = Some(network.into());
        }
        if let Some(expose) = last(&EXPOSE) {
            settings.expose = if expose == "all" { Expose::All } else { Expose::Labelled };
        }
        settings
    }
}

/// Adds the findings about the service that a compose file allows.
pub(super) fn check(service: &Service, given: &ServiceSettings, findings: &mut Vec<Finding>) {
    // Compose leaves these variables empty, so Gangway does not get the values.
    findings.extend(service.gangway_only.iter().cloned());
    let variable = |name: &str| service.variables().get(name).map(|(_, value)| value.as_str().to_owned());
    let docker = DockerEnvironment { host: variable("DOCKER_HOST"), tls_verify: variable("DOCKER_TLS_VERIFY") };
    let (settings, diagnostics) = read_settings(&given.raw, &docker);
    findings.extend(diagnostics.iter().map(|diagnostic| {
        let span = given.span(diagnostic).unwrap_or_else(|| service.name.span());
        finding(diagnostic, service, span)
    }));
    let Some(settings) = settings else { return };
    findings.extend(unheard_ports(service, given, &settings));
    // A service without ports and mounts is a part of one. The rest is in another file.
    let is_whole = !service.ports.is_empty() || !service.mounts.is_empty();
    if is_whole && !service.borrows_mounts {
        findings.extend(missing_sockets(service, given, docker.host.as_deref()));
        findings.extend(unkept_data(service, &settings));
    }
}

/// The arguments of `serve`. None where another command is given, or a program that is not Gangway.
fn arguments(service: &Service, findings: &mut Vec<Finding>) -> Option<Vec<SpannedText>> {
    let is_ours = |word: &SpannedText| Path::new(word.as_str()).file_name().is_some_and(|name| name == "gangway");
    let mut words: Vec<SpannedText> = Vec::new();
    if let Some((program, rest)) = service.entrypoint.split_first() {
        is_ours(program).then(|| words.extend(rest.iter().cloned()))?;
    }
    words.extend(service.command.iter().cloned());
    if words.first().is_some_and(is_ours) {
        let program = words.remove(0);
        let help = "take it out; the image runs it by itself, and `command` is what stands behind it";
        findings.push(refused(service, program.span(), &program, "unexpected argument", help.to_owned()));
    }
    let Some(first) = words.first().filter(|first| !first.as_str().starts_with('-')) else { return Some(words) };
    let command = Cli::command();
    let known = || command.get_subcommands().map(clap::Command::get_name);
    if known().any(|name| name == first.as_str()) {
        return (first.as_str() == "serve").then(|| words.split_off(1));
    }
    let help = match nearest(first.as_str(), known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "take it out; `gangway --help` lists the commands".to_owned(),
    };
    findings.push(refused(service, first.span(), first, "unknown command", help));
    Some(words.split_off(1))
}

impl ServiceSettings {
    /// The settings of the arguments.
    fn flags(&mut self, service: &Service, arguments: &[SpannedText], findings: &mut Vec<Finding>) -> Layer {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap_or(&command);
        let known = || serve.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument)));
        let mut layer = Layer::default();
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            let text = word.as_str();
            let name = text.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or_default());
            if matches!(text, "-h" | "-V" | "--help" | "--version") {
                continue;
            }
            let Some((_, argument)) = known().find(|(long, _)| Some(*long) == name) else {
                findings.push(unknown(service, word, name, known().map(|(long, _)| long)));
                // The next word was meant as its value.
                if name.is_some() && !text.contains('=') {
                    words.next_if(|next| !next.as_str().starts_with('-'));
                }
                continue;
            };
            if !argument.get_action().takes_values() {
                continue;
            }
            let setting = name.and_then(flag);
            let switch = setting.filter(|flag| flag.count == Count::Switch && !text.contains('='));
            if let Some(switch) = switch {
                layer.push(switch, SettingValue::flag("true"));
                continue;
            }
            let value = match text.find('=') {
                Some(at) => Some(word.slice(at + 1..text.len())),
                None => words.next().cloned(),
            };
            let Some(value) = value else {
                findings.push(without_value(service, word));
                continue;
            };
            let Some(flag) = setting else { continue };
            layer.push(flag, SettingValue::flag(value.as_str()));
            self.written.push((format!("--{}", flag.name), value));
        }
        layer
    }

    /// The place of the value that a diagnostic about a setting is about.
    fn span(&self, diagnostic: &Diagnostic) -> Option<FileSpan> {
        let subject = diagnostic.place.subject();
        let is_meant =
            |(name, value): &&(String, SpannedText)| Some(&**name) == subject && value.as_str() == diagnostic.text;
        let by_name = || self.written.iter().find(|(name, _)| Some(&**name) == subject);
        let (_, value) = self.written.iter().find(is_meant).or_else(by_name)?;
        let end = diagnostic.span.end.min(value.as_str().len());
        Some(value.locate(diagnostic.span.start.min(end)..end).span)
    }

    /// The items of a list that a setting gives, as written.
    fn items(&self, flag: &Flag) -> Vec<&str> {
        let given = self.raw.layer.get(flag);
        let split = |text| str::split(text, |char: char| char == ',' || char.is_whitespace());
        given.iter().flat_map(|given| split(&given.text)).filter(|item| !item.is_empty()).collect()
    }
}

fn finding(diagnostic: &Diagnostic, service: &Service, span: FileSpan) -> Finding {
    Finding::of_diagnostic(diagnostic, span).about(Subject::service(service.name.as_str()))
}

fn unknown<'k>(
    service: &Service,
    word: &SpannedText,
    name: Option<&str>,
    known: impl Iterator<Item = &'k str>,
) -> Finding {
    let Some(name) = name else {
        let help = "take it out; a flag begins with two dashes, and its value stands behind it";
        return refused(service, word.span(), word, "unexpected argument", help.to_owned());
    };
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `--{near}`?"),
        None => "take it out; `gangway serve --help` lists the flags".to_owned(),
    };
    refused(service, word.locate(0.."--".len() + name.len()).span, word, "unknown flag", help)
}

fn refused(service: &Service, span: FileSpan, word: &SpannedText, what: &str, help: String) -> Finding {
    Finding::error(ARGUMENT_UNKNOWN, span, format!("{what} `{}`", shown(word.as_str())))
        .about(Subject::service(service.name.as_str()))
        .note("`serve` does not take it")
        .help(help)
        .effect(NOT_STARTED)
}

fn without_value(service: &Service, word: &SpannedText) -> Finding {
    Finding::error(ARGUMENT_UNKNOWN, word.span(), format!("`{}` has no value", shown(word.as_str())))
        .about(Subject::service(service.name.as_str()))
        .note("a value is missing")
        .help("write the value behind it")
        .effect(NOT_STARTED)
}

/// The beginning of an argument without its value, enough to recognise it.
fn shown(text: &str) -> String {
    text.split('=').next().unwrap_or_default().chars().take(80).collect()
}

/// Findings about published ports of the container at which Gangway does not listen.
fn unheard_ports(service: &Service, given: &ServiceSettings, settings: &ServeSettings) -> Vec<Finding> {
    let is_given = |flag: &Flag| given.raw.layer.contains(flag);
    // The config file may say where to listen.
    let may_be_elsewhere = is_given(&CONFIG) && !(is_given(&HTTP) && is_given(&HTTPS));
    if may_be_elsewhere || service.network_mode.as_ref().is_some_and(|mode| mode.as_str() == "host") {
        return Vec::new();
    }
    let addresses = settings.http.iter().chain(&settings.https).chain([&settings.admin]);
    let heard: BTreeSet<u16> = addresses.map(std::net::SocketAddr::port).collect();
    let unheard = service.ports.iter().filter(|port| !heard.contains(&port.port));
    unheard.map(|port| unheard_port(service, port, settings)).collect()
}

fn unheard_port(
    service: &Service,
    ServicePort { port, published, span }: &ServicePort,
    settings: &ServeSettings,
) -> Finding {
    let is_secure = |port: u16| port % 1000 == 443;
    let (name, listeners) = if is_secure(*port) || published.is_some_and(is_secure) {
        ("https", &settings.https)
    } else {
        ("http", &settings.http)
    };
    let published = published.unwrap_or(*port);
    let help = match listeners.first() {
        Some(address) => {
            format!("write `{published}:{}`, or let Gangway listen there: `--{name} :{port}`", address.port())
        }
        None => format!("let Gangway listen there: `--{name} :{port}`"),
    };
    Finding::error(PORT_NOT_LISTENED, span.clone(), format!("Gangway does not listen at port {port} of its container"))
        .about(Subject::service(service.name.as_str()))
        .note("nobody listens there")
        .help(help)
        .effect(format!("port {published} of the host leads nowhere"))
}

/// Findings about sockets of engines that are not mounted inside the container.
fn missing_sockets(service: &Service, given: &ServiceSettings, docker_host: Option<&str>) -> Vec<Finding> {
    // The config file may name the engine.
    if given.raw.layer.contains(&CONFIG) && !given.raw.layer.contains(&DOCKER) {
        return Vec::new();
    }
    let mut urls = given.items(&DOCKER);
    if urls.is_empty() {
        urls.push(docker_host.filter(|host| !host.is_empty()).unwrap_or(LOCAL_SOCKET));
    }
    let sockets = urls.into_iter().filter_map(|url| url.strip_prefix("unix://"));
    sockets.filter(|socket| mount_at(service, socket).is_none()).map(|socket| missing_socket(service, socket)).collect()
}

fn missing_socket(service: &Service, socket: &str) -> Finding {
    Finding::error(SOCKET_NOT_MOUNTED, service.name.span(), "the engine's socket is not mounted")
        .about(Subject::service(service.name.as_str()))
        .note(format!("no `{socket}` inside"))
        .help(format!(
            "add `- {socket}:{socket}:ro` to its `volumes`; or name an engine with `--docker tcp://…`, as behind a socket proxy"
        ))
        .effect("Gangway finds no containers, and serves none")
}

/// A finding about the folder of certificates and keys, where it is not kept or cannot be written.
fn unkept_data(service: &Service, settings: &ServeSettings) -> Option<Finding> {
    let data = settings.data.to_string_lossy();
    let finding = match mount_at(service, &data) {
        Some(VolumeMount { is_read_only: true, span, .. }) => {
            Finding::error(DATA_READ_ONLY, span.clone(), format!("`{data}` is mounted read-only"))
                .note("cannot be written")
                .help("leave out `:ro`, or `read_only: true`")
                .effect(NOT_STARTED)
        }
        Some(VolumeMount { source: Some(_), .. }) => return None,
        other => {
            let span = other.map_or_else(|| service.name.span(), |mount| mount.span.clone());
            Finding::warning(DATA_NOT_KEPT, span, format!("no volume is mounted at `{data}`"))
                .note("nothing is kept")
                .help(format!("add `- gangway:{data}` to its `volumes`, and `gangway:` to `volumes:` at the end of the file"))
                .effect(
                    "certificates, keys and the internal root are lost whenever the container is made anew, and authorities \
                     limit how often they can be had",
                )
        }
    };
    Some(finding.about(Subject::service(service.name.as_str())))
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
