//! Why a request is not served at all: one value for the gate, for admission and for the answer.

use crate::reason::Reason;

/// A request that breaks a rule of HTTP or one of our bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) reason: Reason,
    /// Which rule, for the access log and for clients on the local network.
    pub(crate) detail: &'static str,
}

impl Rejection {
    pub(crate) const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail }
    }

    pub(crate) const fn bad(detail: &'static str) -> Self {
        Self::new(Reason::BadRequest, detail)
    }
}
