//! Bounds on what a client may send and hold, each with its reason.

use std::time::Duration;

use crate::overload::memory_limit;

/// The bounds of the data plane. The defaults are documented for users.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time for a whole request head, from its first byte to the blank line.
    pub head_time: Duration,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Fields of a request head.
    pub head_fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Time for a TLS handshake.
    pub handshake_time: Duration,
    /// Time that a body may come slower than [`Limits::body_rate`] before it is refused.
    pub body_grace: Duration,
    /// The least bytes a second of a body.
    pub body_rate: u64,
    /// Time that a connection may wait for its next request.
    pub idle: Duration,
    /// Time that an answer may make no progress because the client does not read it.
    pub stalled_write: Duration,
    /// Concurrent HTTP/2 streams on a connection.
    pub h2_streams: u32,
    /// Bytes of a request body that an HTTP/2 client may send ahead on a stream.
    pub h2_stream_window: u32,
    /// Bytes of request bodies that an HTTP/2 client may send ahead on a whole connection.
    pub h2_connection_window: u32,
    /// Connections of both sides of the whole process.
    pub open_connections: usize,
    /// Client connections of the whole process.
    pub connections: usize,
    /// Client connections from one address (IPv6: one network of 64 bits).
    pub connections_per_address: u32,
    /// Requests that one address may have under way over HTTP/2.
    pub requests_per_address: usize,
    /// Bytes of memory of the whole process.
    pub memory: usize,
    /// Time for the whole answer of the web application firewall, for which the client waits.
    pub appsec_answer: Duration,
}

impl Limits {
    /// The least value of [`Limits::memory`].
    pub const MEMORY_MIN: usize = memory_limit::BYTES_MIN;

    /// The defaults, with 80 % of `open_files_max` for client connections: upstream connections, certificates and the
    /// engine need descriptors too.
    pub fn for_open_files(open_files_max: u64) -> Self {
        let connections = usize::try_from(open_files_max / 5 * 4).unwrap_or(usize::MAX).max(64);
        // Listeners, logs, certificates, the engine and the admin listener need descriptors too.
        let reserve = (open_files_max / 20).max(48);
        let open_connections = usize::try_from(open_files_max.saturating_sub(reserve)).unwrap_or(usize::MAX).max(64);
        // One address cannot take all descriptors for upstream connections.
        let requests_per_address = (connections / 4).clamp(64, 1024);
        Self { open_connections, connections, requests_per_address, ..Self::default() }
    }

    /// Takes the descriptors of listening sockets from those of connections. The reserve has some for the usual two
    /// addresses.
    pub(crate) fn leave_room_for_listeners(&mut self, addresses: usize, shards: usize) {
        // Each shard has a socket of its own, and a successor gets a copy of it.
        let further = addresses.saturating_sub(2) * shards * 2;
        self.open_connections = self.open_connections.saturating_sub(further).max(64);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Long enough for any network; short enough that slow heads do not occupy connections.
            head_time: Duration::from_secs(10),
            // Several large cookies; HAProxy's bound is 16 KiB, nginx's 32 KiB.
            head_bytes: 32 * 1024,
            head_fields: 100,
            target_bytes: 8 * 1024,
            handshake_time: Duration::from_secs(10),
            body_grace: Duration::from_secs(10),
            body_rate: 1024,
            idle: Duration::from_secs(75),
            // Players stop reading while their buffer is full; nginx waits as long.
            stalled_write: Duration::from_secs(60),
            h2_streams: 100,
            // One round trip of 50 ms then carries 20 MB/s.
            h2_stream_window: 1 << 20,
            h2_connection_window: 4 << 20,
            open_connections: 20 * 1024,
            connections: 16 * 1024,
            connections_per_address: 512,
            requests_per_address: 1024,
            memory: memory_limit::default_bytes(),
            // CrowdSec's bouncer for nginx waits for 700 ms, the one for HAProxy for 5 s.
            appsec_answer: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_have_descriptors_before_connections() {
        let room = |addresses, shards| {
            let mut limits = Limits { open_connections: 1000, ..Limits::default() };
            limits.leave_room_for_listeners(addresses, shards);
            limits.open_connections
        };
        assert_eq!([room(0, 8), room(2, 8), room(3, 8), room(12, 8)], [1000, 1000, 984, 840]);
        assert_eq!(room(500, 8), 64);
    }
}
