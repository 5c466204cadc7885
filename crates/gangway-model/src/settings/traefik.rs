//! What Traefik's configuration says, as far as it decides what Traefik's labels mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::Place;

use crate::listener::ListenerName;
use crate::router::CertificateDomain;
use crate::transport_settings::TransportSettings;
use crate::unknown_names::UnknownNames;

/// Traefik's static configuration, and what its file provider has read.
#[derive(Clone, Debug, PartialEq)]
pub struct TraefikSettings {
    /// Entry points for HTTP, in the order of their names. Each is a listener of the same name.
    pub entry_points: Vec<EntryPoint>,
    /// `providers.docker.exposedByDefault`.
    pub exposed_by_default: bool,
    /// `providers.docker.defaultRule`: a Go template.
    pub default_rule: Box<str>,
    /// The variables of the environment that `default_rule` asks for, by name, as far as they are set.
    pub variables: BTreeMap<Box<str>, Box<str>>,
    /// `providers.docker.constraints`: an expression; empty where all containers are ours.
    pub constraints: Box<str>,
    /// `providers.docker.useBindPortIP`.
    pub use_bind_port_ip: bool,
    /// `providers.docker.allowEmptyServices`.
    pub allow_empty_services: bool,
    /// The names of `certificatesResolvers`, in order.
    pub resolvers: Vec<Box<str>>,
    /// `serversTransport`: of services that name no transport.
    pub default_transport: ServersTransport,
    /// The name of the machine or the container that Gangway runs on, for applications; empty where it is not
    /// known.
    pub host_name: Box<str>,
    /// `experimental.plugins`: the name of each and its module, such as `github.com/owner/plugin`.
    pub plugins: Vec<(Box<str>, Box<str>)>,
    /// What the file provider has read, flattened: each text with the way to it, such as `http`, `routers`, `x`, `rule`.
    pub dynamic: Vec<DynamicKey>,
    /// What Gangway serves of itself.
    pub internal: InternalPages,
}

/// `serversTransport`, or one of `http.serversTransports`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServersTransport {
    /// How connections are made and kept.
    pub settings: Arc<TransportSettings>,
    /// `forwardingTimeouts.dialTimeout`; none for the usual time.
    pub connect: Option<Duration>,
    /// `forwardingTimeouts.responseHeaderTimeout`; none for the usual time.
    pub response: Option<Duration>,
}

impl ServersTransport {
    /// What `maxIdleConnsPerHost` means: none are kept where it is negative, and 0 says nothing.
    pub fn idle_max(number: i64) -> Option<u32> {
        match number {
            0 => None,
            ..0 => Some(0),
            1.. => Some(u32::try_from(number).unwrap_or(u32::MAX)),
        }
    }
}

/// The internal services that are there. A router that names another one is closed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InternalPages {
    /// `api`.
    pub api: Option<InternalApi>,
    /// `ping`.
    pub ping: Option<InternalPage>,
    /// `metrics.prometheus`.
    pub prometheus: Option<InternalPage>,
}

/// `api`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InternalApi {
    /// `dashboard`.
    pub has_dashboard: bool,
    /// `basePath` with a slash before it; empty at the root.
    pub base_path: Box<str>,
    /// The entry point on which everybody gets it, with `insecure`.
    pub open_at: Option<ListenerName>,
}

/// A page at a path of its own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InternalPage {
    /// The entry point that serves it before all routers; none with `manualRouting`.
    pub entry_point: Option<ListenerName>,
}

/// One entry point for HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryPoint {
    /// Its name.
    pub name: ListenerName,
    /// Whether routers without entry points of their own use it.
    pub is_default: bool,
    /// `http.tls`: every router of it is served over TLS.
    pub tls: Option<EntryPointTls>,
    /// `http.redirections.entryPoint`.
    pub redirection: Option<EntryPointRedirection>,
    /// `http.middlewares`: before those of each router. A name without a provider is one of the file provider.
    pub middlewares: Vec<Box<str>>,
}

/// What `http.tls` of an entry point says to its routers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EntryPointTls {
    /// `certResolver`.
    pub resolver: Option<Box<str>>,
    /// `options`: the name of TLS options.
    pub options: Option<Box<str>>,
    /// `domains`: every name of them, main or not, has a certificate even where no rule names it.
    pub domains: Vec<CertificateDomain>,
}

/// What `http.redirections.entryPoint` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryPointRedirection {
    /// `scheme`.
    pub scheme: Box<str>,
    /// The port of the entry point in `to`, or the port that is written there.
    pub port: u16,
    /// `permanent`.
    pub is_permanent: bool,
    /// `priority`.
    pub priority: i64,
}

/// One text of a file of the file provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DynamicKey {
    /// The way to it from the root of the file. Items of lists have their position: `[0]`.
    pub path: Vec<Box<str>>,
    /// The text; `true`, `false` and numbers as YAML writes them. Empty for an empty map.
    pub value: Box<str>,
    /// Where it stands.
    pub place: Place,
}

/// Traefik's default rule.
pub const DEFAULT_RULE: &str = "Host(`{{ normalize .Name }}`)";

impl TraefikSettings {
    /// The treatment of handshakes for names that no router names: `tls.options.default.sniStrict` of a file refuses them.
    pub(crate) fn unknown_names(&self) -> UnknownNames {
        const KEY: [&str; 4] = ["tls", "options", "default", "snistrict"];
        let is_strict = self.dynamic.iter().any(|key| {
            let is_key =
                key.path.len() == KEY.len() && key.path.iter().zip(KEY).all(|(a, b)| a.eq_ignore_ascii_case(b));
            is_key && key.value.eq_ignore_ascii_case("true")
        });
        if is_strict { UnknownNames::Refuse } else { UnknownNames::Answer }
    }
}

impl Default for TraefikSettings {
    fn default() -> Self {
        Self {
            entry_points: Vec::new(),
            exposed_by_default: true,
            default_rule: DEFAULT_RULE.into(),
            variables: BTreeMap::new(),
            constraints: Box::default(),
            use_bind_port_ip: false,
            allow_empty_services: false,
            resolvers: Vec::new(),
            default_transport: ServersTransport::default(),
            host_name: Box::default(),
            plugins: Vec::new(),
            dynamic: Vec::new(),
            internal: InternalPages::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_options_of_files_refuse_names_that_no_router_names() {
        let with = |path: [&str; 4], value: &str| TraefikSettings {
            dynamic: vec![DynamicKey {
                path: path.map(Into::into).to_vec(),
                value: value.into(),
                place: Place::Configuration,
            }],
            ..TraefikSettings::default()
        };
        for (path, value, expected) in [
            (["tls", "options", "default", "sniStrict"], "true", UnknownNames::Refuse),
            (["tls", "options", "default", "sniStrict"], "false", UnknownNames::Answer),
            (["tls", "options", "modern", "sniStrict"], "true", UnknownNames::Answer),
            (["tls", "options", "default", "minVersion"], "true", UnknownNames::Answer),
        ] {
            assert_eq!(with(path, value).unknown_names(), expected, "{path:?}");
        }
        assert_eq!(TraefikSettings::default().unknown_names(), UnknownNames::Answer);
    }
}
