//! `request.header.<Name>` and `response.header.<Name>`.

use http::{HeaderName, HeaderValue};

use super::label::Label;
use super::route_fields::RouteFields;
use crate::label::whole;
use crate::secret::is_secret_name;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, quoted};

/// Headers that frame a message or belong to one connection. A label that could set them would break the
/// connection or smuggle requests past other routes' protection.
pub(super) const RESERVED: [&str; 15] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "host",
    // By this our admin listener knows that a request was brought to it, and for which host.
    "x-forwarded-host",
];

const BELONGS: &str = "belongs to the connection, not to the route";

/// The header and its value; none removes it.
pub(super) fn read<'a>(
    label: &Label<'a>,
    fields: &mut RouteFields<'a>,
    found: &mut Vec<Diagnostic>,
) -> Option<(HeaderName, Option<HeaderValue>)> {
    let name = match name(label.tail) {
        Ok(name) => name,
        Err(finding) => {
            // The name is a part of the key, so that is what is pointed at.
            let effect =
                format!("the {} does nothing; the rest of {} is in force", label.source.noun(), fields.called());
            found.push(label.source.about_key(label.mark, finding, effect));
            return None;
        }
    };
    Some((name, value(label)?))
}

fn name(text: &str) -> Result<HeaderName, Finding> {
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        let message = format!("{} is not a header name", quoted(text));
        whole(codes::FIELD_NAME, message, "letters, digits and hyphens only", "write a name such as `X-Frame-Options`")
    })?;
    if RESERVED.contains(&name.as_str()) {
        let (note, help) = match name.as_str() {
            "host" => (BELONGS, "use the label `host-header`"),
            "x-forwarded-host" => ("says which host was asked for", "remove the label"),
            _ => (BELONGS, "remove the label"),
        };
        let message = format!("{} cannot be set by a label", quoted(text));
        return Err(whole(codes::FIELD_RESERVED, message, note, help));
    }
    Ok(name)
}

/// None where it cannot stand in a header, which only control characters cannot; those were refused.
#[expect(clippy::option_option, reason = "an empty value removes the header, which is a value too")]
fn value(label: &Label<'_>) -> Option<Option<HeaderValue>> {
    let text = label.value();
    if text.is_empty() {
        return Some(None);
    }
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(is_secret_name(label.tail));
    Some(Some(value))
}
