//! The state of one request.

use tokio::time::Instant;

use crate::exchange::replay::Replay;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::request::context::RequestContext;
use crate::timer::Timer;

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
    /// The time of the endpoint; the client's is kept by its session.
    pub(super) timer: Timer,
    /// When the last request ended.
    pub(crate) ended: Option<Instant>,
}
