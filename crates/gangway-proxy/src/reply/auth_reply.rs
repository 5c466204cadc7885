//! An answer in place of the application's that is whole, on its way to the client: of a service that was asked about the
//! request, or of Gangway's log-in and pages.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;

/// A whole answer, without the fields that frame it or belong to a connection.
#[derive(Debug)]
pub(crate) struct AuthReply {
    author: Author,
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    pub(crate) body: Bytes,
}

/// Who has made an answer.
#[derive(Clone, Copy, Debug)]
enum Author {
    /// A service. Like an application's, its answer gets no field of ours.
    Service,
    Gangway,
}

impl AuthReply {
    /// The answer of a service.
    pub(crate) fn of_service(status: StatusCode, fields: Fields, body: Bytes) -> Self {
        Self { author: Author::Service, status, fields, body }
    }

    /// An answer of Gangway's own.
    pub(crate) fn own(status: StatusCode, fields: Fields, body: Bytes) -> Self {
        Self { author: Author::Gangway, status, fields, body }
    }

    /// A redirection by Gangway itself, to a URL or a path of the same host.
    pub(crate) fn redirect(location: &str) -> Self {
        let mut fields = Fields::default();
        fields.push(b"location", location.as_bytes());
        fields.push(b"cache-control", b"no-store");
        Self::own(StatusCode::FOUND, fields, Bytes::new())
    }

    /// The head and the body to send to the client that sent `request`.
    pub(super) fn render(&self, request: &RequestHead, request_id: &str) -> (ResponseHead, Bytes) {
        let len = self.body.len() as u64;
        let mut head = ResponseHead { status: self.status, fields: self.fields.clone(), ..ResponseHead::default() };
        match self.author {
            Author::Service => {}
            Author::Gangway => head.fields.push(b"x-request-id", request_id.as_bytes()),
        }
        head.fields.push_parts(b"content-length", &[Decimal::of(len).bytes()]);
        if request.method == Method::HEAD || len == 0 {
            return (head, Bytes::new());
        }
        head.body = BodyLength::Sized(len);
        (head, self.body.clone())
    }
}
