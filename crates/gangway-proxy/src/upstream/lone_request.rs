//! A request of our own on a connection of its own, on behalf of no client: a health check, or the look at a file.
//!
//! The connection does not count among those of requests: when they are too many, good endpoints must not fail their
//! checks. A kept one could have been closed in between, and says nothing about whether the endpoint accepts others.

use std::future::poll_fn;

use http::{Method, StatusCode};

use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::overload::open_connections::OpenConnections;
use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::coarse_clock::CoarseClock;
use crate::upstream::http2::stream::Http2Stream;
use crate::upstream::opener::{OpenedConnection, Opener, first_stream};
use crate::upstream::stream::{Home, UpstreamStream};
use crate::upstream::tls_configs::HttpOffer;

/// Opens a connection. The caller limits the time.
pub(crate) async fn open(opener: &Opener, endpoint: &ActiveEndpoint) -> Result<UpstreamStream, UpstreamError> {
    let exhausted = || UpstreamError::new(UpstreamErrorKind::Exhausted, "too many connections are open");
    let open = OpenConnections::default().begin().ok_or_else(exhausted)?;
    Ok(match opener.open(endpoint, HttpOffer::Http2OrHttp1, &CoarseClock::new(), open).await? {
        OpenedConnection::Http1(stream) => UpstreamStream::Http1(stream, Home::Nowhere),
        OpenedConnection::Http2(connection) => {
            UpstreamStream::Http2(Box::new(Http2Stream::new(first_stream(&connection)?)))
        }
    })
}

/// Sends a GET, and waits for the head of its answer. The caller limits the time.
pub(crate) async fn get(
    stream: &mut UpstreamStream,
    target: &str,
    fields: &Fields,
) -> Result<ResponseHead, UpstreamError> {
    stream.start_request(&UpstreamRequest {
        method: &Method::GET,
        target,
        fields,
        body: BodyLength::Empty,
        is_upgrade: false,
        is_last: false,
    })?;
    poll_fn(|cx| stream.poll_finish_request(cx, None)).await?;
    let mut head = ResponseHead::default();
    loop {
        poll_fn(|cx| stream.poll_response_head(cx, &mut head)).await?;
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(head);
        }
    }
}
