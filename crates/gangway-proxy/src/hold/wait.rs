//! Holds a request until an endpoint can serve it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Version;
use tokio::time::{Instant, timeout_at};

use crate::downstream::connection::ClientConnection;
use crate::hold::limits::Waiting;
use crate::hold::unavailable::no_endpoint;
use crate::message::body_length::BodyLength;
use crate::message::request_head::RequestHead;
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;
use crate::request::context::RequestContext;
use crate::request::routing::{NextStep, decide_again};
use crate::shared::Shared;
use crate::upstream::endpoint_state::EndpointHealth;

/// What follows after a wait.
#[derive(Debug)]
pub(crate) enum AfterWait {
    /// An endpoint of the route in the context serves the request.
    Serve,
    /// Gangway replies.
    Reply(LocalReply),
    /// The client has gone, so nobody waits for a reply.
    ClientGone,
}

/// A request that may have to wait, with what deciding about it needs.
pub(crate) struct Held<'a, G> {
    pub(crate) shared: &'a Shared,
    pub(crate) head: &'a RequestHead,
    pub(crate) connection: &'a Arc<ClientConnection>,
    pub(crate) ctx: &'a mut RequestContext,
    /// Ready once the client has gone.
    pub(crate) client_gone: G,
}

impl<G: FnMut(&mut Context<'_>) -> Poll<()>> Held<'_, G> {
    /// Waits for the first table or for an endpoint where the next step asks for it.
    pub(crate) async fn wait_or_reply(mut self, step: NextStep) -> AfterWait {
        let step = match step {
            NextStep::Reply(reply) if reply.reason() == Some(Reason::NotReady) => {
                let shared = self.shared;
                if self.unless_gone(shared.first_table()).await.is_none() {
                    return AfterWait::ClientGone;
                }
                self.decide_again()
            }
            step => step,
        };
        match step {
            NextStep::Hold => self.wait().await,
            NextStep::Serve => AfterWait::Serve,
            NextStep::Reply(reply) => AfterWait::Reply(reply),
        }
    }

    /// Decides again about a request that an endpoint failed, and waits if no other endpoint can serve it.
    pub(crate) async fn reconsider(mut self) -> AfterWait {
        // The same position in the next table may be another endpoint.
        self.ctx.attempt.chosen = None;
        match self.decide_again() {
            NextStep::Serve if can_be_reached(self.ctx) => AfterWait::Serve,
            NextStep::Serve | NextStep::Hold | NextStep::Reply(_) => self.wait().await,
        }
    }

    /// Decides again with every new table until an endpoint can serve the request, its time is over, its client has
    /// gone, or too many requests wait already. Meanwhile nothing of the body is read.
    async fn wait(&mut self) -> AfterWait {
        let shared = self.shared;
        let Some(active) = self.ctx.routed.as_ref().map(|routed| routed.active.clone()) else {
            return self.unavailable();
        };
        let hold = active.route.upstream.policy.hold;
        let has_waited = self.ctx.hold.until.is_some();
        let deadline = *self.ctx.hold.until.get_or_insert_with(|| Instant::now() + hold);
        let bytes = bytes_held(self.head, shared.settings.limits.h2_stream_window);
        let place = Waiting::begin(&shared.waiters, &active.history.waiting, bytes, &shared.metrics.waiting);
        let Some(_waiting) = place else { return self.unavailable() };
        if !has_waited {
            active.history.waited();
        }
        let mut tables = shared.tables.clone();
        self.ctx.hold.released = None;
        loop {
            // Once before the first wait: a table may have come before this reader was made.
            let step = self.decide_again();
            match step {
                NextStep::Hold => {}
                // All endpoints are known to be out of reach; the next table will reflect that.
                NextStep::Serve if !can_be_reached(self.ctx) => {}
                // After its release the request is decided about again: the table may have changed meanwhile.
                NextStep::Serve if self.ctx.hold.released.is_none() => {
                    let release = active.state.release_queue.pass(deadline);
                    match self.unless_gone(release).await {
                        None => return AfterWait::ClientGone,
                        Some(None) => return AfterWait::Serve,
                        Some(released) => self.ctx.hold.released = released,
                    }
                    continue;
                }
                // The route is gone because its next container did not come in time; the reply says what was waited
                // for.
                NextStep::Reply(reply) if reply.reason() == Some(Reason::NoRoute) => return self.unavailable(),
                NextStep::Serve => return AfterWait::Serve,
                NextStep::Reply(reply) => return AfterWait::Reply(reply),
            }
            // While the request waits on, another one may have its slot.
            self.ctx.hold.released = None;
            match self.unless_gone(timeout_at(deadline, tables.changed())).await {
                None => return AfterWait::ClientGone,
                Some(Ok(Ok(_))) => {}
                Some(Ok(Err(_)) | Err(_)) if matches!(step, NextStep::Serve) => return AfterWait::Serve,
                Some(Ok(Err(_)) | Err(_)) => return self.out_of_time(),
            }
        }
    }

    fn decide_again(&mut self) -> NextStep {
        decide_again(self.shared, self.head, self.connection, self.ctx)
    }

    /// Ends the wait of a request for which no endpoint came.
    fn out_of_time(&mut self) -> AfterWait {
        let Some(routed) = &mut self.ctx.routed else { return self.unavailable() };
        let Some(active) = routed.active.with_unreached() else { return self.unavailable() };
        routed.active = Arc::new(active);
        AfterWait::Serve
    }

    fn unavailable(&self) -> AfterWait {
        AfterWait::Reply(match &self.ctx.routed {
            Some(routed) => no_endpoint(&routed.active).into(),
            None => FailureReply::new(Reason::Internal).into(),
        })
    }

    /// The result of the future; none if the client goes first.
    async fn unless_gone<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            outcome = future => Some(outcome),
            () = poll_fn(|cx| (self.client_gone)(cx)) => None,
        }
    }
}

/// Whether the route has an endpoint that is not known to be out of reach.
fn can_be_reached(ctx: &RequestContext) -> bool {
    let ready = ctx.routed.iter().flat_map(|routed| &routed.active.ready);
    ready.into_iter().any(|endpoint| endpoint.state.health() != EndpointHealth::Failing)
}

/// The memory that a waiting request holds: its head, and over HTTP/2 the part of its body that the client may send
/// although nothing reads it.
fn bytes_held(head: &RequestHead, window: u32) -> usize {
    let window = usize::try_from(window).unwrap_or(usize::MAX);
    let body = match head.body {
        BodyLength::Empty => 0,
        // Over HTTP/1 the system holds the body back.
        _ if head.version < Version::HTTP_2 => 0,
        BodyLength::Sized(len) => usize::try_from(len).map_or(window, |len| window.min(len)),
        BodyLength::Framed | BodyLength::UntilClose => window,
    };
    head.target.len() + head.fields.wire_len() + body
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::request::routing::receive;
    use crate::samples::{HOST, OTHER_HOST, SampleState, connection, table, whole_table};

    fn waiting(state: &SampleState) -> i64 {
        state.shared.metrics.waiting.get()
    }

    async fn follow(
        state: &SampleState,
        host: &str,
        client_gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> (AfterWait, RequestContext) {
        let head = RequestHead::of_test("GET", "/app", &[("host", host)]);
        let (connection, mut ctx) = (Arc::new(connection(false)), RequestContext::default());
        let step = receive(&state.shared, &head, &connection, &mut ctx);
        let held = Held { shared: &state.shared, head: &head, connection: &connection, ctx: &mut ctx, client_gone };
        let after = held.wait_or_reply(step).await;
        (after, ctx)
    }

    fn stays(_: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_goes_on_as_soon_as_an_endpoint_is_there() {
        let mut state = SampleState::new();
        state.tables.publish(table(|_| {}));
        let (served, _) = follow(&state, HOST, stays).await;
        assert!(matches!(served, AfterWait::Serve), "{served:?}");
        let comes = async {
            while waiting(&state) == 0 {
                tokio::task::yield_now().await;
            }
        };
        let begun = Instant::now();
        let shared = state.shared.clone();
        let head = RequestHead::of_test("GET", "/app", &[("host", OTHER_HOST)]);
        let (connection, mut ctx) = (Arc::new(connection(false)), RequestContext::default());
        let step = receive(&shared, &head, &connection, &mut ctx);
        let held = Held { shared: &shared, head: &head, connection: &connection, ctx: &mut ctx, client_gone: stays };
        let mut held = std::pin::pin!(held.wait_or_reply(step));
        tokio::select! {
            after = &mut held => panic!("there is no endpoint: {after:?}"),
            () = comes => {}
        }
        state.tables.publish(whole_table());
        let after = held.await;
        assert!(matches!(after, AfterWait::Serve), "{after:?}");
        assert_eq!((begun.elapsed(), waiting(&state)), (Duration::ZERO, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_no_longer_than_its_route_holds_it() {
        let mut state = SampleState::new();
        state.tables.publish(table(|_| {}));
        let begun = Instant::now();
        let (after, ctx) = follow(&state, OTHER_HOST, stays).await;
        let reason = match &after {
            AfterWait::Reply(reply) => reply.reason(),
            AfterWait::Serve | AfterWait::ClientGone => None,
        };
        assert_eq!(reason, Some(Reason::NoEndpoint), "{after:?}");
        assert_eq!(begun.elapsed(), ctx.routed.expect("routed").active.route.upstream.policy.hold);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_gone_waits_neither_for_a_table_nor_for_an_endpoint() {
        let mut state = SampleState::new();
        let gone = |_: &mut Context<'_>| Poll::Ready(());
        let begun = Instant::now();
        let (after, _) = follow(&state, OTHER_HOST, gone).await;
        assert!(matches!(after, AfterWait::ClientGone), "{after:?}");
        state.tables.publish(table(|_| {}));
        let (after, _) = follow(&state, OTHER_HOST, gone).await;
        assert!(matches!(after, AfterWait::ClientGone), "{after:?}");
        assert_eq!((begun.elapsed(), waiting(&state)), (Duration::ZERO, 0), "its place is free at once");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_table_is_waited_for() {
        let state = SampleState::new();
        let (after, _) = follow(&state, HOST, stays).await;
        let is_starting = matches!(&after, AfterWait::Reply(reply) if reply.reason() == Some(Reason::NotReady));
        assert!(is_starting, "{after:?}");
    }

    #[test]
    fn a_body_counts_as_far_as_it_may_be_sent_ahead() {
        let mut head = RequestHead::of_test("POST", "/x", &[("host", "a")]);
        let alone = head.target.len() + "host: a\r\n".len();
        for (version, body, held) in [
            (Version::HTTP_11, BodyLength::Sized(100), 0),
            (Version::HTTP_2, BodyLength::Sized(100), 100),
            (Version::HTTP_2, BodyLength::Sized(u64::MAX), 1000),
            (Version::HTTP_2, BodyLength::Framed, 1000),
            (Version::HTTP_2, BodyLength::Empty, 0),
        ] {
            (head.version, head.body) = (version, body);
            assert_eq!(bytes_held(&head, 1000), alone + held, "{version:?} {body:?}");
        }
    }
}
