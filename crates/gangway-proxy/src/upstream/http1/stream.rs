//! One request on a connection of HTTP/1.

use std::task::{Context, Poll};

use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::stream::body_frame::BodyFrame;
use crate::stream::upstream_error::UpstreamError;
use crate::stream::upstream_request::UpstreamRequest;

/// The endpoint's end of a request.
#[derive(Debug)]
pub(crate) struct Http1Stream {
    is_reused: bool,
}

impl Http1Stream {
    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused
    }

    pub(crate) fn start_request(&mut self, _request: &UpstreamRequest<'_>) -> Result<(), UpstreamError> {
        Ok(())
    }

    pub(crate) fn poll_send(&mut self, _cx: &mut Context<'_>, _data: &[u8]) -> Poll<Result<usize, UpstreamError>> {
        Poll::Pending
    }

    pub(crate) fn poll_finish_request(
        &mut self,
        _cx: &mut Context<'_>,
        _trailers: Option<&Fields>,
    ) -> Poll<Result<(), UpstreamError>> {
        Poll::Pending
    }

    pub(crate) fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Pending
    }

    pub(crate) fn poll_response_head(
        &mut self,
        _cx: &mut Context<'_>,
        _head: &mut ResponseHead,
    ) -> Poll<Result<(), UpstreamError>> {
        Poll::Pending
    }

    pub(crate) fn poll_body(&mut self, _cx: &mut Context<'_>) -> Poll<Result<BodyFrame<'_>, UpstreamError>> {
        Poll::Pending
    }

    pub(crate) fn consume(&mut self, _len: usize) {}

    pub(crate) fn response_trailers(&self) -> Option<&Fields> {
        None
    }

    pub(crate) fn switch_protocols(&mut self) {}
}
