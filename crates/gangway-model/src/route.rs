//! What a request meets: routes, middlewares, upstreams and endpoints, all resolved.
//!
//! A [`Route`] is a value. What changes while it serves (health, requests under way, rate buckets)
//! lives beside the table, keyed by [`EndpointKey`] and [`Route::id`].

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::address_filter::AddressFilter;
use crate::authentication::Authentication;
use crate::cased_header_name::CasedHeaderName;
use crate::compression::Compression;
use crate::cors::Cors;
use crate::error_pages::ErrorPages;
use crate::host::{HostPattern, Hostname};
use crate::internal_service::InternalService;
use crate::key_origin::KeyOrigin;
use crate::listener::{ListenerScope, Transport};
use crate::location::RedirectTarget;
use crate::path_change::PathChange;
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;
use crate::reputation::OnDoubt;
use crate::request_limit::{ConcurrencyLimit, RateLimit};
use crate::router::Router;
use crate::tile::Tile;
use crate::transport_settings::TransportSettings;
use crate::url_redirect::UrlRedirect;
use http::HeaderValue;

/// The field by which the admin listener tells requests that a route of the operator brings there. Its value is secret.
pub const ADMIN_MARK: &str = "gangway-admin-mark";

/// One route: what happens to a request that it takes. The conditions are in the table's index.
#[derive(Debug)]
pub struct Route {
    /// Stable over recompilations and unique in a table: `<project>/<service>/<name>` where known.
    pub id: Box<str>,
    /// The name that the user gave it.
    pub name: Box<str>,
    /// The rule in its canonical form, for people.
    pub rule: Box<str>,
    /// The route's tenant, as a text that is unique among tenants: what a tenant demands of handshakes must not affect
    /// hosts of another tenant.
    pub tenant: Box<str>,
    /// Where it was written, for people: container names or the config file.
    pub origin: Vec<Box<str>>,
    /// The operator wrote it, in the configuration file or in one of Traefik's file provider; labels of containers did not.
    pub is_of_operator: bool,
    /// Every host pattern it is served under; the exact and `*.` ones need certificates.
    pub hosts: Vec<HostPattern>,
    /// How it is served to clients.
    pub listener: ListenerOptions,
    /// In the order in which they see a request; a response passes them in reverse.
    pub middlewares: Vec<Middleware>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// What is sent as `Host`.
    pub host_header: HostHeader,
    /// Protocols besides `websocket` that a client may switch to, in lower case and in order. Never one that carries
    /// further requests for us to check, such as `h2c`.
    pub upgrades: Box<[Box<str>]>,
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// Where the services are that log-ins ask: a list for each log-in that asks one, in their order. Each list is sorted
    /// by key.
    pub auth_services: Vec<Vec<Endpoint>>,
    /// Where the services are that `errors` names, by the position of their rule; sorted by key, and empty where one is
    /// not there.
    pub page_services: Vec<(usize, Vec<Endpoint>)>,
    /// A protecting label could not be applied, so every request is refused with 503 `route-closed`.
    pub closed: bool,
    /// Where its keys were written, for people: nothing that serves asks for it.
    pub origins: Box<[KeyOrigin]>,
    /// The router that it was made of, if Traefik's labels or files declare it; for people.
    pub router: Option<Arc<Router>>,
    /// How it appears on the start page: nothing that serves asks for it.
    pub tile: Tile,
}

/// How a route is served to clients.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListenerOptions {
    /// On which listeners, and over which transport. Elsewhere there is no such route.
    pub scope: ListenerScope,
    /// TLS towards clients.
    pub tls: TlsMode,
    /// Plain HTTP answers 308 to https. Always false with [`TlsMode::Off`].
    pub https_redirect: bool,
    /// The oldest version of TLS that clients may use.
    pub tls_min: TlsVersion,
    /// Clients must show a certificate that a CA in this file of `certs/clients/` on the volume has signed. Never set
    /// with [`TlsMode::Off`], which closes the route instead.
    pub client_ca: Option<Box<str>>,
    /// A folder below the volume that gets the certificates of the route's hosts.
    pub cert_export: Option<Box<str>>,
    /// Names that have certificates beside the route's hosts, each exact or a wildcard.
    pub cert_names: Box<[HostPattern]>,
    /// The name of the settings that say which public CA signs; none leaves the choice.
    pub cert_issuer: Option<Box<str>>,
}

impl ListenerOptions {
    /// Whether any request over TLS finds the route.
    pub fn is_over_tls(&self) -> bool {
        self.tls != TlsMode::Off && self.scope.transport != Transport::Plain
    }
}

/// Whether a route is served over TLS, and whose certificates it shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsMode {
    /// The internal CA for internal names, a public CA for public ones.
    #[default]
    Auto,
    /// Always the internal CA.
    Internal,
    /// Plain HTTP only: https finds no such route.
    Off,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// One step on a request or a response.
///
/// The set is closed, and every `match` on it names all variants: a new one must not compile until each place that
/// acts on middlewares says what it does there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Middleware {
    /// Removes the matched path prefix, sends it as `X-Forwarded-Prefix`, and redirects the bare
    /// prefix to the one with a slash. The longest of these that matches is removed.
    StripPrefix(Vec<Box<str>>),
    /// Puts a path in front of the request's.
    AddPrefix(Box<str>),
    /// Replaces the path where the expression matches it. The replacement knows `$1` and `${name}`.
    Rewrite {
        /// Matched against the path in the form in which it is compared, without the query.
        pattern: RegexPattern,
        /// The text in place of the match.
        replacement: Replacement,
    },
    /// Answers with a redirection and never asks the upstream.
    Redirect {
        /// One of 301, 302, 307, 308.
        status: u16,
        /// With `{host}`, `{path}` and `{query}` still in it.
        target: RedirectTarget,
    },
    /// Redirects requests whose URL changes by its rule; the others go on. It sees the path that the middlewares before it
    /// leave.
    UrlRedirect(Arc<UrlRedirect>),
    /// Changes the path by its text, and tells the application.
    PathChange(Arc<PathChange>),
    /// Sets a request header, or removes it where there is no value.
    RequestHeader(CasedHeaderName, Option<HeaderValue>),
    /// Sets a response header, or removes it where there is no value; on our own answers too.
    ResponseHeader(CasedHeaderName, Option<HeaderValue>),
    /// More body bytes than this are refused with 413.
    BodyLimit(u64),
    /// Answers with more body bytes than this become 500; where the length is not told beforehand, they are cut.
    ResponseLimit(NonZeroU64),
    /// `Strict-Transport-Security`.
    Hsts(Hsts),
    /// Adds the fields of [`SECURE_HEADERS`] where a response has none of the name, and `Strict-Transport-Security` with
    /// this max-age in seconds, if there is one, on https answers.
    SecureHeaders {
        /// For how long browsers refuse plain HTTP.
        hsts: Option<NonZeroU64>,
    },
    /// Refuses clients by their address. Where every client has the same address, it refuses all with 503.
    AddressFilter(Arc<AddressFilter>),
    /// Says what becomes of clients of whom it is not known whether they are banned. Those who are get 403 on every route.
    Crowdsec(OnDoubt),
    /// Asks CrowdSec's web application firewall (AppSec) about each request. Says what becomes of requests about which it
    /// cannot be asked.
    Appsec(OnDoubt),
    /// More requests of one client in a time are refused with 429.
    RateLimit(RateLimit),
    /// More requests of one client under way are refused with 429.
    ConcurrencyLimit(ConcurrencyLimit),
    /// Clients that have not logged in are refused with 401, or as the service says that is asked about them.
    Authentication(Arc<Authentication>),
    /// Compresses responses.
    Compression(Compression),
    /// Answers browsers that ask what pages of other origins may do, and says so in responses.
    Cors(Arc<Cors>),
    /// Refuses requests for other hosts than these with 500. Each is in lower case.
    AllowedHosts(Box<[Box<str>]>),
    /// Replaces errors by pages.
    ErrorPages(Arc<ErrorPages>),
    /// Keeps answers that may be kept (RFC 9111), up to this number of bytes.
    Cache(NonZeroU64),
}

/// `Strict-Transport-Security` (RFC 6797).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hsts {
    /// For how many seconds browsers refuse plain HTTP.
    pub max_age: NonZeroU64,
    /// `includeSubDomains`.
    pub subdomains: bool,
    /// `preload`.
    pub preload: bool,
    /// Whether it is sent in clear too, where browsers ignore it.
    pub in_clear: bool,
}

impl Hsts {
    /// The time alone, on https answers only.
    pub fn of(max_age: NonZeroU64) -> Self {
        Self { max_age, subdomains: false, preload: false, in_clear: false }
    }
}

/// The value of the field.
impl Display for Hsts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age)?;
        f.write_str(if self.subdomains { "; includeSubDomains" } else { "" })?;
        f.write_str(if self.preload { "; preload" } else { "" })
    }
}

/// The response fields of `headers` `secure`, which break no application that works in browsers of today: name and value.
pub const SECURE_HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

impl Route {
    /// Where the service is that this log-in asks, as a position in [`auth_services`](Self::auth_services); none where it
    /// asks none, or is not one of the route's own.
    pub fn auth_service_of(&self, log_in: &Authentication) -> Option<usize> {
        let log_ins = self.middlewares.iter().filter_map(Middleware::authentication);
        log_ins.filter(|one| one.forward().is_some()).position(|one| std::ptr::eq(one, log_in))
    }

    /// Its first host that a browser can ask for.
    pub fn exact_host(&self) -> Option<&Hostname> {
        self.hosts.iter().find_map(|host| match host {
            HostPattern::Exact(host) => Some(host),
            HostPattern::Wildcard(_) | HostPattern::AnyDomain(_) | HostPattern::Any => None,
        })
    }

    /// How responses are compressed, if they are.
    pub fn compression(&self) -> Option<&Compression> {
        self.middlewares.iter().find_map(Middleware::compression)
    }
}

impl Middleware {
    /// The log-in, if this is one.
    pub fn authentication(&self) -> Option<&Authentication> {
        match self {
            Self::Authentication(authentication) => Some(authentication),
            Self::StripPrefix(_)
            | Self::AddPrefix(_)
            | Self::Rewrite { .. }
            | Self::Redirect { .. }
            | Self::UrlRedirect(_)
            | Self::PathChange(_)
            | Self::RequestHeader(..)
            | Self::ResponseHeader(..)
            | Self::BodyLimit(_)
            | Self::Hsts(_)
            | Self::SecureHeaders { .. }
            | Self::AddressFilter(_)
            | Self::Crowdsec(_)
            | Self::Appsec(_)
            | Self::RateLimit(_)
            | Self::ConcurrencyLimit(_)
            | Self::Compression(_)
            | Self::ErrorPages(_)
            | Self::Cors(_)
            | Self::AllowedHosts(_)
            | Self::ResponseLimit(_)
            | Self::Cache(_) => None,
        }
    }

    /// Which clients it lets in, if it looks at that.
    pub fn address_filter(&self) -> Option<&AddressFilter> {
        match self {
            Self::AddressFilter(filter) => Some(filter),
            Self::Crowdsec(_)
            | Self::Appsec(_)
            | Self::StripPrefix(_)
            | Self::AddPrefix(_)
            | Self::Rewrite { .. }
            | Self::Redirect { .. }
            | Self::UrlRedirect(_)
            | Self::PathChange(_)
            | Self::RequestHeader(..)
            | Self::ResponseHeader(..)
            | Self::BodyLimit(_)
            | Self::Hsts(_)
            | Self::SecureHeaders { .. }
            | Self::RateLimit(_)
            | Self::ConcurrencyLimit(_)
            | Self::Authentication(_)
            | Self::Compression(_)
            | Self::ErrorPages(_)
            | Self::Cors(_)
            | Self::AllowedHosts(_)
            | Self::ResponseLimit(_)
            | Self::Cache(_) => None,
        }
    }

    /// How it compresses responses, if it does.
    pub fn compression(&self) -> Option<&Compression> {
        match self {
            Self::Compression(compression) => Some(compression),
            Self::StripPrefix(_)
            | Self::AddPrefix(_)
            | Self::Rewrite { .. }
            | Self::Redirect { .. }
            | Self::UrlRedirect(_)
            | Self::PathChange(_)
            | Self::RequestHeader(..)
            | Self::ResponseHeader(..)
            | Self::BodyLimit(_)
            | Self::Hsts(_)
            | Self::SecureHeaders { .. }
            | Self::AddressFilter(_)
            | Self::Crowdsec(_)
            | Self::Appsec(_)
            | Self::RateLimit(_)
            | Self::ConcurrencyLimit(_)
            | Self::Authentication(_)
            | Self::ErrorPages(_)
            | Self::Cors(_)
            | Self::AllowedHosts(_)
            | Self::ResponseLimit(_)
            | Self::Cache(_) => None,
        }
    }

    /// The pages for errors, if it has them.
    pub fn error_pages(&self) -> Option<&Arc<ErrorPages>> {
        match self {
            Self::ErrorPages(pages) => Some(pages),
            Self::StripPrefix(_)
            | Self::AddPrefix(_)
            | Self::Rewrite { .. }
            | Self::Redirect { .. }
            | Self::UrlRedirect(_)
            | Self::PathChange(_)
            | Self::RequestHeader(..)
            | Self::ResponseHeader(..)
            | Self::BodyLimit(_)
            | Self::Hsts(_)
            | Self::SecureHeaders { .. }
            | Self::AddressFilter(_)
            | Self::Crowdsec(_)
            | Self::Appsec(_)
            | Self::RateLimit(_)
            | Self::ConcurrencyLimit(_)
            | Self::Authentication(_)
            | Self::Compression(_)
            | Self::Cors(_)
            | Self::AllowedHosts(_)
            | Self::ResponseLimit(_)
            | Self::Cache(_) => None,
        }
    }

    /// The bytes of answers that it keeps at most, if it keeps any.
    pub fn cache(&self) -> Option<NonZeroU64> {
        match self {
            Self::Cache(bytes) => Some(*bytes),
            Self::StripPrefix(_)
            | Self::AddPrefix(_)
            | Self::Rewrite { .. }
            | Self::Redirect { .. }
            | Self::UrlRedirect(_)
            | Self::PathChange(_)
            | Self::RequestHeader(..)
            | Self::ResponseHeader(..)
            | Self::BodyLimit(_)
            | Self::Hsts(_)
            | Self::SecureHeaders { .. }
            | Self::AddressFilter(_)
            | Self::Crowdsec(_)
            | Self::Appsec(_)
            | Self::RateLimit(_)
            | Self::ConcurrencyLimit(_)
            | Self::Authentication(_)
            | Self::Compression(_)
            | Self::Cors(_)
            | Self::AllowedHosts(_)
            | Self::ResponseLimit(_)
            | Self::ErrorPages(_) => None,
        }
    }

    /// Whether it answers every request itself, so that the upstream is never asked.
    pub fn answers_all(&self) -> bool {
        match self {
            Self::Redirect { .. } => true,
            Self::StripPrefix(_)
            | Self::UrlRedirect(_)
            | Self::PathChange(_)
            | Self::AddPrefix(_)
            | Self::Rewrite { .. }
            | Self::RequestHeader(..)
            | Self::ResponseHeader(..)
            | Self::BodyLimit(_)
            | Self::Hsts(_)
            | Self::SecureHeaders { .. }
            | Self::AddressFilter(_)
            | Self::Crowdsec(_)
            | Self::Appsec(_)
            | Self::RateLimit(_)
            | Self::ConcurrencyLimit(_)
            | Self::Authentication(_)
            | Self::Compression(_)
            | Self::ErrorPages(_)
            | Self::Cors(_)
            | Self::AllowedHosts(_)
            | Self::ResponseLimit(_)
            | Self::Cache(_) => false,
        }
    }
}

/// `host-header`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HostHeader {
    /// As the client sent it.
    #[default]
    Keep,
    /// The endpoint's own address and port.
    Upstream,
    /// A fixed value.
    Named(HeaderValue),
}

/// `timeout.*`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// To get a connection to an endpoint, TLS included.
    pub connect: Duration,
    /// From the end of the request until the first byte of the answer.
    pub response: Duration,
    /// Between two bytes of the answer, or of a WebSocket in either direction.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), response: Duration::from_secs(3600), idle: Duration::from_secs(3600) }
    }
}

/// A named group of endpoints: the replicas of one service.
#[derive(Debug, Default)]
pub struct Upstream {
    /// Stable over recompilations: the route's id.
    pub id: Box<str>,
    /// Sorted by key. Those that may not be used now are listed too, with the reason.
    pub endpoints: Vec<Endpoint>,
    /// How requests are treated on their way there.
    pub policy: Policy,
    /// Its last container went a moment ago, and the route is kept for the next one.
    pub held: bool,
    /// Why none of its containers can be reached, where that does not pass by waiting; for people.
    pub unreachable: Option<Box<str>>,
    /// The service of Gangway itself that answers. There is no endpoint then.
    pub internal: Option<InternalService>,
}

/// What `sticky` `true` names the cookie; the data plane adds what tells upstreams apart.
pub const STICKY_COOKIE: &str = "gangway-sticky";

/// How requests are shared among endpoints, and what becomes of them while endpoints come and go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// `balance`.
    pub balance: Balance,
    /// `sticky`: the name of the cookie by which a client stays with an endpoint.
    pub sticky: Option<Box<str>>,
    /// `health.*`: what endpoints are asked, beside what the engine says of them.
    pub health: Option<HealthCheck>,
    /// `hold`: how long a request waits for an endpoint, and a route for its next container.
    pub hold: Duration,
    /// `drain`: how long requests under way may go on at an endpoint that leaves.
    pub drain: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            sticky: None,
            health: None,
            hold: Duration::from_secs(10),
            drain: Duration::from_secs(30),
        }
    }
}

/// How requests are shared among endpoints.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastRequests,
    /// The less busy of two chosen at random.
    #[default]
    RandomTwo,
    /// By the client's address, the same as long as the endpoints are the same.
    Client,
}

/// A question that endpoints are asked again and again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// The path that is requested.
    pub path: Box<str>,
    /// The time between two checks of one endpoint.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
    /// The good statuses, each range with both of its ends.
    pub statuses: Vec<(u16, u16)>,
}

/// One address of an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Its identity over swaps.
    pub key: EndpointKey,
    /// For people: the container's name, or the URL of a file route.
    pub name: Box<str>,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// How connections to it are made and kept.
    pub transport: Arc<TransportSettings>,
    /// The host name of a file route's URL: the SNI and certificate name of an https endpoint where its transport names
    /// none, and `Host` with [`HostHeader::Upstream`]. None for containers, which have an address only.
    pub host: Option<Box<str>>,
    /// Whether it may get new requests.
    pub readiness: Readiness,
    /// `weight`: its share of the requests. One with 0 gets some only where no other can have them.
    pub weight: u16,
    /// The operator wrote its address, in a file: no container declares it.
    pub is_of_operator: bool,
}

/// Identity of an endpoint: one container at one address, however often the table is replaced.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EndpointKey {
    /// The container's id, or empty for a file route.
    pub container: Box<str>,
    /// An address, or a name that the world outside Docker knows.
    pub address: Address,
}

/// Where an endpoint is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Address {
    /// A socket address.
    Ip(IpAddr, u16),
    /// A host name to be looked up, and a port.
    Name(Box<str>, u16),
}

impl Address {
    /// The port, whatever the address is.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(_, port) | Self::Name(_, port) => *port,
        }
    }
}

/// `192.0.2.7:80`, `[2001:db8::7]:80` or `nas.example:80`.
impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip, port) => SocketAddr::new(*ip, *port).fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// HTTP/1.1 in clear.
    #[default]
    Http,
    /// HTTP/1.1 or HTTP/2 in TLS, as negotiated.
    Https,
    /// HTTP/2 in clear with prior knowledge: gRPC.
    H2c,
}

/// Whether an endpoint may get new requests, as far as the engine knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It may get new requests.
    Ready,
    /// Its health check has not passed yet.
    Starting,
    /// Its health check fails.
    Unhealthy,
    /// It is being stopped or killed.
    Leaving,
    /// Its container restarts.
    Restarting,
}
