//! The state of one request.

use tokio::time::Instant;

use crate::exchange::replay::Replay;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::request::context::RequestContext;
use crate::timer::Timer;
use crate::trace::request_trace::RequestTrace;

/// The state of one request, used again for the next one on the same connection.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Filled by the client's session before [`serve`].
    pub(crate) head: RequestHead,
    pub(super) context: RequestContext,
    pub(super) response: ResponseHead,
    /// The fields for the endpoint.
    pub(super) upstream_fields: Fields,
    pub(super) replay: Replay,
    /// The time of the endpoint.
    pub(super) timer: Timer,
    /// The time of the client, while no session has it.
    pub(crate) client_timer: Timer,
    /// Its trace, if it is recorded.
    pub(super) trace: Option<Box<RequestTrace>>,
    /// When the last request ended.
    pub(crate) ended: Option<Instant>,
}

impl Exchange {
    /// Gives up what is not for the next request, and buffers that are larger than most requests need.
    pub(super) fn release(&mut self) {
        self.head.fields.release();
        self.response.fields.release();
        self.upstream_fields.release();
        self.replay.reset();
        self.ended = None;
    }
}
