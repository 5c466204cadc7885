//! Tells browsers to use only https, in responses that are sent by https.

use gangway_model::Hsts;

use crate::message::fields::Fields;
use crate::request::client_origin::ClientScheme;

/// The name of the field.
pub(super) const NAME: &[u8] = b"strict-transport-security";

pub(crate) fn on_response(hsts: Hsts, scheme: ClientScheme, fields: &mut Fields) {
    // Browsers ignore the field in the clear (RFC 6797, section 8.1).
    if scheme == ClientScheme::Https || hsts.in_clear {
        fields.set(NAME, hsts.to_string().as_bytes());
    }
}
