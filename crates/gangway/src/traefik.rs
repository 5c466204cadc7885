//! Gangway in Traefik's place: Traefik's command line, variables and files become our settings.

mod surroundings;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use gangway_model::{ListenerName, ListenerProtocol, TraefikSettings};
use gangway_proxy::{ListenerSettings, TrustedProxies};
use gangway_traefik::{
    DynamicFiles, DynamicFolder, EntryPointConfig, OWN_ENTRY_POINT, Source, StaticConfig, StaticReading,
    is_command_line, model_settings, read_static, serve_flags,
};

use self::surroundings::surroundings;
use crate::client;
use crate::exit_status::ExitStatus;
use crate::main_process;
use crate::output::{print, print_error};
use crate::serve;
use crate::settings::schema::FLAGS;
use crate::settings::{Layer, SettingValue, Surroundings};

/// Where Traefik looks for its file, in this order.
const FOLDERS: [&str; 2] = ["/etc/traefik", "."];

/// What takes the place of our own settings.
#[derive(Debug)]
pub(crate) struct InTraefiksPlace {
    /// The entry points.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// For the dialect.
    pub(crate) settings: TraefikSettings,
    /// Pages, access log and metrics.
    pub(crate) surroundings: Surroundings,
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
        all if is_command_line(all.iter().map(String::as_str)) => Some(all),
        _ => None,
    }
}

fn has_file() -> bool {
    ["traefik.toml", "traefik.yaml", "traefik.yml"].iter().any(|name| PathBuf::from(FOLDERS[0]).join(name).is_file())
}

/// Does what a command line of Traefik says: it serves, or does what the command that stands first is for.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    match arguments {
        [first, ..] if first == "version" => {
            print(format_args!("Version:      {}\nCodename:     Gangway\n", env!("CARGO_PKG_VERSION")));
            ExitStatus::Success.into()
        }
        [first, rest @ ..] if first == "healthcheck" => healthcheck(rest),
        arguments => serve_in_place(arguments),
    }
}

/// Asks the instance that runs by these arguments for `/ping`, as Traefik's command does.
fn healthcheck(arguments: &[String]) -> ExitCode {
    let config = read_static(arguments, &variables(), &FOLDERS.map(PathBuf::from)).config;
    let Some(ping) = &config.ping else {
        print_error(format_args!("gangway: failed to check: `ping` is not switched on. Add `--ping`."));
        return ExitStatus::Problem.into();
    };
    let own = ListenerName::parse(OWN_ENTRY_POINT);
    let name = ping.entry_point.as_ref().or(own.as_ref());
    let at = name.and_then(|name| config.http_entry_points().find(|(known, ..)| *known == name));
    match at {
        Some((_, entry, address)) if entry.tls.is_none() && !ping.manual_routing => {
            let ip = address.ip.filter(|ip| !ip.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            client::ping(&SocketAddr::new(ip, address.port).to_string())
        }
        // Over TLS, or behind a router of the user's own, it is asked for in no way that is known here.
        Some(_) | None => client::readiness(),
    }
}

fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("TRAEFIK_"))
        .collect()
}

fn serve_in_place(arguments: &[String]) -> ExitCode {
    let variables = variables();
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
    let settings = model_settings(&config, dynamic.keys());
    let place = InTraefiksPlace {
        listeners: listeners(&config),
        surroundings: surroundings(&config, &settings),
        settings,
        said: said(source.as_ref(), in_force, without_effect),
    };
    serve::run(layer, Some(place))
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
