//! The answer of a log-in service to a request that may not pass, on its way to the client.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;

/// The answer of a log-in service: whole, and without the fields that frame it or belong to its connection.
#[derive(Debug)]
pub(crate) struct AuthReply {
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    pub(crate) body: Bytes,
}

impl AuthReply {
    /// A redirection to a path of the same host.
    pub(crate) fn redirect(path: &str) -> Self {
        let mut fields = Fields::default();
        fields.push(b"location", path.as_bytes());
        fields.push(b"cache-control", b"no-store");
        Self { status: StatusCode::FOUND, fields, body: Bytes::new() }
    }

    /// The head and the body to send to the client that sent `request`.
    pub(super) fn render(&self, request: &RequestHead) -> (ResponseHead, Bytes) {
        let len = self.body.len() as u64;
        let mut head = ResponseHead { status: self.status, fields: self.fields.clone(), ..ResponseHead::default() };
        head.fields.push_parts(b"content-length", &[Decimal::of(len).bytes()]);
        if request.method == Method::HEAD || len == 0 {
            return (head, Bytes::new());
        }
        head.body = BodyLength::Sized(len);
        (head, self.body.clone())
    }
}
