//! What stands in the place of Traefik's own pages: its API in the same shapes, a page, `/ping` and the metrics.
//!
//! Programs that ask Traefik's API find here what they know it by. Everything is read at the moment of asking, nothing
//! can be changed, and no secret is shown: a middleware shows only those of its options that are none.

mod entry_points;
mod listing;
mod objects;
mod tls;

use std::collections::BTreeMap;

use gangway_model::{Compiled, InternalPages, InternalService};
use gangway_publish::Published;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub use self::entry_points::{EntryPointView, RedirectionView};
use self::listing::{Listing, Page};
use self::objects::Objects;
use crate::answer::{Answers, PROMETHEUS, Sources, metrics_text};
use crate::instance::InstancePhase;
use crate::page::Extent;

/// What the static configuration says about the pages.
#[derive(Clone, Debug, Default)]
pub struct TraefikPages {
    /// Which of them there are.
    pub internal: InternalPages,
    /// The entry points, in the order of their names.
    pub entry_points: Vec<EntryPointView>,
    /// The names of the providers that are read.
    pub providers: Vec<&'static str>,
    /// Whether there is an access log.
    pub has_access_log: bool,
    /// The status of `/ping` while requests under way are being finished.
    pub terminating_status: Option<StatusCode>,
}

/// Answers requests to the services of Gangway itself.
pub struct TraefikAnswers {
    answers: Answers,
    pages: TraefikPages,
}

/// The path of the page, without the slash at its end.
const DASHBOARD: &str = "/dashboard";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Traefik names the characters in some answers and not in others.
const JSON_UTF_8: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

impl TraefikAnswers {
    /// Answers from these sources.
    pub fn new(sources: Sources, pages: TraefikPages) -> Self {
        Self { answers: Answers::behind_a_route(sources), pages }
    }

    /// The whole answer to a request for a service, by the path and query that an application would get.
    pub fn answer(&self, service: InternalService, method: &Method, target: &str) -> Response<Bytes> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = match service {
            InternalService::StartPage => return self.answers.start_page_alone(method, path, query),
            InternalService::Page => self.answers.page_alone(method, path, query, Extent::All),
            InternalService::Noop => bare(StatusCode::IM_A_TEAPOT, ""),
            InternalService::Ping => self.ping(),
            InternalService::Api | InternalService::Dashboard | InternalService::Prometheus
                if !matches!(*method, Method::GET | Method::HEAD) =>
            {
                let mut refused =
                    response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "nothing can be changed here\n".into());
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                refused
            }
            InternalService::Prometheus => response(StatusCode::OK, PROMETHEUS, metrics_text(&self.answers.sources)),
            InternalService::Dashboard => self.dashboard(method, below_dashboard(path).unwrap_or(path), query),
            InternalService::Api => self.api(method, path, query),
        };
        text.map(Bytes::from)
    }

    fn ping(&self) -> Response<String> {
        match (self.answers.sources.instance.phase(), self.pages.terminating_status) {
            (InstancePhase::Stopping, status) => {
                let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                bare(status, status.canonical_reason().unwrap_or("stopping"))
            }
            (InstancePhase::Starting | InstancePhase::Serving, _) => bare(StatusCode::OK, "OK"),
        }
    }

    /// The page in the place of Traefik's dashboard. A router of a label may lead here, so it tells no more than that does.
    fn dashboard(&self, method: &Method, path: &str, query: &str) -> Response<String> {
        self.answers.page_alone(method, path, query, Extent::Sites)
    }

    fn api(&self, method: &Method, path: &str, query: &str) -> Response<String> {
        let Some(api) = &self.pages.internal.api else { return not_found() };
        let Some(path) = path.strip_prefix(&*api.base_path) else { return not_found() };
        if api.has_dashboard {
            if matches!(path, "" | "/" | DASHBOARD) {
                let mut redirect = response(StatusCode::FOUND, TEXT, String::new());
                let location = HeaderValue::from_str(&format!("{}{DASHBOARD}/", api.base_path));
                redirect.headers_mut().insert(LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
                return redirect;
            }
            if let Some(path) = below_dashboard(path) {
                return self.dashboard(method, path, query);
            }
        }
        let Some(path) = path.strip_prefix("/api/") else { return not_found() };
        let compiled = self.answers.sources.compiled.load_full();
        let objects = || self.objects(&compiled);
        let (kind, name) = match path.splitn(3, '/').collect::<Vec<_>>()[..] {
            ["version"] => return json_utf_8(&self.version()),
            ["overview"] => return json_answer(&self.overview(&objects())),
            ["rawdata"] => return json_answer(&objects().raw()),
            ["entrypoints"] => ("entry point", None),
            ["entrypoints", name] => ("entry point", Some(name)),
            ["http", "routers"] => ("router", None),
            ["http", "services"] => ("service", None),
            ["http", "middlewares"] => ("middleware", None),
            ["http", rest @ ("routers" | "services" | "middlewares"), name] => (singular(rest), Some(name)),
            ["tcp", "routers" | "services" | "middlewares"] | ["udp", "routers" | "services"] | ["certificates"] => {
                return list(&BTreeMap::new(), query);
            }
            ["tcp" | "udp", rest, name] => return missing(singular(rest), name),
            _ => return not_found(),
        };
        let all = match kind {
            "entry point" => self.entry_points(),
            "router" => objects().routers,
            "service" => objects().services,
            _ => objects().middlewares,
        };
        let Some(name) = name else { return list(&all, query) };
        let name = percent_decode_str(name).decode_utf8_lossy();
        match all.get(&*name) {
            Some(found) => json_answer(found),
            None => missing(kind, &name),
        }
    }

    fn objects(&self, compiled: &Published<Compiled>) -> Objects {
        Objects::new(compiled, &self.answers.sources.instance.endpoints(), &self.pages.internal)
    }

    fn version(&self) -> Value {
        let started = crate::views::rfc3339(self.answers.sources.started);
        json!({"Version": self.answers.sources.version, "Codename": "Gangway", "startDate": started})
    }

    fn overview(&self, objects: &Objects) -> Value {
        let none = json!({"total": 0, "warnings": 0, "errors": 0});
        let certificates = self.answers.sources.instance.certificates().list;
        let in_trouble = certificates.iter().filter(|one| one.trouble.is_some()).count();
        json!({
            "http": {
                "routers": counts(&objects.routers),
                "services": counts(&objects.services),
                "middlewares": counts(&objects.middlewares),
            },
            "tcp": {"routers": none, "services": none, "middlewares": none},
            "udp": {"routers": none, "services": none},
            "certificates": {"total": certificates.len(), "warnings": 0, "errors": in_trouble},
            "features": {
                "tracing": "",
                "metrics": if self.pages.internal.prometheus.is_some() { "Prometheus" } else { "" },
                "accessLog": self.pages.has_access_log,
            },
            "providers": self.pages.providers,
        })
    }

    fn entry_points(&self) -> BTreeMap<String, Value> {
        self.pages.entry_points.iter().map(|one| (one.name.clone(), one.view())).collect()
    }
}

/// The path within the page, of a path where the page stands.
fn below_dashboard(path: &str) -> Option<&str> {
    path.strip_prefix(DASHBOARD).filter(|rest| rest.starts_with('/'))
}

/// One page of a list.
fn list(all: &BTreeMap<String, Value>, query: &str) -> Response<String> {
    match Listing::parse(query).and_then(|listing| listing.page(all)) {
        Ok(Page { items, next }) => {
            let mut answer = json_answer(&Value::Array(items));
            answer.headers_mut().insert("x-next-page", HeaderValue::from(next));
            answer
        }
        Err(message) => failure(StatusCode::BAD_REQUEST, &message),
    }
}

fn singular(kind: &str) -> &'static str {
    match kind {
        "routers" => "router",
        "services" => "service",
        _ => "middleware",
    }
}

/// How many objects there are, and with how many of them something is wrong.
fn counts(objects: &BTreeMap<String, Value>) -> Value {
    let with = |status: &str| objects.values().filter(|object| object["status"] == status).count();
    json!({"total": objects.len(), "warnings": with("warning"), "errors": with("disabled")})
}

fn json_answer(value: &Value) -> Response<String> {
    response(StatusCode::OK, JSON, format!("{value}\n"))
}

fn json_utf_8(value: &Value) -> Response<String> {
    let mut answer = json_answer(value);
    answer.headers_mut().insert(CONTENT_TYPE, JSON_UTF_8);
    answer
}

fn failure(status: StatusCode, message: &str) -> Response<String> {
    let mut answer = json_answer(&json!({ "message": message }));
    *answer.status_mut() = status;
    answer
}

fn missing(kind: &str, name: &str) -> Response<String> {
    failure(StatusCode::NOT_FOUND, &format!("{kind} not found: {name}"))
}

fn not_found() -> Response<String> {
    response(StatusCode::NOT_FOUND, TEXT, "404 page not found\n".to_owned())
}

/// An answer with the fields that Traefik gives it, and no others.
fn response(status: StatusCode, kind: HeaderValue, body: String) -> Response<String> {
    let mut answer = bare(status, body);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn bare(status: StatusCode, body: impl Into<String>) -> Response<String> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
}
