//! Answers the paths of the admin listener. Everything is read at the moment of asking.

use std::sync::Arc;

use gangway_diagnostic::{Diagnostic, Severity, printable};
use gangway_model::{ADMIN_MARK, Compiled, HTTP, HTTPS, Route};
use gangway_publish::{Published, Reader};
use gangway_tls::{CertificateResolver, UnixTime};
use http::header::{ACCEPT, ALLOW, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use serde::Serialize;

use crate::allowed_hosts::AllowedHosts;
use crate::api;
use crate::events::{EventSink, Known, Subscription, Wanted};
use crate::explain::{ExplainContext, explain};
use crate::explain_query::ExplainQuery;
use crate::instance::{CertificatesState, Instance, InstancePhase};
use crate::metrics::{self, MetricsInput};
use crate::page::{self, Extent, Page, Updates};
use crate::response::response;
use crate::views;

/// The sources of all answers. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// The table in force, and the findings of compiling it.
    pub compiled: Reader<Compiled>,
    /// Certificates in force.
    pub certificates: CertificateResolver,
    /// The counters of all crates.
    pub registry: Registry,
    /// Where those who listen hear of events.
    pub events: EventSink,
    /// The running instance.
    pub instance: Arc<dyn Instance>,
    /// When the process started.
    pub started: UnixTime,
    /// The version of the program.
    pub version: &'static str,
    /// Whether the metrics have the state under Traefik's names too.
    pub has_traefiks_names: bool,
}

/// All answers, for one listener.
pub(crate) struct Answers {
    pub(crate) sources: Sources,
    pub(crate) allowed_hosts: AllowedHosts,
    /// The address of the listener, as the API shows it.
    pub(crate) address: String,
    /// How the views that are open learn what has changed.
    pub(crate) updates: Updates,
}

/// The requests of all routes in one answer.
const REQUESTS_OF_ALL_MAX: usize = 500;

/// The path at which events are listened to.
pub(crate) const EVENTS_PATH: &str = "/api/v1/events";

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The content type names the version of the format.
pub(crate) const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const FORWARDED_HOST: &str = "x-forwarded-host";

/// By this field (RFC 8586) our proxy marks what it asks services about a request.
const CDN_LOOP: &str = "cdn-loop";

/// How its marks begin.
const OWN_MARK: &[u8] = b"gangway-";

const INDEX: &str = "\
Gangway

/                        in a browser: what is served, and what is wrong
/healthz                 alive, or degraded and why
/readyz                  a table is in force
/metrics                 for Prometheus
/api/v1/status           how it is doing
/api/v1/routes           the table in force
/api/v1/containers       what was made of each container
/api/v1/certificates     certificates in force and missing
/api/v1/diagnostics      what is wrong, where, and what to do
/api/v1/explain?url=     which route takes a request, and why
/api/v1/figures          how many requests, and how long they took
/api/v1/requests         the last requests, of all routes or with ?route= of one
/api/v1/changes          what changed last
/api/v1/log              the last lines of the log
/api/v1/events           what happens, as server-sent events
";

impl Answers {
    /// Answers one request. Its body is ignored.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<String> {
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let compiled = self.sources.compiled.load_full();
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if let Some(page) = Page::at(path).filter(|page| *page != Page::Overview || wants_html(request)) {
            return self.page(page, &compiled, query, Extent::All);
        }
        if let Some(asset) = page::asset(path) {
            return asset;
        }
        match path {
            "/" => response(StatusCode::OK, TEXT, INDEX.to_owned()),
            "/healthz" => response(StatusCode::OK, TEXT, self.health()),
            "/readyz" => self.ready(),
            "/metrics" => response(StatusCode::OK, PROMETHEUS, metrics_text(&self.sources)),
            "/api/v1/status" => json(&self.status(&compiled)),
            "/api/v1/routes" => json(&self.routes(&compiled)),
            "/api/v1/containers" => json(&containers(&compiled)),
            "/api/v1/certificates" => json(&self.certificates()),
            "/api/v1/diagnostics" => {
                let diagnostics = self.diagnostics(&compiled);
                let diagnostics = diagnostics.iter().map(views::diagnostic).collect();
                json(&api::DiagnosticsResponse { diagnostics })
            }
            "/api/v1/figures" => self.figures(&compiled, query),
            "/api/v1/requests" => self.requests(&compiled, query),
            "/api/v1/changes" => json(&self.sources.instance.changes()),
            "/api/v1/log" => json(&self.sources.instance.log()),
            "/api/v1/explain" => match self.explained(&compiled, query) {
                Ok(explained) => json(&explained),
                Err(error) => failure(StatusCode::BAD_REQUEST, &error.error, &error.help),
            },
            _ => missing("there is nothing at this path", "`/` lists what there is"),
        }
    }

    /// The answer to a request that is refused whatever its path.
    fn refusal<B>(&self, request: &Request<B>) -> Option<Response<String>> {
        let hosts = request.headers().get_all(HOST);
        let host = request.uri().authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| hosts.iter().next()?.to_str().ok()).unwrap_or_default();
        let compiled = self.sources.compiled.load_full();
        let routes = || compiled.table.routes().iter().map(Arc::as_ref);
        // By this field a proxy says which host a client has asked for. Ours always does, and no label keeps it from that.
        let is_brought = request.headers().contains_key(FORWARDED_HOST);
        let is_wanted = !is_brought || self.allowed_hosts.is_marked(request.headers().get_all(ADMIN_MARK).iter());
        // Nor may a page or an answer about somebody's log-in come from here, wherever a label says that such a service is.
        let mut loops = request.headers().get_all(CDN_LOOP).iter();
        let is_question = loops.any(|seen| seen.as_bytes().windows(OWN_MARK.len()).any(|part| part == OWN_MARK));
        if hosts.iter().count() != 1 || !self.allowed_hosts.allows(host, routes()) || !is_wanted || is_question {
            return Some(failure(
                StatusCode::MISDIRECTED_REQUEST,
                "this host is not known here",
                "ask by address, as localhost, or by the host of a route in the config file that leads here",
            ));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(refused());
        }
        None
    }

    /// Begins to listen to events as a request asks for, or the answer that refuses it. The answer with the events has no body
    /// yet.
    pub(crate) fn listen<B>(
        &self,
        request: &Request<B>,
    ) -> Result<(Response<()>, Subscription), Box<Response<String>>> {
        if let Some(refusal) = self.refusal(request) {
            return Err(Box::new(refusal));
        }
        let compiled = self.sources.compiled.load_full();
        let query = request.uri().query().unwrap_or_default();
        let route = asked_route(&compiled, query).map_err(|unknown| Box::new(unknown.response()))?;
        let asks = |wanted: &str| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == wanted);
        let wanted = Wanted {
            route: route.map(|route| Arc::from(&*route.id)),
            requests: asks("requests") && route.is_none(),
            diagnostics: asks("diagnostics"),
            log: asks("log"),
        };
        // Before the client asks for the lists of what there was: what comes meanwhile is in both, and nothing in neither.
        let has_requests = wanted.requests || wanted.route.is_some();
        let known = Known {
            requests: if has_requests { self.sources.instance.request_counts() } else { Vec::new() },
            diagnostics: if wanted.diagnostics { self.diagnostics(&compiled) } else { Vec::new() },
        };
        let table = api::TableEvent { generation: compiled.generation().count() };
        match self.sources.events.subscribe(wanted, known, table) {
            Some(subscription) => Ok((response(StatusCode::OK, EVENTS, String::new()).map(drop), subscription)),
            None => Err(Box::new(no_events("Gangway is about to end"))),
        }
    }

    /// Degraded is still alive: the last good state is in force, and a restart would only lose it.
    fn health(&self) -> String {
        let instance = &self.sources.instance;
        let unread = instance.engines().into_iter().filter_map(|engine| Some((engine.name, engine.trouble?)));
        let mut reasons: Vec<String> = unread.map(|(name, trouble)| format!("engine {name}: {trouble}")).collect();
        if instance.certificates().degraded {
            reasons.push("the volume cannot be written".to_owned());
        }
        if reasons.is_empty() { "alive\n".to_owned() } else { format!("degraded\n{}\n", reasons.join("\n")) }
    }

    fn ready(&self) -> Response<String> {
        match self.sources.instance.phase() {
            InstancePhase::Serving => response(StatusCode::OK, TEXT, "ready\n".to_owned()),
            InstancePhase::Starting => {
                response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting: no table is in force yet\n".to_owned())
            }
            InstancePhase::Stopping => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n".to_owned()),
        }
    }

    pub(crate) fn status(&self, compiled: &Published<Compiled>) -> api::StatusResponse {
        let instance = &self.sources.instance;
        let phase = instance.phase();
        let listeners = instance.listening();
        let of = |name| listeners.iter().find(|one| one.name == name).map(|one| one.addresses.clone());
        let (http, https) = (of(HTTP).unwrap_or_default(), of(HTTPS).unwrap_or_default());
        let table = &compiled.table;
        let endpoints = || table.routes().iter().flat_map(|route| &route.upstream.endpoints);
        let ready = endpoints().filter(|endpoint| endpoint.readiness == gangway_model::Readiness::Ready).count();
        let certificates = instance.certificates();
        let diagnostics = self.diagnostics(compiled);
        let count = |severity| diagnostics.iter().filter(|found| found.severity == severity).count();
        api::StatusResponse {
            version: self.sources.version.to_owned(),
            phase: match phase {
                InstancePhase::Starting => "starting",
                InstancePhase::Serving => "serving",
                InstancePhase::Stopping => "stopping",
            }
            .to_owned(),
            ready: phase == InstancePhase::Serving,
            started: views::rfc3339(self.sources.started),
            generation: compiled.generation().count(),
            listening: api::ListeningView { http, https, listeners, admin: self.address.clone() },
            engines: instance.engines().into_iter().map(views::engine).collect(),
            config: instance.config(),
            routes: table.routes().len(),
            routes_closed: table.routes().iter().filter(|route| route.closed).count(),
            endpoints_ready: ready,
            endpoints_not_ready: endpoints().count() - ready,
            containers: compiled.containers.len(),
            certificates: certificates.list.len(),
            certificates_in_trouble: certificates.list.iter().filter(|one| one.trouble.is_some()).count(),
            volume_degraded: certificates.degraded,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            task_restarts: instance.task_restarts(),
        }
    }

    pub(crate) fn routes(&self, compiled: &Published<Compiled>) -> api::RoutesResponse {
        let endpoints = self.sources.instance.endpoints();
        let routes = compiled.table.routes().iter().map(|route| views::route(route, &endpoints));
        api::RoutesResponse { generation: compiled.generation().count(), routes: routes.collect() }
    }

    pub(crate) fn certificates(&self) -> api::CertificatesResponse {
        let CertificatesState { list, issuers, internal_root, degraded: _, on_demand: _ } =
            self.sources.instance.certificates();
        let issuers = issuers.into_iter().map(views::issuer).collect();
        api::CertificatesResponse { certificates: list, issuers, internal_root }
    }

    /// The findings about labels, then those about global settings and certificates.
    pub(crate) fn diagnostics(&self, compiled: &Published<Compiled>) -> Vec<Diagnostic> {
        diagnostics(&self.sources, compiled)
    }

    fn figures(&self, compiled: &Compiled, query: &str) -> Response<String> {
        let mut figures = self.sources.instance.figures();
        match asked_route(compiled, query) {
            Ok(None) => json(&figures),
            Ok(Some(route)) => {
                figures.routes.retain(|one| *one.route == *route.id);
                figures.routes.iter_mut().for_each(|one| one.day = self.sources.instance.day(&route.id));
                json(&figures)
            }
            Err(refusal) => refusal.response(),
        }
    }

    fn requests(&self, compiled: &Compiled, query: &str) -> Response<String> {
        match asked_route(compiled, query) {
            Ok(Some(route)) => {
                let requests = self.sources.instance.requests(&route.id).requests;
                json(&api::RequestsResponse { route: Some(route.id.to_string()), requests })
            }
            Ok(None) => json(&self.sources.instance.latest_requests(REQUESTS_OF_ALL_MAX)),
            Err(refusal) => refusal.response(),
        }
    }

    /// The explanation that a query asks for, or what is wrong with the query.
    pub(crate) fn explained(
        &self,
        compiled: &Published<Compiled>,
        query: &str,
    ) -> Result<api::ExplainResponse, api::ErrorResponse> {
        let listeners = self.sources.instance.listening();
        let asked = ExplainQuery::parse(query).and_then(|mut query| query.arrive(&listeners).map(|()| query));
        let query = asked.map_err(|(error, help)| api::ErrorResponse { error, help: help.to_owned() })?;
        Ok(explain(
            &query,
            &ExplainContext {
                compiled,
                is_table_in_force: compiled.generation() != gangway_publish::Generation::INITIAL,
                certificates: &self.sources.certificates,
                endpoints: &self.sources.instance.endpoints(),
                engines: &self.sources.instance.engines(),
                diagnostics: &self.diagnostics(compiled),
                ports: self.sources.instance.public_ports(),
                listeners: &listeners,
                gateway: self.sources.instance.gateway_seen(),
                refuses_plain: self.sources.instance.refuses_plain(),
                geography: &*self.sources.instance,
                reputation: &*self.sources.instance,
                now: self.sources.instance.now(),
            },
        ))
    }
}

/// A query that names a route which is not in force.
pub(crate) struct UnknownRoute(String);

impl UnknownRoute {
    pub(crate) fn response(&self) -> Response<String> {
        let error = format!("no route has the id `{}`", printable(&self.0));
        failure(StatusCode::NOT_FOUND, &error, "`/api/v1/routes` lists the routes with their ids")
    }
}

/// The route that a query names in `route`, by its id, or by its name if only one route has it. None if it names none.
pub(crate) fn asked_route<'c>(compiled: &'c Compiled, query: &str) -> Result<Option<&'c Arc<Route>>, UnknownRoute> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let Some((_, asked)) = parameters.find(|(name, _)| name == "route") else { return Ok(None) };
    let routes = compiled.table.routes();
    let by_id = routes.iter().find(|route| *route.id == *asked);
    let mut by_name = routes.iter().filter(|route| *route.name == *asked);
    let found = by_id.or_else(|| by_name.next().filter(|_| by_name.next().is_none()));
    found.map(Some).ok_or_else(|| UnknownRoute(asked.into_owned()))
}

/// The answer to one who wants to hear events and cannot.
pub(crate) fn no_events(why: &str) -> Response<String> {
    failure(StatusCode::SERVICE_UNAVAILABLE, why, "ask again in a moment")
}

pub(crate) fn diagnostics(sources: &Sources, compiled: &Compiled) -> Vec<Diagnostic> {
    compiled.diagnostics.iter().cloned().chain(sources.instance.diagnostics()).collect()
}

/// The metrics in the text format of Prometheus.
pub(crate) fn metrics_text(sources: &Sources) -> String {
    metrics::text(&metric_families(sources))
}

/// What `GET /metrics` tells, for those who tell it in another form.
pub fn metric_families(sources: &Sources) -> Vec<MetricFamily> {
    let compiled = sources.compiled.load_full();
    metrics::families(&MetricsInput {
        registry: &sources.registry,
        instance: &*sources.instance,
        compiled: &compiled,
        generation: compiled.generation(),
        diagnostics: &diagnostics(sources, &compiled),
        version: sources.version,
        subscribers: sources.events.subscriber_count(),
        has_traefiks_names: sources.has_traefiks_names,
    })
}

pub(crate) fn containers(compiled: &Published<Compiled>) -> api::ContainersResponse {
    let containers = compiled.containers.iter().map(views::container).collect();
    api::ContainersResponse { generation: compiled.generation().count(), containers }
}

/// Whether the client is a browser that shows a page: programs do not name HTML.
fn wants_html<B>(request: &Request<B>) -> bool {
    let mut accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/html"))
}

fn json(value: &impl Serialize) -> Response<String> {
    match serde_json::to_string(value) {
        Ok(text) => response(StatusCode::OK, JSON, text + "\n"),
        Err(error) => {
            tracing::error!(%error, "failed to write an answer of the API");
            response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the answer could not be written\n".to_owned())
        }
    }
}

/// The answer to a method by which something could be changed.
pub(crate) fn refused() -> Response<String> {
    let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here", "ask by GET");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The answer where there is nothing.
fn missing(error: &str, help: &str) -> Response<String> {
    failure(StatusCode::NOT_FOUND, error, help)
}

fn failure(status: StatusCode, error: &str, help: &str) -> Response<String> {
    let mut response = json(&api::ErrorResponse { error: error.to_owned(), help: help.to_owned() });
    *response.status_mut() = status;
    response
}
