//! Serves one request.

use std::sync::Arc;

use crate::downstream::connection::ClientConnection;
use crate::exchange::worker::Worker;
use crate::message::request_head::RequestHead;
use crate::reply::rejection::Rejection;
use crate::stream::downstream::Downstream;

/// The state of one request, used again for the next one on the same connection.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Filled by the client's session before [`serve`].
    pub(crate) head: RequestHead,
}

/// Serves the request whose head is in `exchange`, up to the end of its response, and records it.
pub(crate) async fn serve<D: Downstream>(
    _worker: &Worker,
    _connection: &Arc<ClientConnection>,
    _exchange: &mut Exchange,
    _client: &mut D,
) {
    std::future::pending().await
}

/// Answers a request that is rejected before its head was whole, and records it.
pub(crate) async fn reject<D: Downstream>(
    _worker: &Worker,
    _connection: &Arc<ClientConnection>,
    _exchange: &mut Exchange,
    _client: &mut D,
    _rejection: Rejection,
) {
    std::future::pending().await
}
