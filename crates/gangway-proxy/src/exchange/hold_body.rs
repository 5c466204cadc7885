//! Holds the body of a request while it is decided whether the request may pass.
//!
//! What is held goes to the endpoint first, and then what the client still sends: the endpoint gets each byte once, in order,
//! framed as the client has framed it. The client keeps its least rate meanwhile.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;

use crate::exchange::replay::Replay;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::overload::address_account::AddressAccount;
use crate::overload::memory_budget::MemoryBudget;
use crate::stream::body_frame::BodyFrame;
use crate::stream::downstream::{Downstream, DownstreamError};

/// What a held body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldBounds<'a> {
    /// Bytes that are held. Those behind them stay with the client until the request passes.
    pub(super) held: usize,
    /// Bytes that the route allows.
    pub(super) allowed: Option<u64>,
    pub(super) memory: &'a MemoryBudget,
    /// The client's, if it is counted.
    pub(super) account: Option<&'a Arc<AddressAccount>>,
}

/// Why a body is not held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HoldError {
    Client(DownstreamError),
    /// It is larger than the route allows.
    TooLarge,
    /// There is no memory left for it.
    NoMemory,
    /// Some of it was sent to an endpoint, and is not at hand any more.
    Gone,
}

/// Holds the beginning of the body: all of it, or as much as `bounds` say. Does nothing for what is held already.
pub(super) async fn hold_body<D: Downstream>(
    client: &mut D,
    head: &mut RequestHead,
    replay: &mut Replay,
    bounds: HoldBounds<'_>,
) -> Result<(), HoldError> {
    if head.body == BodyLength::Empty {
        return Ok(());
    }
    if !replay.is_whole() {
        return Err(HoldError::Gone);
    }
    if head.expects_continue {
        // The endpoint is not asked before the body is here. So it has nothing to say about whether that is to come.
        let go_on = ResponseHead { status: StatusCode::CONTINUE, ..ResponseHead::default() };
        client.send_informational(&go_on).map_err(HoldError::Client)?;
        head.expects_continue = false;
        head.fields.remove(FieldKind::Expect);
    }
    poll_fn(|cx| {
        while replay.bytes().len() < bounds.held {
            let taken = match client.poll_body(cx).map_err(HoldError::Client)? {
                Poll::Ready(BodyFrame::Data(data)) => {
                    let data = data.up_to(bounds.held - replay.bytes().len());
                    let len = replay.bytes().len() + data.len();
                    if bounds.allowed.is_some_and(|allowed| len as u64 > allowed) {
                        return Poll::Ready(Err(HoldError::TooLarge));
                    }
                    if bounds.memory.is_used_up() {
                        return Poll::Ready(Err(HoldError::NoMemory));
                    }
                    data.slices().for_each(|slice| replay.hold(slice, bounds.memory, bounds.account));
                    data.len()
                }
                Poll::Ready(BodyFrame::End) => break,
                Poll::Pending => {
                    // The client may wait for the 100.
                    if let Poll::Ready(flushed) = client.poll_flush(cx) {
                        flushed.map_err(HoldError::Client)?;
                    }
                    return Poll::Pending;
                }
            };
            client.consume(taken);
        }
        Poll::Ready(Ok(()))
    })
    .await
}
