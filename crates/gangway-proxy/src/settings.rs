//! What the data plane is told once, at its start.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use crate::limits::Limits;
use crate::trusted_proxies::TrustedProxies;
use crate::upstream::sticky::CookieSecret;

/// Everything `serve` knows that the data plane must.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// Where plain HTTP is served.
    pub http: Vec<SocketAddr>,
    /// Where HTTPS is served.
    pub https: Vec<SocketAddr>,
    /// Sockets that listen already. Each is used for the address of the two lists that it listens on; one
    /// that is held and listens elsewhere is an error, so that no client waits at it.
    pub passed: Vec<PassedSocket>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// The port of https that clients are sent to, where it is not to be found out.
    pub public_https_port: Option<u16>,
    /// The bounds on what clients may ask for.
    pub limits: Limits,
    /// The name whose certificate a client without SNI gets.
    pub default_certificate: Option<Box<str>>,
    /// What becomes of plain HTTP for a name that waits for its certificate.
    pub plain_fallback: PlainFallback,
    /// How work is spread over cores.
    pub threading: Threading,
    /// Where requests are recorded.
    pub access_log: AccessLogTarget,
    /// In which form.
    pub access_log_format: AccessLogFormat,
    /// What the cookies of sticky routes are signed with.
    pub secret: CookieSecret,
}

/// A socket that somebody else has opened for us.
#[derive(Clone, Debug)]
pub struct PassedSocket {
    /// It listens.
    pub socket: Arc<TcpListener>,
    /// Whether who passed it listens on as well, for the next of us.
    pub is_held: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AccessLogTarget {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output.
    Stdout,
    /// A file, opened anew when it was moved away.
    File(PathBuf),
}

/// What becomes of plain HTTP for a name whose only certificate is a placeholder, where it would be sent to https
/// otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainFallback {
    /// It is answered in the clear, so that the site can be seen at all.
    #[default]
    Serve,
    /// It is refused, since what is said must not be overheard.
    Refuse,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// The common log format, which every tool reads that looks for patterns in logs.
    Common,
    /// The common one with referrer and user agent behind it.
    Combined,
}

/// How work is spread over cores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Threading {
    /// One runtime a core, each with listeners and upstream connections of its own: 20 to 30 % less
    /// CPU a request, since nothing crosses cores.
    PerCore(usize),
    /// One runtime over all cores: better balance where few clients hold long connections.
    Shared(usize),
}

impl Threading {
    /// One runtime for each core this process may use.
    pub fn all_cores() -> Self {
        Self::PerCore(std::thread::available_parallelism().map_or(1, usize::from))
    }
}
