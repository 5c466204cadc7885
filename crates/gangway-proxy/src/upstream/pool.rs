//! The connections to endpoints that any request of one thread may use.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ahash::HashMap;

use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::http1::stream::Http1Stream;
use crate::upstream::http2::connection::{Http2Connection, Http2Slot};
use crate::upstream::socket::Quiet;
use crate::upstream::transport::EndpointTransport;

/// Idle connections of HTTP/1 that a thread keeps.
const IDLE_MAX: usize = 1024;

/// How long a connection of HTTP/2 is kept without a request. A request that meets its end is not lost: GOAWAY says
/// which ones were not processed.
const HTTP2_IDLE_MAX: Duration = Duration::from_secs(60);

/// An endpoint that closes after each response does so at once. One that has not for this long keeps connections; in
/// milliseconds.
const KEPT_OPEN_FROM: u64 = 200;

/// Connections by endpoint.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    endpoints: HashMap<u64, OfEndpoint>,
    /// Idle connections of HTTP/1, of all endpoints.
    idle: usize,
}

#[derive(Debug)]
struct OfEndpoint {
    state: Weak<EndpointState>,
    /// The one that was used last is at the end.
    http1: Vec<IdleConnection>,
    http2: Vec<Arc<Http2Connection>>,
    /// Transports by which the endpoint chose HTTP/1.1 although HTTP/2 was offered.
    prefers_http1: Vec<Arc<EndpointTransport>>,
    /// Locked while a connection of HTTP/2 is opened, so that a burst of requests shares one.
    opening: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct IdleConnection {
    stream: Box<Http1Stream>,
    /// Milliseconds of the thread's clock.
    since: u64,
}

impl Pool {
    /// Takes an idle connection of HTTP/1 that is still good.
    pub(crate) fn take_http1(
        &mut self,
        state: &EndpointState,
        transport: &Arc<EndpointTransport>,
        now: u64,
    ) -> Option<Box<Http1Stream>> {
        let endpoint = self.endpoints.get_mut(&state.id())?;
        let idle_timeout = millis(transport.idle_at_most(state.idle_timeout()));
        loop {
            let position = endpoint.http1.iter().rposition(|idle| same(idle.stream.transport(), transport))?;
            let mut idle = endpoint.http1.remove(position);
            self.idle -= 1;
            if now.saturating_sub(idle.since) >= idle_timeout {
                continue;
            }
            match idle.stream.look() {
                Quiet::Open => return Some(idle.stream),
                Quiet::Closed => state.note_closed_unannounced(),
                Quiet::Stray => {}
            }
        }
    }

    /// Keeps an idle connection of HTTP/1, if there is room and its endpoint still exists.
    /// Each of the threads keeps its part of those that users allow.
    pub(crate) fn park_http1(&mut self, stream: Box<Http1Stream>, now: u64, threads: NonZeroU32) {
        if self.idle < IDLE_MAX
            && let Some(state) = stream.endpoint()
            && state.idle_timeout() > Duration::ZERO
            && !state.leaves()
        {
            let kept = &mut self.of(&state).http1;
            if let Some(max) = stream.transport().settings.idle_max {
                // Fewer than there are threads are one for each, since no thread can use those of another.
                let part = usize::try_from(max.div_ceil(threads.get())).unwrap_or(usize::MAX);
                if kept.iter().filter(|idle| same(idle.stream.transport(), stream.transport())).count() >= part {
                    return;
                }
            }
            kept.push(IdleConnection { stream, since: now });
            self.idle += 1;
        }
    }

    /// Begins a stream on a connection of HTTP/2.
    pub(crate) fn begin_http2(&self, state: &EndpointState, transport: &Arc<EndpointTransport>) -> Option<Http2Slot> {
        let connections = &self.endpoints.get(&state.id())?.http2;
        connections
            .iter()
            .rev()
            .filter(|connection| same(connection.transport(), transport))
            .find_map(Http2Connection::begin)
    }

    pub(crate) fn add_http2(&mut self, state: &Arc<EndpointState>, connection: Arc<Http2Connection>) {
        self.of(state).http2.push(connection);
    }

    /// The lock for opening connections of HTTP/2 to an endpoint.
    pub(crate) fn opening(&mut self, state: &Arc<EndpointState>) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.of(state).opening)
    }

    pub(crate) fn prefers_http1(&self, state: &EndpointState, transport: &Arc<EndpointTransport>) -> bool {
        let endpoint = self.endpoints.get(&state.id());
        endpoint.is_some_and(|endpoint| endpoint.prefers_http1.iter().any(|known| same(known, transport)))
    }

    pub(crate) fn note_prefers_http1(&mut self, state: &Arc<EndpointState>, transport: &Arc<EndpointTransport>) {
        if !self.prefers_http1(state, transport) {
            self.of(state).prefers_http1.push(Arc::clone(transport));
        }
    }

    /// Closes what is idle for too long, or closed, or belongs to an endpoint that has left. Called several times a
    /// second.
    pub(crate) fn sweep(&mut self, now: u64) {
        self.endpoints.retain(|_, endpoint| match endpoint.state.upgrade() {
            Some(state) => {
                endpoint.sweep(&state, now);
                // What is learnt of an endpoint stays while it exists.
                true
            }
            None => false,
        });
        self.idle = self.endpoints.values().map(|endpoint| endpoint.http1.len()).sum();
    }

    /// Closes all connections over HTTP/1 that carry no request.
    pub(crate) fn close_idle(&mut self) {
        for endpoint in self.endpoints.values_mut() {
            endpoint.http1.clear();
        }
        self.idle = 0;
    }

    fn of(&mut self, state: &Arc<EndpointState>) -> &mut OfEndpoint {
        self.endpoints.entry(state.id()).or_insert_with(|| OfEndpoint {
            state: Arc::downgrade(state),
            http1: Vec::new(),
            http2: Vec::new(),
            prefers_http1: Vec::new(),
            opening: Arc::default(),
        })
    }
}

impl OfEndpoint {
    fn sweep(&mut self, state: &EndpointState, now: u64) {
        let (leaves, idle_timeout) = (state.leaves(), state.idle_timeout());
        self.http1.retain_mut(|idle| {
            let idle_for = now.saturating_sub(idle.since);
            if leaves || idle_for >= millis(idle.stream.transport().idle_at_most(idle_timeout)) {
                return false;
            }
            let quiet = idle.stream.look();
            match quiet {
                Quiet::Open if idle_for >= KEPT_OPEN_FROM => state.note_kept_open(),
                Quiet::Open | Quiet::Stray => {}
                Quiet::Closed => state.note_closed_unannounced(),
            }
            quiet == Quiet::Open
        });
        self.http2.retain(|connection| {
            connection.check();
            let idle_max = millis(connection.transport().idle_at_most(HTTP2_IDLE_MAX));
            let has_expired = leaves && connection.idle_for() > 0 || connection.idle_for() >= idle_max;
            !has_expired && !connection.is_over()
        });
        if leaves {
            // It may speak something else when it comes back.
            self.prefers_http1.clear();
        }
    }
}

/// Whether connections by these transports are interchangeable. A new table has new transports, which are mostly equal.
fn same(one: &Arc<EndpointTransport>, other: &Arc<EndpointTransport>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
