//! Tells browsers to use only https, in responses that are sent by https.

use std::num::NonZeroU64;

use http::header::STRICT_TRANSPORT_SECURITY;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::request::client_origin::ClientScheme;

pub(crate) fn on_response(max_age: NonZeroU64, scheme: ClientScheme, response: &mut ResponseHeader) -> Result<()> {
    match scheme {
        ClientScheme::Https => response.insert_header(STRICT_TRANSPORT_SECURITY, format!("max-age={max_age}")),
        // Browsers ignore the field in the clear (RFC 6797, section 8.1).
        ClientScheme::Http => Ok(()),
    }
}
