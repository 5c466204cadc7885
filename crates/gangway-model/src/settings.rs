//! The global settings that decide what labels mean. Labels can never change them.

mod traefik;

use std::net::SocketAddr;
use std::time::Duration;

pub use self::traefik::{
    DEFAULT_RULE, DynamicKey, EntryPoint, EntryPointRedirection, EntryPointTls, InternalApi, InternalPage,
    InternalPages, ServersTransport, TraefikSettings,
};
use crate::listener::{HTTP, HTTPS, KnownListener, ListenerName, ListenerProtocol};
use crate::select::Selector;
use gangway_diagnostic::Place;

/// The settings of `serve` that decide how labels are compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `--domain`: routes without a host are served as `<route>.<domain>`.
    pub domain: Box<str>,
    /// `--expose`.
    pub expose: Expose,
    /// `--network`: preferred among several shared networks.
    pub network: Option<Box<str>>,
    /// `--select`: which containers are ours; all where it is empty, else those that one of them takes.
    pub select: Vec<Selector>,
    /// The listeners for the clients of routes.
    pub listeners: Vec<KnownListener>,
    /// Traefik's configuration, where Gangway runs in its place.
    pub traefik: Option<TraefikSettings>,
    /// `[routes.<name>]` tables of the config file.
    pub file_routes: Vec<FileRoute>,
    /// `[middlewares.<name>]` tables of the config file.
    pub middlewares: Vec<MiddlewareTable>,
    /// `--default-use`: the names of the middlewares that every route uses, in order.
    pub default_use: Vec<Box<str>>,
    /// `--keep-hosts`: how long a host is kept for a party that is gone, against those that were refused.
    pub keep_hosts: Duration,
    /// `--geoip`: whether databases are given that tell where clients are. Without them no list can name countries.
    pub has_geoip: bool,
    /// `--crowdsec-url`: whether there is a CrowdSec engine that tells who is banned.
    pub has_crowdsec: bool,
    /// `--crowdsec-appsec-url`: whether there is a web application firewall that can be asked about requests.
    pub has_appsec: bool,
    /// Where we listen ourselves: no container is ever reached there.
    pub own_listeners: OwnListeners,
}

/// Addresses at which Gangway listens, as they are bound.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnListeners {
    /// For the clients of routes.
    pub public: Vec<SocketAddr>,
    /// `--admin`.
    pub admin: Option<SocketAddr>,
}

/// How long hosts are kept where nothing is said.
pub const KEEP_HOSTS_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// Which containers are routed without a label.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Expose {
    /// Only those with a label of ours.
    #[default]
    Labelled,
    /// All but those that say no and images that are databases, caches or brokers.
    All,
}

/// One `[routes.<name>]` table, flattened to the keys of the label language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileRoute {
    /// `<name>`.
    pub name: Box<str>,
    /// Key, value and where it stands, such as `path`, `/stash`. The `upstream` key is among them;
    /// lists were joined with commas.
    pub keys: Vec<(Box<str>, Box<str>, Place)>,
    /// Where the table itself stands.
    pub place: Place,
}

/// One `[middlewares.<name>]` table: a shared definition, flattened to the keys of the label language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MiddlewareTable {
    /// `<name>`.
    pub name: Box<str>,
    /// Key, value and where it stands; lists were joined with commas.
    pub keys: Vec<(Box<str>, Box<str>, Place)>,
    /// Where the table itself stands.
    pub place: Place,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "localhost".into(),
            expose: Expose::Labelled,
            network: None,
            select: Vec::new(),
            listeners: default_listeners(),
            traefik: None,
            file_routes: Vec::new(),
            middlewares: Vec::new(),
            default_use: Vec::new(),
            keep_hosts: KEEP_HOSTS_DEFAULT,
            has_geoip: false,
            has_crowdsec: false,
            has_appsec: false,
            own_listeners: OwnListeners::default(),
        }
    }
}

/// The listeners of `--http` and `--https`.
fn default_listeners() -> Vec<KnownListener> {
    [(HTTP, ListenerProtocol::Plain), (HTTPS, ListenerProtocol::Tls)]
        .into_iter()
        .filter_map(|(name, protocol)| Some(KnownListener { name: ListenerName::parse(name)?, protocol }))
        .collect()
}
