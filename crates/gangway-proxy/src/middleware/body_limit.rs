//! Refuses request bodies that are larger than the route allows.

use crate::message::body_length::BodyLength;
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;

/// Refuses a request that announces a larger body.
pub(crate) fn on_request(limit: u64, body: BodyLength) -> Option<LocalReply> {
    match body {
        BodyLength::Sized(len) if len > limit => Some(FailureReply::new(Reason::BodyTooLarge).into()),
        BodyLength::Sized(_) | BodyLength::Empty | BodyLength::Framed | BodyLength::UntilClose => None,
    }
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

    /// Begins to count anew: at another endpoint the body is sent from its beginning.
    pub(crate) fn reset(&mut self) {
        self.seen = 0;
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
        meter.reset();
        assert!(!meter.exceeds(10, 10), "another try sends all of it again");
    }
}
