//! Conditional requests, answered from what is kept (RFC 9110, section 13; RFC 9111, section 4.3.2).

use http::StatusCode;

use crate::cache::rules::date_of;
use crate::cache::stored::Stored;
use crate::message::fields::{Field, Fields};
use crate::message::vary::tokens;

const IF_NONE_MATCH: &[u8] = b"if-none-match";
const IF_MODIFIED_SINCE: &[u8] = b"if-modified-since";

/// Whether a request depends on the state of the resource in a way that only the application can judge.
pub(crate) fn is_for_application(request: &Fields) -> bool {
    let names: [&[u8]; 3] = [b"if-match", b"if-unmodified-since", b"if-range"];
    request.iter().any(|field| names.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
}

/// Whether a request asks whether something has changed.
pub(crate) fn asks_for_change(request: &Fields) -> bool {
    request.iter().any(|field| is_condition(&field))
}

/// Whether the client has what is kept, so that a 304 answers it.
pub(crate) fn client_has(request: &Fields, stored: &Stored) -> bool {
    if stored.status != StatusCode::OK {
        return false;
    }
    let mut asked = tokens(request, IF_NONE_MATCH).peekable();
    if asked.peek().is_some() {
        return asked.any(|tag| tag == b"*" || stored.etag().is_some_and(|etag| is_same(tag, etag)));
    }
    let mut since = request.all_named(IF_MODIFIED_SINCE);
    let (Some(since), None) = (since.next().and_then(date_of), since.next()) else { return false };
    let changed = stored.last_modified().or_else(|| stored.fields.all_named(b"date").next());
    changed.and_then(date_of).is_some_and(|changed| changed <= since)
}

/// Compares two entity tags by their opaque part (RFC 9110, section 8.8.3.2).
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag| <[u8]>::strip_prefix(tag, b"W/").unwrap_or(tag);
    opaque(one) == opaque(other)
}

/// Replaces the conditions of a client by the question whether what is kept still holds.
pub(crate) fn ask_whether_it_holds(stored: &Stored, request: &mut Fields) {
    request.retain(|field| !is_condition(&field));
    if let Some(etag) = stored.etag() {
        request.push(b"If-None-Match", etag);
    }
    if let Some(last_modified) = stored.last_modified() {
        request.push(b"If-Modified-Since", last_modified);
    }
}

fn is_condition(field: &Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(IF_NONE_MATCH) || field.name.eq_ignore_ascii_case(IF_MODIFIED_SINCE)
}

/// Whether a field of the answer belongs to a 304 (RFC 9110, section 15.4.5). Others would describe a body that does not
/// come.
pub(crate) fn is_of_not_modified(field: &Field<'_>) -> bool {
    let name = field.name.to_ascii_lowercase();
    !name.starts_with(b"content-") || matches!(&*name, b"content-location" | b"content-security-policy")
}
