//! Sends a response whose body is at hand.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;

use crate::message::response_head::ResponseHead;
use crate::request::context::RequestContext;
use crate::stream::downstream::{Downstream, DownstreamError};

pub(super) async fn send<D: Downstream>(
    context: &mut RequestContext,
    client: &mut D,
    head: &ResponseHead,
    mut body: Bytes,
) -> Result<(), DownstreamError> {
    client.start_response(head)?;
    context.begun = Some(head.status);
    poll_fn(|cx| {
        while !body.is_empty() {
            match client.poll_send(cx, &body)? {
                Poll::Ready(taken) => drop(body.split_to(taken)),
                Poll::Pending => return Poll::Pending,
            }
        }
        client.poll_finish(cx, None)
    })
    .await
}
