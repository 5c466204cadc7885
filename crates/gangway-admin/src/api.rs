//! The types that the API serialises.
//!
//! They are converted by hand from the types of the domain, so that a change on one side does not leak into the other.
//! The fields are promises, documented in `docs/reference/api.md`. New ones may be added, and a reader must skip fields
//! that it does not know. The client commands deserialise the same types.

use std::collections::BTreeMap;

use gangway_model::{AsListener, ListenerProtocol};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct StatusResponse {
    /// The version of the program.
    pub version: String,
    /// `starting`, `serving` or `stopping`.
    pub phase: String,
    /// Whether a table is in force.
    pub ready: bool,
    /// When the process started, in RFC 3339.
    pub started: String,
    /// The number of times that the table was replaced.
    pub generation: u64,
    /// The addresses of the listeners.
    pub listening: ListeningView,
    /// The engines that are followed.
    pub engines: Vec<EngineView>,
    /// The config file. `None` if none was named.
    pub config: Option<ConfigFileView>,
    /// The number of routes in force.
    pub routes: usize,
    /// The number of routes that are closed because a protecting label could not be applied.
    pub routes_closed: usize,
    /// The number of endpoints that may get requests.
    pub endpoints_ready: usize,
    /// The number of endpoints that may not get requests.
    pub endpoints_not_ready: usize,
    /// The number of containers that were read.
    pub containers: usize,
    /// The number of names that have or need a certificate.
    pub certificates: usize,
    /// The number of names whose certificate is wrong or missing.
    pub certificates_in_trouble: usize,
    /// The volume cannot be written, so new data is in memory only.
    pub volume_degraded: bool,
    /// The number of findings that mean that something is not in force.
    pub errors: usize,
    /// The number of findings about something that is in force but probably not meant.
    pub warnings: usize,
    /// The number of times that a background task was started again after a panic.
    pub task_restarts: u64,
}

/// The addresses of the listeners.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ListeningView {
    /// The addresses of the listener `http`.
    pub http: Vec<String>,
    /// The addresses of the listener `https`.
    pub https: Vec<String>,
    /// All listeners for the clients of routes.
    pub listeners: Vec<ListenerView>,
    /// The listener of this API.
    pub admin: String,
}

/// A listener for the clients of routes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ListenerView {
    /// The name.
    pub name: String,
    /// What its connections begin with: `plain`, `tls`, or `auto` where the first byte tells.
    #[serde(with = "protocol_word")]
    pub protocol: ListenerProtocol,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// The port that clients connect to, as far as that is known.
    pub port: Option<u16>,
}

impl AsListener for ListenerView {
    fn name(&self) -> &str {
        &self.name
    }

    fn protocol(&self) -> ListenerProtocol {
        self.protocol
    }
}

/// A protocol as its word.
mod protocol_word {
    use gangway_model::ListenerProtocol;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(protocol: &ListenerProtocol, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(protocol.word())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<ListenerProtocol, D::Error> {
        let word = String::deserialize(from)?;
        ListenerProtocol::parse(&word).ok_or_else(|| D::Error::custom(format_args!("unknown protocol `{word}`")))
    }
}

/// An engine that is followed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct EngineView {
    /// The name of the engine.
    pub name: String,
    /// The address as the operator wrote it, without a password.
    pub url: String,
    /// The versions of the engine and its API. `None` before the first good read.
    pub version: Option<String>,
    /// Why the engine cannot be read now.
    pub trouble: Option<String>,
    /// The number of containers in the last good read.
    pub containers: usize,
    /// The number of good reads.
    pub reads: u64,
    /// The number of failed reads.
    pub failures: u64,
    /// The number of events that it has sent, by their action.
    pub events: BTreeMap<String, u64>,
    /// How long it takes from its events to the tables that answer them.
    pub reaction: LatencyView,
}

/// How long it takes from an event to the table that answers it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct LatencyView {
    /// The number of tables that were published because of an event.
    pub count: u64,
    /// The whole time, with the engine's time to list its containers.
    pub whole: QuantilesView,
    /// Gangway's share of it.
    pub ours: QuantilesView,
}

/// Quantiles over the latest thousand measurements, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct QuantilesView {
    /// The latest measurement.
    pub last: f64,
    /// Half of the measurements were shorter.
    pub median: f64,
    /// One measurement in a hundred was longer.
    pub p99: f64,
}

/// The config file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ConfigFileView {
    /// The path as it was named.
    pub file: String,
    /// Whether its present content is in force. If not, the diagnostics say why.
    pub in_force: bool,
}

/// `GET /api/v1/routes`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RoutesResponse {
    /// The generation of the table.
    pub generation: u64,
    /// The routes in a canonical order.
    pub routes: Vec<RouteView>,
}

/// A route in force.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RouteView {
    /// The id of the route: unique, and stable over changes.
    pub id: String,
    /// The name that the user gave it.
    pub name: String,
    /// The rule that requests have to match.
    pub rule: String,
    /// The hosts in its rule.
    pub hosts: Vec<String>,
    /// The containers or the file that it was written in.
    pub origin: Vec<String>,
    /// `auto`, `internal` or `off`.
    pub tls: String,
    /// Whether plain HTTP is redirected to https.
    pub https_redirect: bool,
    /// The listeners that it is served on. Empty if it is served on all.
    pub listeners: Vec<String>,
    /// `up`, `starting`, `held`, `failing` or `closed`: how it answers requests now.
    pub state: String,
    /// A protecting label could not be applied, so the route answers no request.
    pub closed: bool,
    /// How it appears on the start page.
    pub tile: TileView,
    /// The middlewares in order, as text.
    pub middlewares: Vec<String>,
    /// The shared definitions that it takes keys from.
    pub definitions: Vec<DefinitionView>,
    /// Its other keys, and where each was written.
    pub written: Vec<WrittenKeyView>,
    /// The router that it was made of, if Traefik's labels or files declare it.
    pub router: Option<RouterView>,
    /// The `Host` that the upstream gets: `keep`, `upstream` or a name.
    pub host_header: String,
    /// The protocols besides `websocket` that a client may switch to.
    pub upgrades: Vec<String>,
    /// The time limits.
    pub timeouts: TimeoutsView,
    /// The endpoints that requests are sent to.
    pub endpoints: Vec<EndpointView>,
}

/// How a route appears on the start page. What nobody said is absent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct TileView {
    /// What it is called there: by a label, else by its image.
    pub name: Option<String>,
    /// An emoji, a few letters, or the path of a picture of the application, which begins with a slash.
    pub icon: Option<String>,
    /// The heading under which it stands.
    pub group: Option<String>,
    /// A few words about it.
    pub description: Option<String>,
    /// The smallest stands first.
    pub order: i64,
    /// Whether it is left out: by a label, or as it is a page of Gangway itself.
    pub hidden: bool,
}

/// The values of `timeout.*`, in seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct TimeoutsView {
    /// The time to connect.
    pub connect: f64,
    /// The time to the first byte of the answer.
    pub response: f64,
    /// The time between two bytes.
    pub idle: f64,
}

/// An address behind a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct EndpointView {
    /// The name of the container, or the URL of a file route.
    pub name: String,
    /// The address and port.
    pub address: String,
    /// `http`, `https` or `h2c`.
    pub scheme: String,
    /// Whether the certificate of an https endpoint is checked.
    pub verify: bool,
    /// `ready`, `starting`, `unhealthy`, `leaving`, `restarting`; or `ejected` where it is ready but
    /// could not be connected to just now, or fails its check.
    pub state: String,
    /// The error of the last attempt to reach it. `None` if it was reached.
    pub trouble: Option<String>,
    /// The number of requests under way. `None` if the data plane does not know the endpoint.
    pub under_way: Option<usize>,
}

/// `GET /api/v1/containers`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ContainersResponse {
    /// The generation of the table.
    pub generation: u64,
    /// The containers, by name.
    pub containers: Vec<ContainerView>,
}

/// A container and its routes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ContainerView {
    /// The name in the engine.
    pub name: String,
    /// The id in the engine.
    pub id: String,
    /// The engine that it was read from.
    pub engine: String,
    /// The image of the container.
    pub image: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub state: String,
    /// `none`, `starting`, `healthy` or `unhealthy`.
    pub health: String,
    /// The ids of the routes that it is an endpoint of.
    pub routes: Vec<String>,
    /// How it is reached and why, or why it has no route.
    pub reason: String,
    /// The key of a label that would ask for a route. `None` where it has a route, or a label that asks for one.
    pub missing_label: Option<String>,
}

/// `GET /api/v1/certificates`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CertificatesResponse {
    /// The certificates, by name.
    pub certificates: Vec<CertificateView>,
    /// The public CAs that may be asked, in the order in which they are.
    pub issuers: Vec<IssuerView>,
    /// The root certificate of the internal CA as PEM, once there is one. It is public.
    pub internal_root: Option<String>,
}

/// A public CA.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct IssuerView {
    /// Its short name, or the host of its directory.
    pub name: String,
    /// The URL of its directory.
    pub directory: String,
    /// `unasked`, `up` or `failing`.
    pub state: String,
    /// The names on the volume with a certificate of it.
    pub certificates: usize,
    /// Why it gives no certificates. Its refusals of single names stand with the names.
    pub trouble: Option<String>,
    /// When it is asked again while it fails, in RFC 3339.
    pub next: Option<String>,
}

/// A certificate, or a name without one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CertificateView {
    /// The name that it is for.
    pub name: String,
    /// The issuer. Empty if there is no certificate.
    pub issuer: String,
    /// The serial number in hexadecimal. Empty if there is no certificate, or if it is made in the first handshake.
    pub serial: String,
    /// The beginning of the validity in RFC 3339. `None` without a serial number.
    pub not_before: Option<String>,
    /// The end of the validity in RFC 3339. `None` without a serial number.
    pub not_after: Option<String>,
    /// The seconds until the end of the validity. Negative once it has expired.
    pub seconds_left: Option<i64>,
    /// The certificates that are sent behind it, in order.
    pub chain: Vec<ChainView>,
    /// `placeholder`, `internal`, `acme` or `folder`. `None` if there is no certificate and none will be made.
    pub origin: Option<String>,
    /// The file in `certs/` that it was read from.
    pub file: Option<String>,
    /// When the next certificate is ordered or the next attempt is made, in RFC 3339.
    pub next: Option<String>,
    /// The time within which the CA suggests to renew it, in RFC 3339.
    pub renewal_window: Option<(String, String)>,
    /// No route lists the name; it was permitted when a client asked for it.
    pub on_demand: bool,
    /// The error of the last attempt, or the fault of the certificate.
    pub trouble: Option<String>,
}

/// A certificate of a CA, sent behind the one of a name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ChainView {
    /// Whose certificate it is.
    pub subject: String,
    /// The end of its validity in RFC 3339.
    pub not_after: String,
}

/// `GET /api/v1/diagnostics`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DiagnosticsResponse {
    /// The findings about labels, certificates and global settings, in a canonical order.
    pub diagnostics: Vec<DiagnosticView>,
}

/// A finding.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DiagnosticView {
    /// The code, such as `G104`.
    pub code: String,
    /// The general meaning of the code.
    pub title: String,
    /// `error` or `warning`.
    pub severity: String,
    /// The message, in one clause.
    pub message: String,
    /// The container that it is about, if any.
    pub container: Option<String>,
    /// The Compose project of the container.
    pub project: Option<String>,
    /// The label or key that it is about.
    pub label: Option<String>,
    /// The config file that it is about.
    pub file: Option<String>,
    /// The line in the file, from 1.
    pub line: Option<u32>,
    /// The column in the line, from 1, in characters.
    pub column: Option<u32>,
    /// The text that the caret points into. Redacted if it may be a secret.
    pub text: Option<String>,
    /// The first byte under the caret.
    pub start: Option<usize>,
    /// The end of the bytes under the caret.
    pub end: Option<usize>,
    /// The text beside the caret.
    pub note: String,
    /// Advice for the user.
    pub help: String,
    /// The action that Gangway takes instead.
    pub effect: String,
    /// The whole finding as text, on several lines.
    pub shown: String,
}

/// `GET /api/v1/explain`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ExplainResponse {
    /// The request that was asked about.
    pub request: ExplainedRequest,
    /// The outcome of the request, as text.
    pub outcome: String,
    /// The route that takes the request.
    pub route: Option<RouteView>,
    /// What each middleware of the route decides about the request, in order.
    pub steps: Vec<StepView>,
    /// The part of its rule that matched.
    pub matched: Option<String>,
    /// Its precedence in words.
    pub why: Option<String>,
    /// Why no route takes the request although one matches.
    pub doubt: Option<String>,
    /// Other routes that could have taken the request.
    pub considered: Vec<CandidateView>,
    /// The number of further routes that were considered.
    pub considered_more: usize,
    /// The routes that come nearest, if no route takes the request.
    pub nearest: Vec<CandidateView>,
    /// The containers, running or not, that name the host in a label of ours or of another proxy, if no route is served
    /// under the host.
    pub named: Vec<MentionView>,
    /// The certificate that a client of this host gets.
    pub certificate: Option<CertificateView>,
    /// The containers behind the route, and those that asked for this host.
    pub containers: Vec<ContainerView>,
    /// The findings about these containers and routes.
    pub diagnostics: Vec<DiagnosticView>,
}

/// A middleware of a route, and its decision about one request.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct StepView {
    /// The middleware as it would be written in a label.
    pub step: String,
    /// What it decides, and why. `None` where it decides nothing.
    pub decision: Option<String>,
    /// The shared definitions that it comes from, by name.
    pub definitions: Vec<String>,
    /// The labels and places in files that it comes from.
    pub written: Vec<String>,
}

/// A key of a route that its containers or a file say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct WrittenKeyView {
    /// The key, such as `allow`.
    pub key: String,
    /// The label as written, such as `gangway.photos.allow`, or the place in the file.
    pub place: String,
}

/// The router that a route was made of.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RouterView {
    /// The rule as written.
    pub rule: String,
    /// The whole name of its service.
    pub service: String,
    /// The whole names of its middlewares, in order.
    pub middlewares: Vec<String>,
}

/// A shared definition of a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DefinitionView {
    /// Its name.
    pub name: String,
    /// Whether `--default-use` gives it to every route.
    pub by_default: bool,
    /// The keys that the route takes from it.
    pub keys: Vec<String>,
}

/// The request that was asked about.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ExplainedRequest {
    /// The whole URL, with the port that clients connect to.
    pub url: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The listener that it comes to.
    pub listener: String,
    /// The host, in the canonical form in which hosts are compared.
    pub host: String,
    /// The path, in the normalised form in which paths are compared.
    pub path: String,
    /// The query without the question mark.
    pub query: String,
    /// The method.
    pub method: String,
    /// The address of the client.
    pub from: String,
}

/// A route that did not take a request.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CandidateView {
    /// The id of the route.
    pub id: String,
    /// The name that the user gave it.
    pub name: String,
    /// The part of its rule in question.
    pub rule: String,
    /// The reason that it did not take the request.
    pub why: String,
}

/// A container that names a host in a label and is not served under it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct MentionView {
    /// The name of the container.
    pub container: String,
    /// The key of the label. Empty if the host follows from the name of the container.
    pub label: String,
    /// The reason that it is not served under the host.
    pub why: String,
}

/// An answer with an error status.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ErrorResponse {
    /// The error, in one clause.
    pub error: String,
    /// Advice for the user.
    pub help: String,
}

/// A setting in force.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct SettingView {
    /// The flag without its dashes.
    pub name: String,
    /// The values as they were written. Redacted where they may be secrets.
    pub values: Vec<String>,
    /// Where they were written: `flag`, `variable`, a place in the config file, or `default`.
    pub from: String,
}

/// A bound on what clients may send and hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct LimitView {
    /// What is bounded, in words.
    pub name: String,
    /// The bound with its unit.
    pub value: String,
}

/// `GET /api/v1/figures`: the latest figures of each route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct FiguresResponse {
    /// The time of the figures, in RFC 3339.
    pub at: String,
    /// The routes for which there are figures.
    pub routes: Vec<FiguresView>,
}

/// The latest figures of a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct FiguresView {
    /// The id of the route.
    pub route: String,
    /// Requests a second.
    pub per_second: f64,
    /// The share of requests that were answered with a status of 500 or more, from 0 to 1.
    pub error_share: f64,
    /// Half of the requests took less, in milliseconds. `None` without a request.
    pub p50_ms: Option<f64>,
    /// One request in a hundred took longer, in milliseconds. `None` without a request.
    pub p99_ms: Option<f64>,
    /// The number of requests under way.
    pub under_way: u64,
    /// The number of requests by the first digit of their status, from 1 to 5.
    pub statuses: [u64; 5],
    /// The number of requests by how long they took.
    pub durations: Vec<BucketView>,
    /// The last 60 minutes, oldest first.
    pub hour: Vec<PointView>,
    /// The last 24 hours by 5 minutes, oldest first. Empty where not one route is asked for.
    pub day: Vec<PointView>,
}

/// The requests that took a time within bounds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct BucketView {
    /// The upper bound in milliseconds. `None` in the last one, which has none.
    pub up_to_ms: Option<f64>,
    /// The number of requests above the bound before.
    pub requests: u64,
}

/// The requests of one minute.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct PointView {
    /// The number of requests.
    pub requests: u64,
    /// The number of them that were answered with a status of 500 or more.
    pub errors: u64,
    /// Half of them took less, in milliseconds. `None` without a request.
    pub p50_ms: Option<f64>,
    /// One in a hundred took longer, in milliseconds. `None` without a request.
    pub p99_ms: Option<f64>,
}

/// `GET /api/v1/requests`: the last requests, newest first.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RequestsResponse {
    /// The id of the route that was named. `None` where they are those of all routes.
    pub route: Option<String>,
    /// The requests.
    pub requests: Vec<RequestView>,
}

/// A request that was answered.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RequestView {
    /// The id of its route.
    pub route: String,
    /// Its number among the requests of its route. Later requests have greater ones.
    pub number: u64,
    /// When it was answered, in RFC 3339.
    pub at: String,
    /// The method.
    pub method: String,
    /// The path and query. Redacted where it may be a secret.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The time from its first byte to the last one of the answer, in milliseconds.
    pub duration_ms: f64,
    /// Why Gangway answered by itself. `None` if an endpoint did.
    pub reason: Option<String>,
    /// The endpoint that answered.
    pub endpoint: Option<String>,
    /// The version of HTTP.
    pub protocol: String,
}

/// `GET /api/v1/changes`: what changed, newest first.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ChangesResponse {
    /// The changes.
    pub changes: Vec<ChangeView>,
}

/// A change of what is served.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ChangeView {
    /// When it came into force, in RFC 3339.
    pub at: String,
    /// What changed, in one clause.
    pub what: String,
    /// The id of the route, if it is about one.
    pub route: Option<String>,
    /// The ids of the routes that it concerns: that one, or those of the container that it is about.
    pub routes: Vec<String>,
    /// The number of requests that failed because of it.
    pub lost: u64,
    /// The number of requests that waited because of it.
    pub waited: u64,
}

/// `GET /api/v1/log`: the last lines of the process's own log.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct LogResponse {
    /// The lines, oldest first.
    pub lines: Vec<LogView>,
}

/// A line of the log.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct LogView {
    /// When, in RFC 3339.
    pub at: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// The part of the program that says it.
    pub target: String,
    /// The message.
    pub message: String,
    /// The fields, as names with values.
    pub fields: Vec<(String, String)>,
}

/// The event `table`: another table is in force.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TableEvent {
    /// The number of times that the table was replaced.
    pub generation: u64,
}

/// The event `diagnostics`: the number of findings has changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct DiagnosticCounts {
    /// The number of findings that mean that something is not in force.
    pub errors: usize,
    /// The number of findings about something that is in force but probably not meant.
    pub warnings: usize,
}

/// The event `diagnostic`: a finding is new, or was resolved.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DiagnosticEvent {
    /// When that was noticed, in RFC 3339.
    pub at: String,
    /// `found` or `resolved`.
    pub news: String,
    /// The ids of the routes that it concerns.
    pub routes: Vec<String>,
    /// The finding.
    pub diagnostic: DiagnosticView,
}

/// The event `missed`: more happened than the events say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct MissedEvent {
    /// When that was noticed, in RFC 3339.
    pub at: String,
    /// The number of requests that ended and are in no event.
    pub requests: u64,
    /// The number of findings that are new or resolved and are in no event.
    pub diagnostics: u64,
}

/// The event `figures`: the figures of now.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct FiguresEvent {
    /// The time of the figures, in RFC 3339.
    pub at: String,
    /// The routes that have requests, or the one that is listened to. Others have none now.
    pub routes: Vec<RouteNowView>,
}

/// The figures of a route over the last minute.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RouteNowView {
    /// The id of the route.
    pub route: String,
    /// Requests a second.
    pub per_second: f64,
    /// The share of requests that were answered with a status of 500 or more, from 0 to 1.
    pub error_share: f64,
    /// Half of the requests took less, in milliseconds. `None` without a request.
    pub p50_ms: Option<f64>,
    /// One request in a hundred took longer, in milliseconds. `None` without a request.
    pub p99_ms: Option<f64>,
    /// The number of requests under way.
    pub under_way: u64,
}
