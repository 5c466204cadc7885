//! Sets or removes a field of requests or of responses.

use gangway_model::CasedHeaderName;
use http::HeaderValue;

use crate::message::fields::Fields;

/// Sets a field, or removes it if there is no value.
pub(crate) fn apply(name: &CasedHeaderName, value: Option<&HeaderValue>, fields: &mut Fields) {
    let name = name.as_str().as_bytes();
    match value {
        Some(value) => fields.set(name, value.as_bytes()),
        None => fields.remove_named(name),
    }
}
