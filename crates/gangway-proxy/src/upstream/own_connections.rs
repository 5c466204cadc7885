//! Idle connections to endpoints that belong to one client connection, and end with it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::http1::stream::Http1Stream;
use crate::upstream::socket::Quiet;

/// Connections that one client connection may keep. With one more, the oldest ends, and the client authenticates there
/// again.
const KEPT_MAX: usize = 8;

/// The idle connections of one client connection, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct OwnConnections {
    idle: Mutex<Vec<Parked>>,
}

#[derive(Debug)]
struct Parked {
    stream: Box<Http1Stream>,
    since: Instant,
}

impl OwnConnections {
    pub(crate) fn has(&self, endpoint_id: u64) -> bool {
        self.idle.lock().iter().any(|parked| parked.stream.endpoint_id() == endpoint_id)
    }

    /// Takes the connection to an endpoint, if `is_wanted` and it is still good.
    pub(crate) fn take(
        &self,
        endpoint_id: u64,
        idle_timeout: Duration,
        is_wanted: impl Fn(&Http1Stream) -> bool,
    ) -> Option<Box<Http1Stream>> {
        let mut idle = self.idle.lock();
        loop {
            let is_it = |parked: &Parked| parked.stream.endpoint_id() == endpoint_id && is_wanted(&parked.stream);
            let position = idle.iter().rposition(is_it)?;
            let mut parked = idle.remove(position);
            if parked.since.elapsed() < idle_timeout && parked.stream.look() == Quiet::Open {
                return Some(parked.stream);
            }
        }
    }

    pub(crate) fn park(&self, stream: Box<Http1Stream>) {
        let mut idle = self.idle.lock();
        // Requests of a client connection follow each other, so an earlier connection to the same endpoint was lost.
        idle.retain(|parked| parked.stream.endpoint_id() != stream.endpoint_id());
        if idle.len() == KEPT_MAX {
            idle.remove(0);
        }
        idle.push(Parked { stream, since: Instant::now() });
    }
}
