//! The application that tests put behind Gangway: it says what it received and misbehaves on request.
//!
//! HTTP/1.1 is spoken by hand and not by a library, because the point is to show the bytes as they came:
//! the order and case of fields, the target unchanged, an answer that begins too early or ends too soon.
//!
//! | path | answer |
//! |---|---|
//! | `/` | name and host name |
//! | `/echo`, and any other path | JSON: method, target, fields in order, body length and sum |
//! | `/upload` | length and sum of the body |
//! | `/bytes/<n>` | n bytes of the `Pattern`; `?chunked` without a length, `?cache-control=<value>` |
//! | `/stream` | server-sent events; `?every=<ms>&count=<n>&type=<media type>` |
//! | `/ws` | WebSocket echo |
//! | `/slow/<ms>` | answers after a while |
//! | `/status/<code>` | that status |
//! | `/early` | 413 before the body is read |
//! | `/cut/<n>` | announces twice n bytes and dies after n |
//! | `/hints` | 103, then 200 |
//! | `/trailers`, and gRPC | the body back, with trailers |
//! | `/health`, `/health/fail`, `/health/ok` | the state of health, and how to change it |
//!
//! A directed application does on every path what the request says.

mod body;
mod directed;
mod exchange;
mod h1;
pub(crate) mod h2;
mod routes;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use self::directed::Directed;
pub use self::exchange::Asked;
pub use self::tls::{self_signed, self_signed_pem};

/// What one application calls itself and how it behaves.
#[derive(Debug)]
pub struct App {
    name: String,
    hostname: String,
    /// How long an idle connection is kept; announced in `Keep-Alive` where it is set.
    keep_alive: Option<Duration>,
    healthy: AtomicBool,
    directed: Option<Directed>,
    under_way: AtomicU64,
    served: AtomicU64,
}

impl App {
    /// An application that answers as `name`.
    pub fn new(name: impl Into<String>) -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            name: name.into(),
            hostname: hostname.trim().to_owned(),
            keep_alive: None,
            healthy: AtomicBool::new(true),
            directed: None,
            under_way: AtomicU64::new(0),
            served: AtomicU64::new(0),
        }
    }

    /// Closes idle connections after this long and announces it.
    #[must_use]
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.keep_alive = Some(idle);
        self
    }

    /// Lets header fields that begin with `prefix` and a hyphen direct what is answered.
    #[must_use]
    pub fn directed(mut self, prefix: &str) -> Self {
        self.directed = Some(Directed::new(prefix));
        self
    }

    /// Whether `/health` answers 200.
    pub fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Requests that have been answered to the end.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }

    /// Requests that are being answered now.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::SeqCst)
    }
}

/// Serves HTTP/1.1, and HTTP/2 to clients that begin with its preface, until the future is dropped.
pub async fn serve(listener: TcpListener, app: Arc<App>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let app = Arc::clone(&app);
        let ends = Ends::of(&stream, peer);
        tokio::spawn(async move { connection(stream, ends, app).await });
    }
}

/// The same over TLS with a self-signed certificate, HTTP/2 offered by ALPN.
pub async fn serve_tls(listener: TcpListener, app: Arc<App>, config: Arc<rustls::ServerConfig>) {
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (app, acceptor, ends) = (Arc::clone(&app), acceptor.clone(), Ends::of(&stream, peer));
        tokio::spawn(async move {
            let stream = acceptor.accept(stream).await?;
            connection(stream, ends, app).await
        });
    }
}

/// Starts an application on a free loopback port, for tests in one process; it ends with the runtime.
pub async fn spawn(app: App) -> io::Result<(SocketAddr, Arc<App>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Arc::new(app);
    tokio::spawn(serve(listener, Arc::clone(&app)));
    Ok((address, app))
}

/// Both ends of a connection, each an address and a port.
#[derive(Clone, Debug)]
struct Ends {
    peer: String,
    local: String,
}

impl Ends {
    fn of(stream: &TcpStream, peer: SocketAddr) -> Self {
        let local = stream.local_addr().map(|local| local.to_string()).unwrap_or_default();
        Self { peer: peer.to_string(), local }
    }
}

async fn connection<S>(mut stream: S, ends: Ends, app: Arc<App>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut first = bytes::BytesMut::with_capacity(8 * 1024);
    while first.len() < 4 {
        if stream.read_buf(&mut first).await? == 0 {
            return Ok(());
        }
    }
    if first.starts_with(b"PRI ") {
        h2::serve(h2::Replay::new(first.freeze(), stream), ends, app).await
    } else {
        h1::serve(stream, first, ends, app).await
    }
}
