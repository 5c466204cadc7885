//! The beginning of a request's body, kept so that it can be sent again.

/// Bytes of a body that are kept. Forms and API calls fit; an upload is not sent twice.
const REPLAY_MAX: usize = 64 * 1024;

/// What was sent of a request's body.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    bytes: Vec<u8>,
    is_kept: bool,
    is_truncated: bool,
}

impl Replay {
    /// Forgets the last body. `is_kept` tells whether the next one may be sent again.
    pub(crate) fn reset(&mut self, is_kept: bool) {
        if self.bytes.capacity() > 0 {
            self.bytes = Vec::new();
        }
        self.is_kept = is_kept;
        self.is_truncated = false;
    }

    /// Notes bytes that the endpoint took.
    pub(crate) fn note(&mut self, data: &[u8]) {
        if !self.is_kept || self.bytes.len() + data.len() > REPLAY_MAX {
            self.is_truncated = true;
            self.bytes = Vec::new();
            self.is_kept = false;
        } else {
            self.bytes.extend_from_slice(data);
        }
    }

    /// The bytes to send again.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether everything that was sent can be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_truncated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let mut replay = Replay::default();
        replay.reset(true);
        replay.note(&[1; 1000]);
        assert!(replay.is_whole() && replay.bytes().len() == 1000);
        replay.note(&[2; REPLAY_MAX]);
        assert!(!replay.is_whole() && replay.bytes().is_empty());
        replay.reset(false);
        assert!(replay.is_whole(), "nothing was sent");
        replay.note(&[1]);
        assert!(!replay.is_whole());
    }
}
