//! State that is carried along one request.

use http::StatusCode;
use tokio::time::Instant;

use crate::access::gate::Passage;
use crate::access::guard::GateKind;
use crate::cache::run::CacheRun;
use crate::downstream::connection::ClientConnection;
use crate::hold::release::Released;
use crate::message::request_head::RequestHead;
use crate::middleware::body_limit::BodyMeter;
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::request::client_origin::ClientScheme;
use crate::request::decision::{Incoming, RoutedTo};
use crate::route_metrics::UnderWay;
use crate::serving_table::ActiveEndpoint;
use crate::upstream::attempt::Attempt;

/// The context of one request, used again for the next one on the same connection. It keeps one route of one table.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(crate) started: Instant,
    /// Whether nothing of a request is in it.
    is_fresh: bool,
    request_id: Option<String>,
    pub(crate) received: Received,
    /// The route of the last decision that found one.
    pub(crate) routed: Option<RoutedTo>,
    pub(crate) body: BodyMeter,
    pub(crate) hold: HoldState,
    pub(crate) passage: Passage,
    pub(crate) attempt: Attempt,
    pub(crate) reply: ReplyNote,
    /// The status of the response that has begun.
    pub(crate) begun: Option<StatusCode>,
    pub(crate) under_way: Option<UnderWay>,
    /// Its way past the cache of its route, if that has one.
    pub(crate) cache: Option<Box<CacheRun>>,
}

/// How much is known of the request.
#[derive(Debug)]
pub(crate) enum Received {
    /// A head that was not admitted yet, or was rejected.
    Nothing,
    /// What the client sent is no head; the head at hand says nothing.
    NoHead,
    /// The head was admitted.
    Admitted(Admission),
}

/// The state of a request that waits for an endpoint.
#[derive(Debug, Default)]
pub(crate) struct HoldState {
    /// When its waiting time is over; set when it first has to wait.
    pub(crate) until: Option<Instant>,
    /// Its place among the requests that go on after waiting.
    pub(crate) released: Option<Released>,
}

/// Facts about a local reply, for the access log.
#[derive(Debug, Default)]
pub(crate) struct ReplyNote {
    /// None if an application answered.
    pub(crate) reason: Option<Reason>,
    /// A description of the failure, for people.
    pub(crate) detail: Option<String>,
}

/// The parts that every request to an endpoint has.
#[derive(Clone, Copy)]
pub(crate) struct Routing<'c> {
    pub(crate) admission: &'c Admission,
    pub(crate) routed: &'c RoutedTo,
    pub(crate) passage: &'c Passage,
}

impl Default for RequestContext {
    fn default() -> Self {
        Self::begun(Instant::now())
    }
}

impl RequestContext {
    fn begun(started: Instant) -> Self {
        Self {
            started,
            is_fresh: true,
            request_id: None,
            received: Received::Nothing,
            routed: None,
            body: BodyMeter::default(),
            hold: HoldState::default(),
            passage: Passage::default(),
            attempt: Attempt::default(),
            reply: ReplyNote::default(),
            begun: None,
            under_way: None,
            cache: None,
        }
    }
}

impl RequestContext {
    /// Begins the next request, now.
    pub(crate) fn begin(&mut self) {
        // The last request may have ended by a panic.
        if !self.is_fresh {
            self.end();
        }
        self.is_fresh = false;
        self.started = Instant::now();
    }

    /// Forgets the request and gives back what it holds: its route, and its places in counts and queues.
    pub(crate) fn end(&mut self) {
        *self = Self::begun(self.started);
    }

    /// Notes that the request is sent to an endpoint, once more if one has failed it: what an earlier try left behind
    /// does not count.
    pub(crate) fn begin_try(&mut self) {
        self.body.reset();
        self.attempt.begin_try();
    }

    pub(crate) fn admission(&self) -> Option<&Admission> {
        match &self.received {
            Received::Admitted(admission) => Some(admission),
            Received::Nothing | Received::NoHead => None,
        }
    }

    /// The scheme of the client's URL; plain HTTP if the request was not admitted.
    pub(crate) fn scheme(&self) -> ClientScheme {
        self.admission().map_or(ClientScheme::Http, |admission| admission.origin.scheme())
    }

    /// The request as a decision sees it. `head` is the head that was admitted.
    pub(crate) fn incoming<'a>(
        &'a self,
        head: &'a RequestHead,
        connection: &'a ClientConnection,
    ) -> Option<Incoming<'a>> {
        Some(Incoming { head, connection, admission: self.admission()? })
    }

    /// The parts that the way to an endpoint needs. None before a route was found.
    pub(crate) fn routing(&self) -> Option<Routing<'_>> {
        Some(Routing { admission: self.admission()?, routed: self.routed.as_ref()?, passage: &self.passage })
    }

    /// The gate that the request has come to.
    pub(crate) fn gate(&self) -> GateKind {
        self.routed.as_ref().filter(|routed| routed.is_at_gate).map_or(GateKind::Open, |routed| routed.active.gate)
    }

    /// Whether the route found has a gate, and the request has come to it.
    pub(crate) fn is_at_gate(&self) -> bool {
        self.gate() != GateKind::Open
    }

    /// The endpoint that has the request now.
    pub(crate) fn endpoint(&self) -> Option<&ActiveEndpoint> {
        self.routed.as_ref()?.active.ready.get(self.attempt.chosen?)
    }

    /// The request's id. It is made on the first call.
    pub(crate) fn request_id(&mut self) -> &str {
        self.request_id.get_or_insert_with(|| format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
    }

    /// The request's id, if it was made.
    pub(crate) fn known_request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_a_request_that_was_not_ended() {
        let mut context = RequestContext::default();
        for _ in 0..2 {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            context.begin();
            assert_eq!((context.started, context.known_request_id()), (Instant::now(), None));
            let _ = context.request_id();
        }
        context.end();
        assert_eq!(context.known_request_id(), None);
    }
}
