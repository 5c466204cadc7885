//! The calls we make to an engine, all of them reads, all of them bounded in time and size.
//!
//! bollard gives the version, the ping and the events. Listings and inspections are read by ourselves over
//! the same wire: bollard's types for them are closed enumerations, of which one word that they do not know
//! (Podman says `stopped` for a moment after each stop) loses the listing of all containers, and it keeps
//! far more of an answer than we have any business with, an inspection's environment among it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bollard::errors::Error as DockerError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use gangway_model::snapshot::EngineKind;
use http::header::DATE;
use http::uri::PathAndQuery;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::{debug, trace};

use crate::api_version::{ApiVersion, EngineVersion};
use crate::connect::{ConnectError, Connector, plainly};
use crate::events::{self, EventStream};
use crate::lenient_json::{self, Lenient, LenientMember};
use crate::listing::{ContainerListing, InspectedContainer, ListedContainer};
use crate::request::{Budget, RequestError, is_too_large, send};

/// A read is given up after this long: the next one starts afresh, and perhaps finds another engine.
pub(crate) const READ_MAX: Duration = Duration::from_secs(10);

/// The longest answer. Ten thousand containers with long labels take about a third of it.
const LISTING_MAX: usize = 64 * 1024 * 1024;

/// The longest answer to a small question, and the longest single event: an inspection with a thousand
/// variables in its environment fits.
const SMALL_MAX: usize = 4 * 1024 * 1024;

/// One engine whose version is known.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    dialer: Connector,
    pub(crate) version: EngineVersion,
    /// The engine's own clock when it told its version: events are asked for from then on.
    since: Option<SystemTime>,
}

/// An answer, and how long the engine took to give it.
#[derive(Debug)]
pub(crate) struct TimedAnswer<T> {
    pub(crate) value: T,
    pub(crate) took: Duration,
}

impl Client {
    const LISTING: &str = "read the container list";

    /// Asks who is there and settles on a version that both sides speak.
    pub(crate) async fn connect(dialer: &Connector) -> Result<Self, EngineError> {
        const ACT: &str = "ask the engine for its version";
        let wire = Arc::new(BollardTransport::new(dialer, None, SMALL_MAX));
        let told = within(ACT, wire.docker(ACT)?.version()).await?;
        let version = EngineVersion::agree(&told).map_err(|cause| EngineError { act: ACT, cause })?;
        let since = *wire.date.lock().expect("no holder of the lock panics");
        Ok(Self { dialer: dialer.clone(), version, since })
    }

    /// Is anybody there? An engine that stands still keeps its event stream open and silent for ever.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        const ACT: &str = "ping the engine";
        let wire = Arc::new(BollardTransport::new(&self.dialer, None, SMALL_MAX));
        match within(ACT, wire.docker(ACT)?.ping()).await {
            // Whoever refuses is alive.
            Err(EngineError { cause: Cause::Refused { status, .. }, .. }) if status < 500 => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Subscribes, and returns when the engine has taken note.
    ///
    /// bollard's stream asks for nothing until it is polled, and engines begin to answer just before they
    /// subscribe; so this waits for the beginning of the answer, and asks for the events since we connected.
    pub(crate) async fn subscribe(&self) -> Result<EventStream, EngineError> {
        const ACT: &str = EventStream::SUBSCRIBING;
        let wire = Arc::new(BollardTransport::new(&self.dialer, Some(self.version.api), SMALL_MAX));
        let events = events::open(&wire.docker(ACT)?, self.since, wire.budget.clone());
        match timeout(READ_MAX, events.once_live(&wire.answered)).await {
            Ok(events) => events,
            Err(_) => Err(EngineError { act: ACT, cause: Cause::Silent }),
        }
    }

    /// All containers, running or not.
    pub(crate) async fn list(&self) -> Result<TimedAnswer<ContainerListing>, EngineError> {
        self.get_listing("/containers/json?all=1").await
    }

    /// These containers, as far as there are any; their ids are made of letters and digits.
    pub(crate) async fn list_only(&self, ids: &[Box<str>]) -> Result<TimedAnswer<ContainerListing>, EngineError> {
        // `{"id":["…","…"]}`
        let filters = format!("%7B%22id%22%3A%5B%22{}%22%5D%7D", ids.join("%22%2C%22"));
        self.get_listing(&format!("/containers/json?all=1&filters={filters}")).await
    }

    /// What the listing lacks of one container. None where there is no such container any more, or where we
    /// are not allowed to look.
    pub(crate) async fn inspect(&self, id: &str) -> Result<Option<InspectedContainer>, EngineError> {
        let path = format!("/containers/{id}/json");
        let inspected = |bytes: &[u8]| match serde_json::from_slice::<InspectedContainer>(bytes) {
            Ok(inspected) => Ok(inspected),
            Err(error) => {
                let Lenient { value, left_out } = lenient_json::one(serde_json::from_slice(bytes)?);
                debug!(id, ?left_out, "parts of an inspection make no sense");
                value.ok_or(error)
            }
        };
        match self.get_by("inspect a container", &path, SMALL_MAX, inspected).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(EngineError { cause: Cause::Refused { status, .. }, .. }) if status < 500 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the engine keeps its networks, as far as that can be told of what it says about itself.
    pub(crate) async fn kind(&self) -> Result<EngineKind, EngineError> {
        let info: TimedAnswer<serde_json::Value> = self.get("ask the engine about itself", "/info", SMALL_MAX).await?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let options = info.value["SecurityOptions"].as_array();
        if options.into_iter().flatten().any(|option| text(option).split(',').any(|part| part == "name=rootless")) {
            return Ok(EngineKind::Rootless);
        }
        let is_desktop = text(&info.value["OperatingSystem"]).starts_with("Docker Desktop");
        Ok(if is_desktop { EngineKind::DockerDesktop } else { EngineKind::Other })
    }

    /// The engine's networks as it writes them.
    pub(crate) async fn networks(&self) -> Result<TimedAnswer<Vec<serde_json::Value>>, EngineError> {
        self.get("list the networks", "/networks", SMALL_MAX).await
    }

    /// A container that makes no sense, or a part of one, costs only itself.
    async fn get_listing(&self, path: &str) -> Result<TimedAnswer<ContainerListing>, EngineError> {
        let listing = |bytes: &[u8]| match serde_json::from_slice::<Vec<ListedContainer>>(bytes) {
            Ok(listed) => Ok(ContainerListing::from(listed)),
            Err(error) => match serde_json::from_slice::<Vec<LenientMember<ListedContainer>>>(bytes) {
                Ok(members) => ContainerListing::mended(members).ok_or(error),
                Err(_) => Err(error),
            },
        };
        self.get_by(Self::LISTING, path, LISTING_MAX, listing).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        act: &'static str,
        path: &str,
        len_max: usize,
    ) -> Result<TimedAnswer<T>, EngineError> {
        self.get_by(act, path, len_max, |bytes| serde_json::from_slice(bytes)).await
    }

    async fn get_by<T>(
        &self,
        act: &'static str,
        path: &str,
        len_max: usize,
        understood: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<TimedAnswer<T>, EngineError> {
        let failed = |cause| EngineError { act, cause };
        let asked = Instant::now();
        let bytes = match timeout(READ_MAX, self.fetch(path, len_max)).await {
            Ok(fetched) => fetched.map_err(failed)?,
            Err(_) => return Err(failed(Cause::Silent)),
        };
        let took = asked.elapsed();
        let len = bytes.len();
        let value = understood(&bytes).map_err(|error| failed(Cause::Nonsense(error.to_string())))?;
        trace!(path, len, ?took, understanding = ?(asked.elapsed() - took), "read");
        Ok(TimedAnswer { value, took })
    }

    async fn fetch(&self, path: &str, len_max: usize) -> Result<Bytes, Cause> {
        let request = Request::new(Empty::<Bytes>::new());
        let path = self.version.api.prefixed(path);
        let response = send(&self.dialer, request, path, Budget::new(len_max)).await?;
        let status = response.status();
        let declared = hyper::body::Body::size_hint(response.body()).lower();
        if usize::try_from(declared).map_or(true, |len| len > len_max) {
            return Err(Cause::TooLarge);
        }
        let body = response.into_body().collect().await?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body);
        }
        Err(Cause::Refused { status: status.as_u16(), message: message_of(&body) })
    }
}

/// The engine's own words for a refusal.
fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        message: String,
    }
    let text = serde_json::from_slice::<ErrorBody>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |refusal| refusal.message);
    shortened(&text)
}

/// One line that fits into a log, whatever the other side sent.
fn shortened(text: &str) -> String {
    const LEN_MAX: usize = 200;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(LEN_MAX).map(clean).collect()
}

async fn within<T>(act: &'static str, asked: impl Future<Output = Result<T, DockerError>>) -> Result<T, EngineError> {
    match timeout(READ_MAX, asked).await {
        Ok(answer) => answer.map_err(|error| EngineError { act, cause: error.into() }),
        Err(_) => Err(EngineError { act, cause: Cause::Silent }),
    }
}

/// Our wire as bollard's transport, for one request.
struct BollardTransport {
    dialer: Connector,
    api: Option<ApiVersion>,
    budget: Budget,
    /// Notified when the head of a good answer has arrived, which bollard does not tell.
    answered: Arc<Notify>,
    /// The engine's clock, from the same head.
    date: Arc<Mutex<Option<SystemTime>>>,
}

impl BollardTransport {
    fn new(dialer: &Connector, api: Option<ApiVersion>, len_max: usize) -> Self {
        Self {
            dialer: dialer.clone(),
            api,
            budget: Budget::new(len_max),
            answered: Arc::default(),
            date: Arc::default(),
        }
    }

    fn docker(self: &Arc<Self>, act: &'static str) -> Result<Docker, EngineError> {
        let wire = Arc::clone(self);
        let carry = move |request: BollardRequest| {
            let wire = Arc::clone(&wire);
            async move { wire.carry(request).await }
        };
        // Its own time limit ends with the head of an answer, so ours stands around each call instead.
        let no_limit = 24 * 60 * 60;
        Docker::connect_with_custom_transport(carry, Some("http://engine"), no_limit, API_DEFAULT_VERSION)
            .map_err(|error| EngineError { act, cause: error.into() })
    }

    async fn carry(&self, request: BollardRequest) -> Result<http::Response<hyper::body::Incoming>, DockerError> {
        let given = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        // bollard sends no version, however well it has negotiated one, and an engine without a version
        // answers in its newest.
        let path = self.api.map_or(given.clone(), |api| api.prefixed(given.as_str()));
        let response = send(&self.dialer, request, path, self.budget.clone()).await.map_err(|error| match error {
            RequestError::Dial(error) => DockerError::IOError { err: std::io::Error::other(error) },
            RequestError::Http(error) => error.into(),
        })?;
        let date = response.headers().get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        *self.date.lock().expect("no holder of the lock panics") = date;
        if response.status().is_success() {
            self.answered.notify_one();
        }
        Ok(response)
    }
}

/// What an engine could not be moved to do. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("{}{cause}", if matches!(cause, Cause::NoConnection(_)) { String::new() } else { format!("{act}: ") })]
pub(crate) struct EngineError {
    pub(crate) act: &'static str,
    pub(crate) cause: Cause,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("{0}")]
    NoConnection(String),
    #[error("no answer within {} s", READ_MAX.as_secs())]
    Silent,
    #[error("the engine answered {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the answer is too large to be true")]
    TooLarge,
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
    #[error("{0}")]
    Broken(String),
    #[error("the engine speaks API {0}, and at least {oldest} is needed", oldest = ApiVersion::OLDEST)]
    TooOld(ApiVersion),
    #[error("the engine closed the stream")]
    Ended,
}

impl From<RequestError> for Cause {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Dial(error) => Self::NoConnection(error.to_string()),
            RequestError::Http(error) => error.into(),
        }
    }
}

impl From<hyper::Error> for Cause {
    fn from(error: hyper::Error) -> Self {
        if is_too_large(&error) {
            return Self::TooLarge;
        }
        if error.is_parse() {
            return Self::Nonsense(shortened(&with_causes(&error)));
        }
        Self::Broken(with_causes(&error))
    }
}

impl From<DockerError> for Cause {
    fn from(error: DockerError) -> Self {
        match error {
            DockerError::HyperResponseError { err } => err.into(),
            DockerError::IOError { err } if is_too_large(&err) => Self::TooLarge,
            DockerError::IOError { err } => {
                match err.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>()) {
                    Some(dial) => Self::NoConnection(dial.to_string()),
                    None => Self::Broken(plainly(&err)),
                }
            }
            DockerError::RequestTimeoutError => Self::Silent,
            DockerError::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message: shortened(&message) }
            }
            error @ (DockerError::JsonDataError { .. } | DockerError::JsonSerdeError { .. }) => {
                Self::Nonsense(shortened(&error.to_string()))
            }
            error => Self::Broken(shortened(&error.to_string())),
        }
    }
}

/// An error with what led to it: hyper keeps the interesting part in the cause.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_well_after_failed_to() {
        let shown = |act, cause| EngineError { act, cause }.to_string();
        assert_eq!(shown("ping the engine", Cause::Silent), "ping the engine: no answer within 10 s");
        assert_eq!(
            shown("ping the engine", Cause::NoConnection("connect to `a`: connection refused".into())),
            "connect to `a`: connection refused"
        );
        let old = Cause::TooOld(ApiVersion { major: 1, minor: 38 });
        assert_eq!(shown("x", old), "x: the engine speaks API 1.38, and at least 1.40 is needed");
    }

    #[test]
    fn what_an_engine_says_cannot_break_a_log_line() {
        assert_eq!(message_of(br#"{"message":"client version 1.24 is too old"}"#), "client version 1.24 is too old");
        assert_eq!(message_of(b"<html>\n\x1b[31mno\n"), "<html>  [31mno");
        assert_eq!(message_of(&[b'x'; 5000]).len(), 200);
    }
}
