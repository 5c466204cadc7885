//! `request.header.<Name>` and `response.header.<Name>`.

use http::HeaderValue;
use http::header::HOST;

use super::label::Label;
use super::route_fields::RouteFields;
use crate::cased_header_name::CasedHeaderName;
use crate::label::whole;
use crate::reserved_fields;
use crate::secret::is_secret_name;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, quoted};

/// The header and its value; none removes it.
pub(super) fn read<'a>(
    label: &Label<'a>,
    fields: &mut RouteFields<'a>,
    found: &mut Vec<Diagnostic>,
) -> Option<(CasedHeaderName, Option<HeaderValue>)> {
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

fn name(text: &str) -> Result<CasedHeaderName, Finding> {
    let name = CasedHeaderName::parse(text).map_err(|_| {
        let message = format!("{} is not a header name", quoted(text));
        whole(codes::FIELD_NAME, message, "letters, digits and hyphens only", "write a name such as `X-Frame-Options`")
    })?;
    match reserved_fields::why(name.name().as_str()) {
        None => Ok(name),
        Some(note) => {
            let help = if name.name() == HOST { "use the label `host-header`" } else { "remove the label" };
            let message = format!("{} cannot be set by a label", quoted(text));
            Err(whole(codes::FIELD_RESERVED, message, note, help))
        }
    }
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
