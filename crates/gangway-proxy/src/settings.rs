//! The settings of the data plane, fixed at its start.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use crate::limits::Limits;
use crate::listen_addresses::ListenerSettings;
use crate::trusted_proxies::TrustedProxies;
use crate::upstream::sticky::CookieSecret;

/// All settings of the data plane.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// The listeners, each with a name of its own.
    pub listeners: Vec<ListenerSettings>,
    /// Sockets that already listen. Each is used for the address of a listener that it listens on. A held socket
    /// that listens elsewhere is an error: clients would wait at it in vain.
    pub passed: Vec<PassedSocket>,
    /// Peers whose forwarding fields are believed, on listeners that have no such peers of their own.
    pub trusted_proxies: TrustedProxies,
    /// The port of https that clients are redirected to. If none is set, it is derived from what is published.
    pub public_https_port: Option<u16>,
    /// The bounds on what clients may ask for.
    pub limits: Limits,
    /// The name whose certificate a client without SNI gets.
    pub default_certificate: Option<Box<str>>,
    /// The treatment of plain HTTP for a name that waits for its certificate.
    pub plain_fallback: PlainFallback,
    /// How work is spread over cores.
    pub threading: Threading,
    /// Where the access log goes.
    pub access_log: AccessLogTarget,
    /// The format of the access log.
    pub access_log_format: AccessLogFormat,
    /// The secrets that sign the cookies of sticky routes.
    pub secret: CookieSecret,
}

/// A socket that another process has opened.
#[derive(Clone, Debug)]
pub struct PassedSocket {
    /// The listening socket.
    pub socket: Arc<TcpListener>,
    /// Whether the process that passed it keeps it open, for the next process.
    pub is_held: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AccessLogTarget {
    /// The access log is off.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To a file, which is opened anew after it was moved away.
    File(PathBuf),
}

/// The treatment of plain HTTP for a name whose only certificate is a placeholder, where requests would otherwise be
/// redirected to https.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainFallback {
    /// Serve it in the clear, so that the site is visible.
    #[default]
    Serve,
    /// Refuse it, since the content must not be overheard.
    Refuse,
}

/// The format of an access log line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// The common log format, which log analysers know.
    Common,
    /// The common log format with referrer and user agent added.
    Combined,
    /// As Traefik writes its common log format.
    Traefik,
    /// One JSON object a line, as Caddy writes it.
    Caddy,
}

/// How work is spread over cores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Threading {
    /// One runtime a core, each with its own listeners and upstream connections. A request takes 20 to 30 % less CPU,
    /// since nothing crosses cores.
    PerCore(usize),
    /// One runtime over all cores: better balance if few clients hold long connections.
    Shared(usize),
}

impl Threading {
    /// One runtime for each core that this process may use.
    pub fn all_cores() -> Self {
        Self::PerCore(std::thread::available_parallelism().map_or(1, usize::from))
    }
}
