//! Properties of whole client connections that hold for any bytes: sessions, pipeline and endpoints together.
//!
//! A connection is served by the same code as in the data plane, but over a pipe in place of a socket, and on a paused
//! clock: deadlines pass at once. Its endpoints are [`application`]s that read strictly and with another parser.

mod application;
mod frames;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use gangway_model::{Address, Matcher, Middleware, Route, Scheme, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use crate::properties::frames::frames_from;

use crate::downstream::connection::ClientConnection;
use crate::downstream::http1::serve::serve_http1;
use crate::downstream::http2::session::serve_http2;
use crate::exchange::worker::Worker;
use crate::lifecycle::Lifecycle;
use crate::overload::address_account::AddressAccount;
use crate::properties::application::{PEER, Received};
use crate::samples::{SampleState, endpoint_at, pass, route};
use crate::upstream::connector::Connector;

/// The host of all routes.
const HOST: &str = "a";

/// Bytes of a body that the route with a bound takes.
const BODY_MAX: u64 = 1000;

/// The first bytes of a client over HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long an endpoint may be silent. The default is an hour, in which timers expire thousands of times.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than any connection lasts whose client says nothing more: each of its requests may wait for its endpoint.
const LASTING_MAX: Duration = Duration::from_secs(3 * 60 * 60);

/// Longer than anything takes to notice that its client or its endpoint has gone.
const AFTERWARDS: Duration = Duration::from_secs(600);

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientHttp {
    One,
    Two,
}

thread_local! {
    /// One for all connections, as in the data plane: what a thread keeps for later requests belongs to its runtime.
    static RUNTIME: Runtime = {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime")
    };
}

/// What a connection came to.
#[derive(Debug)]
#[cfg_attr(fuzzing, expect(dead_code, reason = "the fuzz targets look for panics only"))]
pub(crate) struct Served {
    /// The number of requests that reached endpoints.
    pub(crate) at_endpoints: f64,
    /// The number of requests that have ended, by the counters of their routes.
    pub(crate) ended: f64,
    /// The bytes that the client got.
    pub(crate) answer: Vec<u8>,
}

/// Any bytes as what a client sends; over HTTP/2, after its preface. The connection ends, endpoints read each request as
/// the one that was served, and nothing is held afterwards.
pub(crate) fn check_connection(http: ClientHttp, bytes: &[u8]) -> Served {
    RUNTIME.with(|runtime| runtime.block_on(check(http, bytes)))
}

async fn check(http: ClientHttp, bytes: &[u8]) -> Served {
    let received = Arc::new(Received::default());
    // They end together with this check.
    let mut applications = JoinSet::new();
    let mut state = SampleState::new();
    state.serve(routes(&received, &mut applications).await);
    let (tables, open) = (state.shared.tables.clone(), state.shared.connector.open.clone());
    let (memory, account) = (state.shared.overload.memory.clone(), Arc::new(AddressAccount::default()));
    let connector = Connector::new(&state.shared.connector);
    let worker = Arc::new(Worker::new(state.shared.clone(), connector));
    let mut connection = ClientConnection::new(PEER, crate::samples::listener(false));
    connection.account = Some(Arc::clone(&account));

    let answer = serve(http, &worker, connection, bytes).await;
    drop(worker);
    pass(AFTERWARDS).await;

    let (at_endpoints, faults) = received.all();
    assert_eq!(faults, [""; 0], "{}", bytes.escape_ascii());
    let (ended, retries) = (state.metric("gangway_requests_total"), state.metric("gangway_retries_total"));
    // Otherwise an endpoint has read one request as several.
    assert!(at_endpoints <= ended + retries, "{at_endpoints} of {ended} and {retries}: {}", bytes.escape_ascii());
    for gauge in ["gangway_requests_under_way", "gangway_requests_waiting"] {
        assert_eq!(state.metric(gauge), 0.0, "{gauge}: {}", bytes.escape_ascii());
    }
    let table = tables.load_full();
    let mut endpoints = table.routes().iter().flat_map(|route| &route.ready);
    assert!(endpoints.all(|endpoint| endpoint.state.in_flight() == 0), "{}", bytes.escape_ascii());
    assert_eq!((open.count(), memory.leased(), account.bytes()), (0, 0, 0), "{}", bytes.escape_ascii());
    Served { at_endpoints, ended, answer }
}

/// Serves a connection to its end; what its client was sent.
async fn serve(http: ClientHttp, worker: &Arc<Worker>, connection: ClientConnection, bytes: &[u8]) -> Vec<u8> {
    let (ours, client) = tokio::io::duplex(1 << 20);
    let (worker, connection) = (Arc::clone(worker), Arc::new(connection));
    let (_phase, phases) = watch::channel(Lifecycle::Serving);
    let (_goaway, going) = watch::channel(false);
    let served = tokio::spawn(async move {
        match http {
            ClientHttp::One => serve_http1(ours, &worker, &connection, phases).await,
            ClientHttp::Two => serve_http2(ours, &worker, connection, going, phases).await,
        }
    });
    let (mut incoming, mut outgoing) = tokio::io::split(client);
    let sent = [if http == ClientHttp::Two { PREFACE } else { b"" }, bytes].concat();
    let writing = tokio::spawn(async move {
        // The connection may end before it has read everything.
        let _ = outgoing.write_all(&sent).await;
        outgoing
    });
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(LASTING_MAX, incoming.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection does not end: {}", bytes.escape_ascii());
    served.await.expect("no panic");
    drop(writing.await);
    answer
}

/// A route for each way that a request can take.
async fn routes(received: &Arc<Received>, applications: &mut JoinSet<()>) -> Vec<(Matcher, Route)> {
    let (plain, plain_at) = listener().await;
    let (h2c, h2c_at) = listener().await;
    // Nobody listens there any more.
    let (_, gone_at) = listener().await;
    applications.spawn(application::run_http1(plain, Arc::clone(received)));
    applications.spawn(application::run_h2c(h2c, Arc::clone(received)));
    let http1 = || endpoint_at(Scheme::Http, plain_at.clone());
    let gone = || endpoint_at(Scheme::Http, gone_at.clone());
    let bounded = vec![Middleware::StripPrefix(vec!["/bounded".into()]), Middleware::BodyLimit(BODY_MAX)];
    let mut routes = vec![
        route(HOST, "/", vec![http1()], vec![]),
        route(HOST, "/h2c", vec![endpoint_at(Scheme::H2c, h2c_at)], vec![]),
        route(HOST, "/either", vec![gone(), http1()], vec![]),
        route(HOST, "/bounded", vec![http1()], bounded),
        route(HOST, "/gone", vec![gone()], vec![]),
    ];
    for (_, route) in &mut routes {
        route.timeouts = Timeouts { response: PATIENCE, idle: PATIENCE, ..Timeouts::default() };
    }
    routes
}

async fn listener() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, Address::Ip(address.ip(), address.port()))
}
