//! The listener, with a bound on everything a client may take.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::answer::{Answers, Sources};
use crate::known_host::KnownHosts;

/// Connections at once; a browser, a scraper and a health check take three.
const CONNECTIONS_MAX: usize = 64;

/// For a whole request head, and for the wait for the next one.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request head. What `explain` is asked fits many times.
const HEAD_LEN_MAX: usize = 32 * 1024;

/// A connection is closed after this long, so that who does not read his answer keeps no place.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// What an answer under way may take beyond that.
const LAST_ANSWER_TIME: Duration = Duration::from_secs(10);

/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen, and under which names.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// `--admin`.
    pub listen: SocketAddr,
    /// Listens on `listen` already, opened by somebody else.
    pub passed: Option<Arc<std::net::TcpListener>>,
    /// Names of this machine, beside `localhost` and `gangway`.
    pub names: Vec<String>,
}

/// The open admin listener.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    answers: Arc<Answers>,
    places: Arc<Semaphore>,
}

impl Admin {
    /// Opens the listener. Connections wait until [`Admin::serve`] takes them.
    pub async fn bind(settings: AdminSettings, sources: Sources) -> Result<Self, BindError> {
        let AdminSettings { listen, passed, names } = settings;
        let failed = |error| BindError { address: listen, error };
        let listener = match passed {
            Some(socket) => socket.try_clone().and_then(TcpListener::from_std),
            None => TcpListener::bind(listen).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let known_hosts = KnownHosts::new(address, names);
        let answers = Arc::new(Answers { sources, known_hosts, address: address.to_string() });
        Ok(Self { listener, address, answers, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its socket once more, for a successor to listen on as well.
    pub fn socket(&self) -> io::Result<std::net::TcpListener> {
        self.listener.as_fd().try_clone_to_owned().map(Into::into)
    }

    /// Answers for ever.
    pub async fn serve(&self) -> Infallible {
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
            let answers = Arc::clone(&self.answers);
            tokio::spawn(async move {
                let _place = place;
                serve_connection(stream, answers).await;
            });
        }
    }
}

async fn serve_connection(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request| {
        let response = respond(&answers, &request);
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
    if timeout(CONNECTION_TIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER_TIME, connection).await;
    }
}

fn respond(answers: &Answers, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = answers.answer(request).map(Bytes::from);
    // Said here, since of an answer to HEAD only the length is sent.
    let len = HeaderValue::from(response.body().len());
    response.headers_mut().insert(CONTENT_LENGTH, len);
    if request.method() == Method::HEAD { response.map(|_| Full::default()) } else { response.map(Full::new) }
}

/// Why the listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for `--admin`: {error}")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}
