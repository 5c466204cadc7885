//! Gangway in Traefik's place: Traefik's command line, variables and files become our settings.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use gangway_model::{KnownListener, ListenerProtocol, TraefikSettings};
use gangway_proxy::{ListenerSettings, TrustedProxies};
use gangway_traefik::{
    DynamicFiles, DynamicFolder, EntryPointConfig, Source, StaticConfig, StaticReading, is_command_line,
    model_settings, read_static, serve_flags,
};

use crate::main_process;
use crate::output::print_error;
use crate::serve;
use crate::settings::schema::FLAGS;
use crate::settings::{Layer, SettingValue};
use crate::traefik_compare::{self, Place};

/// Where Traefik looks for its file, in this order.
const FOLDERS: [&str; 2] = ["/etc/traefik", "."];

/// What takes the place of our own settings.
#[derive(Debug)]
pub(crate) struct InTraefiksPlace {
    /// The entry points.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// For the dialect.
    pub(crate) settings: TraefikSettings,
    /// One line for the log.
    pub(crate) said: String,
}

/// The arguments for Traefik, if this process was started in its place: by the subcommand, by a command line of Traefik, or
/// without arguments beside a file of Traefik in a container.
pub(crate) fn arguments(all: &[String]) -> Option<&[String]> {
    match all {
        [first, rest @ ..] if first == "traefik" => Some(rest),
        [first, rest @ ..] if first == "serve" && is_command_line(rest.iter().map(String::as_str)) => Some(rest),
        [] if main_process::is_main_process() && has_file() => Some(all),
        // The image says `serve` where a compose file says nothing.
        [first] if first == "serve" && main_process::is_main_process() && has_file() => Some(&[]),
        all if is_command_line(all.iter().map(String::as_str)) => Some(all),
        _ => None,
    }
}

fn has_file() -> bool {
    ["traefik.toml", "traefik.yaml", "traefik.yml"].iter().any(|name| PathBuf::from(FOLDERS[0]).join(name).is_file())
}

/// Serves in Traefik's place.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let (arguments, compared_with) = traefik_compare::take_url(arguments);
    let arguments = &arguments[..];
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("TRAEFIK_"))
        .collect();
    let StaticReading { config, source, in_force, without_effect, diagnostics } =
        read_static(arguments, &variables, &FOLDERS.map(PathBuf::from));
    diagnostics.iter().for_each(|diagnostic| print_error(format_args!("{diagnostic}\n")));
    let mut layer = Layer::default();
    for (name, value) in serve_flags(&config) {
        if let Some(flag) = FLAGS.iter().copied().find(|flag| flag.name == name) {
            layer.set(flag, vec![SettingValue::flag(value)]);
        }
    }
    let dynamic = config.file.as_ref().map(|provider| {
        let variable = |name: &str| std::env::var(name).ok();
        DynamicFiles::default().updated(&DynamicFolder::read(provider), &variable)
    });
    let dynamic = dynamic.unwrap_or_default();
    dynamic.diagnostics().iter().for_each(|diagnostic| print_error(format_args!("{diagnostic}\n")));
    let place = InTraefiksPlace {
        listeners: listeners(&config),
        settings: model_settings(&config, dynamic.keys()),
        said: said(source.as_ref(), in_force, without_effect),
    };
    match compared_with {
        Some(url) => {
            let known = |one: &ListenerSettings| KnownListener { name: one.name.clone(), protocol: one.protocol };
            let listeners = place.listeners.iter().map(known).collect();
            traefik_compare::run(&url, layer, &Place { listeners, traefik: place.settings })
        }
        None => serve::run(layer, Some(place)),
    }
}

fn said(source: Option<&Source>, in_force: usize, without_effect: usize) -> String {
    let source = match source {
        Some(Source::File(file)) => format!("as `{}` says", file.display()),
        Some(Source::Flags) => "as its command line says".to_owned(),
        Some(Source::Variables) => "as its variables say".to_owned(),
        None => "without any option".to_owned(),
    };
    format!("runs in Traefik's place, {source}: {in_force} options are in force, {without_effect} have no effect")
}

fn listeners(config: &StaticConfig) -> Vec<ListenerSettings> {
    let all = || TrustedProxies::parse("0.0.0.0/0, ::/0").unwrap_or_default();
    let listed = |peers: &[Box<str>]| TrustedProxies::parse(&peers.join(",")).unwrap_or_default();
    let trusted = |entry: &EntryPointConfig| if entry.trusts_all { all() } else { listed(&entry.trusted) };
    let of_header = |entry: &EntryPointConfig| {
        let header = entry.proxy_protocol.as_ref();
        header.map(|header| if header.trusts_all { all() } else { listed(&header.trusted) }).unwrap_or_default()
    };
    let listener = config.http_entry_points().map(|(name, entry, address)| ListenerSettings {
        name: name.clone(),
        protocol: ListenerProtocol::Detected,
        addresses: vec![SocketAddr::new(address.ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), address.port)],
        proxy_protocol: of_header(entry),
        trusted_proxies: Some(trusted(entry)),
    });
    listener.collect()
}
