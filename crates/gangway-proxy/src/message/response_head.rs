//! The head of a response, as every version of HTTP gives it.

use http::{StatusCode, Version};

use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;

/// Bytes of the head of an application's response. Applications with many cookies and long policies send 48 KiB.
pub(crate) const HEAD_MAX: usize = 64 * 1024;

/// Fields of the head of an application's response.
pub(crate) const FIELDS_MAX: usize = 256;

/// What is said of heads beyond these bounds.
pub(crate) const HEAD_TOO_LARGE: &str = "the head of its answer is larger than 64 KiB";
pub(crate) const TOO_MANY_FIELDS: &str = "the head of its answer has more than 256 fields";

/// The head of a response, of an application or of our own. The buffers are used again for the next one.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    /// The reason phrase of HTTP/1 as sent; empty if there is none.
    pub(crate) reason_phrase: Vec<u8>,
    /// The version in which it was sent to us.
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    /// The length of the body that follows, with the request's method taken into account: a response to HEAD has
    /// none, whatever its fields say.
    pub(crate) body: BodyLength,
    /// Whether the connection to the application can be used again.
    pub(crate) keep_alive: bool,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            reason_phrase: Vec::new(),
            version: Version::HTTP_11,
            fields: Fields::default(),
            body: BodyLength::Empty,
            keep_alive: true,
        }
    }
}

impl ResponseHead {
    /// Empties the head for the next response. The buffers stay.
    pub(crate) fn clear(&mut self) {
        self.status = StatusCode::OK;
        self.reason_phrase.clear();
        self.version = Version::HTTP_11;
        self.fields.clear();
        self.body = BodyLength::Empty;
        self.keep_alive = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_names_the_bounds() {
        assert!(HEAD_TOO_LARGE.contains(&format!(" {} KiB", HEAD_MAX / 1024)));
        assert!(TOO_MANY_FIELDS.contains(&format!(" {FIELDS_MAX} ")));
    }
}
