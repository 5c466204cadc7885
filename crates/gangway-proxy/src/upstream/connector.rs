//! Connections to endpoints: kept, opened, and taken back.

use std::sync::Arc;
use std::time::Duration;

use crate::downstream::connection::ClientConnection;
use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::UpstreamError;
use crate::upstream::dedicated::ConnectionOwner;
use crate::upstream::open_connections::OpenConnections;
use crate::upstream::stream::UpstreamStream;

/// The connections to endpoints of one worker thread.
#[derive(Debug)]
pub(crate) struct Connector {
    open: OpenConnections,
}

/// What the threads have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectorSettings {
    /// Counts the connections of all threads.
    pub(crate) open: OpenConnections,
}

/// The properties that a request asks of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionNeed<'c> {
    pub(crate) owner: ConnectionOwner,
    /// The client connection that the request came by: it keeps the connections that belong to it.
    pub(crate) client: Option<&'c Arc<ClientConnection>>,
    /// Whether the connection is to be switched to another protocol, which only HTTP/1.1 can.
    pub(crate) is_upgrade: bool,
    /// Whether the request may be sent again if the connection turns out to be closed.
    pub(crate) is_repeatable: bool,
    pub(crate) connect_timeout: Duration,
}

impl Connector {
    /// Begins to keep connections. Called within the runtime of the thread.
    pub(crate) fn new(settings: &ConnectorSettings) -> Arc<Self> {
        Arc::new(Self { open: settings.open.clone() })
    }

    /// A kept connection that can take the request at once. Never waits.
    pub(crate) fn checkout(&self, _endpoint: &ActiveEndpoint, _need: &ConnectionNeed<'_>) -> Option<UpstreamStream> {
        None
    }

    /// Opens a connection within the time that `need` gives for it: name, TCP, TLS, preface of HTTP/2.
    pub(crate) async fn connect(
        &self,
        _endpoint: &ActiveEndpoint,
        _need: &ConnectionNeed<'_>,
    ) -> Result<UpstreamStream, UpstreamError> {
        std::future::pending().await
    }

    /// Takes a connection back whose response has been read to its end, and keeps it if it can carry another request.
    /// Any other connection just closes.
    pub(crate) fn release(&self, stream: UpstreamStream) {
        drop(stream);
    }
}
