//! Waits for something on behalf of a client, which may go meanwhile.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::stream::downstream::{Downstream, DownstreamError};

/// The outcome of some work, unless the client goes first.
pub(super) async fn unless_client_goes<D: Downstream, T>(
    client: &mut D,
    work: impl Future<Output = T>,
) -> Result<T, DownstreamError> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
        Poll::Pending => client.poll_gone(cx).map(Err),
    })
    .await
}
