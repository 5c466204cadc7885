//! The listener, with a bound on everything that a client can use up.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::allowed_hosts::AllowedHosts;
use crate::answer::{Answers, EVENTS_PATH, Sources, no_events};
use crate::page::Updates;
use crate::stream::{EventBody, Progress};

/// The number of connections at once. A browser, a scraper and a health check use three.
const CONNECTIONS_MAX: usize = 64;

/// The number of streams of events at once, beside [`CONNECTIONS_MAX`]: open pages take no place from a health check.
const STREAMS_MAX: usize = 64;

/// How often a connection with a stream is looked after.
const LOOK_STEP: Duration = Duration::from_secs(1);

/// The time for a whole request head, and for the wait for the next one.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The length of a request head. The longest query of `explain` fits many times.
const HEAD_LEN_MAX: usize = 32 * 1024;

/// A connection is closed after this long, so that a client that does not read its answer does not block others.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// The time for an answer that is under way then.
const LAST_ANSWER_TIME: Duration = Duration::from_secs(10);

/// The pause after a failed accept, of which the usual cause is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address to listen on, and the names that are answered.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The address of `--admin`.
    pub listen: SocketAddr,
    /// A socket that listens on `listen` already. It was opened by the service manager or by a predecessor.
    pub passed: Option<Arc<std::net::TcpListener>>,
    /// Names of this machine, beside `localhost` and `gangway`.
    pub names: Vec<String>,
    /// The value of the field [`ADMIN_MARK`](gangway_model::ADMIN_MARK) of requests that our own proxy brings by a route of
    /// the operator. Without it no request is answered that a proxy brings.
    pub mark: Option<HeaderValue>,
}

/// The open admin listener.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    answers: Arc<Answers>,
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// An answer that is whole, or a stream of events.
type Answer = Response<Either<Full<Bytes>, EventBody>>;

/// What one connection shares with its requests.
struct ConnectionState {
    answers: Arc<Answers>,
    /// Given back when a stream begins, which has a place of its own.
    place: Mutex<Option<OwnedSemaphorePermit>>,
    streams: Arc<Semaphore>,
    stream: Mutex<Option<Progress>>,
    /// Closes when the listener stops serving, which ends streams.
    open: watch::Receiver<()>,
}

impl Admin {
    /// Opens the listener. Connections wait until [`Admin::serve`] accepts them.
    pub async fn bind(settings: AdminSettings, sources: Sources) -> Result<Self, BindError> {
        let AdminSettings { listen, passed, names, mark } = settings;
        let failed = |error| BindError { address: listen, error };
        let listener = match passed {
            Some(socket) => socket.try_clone().and_then(TcpListener::from_std),
            None => TcpListener::bind(listen).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let allowed_hosts = AllowedHosts::new(address, names, mark);
        let (updates, shown) = (Updates::Events, address.to_string());
        let answers = Arc::new(Answers { sources, allowed_hosts, address: shown, updates });
        let [places, streams] = [CONNECTIONS_MAX, STREAMS_MAX].map(|count| Arc::new(Semaphore::new(count)));
        Ok(Self { listener, address, answers, places, streams })
    }

    /// The address that is listened on, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A duplicate of the socket, for a successor that listens on it as well.
    pub fn socket(&self) -> io::Result<std::net::TcpListener> {
        self.listener.as_fd().try_clone_to_owned().map(Into::into)
    }

    /// Answers for ever. Streams of events end with this future.
    pub async fn serve(&self) -> Infallible {
        let (_open, open) = watch::channel(());
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a connection to the admin listener");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let state = ConnectionState {
                answers: Arc::clone(&self.answers),
                place: Mutex::new(Some(place)),
                streams: Arc::clone(&self.streams),
                stream: Mutex::new(None),
                open: open.clone(),
            };
            tokio::spawn(serve_connection(stream, state));
        }
    }
}

async fn serve_connection(stream: TcpStream, state: ConnectionState) {
    let state = Arc::new(state);
    let of_requests = Arc::clone(&state);
    let service = service_fn(move |request| {
        let response = of_requests.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_LEN_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Errors are the client's: it went away, or did not speak HTTP.
    if timeout(CONNECTION_TIME, connection.as_mut()).await.is_ok() {
        return;
    }
    while let Some(stream) = state.stream() {
        if stream.is_overdue(Instant::now()) {
            return;
        }
        if timeout(LOOK_STEP, connection.as_mut()).await.is_ok() {
            return;
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_ANSWER_TIME, connection).await;
}

impl ConnectionState {
    fn respond(&self, request: &Request<Incoming>) -> Answer {
        if request.uri().path() == EVENTS_PATH && request.method() == Method::GET {
            return self.listen(request).unwrap_or_else(|refusal| whole(request, *refusal).map(Either::Left));
        }
        whole(request, self.answers.answer(request)).map(Either::Left)
    }

    /// Begins a stream. It is the last answer on its connection.
    fn listen(&self, request: &Request<Incoming>) -> Result<Answer, Box<Response<String>>> {
        let (mut response, subscription) = self.answers.listen(request)?;
        let place = Arc::clone(&self.streams).try_acquire_owned();
        let place = place.map_err(|_| Box::new(no_events("there are too many streams of events")))?;
        let progress = Progress::begin();
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let body = EventBody::new(subscription, progress, place, self.open.clone());
        Ok(response.map(|()| Either::Right(body)))
    }

    fn stream(&self) -> Option<Progress> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn whole(request: &Request<Incoming>, response: Response<String>) -> Response<Full<Bytes>> {
    let mut response = response.map(Bytes::from);
    // Set here, because an answer to HEAD has the length of the body that is left out.
    let len = HeaderValue::from(response.body().len());
    response.headers_mut().insert(CONTENT_LENGTH, len);
    if request.method() == Method::HEAD { response.map(|_| Full::default()) } else { response.map(Full::new) }
}

/// The listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for `--admin`: {error}")]
pub struct BindError {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The error of the system.
    pub error: io::Error,
}
