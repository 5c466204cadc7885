//! The head of a request, as every version of HTTP gives it.

use http::{Method, Version};

use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;

/// The head of a request that is well-formed for its version of HTTP. The buffers are used again for the next one.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// The target in origin form, or `*`. It is ASCII: other bytes are percent-encoded. A target in absolute form is
    /// reduced to its path and query, after its authority was compared with `Host`.
    pub(crate) target: String,
    pub(crate) version: Version,
    /// The fields as sent, exactly one `Host` among them, whatever the version calls it.
    pub(crate) fields: Fields,
    /// The length of the host in `Host`, in front of its port, if the session has checked both.
    pub(crate) host_len: Option<usize>,
    pub(crate) body: BodyLength,
    /// Whether the client can send another request on the connection.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for a 100 before it sends the body (RFC 9110, section 10.1.1).
    pub(crate) expects_continue: bool,
    /// The protocol that the client asks to switch to, if the request is in the form that a switch needs: HTTP/1.1,
    /// `Connection: upgrade`, one protocol, no body.
    pub(crate) upgrade: Option<Upgrade>,
}

/// A protocol to switch to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Upgrade {
    /// A WebSocket handshake by GET (RFC 6455, section 4.1).
    WebSocket,
    /// Another protocol: the value of the `Upgrade` field.
    Named,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            method: Method::GET,
            target: String::new(),
            version: Version::HTTP_11,
            fields: Fields::default(),
            host_len: None,
            body: BodyLength::Empty,
            keep_alive: true,
            expects_continue: false,
            upgrade: None,
        }
    }
}

impl RequestHead {
    /// Empties the head for the next request. The buffers stay.
    pub(crate) fn clear(&mut self) {
        self.method = Method::GET;
        self.target.clear();
        self.version = Version::HTTP_11;
        self.fields.clear();
        self.host_len = None;
        self.body = BodyLength::Empty;
        self.keep_alive = true;
        self.expects_continue = false;
        self.upgrade = None;
    }

    /// A request over HTTP/1.1 without a body.
    #[cfg(test)]
    pub(crate) fn of_test(method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        let mut head = Self { method: method.parse().expect("a method"), target: target.to_owned(), ..Self::default() };
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        head
    }
}
