//! Refuses request bodies that are larger than the route allows.

use pingora::http::RequestHeader;

use crate::grammar::announced_len;
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;

/// Refuses a request that announces a larger body.
pub(crate) fn on_request(limit: u64, head: &RequestHeader) -> Option<LocalReply> {
    announced_len(&head.headers).is_some_and(|len| len > limit).then(|| FailureReply::new(Reason::BodyTooLarge).into())
}

/// Counts the bytes of a body whose length was not announced, or was announced wrongly.
#[derive(Debug, Default)]
pub(crate) struct BodyMeter {
    seen: u64,
}

impl BodyMeter {
    /// Adds `len` bytes. Returns whether the body is now larger than `limit`.
    pub(crate) fn exceeds(&mut self, len: usize, limit: u64) -> bool {
        self.seen += len as u64;
        self.seen > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_counted_over_all_its_pieces() {
        let mut meter = BodyMeter::default();
        assert!(!meter.exceeds(6, 10) && !meter.exceeds(4, 10));
        assert!(meter.exceeds(1, 10));
    }
}
