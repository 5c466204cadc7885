//! The listener, with a bound on everything that a client can use up.

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

use crate::allowed_hosts::AllowedHosts;
use crate::answer::{Answers, Sources};

/// The number of connections at once. A browser, a scraper and a health check use three.
const CONNECTIONS_MAX: usize = 64;

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
}

/// The open admin listener.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    answers: Arc<Answers>,
    places: Arc<Semaphore>,
}

impl Admin {
    /// Opens the listener. Connections wait until [`Admin::serve`] accepts them.
    pub async fn bind(settings: AdminSettings, sources: Sources) -> Result<Self, BindError> {
        let AdminSettings { listen, passed, names } = settings;
        let failed = |error| BindError { address: listen, error };
        let listener = match passed {
            Some(socket) => socket.try_clone().and_then(TcpListener::from_std),
            None => TcpListener::bind(listen).await,
        };
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let allowed_hosts = AllowedHosts::new(address, names);
        let answers = Arc::new(Answers { sources, allowed_hosts, address: address.to_string() });
        Ok(Self { listener, address, answers, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) })
    }

    /// The address that is listened on, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A duplicate of the socket, for a successor that listens on it as well.
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
