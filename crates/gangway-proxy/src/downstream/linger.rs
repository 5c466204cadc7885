//! Keeps a connection open until a client that still sends has read its answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::buffer_pool;
use crate::downstream::byte_stream::ByteStream;

/// How long bytes are read from a client that still uploads after its answer. Closing with unread bytes would reset
/// the connection, and the client would lose the answer.
const LINGER: Duration = Duration::from_secs(30);
/// How long the client may be silent meanwhile.
const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// Lets the answer reach a client that is still sending: ends the writing side, then reads and drops the client's
/// bytes until it stops, within bounds.
pub(crate) async fn linger<T: ByteStream>(io: &mut T) {
    let _ = tokio::time::timeout(LINGER, async {
        if io.shutdown().await.is_err() {
            return;
        }
        let mut scrap = buffer_pool::take();
        while let Ok(Ok(1..)) = tokio::time::timeout(LINGER_SILENCE, io.read(&mut scrap)).await {}
    })
    .await;
}
