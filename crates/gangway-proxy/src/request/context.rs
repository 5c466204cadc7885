//! What is carried along one request.

use std::os::fd::RawFd;
use std::sync::Arc;

use prometheus::IntGauge;
use tokio::time::Instant;

use crate::downstream::connection::ClientConnection;
use crate::hold::release::Released;
use crate::reason::Reason;
use crate::request::client_origin::ClientOrigin;
use crate::serving_table::{ActiveEndpoint, ActiveRoute};
use crate::upstream::balance::random;
use crate::upstream::dedicated::{ConnectionOwner, give_up};
use crate::upstream::endpoint_state::{EndpointState, InFlight};

/// The context of one request: one table was loaded for it, and of that table one route is kept.
pub(crate) struct RequestContext {
    pub(crate) started: Instant,
    pub(crate) connection: Option<Arc<ClientConnection>>,
    /// Who asks, after trusted proxies were accounted for.
    pub(crate) origin: Option<ClientOrigin>,
    /// The gate refused what was sent; the request at hand only stands in for it.
    pub(crate) refused: bool,
    /// The client's side speaks TLS, with us or with a trusted proxy.
    pub(crate) secure: bool,
    pub(crate) host: String,
    /// The port the client named.
    pub(crate) port: Option<u16>,
    pub(crate) route: Option<Arc<ActiveRoute>>,
    /// The decoded path prefix that matched.
    pub(crate) prefix: String,
    pub(crate) request_id: Option<String>,
    /// Why we answered instead of an app.
    pub(crate) reason: Option<Reason>,
    /// What is wrong, for the access log.
    pub(crate) detail: Option<String>,
    /// The endpoint that has the request now, by position in the route.
    pub(crate) chosen: Option<usize>,
    /// How often it was brought to an endpoint, and how often it could not be.
    pub(crate) tries: usize,
    pub(crate) not_reached: usize,
    /// Endpoints that failed it. Empty, and not allocated, for nearly all requests.
    pub(crate) failed: Vec<Arc<EndpointState>>,
    /// The client is to be told by which sign it finds this endpoint again.
    pub(crate) new_to_endpoint: bool,
    /// Until when it waits for an endpoint; set when it first has to.
    pub(crate) hold_until: Option<Instant>,
    /// It had to wait, and now goes on as one of a few.
    pub(crate) released: Option<Released>,
    pub(crate) in_flight: Option<InFlight>,
    /// Whose the connection to the endpoint is, and which it is, while it is open.
    pub(crate) owner: ConnectionOwner,
    pub(crate) upstream_socket: Option<RawFd>,
    /// Nobody may use that connection after this request.
    pub(crate) is_last_there: bool,
    pub(crate) under_way: Option<UnderWay>,
    /// Something of an answer came from the endpoint.
    pub(crate) answer_begun: bool,
    pub(crate) upgrade: bool,
    pub(crate) body_limit: Option<u64>,
    pub(crate) body_seen: u64,
    /// When the request was handed to the endpoint, and when its answer began.
    pub(crate) sent: Option<Instant>,
    pub(crate) first_byte: Option<Instant>,
}

/// Counts a request in a gauge until it is dropped.
pub(crate) struct UnderWay(IntGauge);

impl UnderWay {
    pub(crate) fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RequestContext {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            connection: None,
            origin: None,
            refused: false,
            secure: false,
            host: String::new(),
            port: None,
            route: None,
            prefix: String::new(),
            request_id: None,
            reason: None,
            detail: None,
            chosen: None,
            tries: 0,
            not_reached: 0,
            failed: Vec::new(),
            new_to_endpoint: false,
            hold_until: None,
            released: None,
            in_flight: None,
            owner: ConnectionOwner::Shared,
            upstream_socket: None,
            is_last_there: false,
            under_way: None,
            answer_begun: false,
            upgrade: false,
            body_limit: None,
            body_seen: 0,
            sent: None,
            first_byte: None,
        }
    }

    /// The endpoint that has the request now.
    pub(crate) fn endpoint(&self) -> Option<&ActiveEndpoint> {
        self.route.as_ref()?.ready.get(self.chosen?)
    }

    /// Lets the connection of a WebSocket or a stream of events end with its endpoint.
    pub(crate) fn lasts(&self) {
        let task = self.connection.as_ref().and_then(|connection| connection.task.get());
        if let (Some(endpoint), Some(task)) = (self.endpoint(), task) {
            endpoint.state.lasts(task.clone());
        }
    }

    /// Gives the connection to the endpoint up, once the whole answer has come by it, if nobody may use it
    /// after this request. Of what the client still sends to be answered, nothing is owed to the endpoint.
    pub(crate) fn answer_has_come(&mut self) {
        if self.is_last_there
            && let Some(socket) = self.upstream_socket.take()
        {
            give_up(socket);
        }
    }

    /// The request's id; made when first asked for.
    pub(crate) fn request_id(&mut self) -> &str {
        self.request_id.get_or_insert_with(|| format!("{:016x}{:016x}", random(), random()))
    }
}
