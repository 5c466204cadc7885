//! The requests to an engine. All of them only read, and all are bounded in time and size.
//!
//! bollard provides the version, the ping and the events. Listings and inspections are deserialised here, because
//! bollard's types for them are closed enumerations: one unknown word (Podman says `stopped` for a moment after each
//! stop) would lose the listing of all containers. bollard also keeps far more of an answer than Gangway needs, such as
//! the environment of an inspected container.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bollard::errors::Error as DockerError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use gangway_model::EngineKind;
use http::header::DATE;
use http::uri::PathAndQuery;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::{debug, trace};

use crate::api_version::{ApiVersion, EngineVersion};
use crate::connect::Connector;
use crate::engine_error::{Cause, EngineError, READ_MAX, shortened};
use crate::event_counts::EventCounts;
use crate::events::{self, EventStream};
use crate::lenient_json::{self, Lenient, LenientMember};
use crate::listing::{ContainerListing, InspectedContainer, ListedContainer};
use crate::request::{self, ReadBudget, RequestError};

/// The longest listing. Ten thousand containers with long labels take about a third of it.
const LISTING_MAX: usize = 64 * 1024 * 1024;

/// The longest answer to any other request, and the longest single event. An inspection of a container with a thousand
/// environment variables fits.
const SMALL_MAX: usize = 4 * 1024 * 1024;

/// Inspections that are under way at once. An engine answers each in a millisecond or two, and has other clients too.
const INSPECTIONS_MAX: usize = 8;

/// Makes requests to one engine in the negotiated version of the API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    connector: Connector,
    pub(crate) version: EngineVersion,
    /// The engine's clock at the time of connecting. Events are requested from then on.
    since: Option<SystemTime>,
}

/// An answer, and how long the engine took to send it.
#[derive(Debug)]
pub(crate) struct TimedAnswer<T> {
    pub(crate) value: T,
    pub(crate) took: Duration,
}

impl Client {
    const LISTING: &str = "read the container list";

    /// Asks the engine for its versions and negotiates the one to use.
    pub(crate) async fn connect(connector: &Connector) -> Result<Self, EngineError> {
        const ACT: &str = "ask the engine for its version";
        let transport = Arc::new(BollardTransport::new(connector, None, SMALL_MAX));
        let answer = within(ACT, transport.docker(ACT)?.version()).await?;
        let version =
            EngineVersion::negotiate(&answer).map_err(|error| EngineError { act: ACT, cause: error.into() })?;
        let since = *transport.date.lock().expect("no holder of the lock panics");
        Ok(Self { connector: connector.clone(), version, since })
    }

    /// Checks that the engine answers. An engine that hangs keeps its stream of events open and silent for ever.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        const ACT: &str = "ping the engine";
        let transport = Arc::new(BollardTransport::new(&self.connector, None, SMALL_MAX));
        match within(ACT, transport.docker(ACT)?.ping()).await {
            // An engine that refuses is alive.
            Err(EngineError { cause: Cause::Refused { status, .. }, .. }) if status < 500 => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Subscribes to events, which are counted, and returns once the engine sends them.
    ///
    /// bollard's stream sends no request until it is polled, and engines begin to answer just before they subscribe.
    /// So this waits for the beginning of the answer, and requests the events since [`Self::connect`].
    pub(crate) async fn subscribe(&self, counts: &EventCounts) -> Result<EventStream, EngineError> {
        const ACT: &str = EventStream::SUBSCRIBING;
        let transport = Arc::new(BollardTransport::new(&self.connector, Some(self.version.api), SMALL_MAX));
        let events = events::open(&transport.docker(ACT)?, self.since, transport.budget.clone(), counts.clone());
        match timeout(READ_MAX, events.once_live(&transport.answered)).await {
            Ok(events) => events,
            Err(_) => Err(EngineError { act: ACT, cause: Cause::Silent }),
        }
    }

    /// Lists all containers, running or not.
    pub(crate) async fn list(&self) -> Result<TimedAnswer<ContainerListing>, EngineError> {
        self.get_listing("/containers/json?all=1").await
    }

    /// Lists the containers with these ids, as far as they exist. The ids must consist of letters and digits.
    pub(crate) async fn list_only(&self, ids: &[Box<str>]) -> Result<TimedAnswer<ContainerListing>, EngineError> {
        // `{"id":["…","…"]}`
        let filters = format!("%7B%22id%22%3A%5B%22{}%22%5D%7D", ids.join("%22%2C%22"));
        self.get_listing(&format!("/containers/json?all=1&filters={filters}")).await
    }

    /// Inspects one container. `None` if the container no longer exists, or if the engine refuses.
    pub(crate) async fn inspect(&self, id: &str) -> Result<Option<InspectedContainer>, EngineError> {
        let path = format!("/containers/{id}/json");
        let inspected = |bytes: &[u8]| match serde_json::from_slice::<InspectedContainer>(bytes) {
            Ok(inspected) => Ok(inspected),
            Err(error) => {
                let Lenient { value, left_out } = lenient_json::from_value(serde_json::from_slice(bytes)?);
                debug!(id, ?left_out, "left out malformed parts of an inspection");
                value.ok_or(error)
            }
        };
        match self.get_by("inspect a container", &path, SMALL_MAX, inspected).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(EngineError { cause: Cause::Refused { status, .. }, .. }) if status < 500 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Inspects several containers at once. Those that cannot be inspected now are left out.
    pub(crate) async fn inspect_all(
        &self,
        ids: impl IntoIterator<Item = Box<str>>,
    ) -> Result<Vec<(Box<str>, Option<InspectedContainer>)>, EngineError> {
        let requests = ids.into_iter().map(|id| async move {
            let answer = self.inspect(&id).await;
            (id, answer)
        });
        let requests: Vec<_> = requests.collect();
        let mut answers = stream::iter(requests).buffer_unordered(INSPECTIONS_MAX);
        let mut inspected = Vec::new();
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(answer) => inspected.push((id, answer)),
                // One container that cannot be inspected now must not make the whole reading fail.
                Err(EngineError { cause: Cause::Refused { .. } | Cause::TooLarge | Cause::Nonsense(_), .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(inspected)
    }

    /// Where the engine keeps its networks, as far as its answer to `/info` tells.
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

    /// Lists the networks as the engine writes them.
    pub(crate) async fn networks(&self) -> Result<TimedAnswer<Vec<serde_json::Value>>, EngineError> {
        self.get("list the networks", "/networks", SMALL_MAX).await
    }

    /// Reads a listing. A malformed container, or a malformed part of one, costs only itself.
    async fn get_listing(&self, path: &str) -> Result<TimedAnswer<ContainerListing>, EngineError> {
        let listing = |bytes: &[u8]| match serde_json::from_slice::<Vec<ListedContainer>>(bytes) {
            Ok(listed) => Ok(ContainerListing::from(listed)),
            Err(error) => match serde_json::from_slice::<Vec<LenientMember<ListedContainer>>>(bytes) {
                Ok(members) => ContainerListing::lenient(members).ok_or(error),
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
        parse: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<TimedAnswer<T>, EngineError> {
        let failed = |cause| EngineError { act, cause };
        let asked = Instant::now();
        let bytes = match timeout(READ_MAX, self.fetch(path, len_max)).await {
            Ok(fetched) => fetched.map_err(failed)?,
            Err(_) => return Err(failed(Cause::Silent)),
        };
        let took = asked.elapsed();
        let len = bytes.len();
        let value = parse(&bytes).map_err(|error| failed(Cause::Nonsense(error.to_string())))?;
        trace!(path, len, ?took, parsing = ?(asked.elapsed() - took), "read");
        Ok(TimedAnswer { value, took })
    }

    async fn fetch(&self, path: &str, len_max: usize) -> Result<Bytes, Cause> {
        let request = Request::new(Empty::<Bytes>::new());
        let path = self.version.api.prefixed(path);
        let response = request::send(&self.connector, request, path, ReadBudget::new(len_max)).await?;
        let status = response.status();
        let declared = hyper::body::Body::size_hint(response.body()).lower();
        if usize::try_from(declared).map_or(true, |len| len > len_max) {
            return Err(Cause::TooLarge);
        }
        let body = response.into_body().collect().await?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body);
        }
        Err(Cause::Refused { status: status.as_u16(), message: refusal_message(&body) })
    }
}

/// The message in the body of a refusal.
fn refusal_message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        message: String,
    }
    let text = serde_json::from_slice::<ErrorBody>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |body| body.message);
    shortened(&text)
}

async fn within<T>(act: &'static str, asked: impl Future<Output = Result<T, DockerError>>) -> Result<T, EngineError> {
    match timeout(READ_MAX, asked).await {
        Ok(answer) => answer.map_err(|error| EngineError { act, cause: error.into() }),
        Err(_) => Err(EngineError { act, cause: Cause::Silent }),
    }
}

/// Lets bollard send one request through [`request::send`].
struct BollardTransport {
    connector: Connector,
    api: Option<ApiVersion>,
    budget: ReadBudget,
    /// Notified when the head of a successful answer has arrived, which bollard does not report.
    answered: Arc<Notify>,
    /// The engine's clock, from the head of the answer.
    date: Arc<Mutex<Option<SystemTime>>>,
}

impl BollardTransport {
    fn new(connector: &Connector, api: Option<ApiVersion>, len_max: usize) -> Self {
        Self {
            connector: connector.clone(),
            api,
            budget: ReadBudget::new(len_max),
            answered: Arc::default(),
            date: Arc::default(),
        }
    }

    fn docker(self: &Arc<Self>, act: &'static str) -> Result<Docker, EngineError> {
        let transport = Arc::clone(self);
        let send = move |request: BollardRequest| {
            let transport = Arc::clone(&transport);
            async move { transport.send(request).await }
        };
        // bollard's time limit covers only the head of an answer, so each call has our own limit instead.
        let no_limit = 24 * 60 * 60;
        Docker::connect_with_custom_transport(send, Some("http://engine"), no_limit, API_DEFAULT_VERSION)
            .map_err(|error| EngineError { act, cause: error.into() })
    }

    async fn send(&self, request: BollardRequest) -> Result<http::Response<hyper::body::Incoming>, DockerError> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        // bollard sends no version, even if it has negotiated one, and an engine answers a request without a version in
        // its newest one.
        let path = self.api.map_or(path.clone(), |api| api.prefixed(path.as_str()));
        let response =
            request::send(&self.connector, request, path, self.budget.clone()).await.map_err(|error| match error {
                RequestError::Connect(error) => DockerError::IOError { err: std::io::Error::other(error) },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_engine_cannot_break_a_log_line() {
        assert_eq!(
            refusal_message(br#"{"message":"client version 1.24 is too old"}"#),
            "client version 1.24 is too old"
        );
        assert_eq!(refusal_message(b"<html>\n\x1b[31mno\n"), "<html>  [31mno");
        assert_eq!(refusal_message(&[b'x'; 5000]).len(), 200);
    }
}
