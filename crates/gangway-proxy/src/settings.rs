//! The settings of the data plane, fixed at its start.

use std::collections::BTreeMap;
use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

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
    /// What requests to the admin listener bear, where a route of the operator leads there.
    pub admin_mark: Option<AdminMark>,
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
    /// How lines are written instead, where Gangway runs in Traefik's place.
    pub traefik_log: Option<TraefikLog>,
    /// The secrets that sign the cookies of sticky routes.
    pub secret: CookieSecret,
}

/// By what the admin listener of this process tells requests that a route of the operator brings from those that a label
/// makes look like them: whatever a label says, it does not know the value.
#[derive(Clone)]
pub struct AdminMark {
    /// The port of the admin listener.
    pub port: u16,
    /// The value of the field [`ADMIN_MARK`](gangway_model::ADMIN_MARK).
    pub value: HeaderValue,
}

impl fmt::Debug for AdminMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminMark").field("port", &self.port).finish_non_exhaustive()
    }
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

/// The access log as Traefik's static configuration describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct TraefikLog {
    /// The form of a line.
    pub form: TraefikLogForm,
    /// Statuses from the first to the second that have a line. Without any filter every request has one.
    pub statuses: Vec<(u16, u16)>,
    /// Requests that were sent again have a line.
    pub retried: bool,
    /// Requests that take longer have a line.
    pub min_duration: Option<Duration>,
    /// Which fields are written.
    pub fields: FieldFates,
    /// Which headers are written.
    pub headers: FieldFates,
    /// Whether requests of internal routers have lines too.
    pub logs_internal: bool,
}

impl Default for TraefikLog {
    fn default() -> Self {
        let fates = |default| FieldFates { default, names: BTreeMap::new() };
        Self {
            form: TraefikLogForm::Common,
            statuses: Vec::new(),
            retried: false,
            min_duration: None,
            fields: fates(FieldFate::Keep),
            headers: fates(FieldFate::Drop),
            logs_internal: false,
        }
    }
}

impl TraefikLog {
    /// Whether a line may have headers of the response.
    pub(crate) fn has_response_headers(&self) -> bool {
        self.form == TraefikLogForm::Json && !self.headers.drop_all()
    }
}

/// The form of a line of Traefik's access log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TraefikLogForm {
    /// The common log format with Traefik's own fields behind it.
    Common,
    /// One JSON object a line.
    Json,
    /// The common log format with referrer and user agent.
    GenericClf,
}

/// What becomes of fields by their names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldFates {
    /// Of those that are not named.
    pub default: FieldFate,
    /// By their names in lower case.
    pub names: BTreeMap<Box<str>, FieldFate>,
}

impl FieldFates {
    /// What becomes of the field of this name, in any case.
    pub(crate) fn of(&self, name: &str) -> FieldFate {
        if self.names.is_empty() {
            return self.default;
        }
        self.names.get(&*name.to_ascii_lowercase()).copied().unwrap_or(self.default)
    }

    /// Whether none is written.
    pub(crate) fn drop_all(&self) -> bool {
        self.default == FieldFate::Drop && self.names.values().all(|fate| *fate == FieldFate::Drop)
    }
}

/// What becomes of a field in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldFate {
    /// It is written.
    Keep,
    /// It is left out.
    Drop,
    /// It is written without its value.
    Redact,
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
