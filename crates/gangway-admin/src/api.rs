//! What the API answers, as serialisable types: converted by hand from the domain's own, so that neither
//! side's changes leak into the other.
//!
//! The fields are promises, documented in `docs/reference/api.md`. New ones may join; a reader must skip
//! what it does not know. The client commands read these very types.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct StatusResponse {
    /// Of the program.
    pub version: String,
    /// `starting`, `serving` or `stopping`.
    pub phase: String,
    /// Whether a table is in force.
    pub ready: bool,
    /// When the process started, RFC 3339.
    pub started: String,
    /// How often the table was replaced.
    pub generation: u64,
    /// Addresses that are listened on.
    pub listening: ListeningView,
    /// The engines that are followed.
    pub engines: Vec<EngineView>,
    /// The config file; none where none was named.
    pub config: Option<ConfigFileView>,
    /// Routes in force.
    pub routes: usize,
    /// Those of them that are closed because a protecting label could not be applied.
    pub routes_closed: usize,
    /// Endpoints that may get requests.
    pub endpoints_ready: usize,
    /// Endpoints that may not.
    pub endpoints_not_ready: usize,
    /// Containers that were read.
    pub containers: usize,
    /// Names that have or need a certificate.
    pub certificates: usize,
    /// Those of them with trouble.
    pub certificates_in_trouble: usize,
    /// The volume cannot be written: what is new lives in memory only.
    pub volume_degraded: bool,
    /// Findings that mean something is not in force.
    pub errors: usize,
    /// Findings that are surely not meant.
    pub warnings: usize,
    /// Background tasks that ended in a panic and were started again.
    pub task_restarts: u64,
}

/// The addresses that are listened on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ListeningView {
    /// Plain HTTP.
    pub http: Vec<String>,
    /// HTTPS.
    pub https: Vec<String>,
    /// This API.
    pub admin: String,
}

/// One engine.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct EngineView {
    /// For people.
    pub name: String,
    /// As given.
    pub url: String,
    /// Of the engine and its API, once known.
    pub version: Option<String>,
    /// Why it cannot be read now.
    pub trouble: Option<String>,
    /// Containers in the last good read.
    pub containers: usize,
    /// Full reads so far.
    pub reads: u64,
    /// Reads that failed so far.
    pub failures: u64,
    /// From its events to the tables they led to.
    pub reaction: LatencyView,
}

/// How long it took from an event to the table it led to.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct LatencyView {
    /// Tables that came of events so far.
    pub count: u64,
    /// The engine's time to list its containers included.
    pub whole: QuantilesView,
    /// Our share of it.
    pub ours: QuantilesView,
}

/// Milliseconds, over the latest thousand.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct QuantilesView {
    /// The latest.
    pub last: f64,
    /// Half were quicker.
    pub median: f64,
    /// One in a hundred was slower.
    pub p99: f64,
}

/// The config file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ConfigFileView {
    /// As named.
    pub file: String,
    /// Whether what it says now is in force. If not, the diagnostics say why.
    pub in_force: bool,
}

/// `GET /api/v1/routes`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RoutesResponse {
    /// Of the table.
    pub generation: u64,
    /// In a canonical order.
    pub routes: Vec<RouteView>,
}

/// One route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RouteView {
    /// Stable over changes, and unique.
    pub id: String,
    /// What the user calls it.
    pub name: String,
    /// Which requests it takes.
    pub rule: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Where it was written.
    pub origin: Vec<String>,
    /// `auto`, `internal` or `off`.
    pub tls: String,
    /// Whether plain HTTP is redirected.
    pub https_redirect: bool,
    /// A protecting label could not be applied: nobody is let in.
    pub closed: bool,
    /// What is done with requests and responses, in order, for people.
    pub middlewares: Vec<String>,
    /// What is sent as `Host`: `keep`, `upstream` or a name.
    pub host_header: String,
    /// How long is waited.
    pub timeouts: TimeoutsView,
    /// Where requests go.
    pub endpoints: Vec<EndpointView>,
}

/// `timeout.*`, in seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct TimeoutsView {
    /// For a connection.
    pub connect: f64,
    /// For the first byte of the answer.
    pub response: f64,
    /// Between two bytes.
    pub idle: f64,
}

/// One address behind a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct EndpointView {
    /// The container's name, or the URL of a file route.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// `http`, `https` or `h2c`.
    pub scheme: String,
    /// Whether the certificate of an https endpoint is checked.
    pub verify: bool,
    /// `ready`, `starting`, `unhealthy`, `leaving`, `restarting`; or `ejected` where it is ready but
    /// could not be connected to just now, or fails its check.
    pub state: String,
    /// What the last try to reach it said; none once it was reached.
    pub trouble: Option<String>,
    /// Requests under way; none where the data plane does not know it.
    pub under_way: Option<usize>,
}

/// `GET /api/v1/containers`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ContainersResponse {
    /// Of the table.
    pub generation: u64,
    /// By name.
    pub containers: Vec<ContainerView>,
}

/// What was made of one container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ContainerView {
    /// As the engine calls it.
    pub name: String,
    /// The engine's identifier.
    pub id: String,
    /// The engine it was read from.
    pub engine: String,
    /// Its image.
    pub image: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub state: String,
    /// `none`, `starting`, `healthy` or `unhealthy`.
    pub health: String,
    /// Ids of the routes it stands behind.
    pub routes: Vec<String>,
    /// How it is reached and why so; or why it is not routed.
    pub reason: String,
}

/// `GET /api/v1/certificates`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CertificatesResponse {
    /// By name.
    pub certificates: Vec<CertificateView>,
    /// The root of the internal CA as PEM, once there is one. It is public.
    pub internal_root: Option<String>,
}

/// One certificate, or its absence.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CertificateView {
    /// The name it is for.
    pub name: String,
    /// Who signed it; empty where there is none.
    pub issuer: String,
    /// In hexadecimal; empty where there is no certificate, or it is made when somebody asks for it.
    pub serial: String,
    /// RFC 3339; none where there is no serial.
    pub not_before: Option<String>,
    /// RFC 3339; none where there is no serial.
    pub not_after: Option<String>,
    /// Until then from now; negative once it is over.
    pub seconds_left: Option<i64>,
    /// `placeholder`, `internal`, `acme`, `folder`, or none where there is no certificate and none will be made.
    pub origin: Option<String>,
    /// The file in `certs/` that it came from.
    pub file: Option<String>,
    /// When the next one is ordered, or the next attempt made, RFC 3339.
    pub next: Option<String>,
    /// From when to when the CA would like it renewed, RFC 3339.
    pub renewal_window: Option<(String, String)>,
    /// No route lists the name: it was permitted when somebody asked for it.
    pub on_demand: bool,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

/// `GET /api/v1/diagnostics`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DiagnosticsResponse {
    /// Of labels, certificates and global settings, in a canonical order.
    pub diagnostics: Vec<DiagnosticView>,
}

/// One finding.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct DiagnosticView {
    /// Such as `G104`.
    pub code: String,
    /// What the code means in general.
    pub title: String,
    /// `error` or `warning`.
    pub severity: String,
    /// One clause.
    pub message: String,
    /// The container, where it is about one.
    pub container: Option<String>,
    /// Its compose project.
    pub project: Option<String>,
    /// The label or key.
    pub label: Option<String>,
    /// The config file.
    pub file: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
    /// 1-based, in characters.
    pub column: Option<u32>,
    /// What is pointed into; masked where it may be a secret.
    pub text: Option<String>,
    /// First byte under the caret.
    pub start: Option<usize>,
    /// One past the last byte under the caret.
    pub end: Option<usize>,
    /// What the caret says.
    pub note: String,
    /// Something to do.
    pub help: String,
    /// What is done instead.
    pub effect: String,
    /// The whole for people, on several lines.
    pub shown: String,
}

/// `GET /api/v1/explain`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ExplainResponse {
    /// What was asked about.
    pub request: ExplainedRequest,
    /// What becomes of it, for people.
    pub outcome: String,
    /// The route that takes it.
    pub route: Option<RouteView>,
    /// The part of its rule that matched.
    pub matched: Option<String>,
    /// Its precedence in words.
    pub why: Option<String>,
    /// Why no route takes it although one matches.
    pub doubt: Option<String>,
    /// Others that could have taken it.
    pub considered: Vec<CandidateView>,
    /// How many more there are.
    pub considered_more: usize,
    /// Where no route takes it: those that come nearest.
    pub nearest: Vec<CandidateView>,
    /// Where no route is served under the host: containers, running or not, that name it in a label, ours or
    /// another proxy's.
    pub named: Vec<MentionView>,
    /// What a client that names this host is shown.
    pub certificate: Option<CertificateView>,
    /// The containers behind the route, and those that asked for this host.
    pub containers: Vec<ContainerView>,
    /// About these containers and routes.
    pub diagnostics: Vec<DiagnosticView>,
}

/// A request that is asked about.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ExplainedRequest {
    /// The whole, with the port that clients reach.
    pub url: String,
    /// `http` or `https`.
    pub scheme: String,
    /// In the form in which hosts are compared.
    pub host: String,
    /// In the form in which paths are compared.
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// The method.
    pub method: String,
    /// The client's address.
    pub from: String,
}

/// A route that did not take a request.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CandidateView {
    /// The route's id.
    pub id: String,
    /// What the user calls it.
    pub name: String,
    /// The part of its rule in question.
    pub rule: String,
    /// What decided against it.
    pub why: String,
}

/// A container that names a host in a label and is not served under it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct MentionView {
    /// The container's name.
    pub container: String,
    /// The label's key; empty where the host follows from the container's name.
    pub label: String,
    /// Why it is not served under it, for people.
    pub why: String,
}

/// Any answer that is no success.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ErrorResponse {
    /// One clause.
    pub error: String,
    /// Something to do.
    pub help: String,
}
