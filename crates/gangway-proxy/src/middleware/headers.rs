//! Sets or removes a field of requests or of responses.

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// Sets a request field, or removes it if there is no value.
pub(crate) fn on_upstream_head(
    name: &HeaderName,
    value: Option<&HeaderValue>,
    upstream: &mut RequestHeader,
) -> Result<()> {
    match value {
        Some(value) => upstream.insert_header(name.clone(), value.clone()),
        None => {
            drop(upstream.remove_header(name));
            Ok(())
        }
    }
}

/// Sets a response field, or removes it if there is no value.
pub(crate) fn on_response(name: &HeaderName, value: Option<&HeaderValue>, response: &mut ResponseHeader) -> Result<()> {
    match value {
        Some(value) => response.insert_header(name.clone(), value.clone()),
        None => {
            drop(response.remove_header(name));
            Ok(())
        }
    }
}
