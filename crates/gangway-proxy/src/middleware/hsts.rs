//! Tells browsers to use only https, in responses that are sent by https.

use std::num::NonZeroU64;

use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::request::client_origin::ClientScheme;

/// The name of the field.
pub(super) const NAME: &[u8] = b"strict-transport-security";

pub(crate) fn on_response(max_age: NonZeroU64, scheme: ClientScheme, fields: &mut Fields) {
    match scheme {
        ClientScheme::Https => {
            fields.remove_named(NAME);
            fields.push_parts(NAME, &[b"max-age=", Decimal::of(max_age.get()).bytes()]);
        }
        // Browsers ignore the field in the clear (RFC 6797, section 8.1).
        ClientScheme::Http => {}
    }
}
