//! The static configuration, with everything in it that is in force.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gangway_model::{ListenerName, ServersTransport};

/// What Traefik's static configuration asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StaticConfig {
    /// `entryPoints`, in the order of their names. There is at least one, as in Traefik.
    pub entry_points: BTreeMap<ListenerName, EntryPointConfig>,
    /// `providers.docker`; none where no engine is read.
    pub docker: Option<DockerProvider>,
    /// `providers.file`.
    pub file: Option<FileProvider>,
    /// `certificatesResolvers` with `acme`, in the order in which they are written.
    pub resolvers: Vec<Resolver>,
    /// `log`.
    pub log: Log,
    /// `accessLog`.
    pub access_log: Option<AccessLog>,
    /// `metrics.prometheus`.
    pub prometheus: Option<Prometheus>,
    /// `ping`.
    pub ping: Option<Ping>,
    /// `api`.
    pub api: Option<Api>,
    /// `serversTransport`; none where nothing is said of it.
    pub servers_transport: Option<ServersTransport>,
    /// `experimental.plugins`: the module of each.
    pub plugins: BTreeMap<Box<str>, Box<str>>,
}

/// One of `entryPoints`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryPointConfig {
    /// `address`; none where it is missing or unusable.
    pub address: Option<EntryPointAddress>,
    /// `asDefault`.
    pub as_default: bool,
    /// `http.tls`.
    pub tls: Option<gangway_model::EntryPointTls>,
    /// `http.redirections.entryPoint`.
    pub redirection: Option<Redirection>,
    /// `http.middlewares`.
    pub middlewares: Vec<Box<str>>,
    /// `forwardedHeaders.trustedIPs`: addresses and networks.
    pub trusted: Vec<Box<str>>,
    /// `forwardedHeaders.insecure`: every peer is trusted.
    pub trusts_all: bool,
    /// `proxyProtocol`.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// `transport.respondingTimeouts.readTimeout`; zero asks for no limit.
    pub read_timeout: Option<Duration>,
    /// `transport.respondingTimeouts.writeTimeout`; zero asks for no limit.
    pub write_timeout: Option<Duration>,
    /// `transport.respondingTimeouts.idleTimeout`; zero asks for no limit.
    pub idle_timeout: Option<Duration>,
    /// `transport.lifeCycle.requestAcceptGraceTimeout`.
    pub request_accept_grace: Option<Duration>,
    /// `transport.lifeCycle.graceTimeOut`.
    pub grace: Option<Duration>,
}

/// Where an entry point listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntryPointAddress {
    /// The address of one interface; none for all of them.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Whether it takes UDP, and not TCP.
    pub is_udp: bool,
}

impl EntryPointAddress {
    /// Reads `:80`, `192.0.2.1:80`, `[::1]:80`, each with `/tcp` or `/udp` behind it or nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, is_udp) = match text.rsplit_once('/') {
            Some((address, "tcp")) => (address, false),
            Some((address, "udp")) => (address, true),
            Some(_) => return None,
            None => (text, false),
        };
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let ip = if host.is_empty() { None } else { Some(host.parse().ok()?) };
        Some(Self { ip, port, is_udp })
    }
}

/// `http.redirections.entryPoint` of an entry point, as written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Redirection {
    /// `to`: an entry point, or a port with a colon before it.
    pub to: Box<str>,
    /// `scheme`.
    pub scheme: Option<Box<str>>,
    /// `permanent`.
    pub permanent: Option<bool>,
    /// `priority`.
    pub priority: Option<i64>,
}

/// The priority of a redirection where none is given: before all routers of users.
const REDIRECTION_PRIORITY: i64 = i64::MAX - 1;

impl Redirection {
    /// `scheme`, or Traefik's default.
    pub fn scheme(&self) -> Box<str> {
        self.scheme.clone().unwrap_or_else(|| "https".into())
    }

    /// `permanent`, or Traefik's default.
    pub fn is_permanent(&self) -> bool {
        self.permanent.unwrap_or(true)
    }

    /// `priority`, or Traefik's default.
    pub fn priority(&self) -> i64 {
        self.priority.unwrap_or(REDIRECTION_PRIORITY)
    }
}

/// `proxyProtocol` of an entry point.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProxyProtocol {
    /// `trustedIPs`: peers whose header counts.
    pub trusted: Vec<Box<str>>,
    /// `insecure`: that of every peer counts.
    pub trusts_all: bool,
}

/// `providers.docker`.
#[derive(Clone, Debug, PartialEq)]
pub struct DockerProvider {
    /// `endpoint`.
    pub endpoint: Option<Box<str>>,
    /// `exposedByDefault`.
    pub exposed_by_default: bool,
    /// `network`.
    pub network: Option<Box<str>>,
    /// `defaultRule`: a template that nobody has read yet.
    pub default_rule: Option<Box<str>>,
    /// `constraints`.
    pub constraints: Box<str>,
    /// `useBindPortIP`.
    pub use_bind_port_ip: bool,
    /// `allowEmptyServices`.
    pub allow_empty_services: bool,
}

impl Default for DockerProvider {
    fn default() -> Self {
        Self {
            endpoint: None,
            exposed_by_default: true,
            network: None,
            default_rule: None,
            constraints: Box::default(),
            use_bind_port_ip: false,
            allow_empty_services: false,
        }
    }
}

/// `providers.file`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileProvider {
    /// `filename`.
    pub filename: Option<PathBuf>,
    /// `directory`; it counts before `filename`.
    pub directory: Option<PathBuf>,
    /// `watch`.
    pub watch: bool,
}

impl Default for FileProvider {
    fn default() -> Self {
        Self { filename: None, directory: None, watch: true }
    }
}

/// One of `certificatesResolvers`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolver {
    /// Its name, as labels write it.
    pub name: Box<str>,
    /// `email`.
    pub email: Option<Box<str>>,
    /// `caServer`.
    pub ca_server: Option<Box<str>>,
    /// `caCertificates`: files with roots for the authority's own API.
    pub ca_certificates: Vec<PathBuf>,
    /// `storage`; `acme.json` in the folder of the process where it is none.
    pub storage: Option<PathBuf>,
    /// `profile`.
    pub profile: Option<Box<str>>,
    /// `eab.kid`.
    pub kid: Option<Box<str>>,
    /// `eab.hmacEncoded`.
    pub hmac: Option<Secret>,
    /// `httpChallenge`.
    pub has_http_challenge: bool,
    /// `tlsChallenge`.
    pub has_tls_challenge: bool,
    /// `dnsChallenge.provider`, by the name that Traefik has for it.
    pub dns_provider: Option<Box<str>>,
    /// `dnsChallenge.resolvers`.
    pub dns_resolvers: Vec<SocketAddr>,
    /// `dnsChallenge.propagation.delayBeforeChecks`, or `delayBeforeCheck`.
    pub dns_delay: Option<Duration>,
    /// `dnsChallenge.propagation.disableChecks`, or `disablePropagationCheck`.
    pub dns_checks_off: bool,
}

/// A text that is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Box<str>);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for whom it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `log`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Log {
    /// `level`.
    pub level: Option<LogLevel>,
    /// `format`.
    pub format: Option<LogFormat>,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are the field's standard terms")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    /// Also what Traefik calls `FATAL` and `PANIC`.
    Error,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// `common`.
    Text,
    /// `json`.
    Json,
}

/// `accessLog`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessLog {
    /// `filePath`; standard output where it is none.
    pub file: Option<PathBuf>,
    /// `format`.
    pub format: AccessLogFormat,
    /// `filters.statusCodes`: codes and ranges such as `400-499`.
    pub status_codes: Vec<Box<str>>,
    /// `filters.retryAttempts`.
    pub retry_attempts: bool,
    /// `filters.minDuration`.
    pub min_duration: Option<Duration>,
    /// `fields.defaultMode`.
    pub default_mode: Option<FieldMode>,
    /// `fields.names`.
    pub fields: BTreeMap<Box<str>, FieldMode>,
    /// `fields.headers.defaultMode`.
    pub headers_default_mode: Option<FieldMode>,
    /// `fields.headers.names`.
    pub headers: BTreeMap<Box<str>, FieldMode>,
    /// `addInternals`: requests of internal routers have lines too.
    pub adds_internals: bool,
}

/// `accessLog.format`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLogFormat {
    /// `common`: CLF with Traefik's own fields behind it.
    #[default]
    Common,
    /// `json`.
    Json,
    /// `genericCLF`.
    GenericClf,
}

/// What becomes of a field in the access log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldMode {
    /// It is written.
    Keep,
    /// It is left out.
    Drop,
    /// `REDACTED` is written in its place.
    Redact,
}

/// `metrics.prometheus`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prometheus {
    /// `entryPoint`; `traefik` where it is none.
    pub entry_point: Option<ListenerName>,
    /// `manualRouting`: only routers that name `prometheus@internal` lead to it.
    pub manual_routing: bool,
    /// `buckets`, in seconds; Traefik's own where it is empty.
    pub buckets: Vec<f64>,
    /// `addEntryPointsLabels`.
    pub counts_entry_points: bool,
    /// `addRoutersLabels`.
    pub counts_routers: bool,
    /// `addServicesLabels`.
    pub counts_services: bool,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            entry_point: None,
            manual_routing: false,
            buckets: Vec::new(),
            counts_entry_points: true,
            counts_routers: false,
            counts_services: true,
        }
    }
}

/// `ping`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ping {
    /// `entryPoint`; `traefik` where it is none.
    pub entry_point: Option<ListenerName>,
    /// `manualRouting`: only routers that name `ping@internal` lead to it.
    pub manual_routing: bool,
    /// `terminatingStatusCode`; 503 where it is none.
    pub terminating_status: Option<u16>,
}

/// `api`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Api {
    /// `insecure`: the API and the page stand on the entry point `traefik`, for everybody.
    pub insecure: bool,
    /// `dashboard`.
    pub dashboard: bool,
    /// `basePath`, without a slash behind it; empty at the root.
    pub base_path: Box<str>,
}

impl Default for Api {
    fn default() -> Self {
        Self { insecure: false, dashboard: true, base_path: Box::default() }
    }
}

/// The name of the entry point that Traefik makes for its own pages.
pub const OWN_ENTRY_POINT: &str = "traefik";

impl StaticConfig {
    /// Adds what Traefik adds by itself: an entry point where there is none, and the one for its own pages.
    pub(crate) fn complete(&mut self) {
        if self.entry_points.is_empty() {
            self.add_entry_point("http", 80);
        }
        let is_internal = |name: &Option<ListenerName>| name.as_deref().is_none_or(|name| name == OWN_ENTRY_POINT);
        let has_page = self.api.as_ref().is_some_and(|api| api.insecure)
            || self.ping.as_ref().is_some_and(|ping| !ping.manual_routing && is_internal(&ping.entry_point))
            || self.prometheus.as_ref().is_some_and(|it| !it.manual_routing && is_internal(&it.entry_point));
        if has_page && !self.entry_points.keys().any(|name| **name == *OWN_ENTRY_POINT) {
            self.add_entry_point(OWN_ENTRY_POINT, 8080);
        }
    }

    fn add_entry_point(&mut self, name: &str, port: u16) {
        let Some(name) = ListenerName::parse(name) else { return };
        let address = Some(EntryPointAddress { ip: None, port, is_udp: false });
        self.entry_points.insert(name, EntryPointConfig { address, ..EntryPointConfig::default() });
    }

    /// The greatest of a time over all entry points, if any of them gives it.
    pub fn longest(&self, time: impl Fn(&EntryPointConfig) -> Option<Duration>) -> Option<Duration> {
        self.entry_points.values().filter_map(time).max()
    }

    /// The entry points for HTTP, in the order of their names.
    pub fn http_entry_points(&self) -> impl Iterator<Item = (&ListenerName, &EntryPointConfig, EntryPointAddress)> {
        self.entry_points.iter().filter_map(|(name, config)| {
            let address = config.address.filter(|address| !address.is_udp)?;
            Some((name, config, address))
        })
    }

    /// The port to which a redirection leads; none where it leads nowhere.
    pub fn redirection_port(&self, redirection: &Redirection) -> Option<u16> {
        if let Some(port) = redirection.to.strip_prefix(':') {
            return port.parse().ok();
        }
        let to = ListenerName::parse(&redirection.to)?;
        self.entry_points.get(&to)?.address.map(|address| address.port)
    }

    /// Whether routers without entry points of their own use this one: those with `asDefault`, and otherwise all but
    /// the one for Traefik's own pages.
    pub fn is_default(&self, name: &ListenerName) -> bool {
        if self.entry_points.values().any(|config| config.as_default) {
            return self.entry_points.get(name).is_some_and(|config| config.as_default);
        }
        **name != *OWN_ENTRY_POINT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let parsed =
            |text| EntryPointAddress::parse(text).map(|it| (it.ip.map(|ip| ip.to_string()), it.port, it.is_udp));
        assert_eq!(parsed(":80"), Some((None, 80, false)));
        assert_eq!(parsed("192.0.2.1:443/tcp"), Some((Some("192.0.2.1".into()), 443, false)));
        assert_eq!(parsed("[::1]:53/udp"), Some((Some("::1".into()), 53, true)));
        for text in ["", "80", "web:80", ":80/sctp", ":99999", ":"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hmac")), "Secret(…)");
    }
}
