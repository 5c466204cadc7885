//! The head of a request as its endpoint gets it.

use http::Method;

use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;

/// The head of a request for an endpoint.
///
/// The fields are final, `Host` among them. They have no hop-by-hop fields, but for `Connection` and `Upgrade` where
/// the protocol is to be switched, and no framing fields but `Content-Length` as the client sent it. The version of
/// HTTP that the endpoint speaks adds its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamRequest<'r> {
    pub(crate) method: &'r Method,
    /// In origin form, or `*`.
    pub(crate) target: &'r str,
    pub(crate) fields: &'r Fields,
    pub(crate) body: BodyLength,
    /// Whether the connection is to be switched to another protocol.
    pub(crate) is_upgrade: bool,
    /// Whether the connection serves only this request: HTTP/1 then announces `Connection: close`.
    pub(crate) is_last: bool,
}
