//! What the answer to a request depends on, whatever the application says: the URL in the form in which the application
//! sees it.
//!
//! Everything is taken as it was sent. Two requests that an application might tell apart have different keys: another case
//! or port in `Host`, another escape in the path. That costs a few answers that are kept twice; a key in a normal form
//! would let one client choose what others see.

use crate::cache::rules::Audience;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;

/// Fields by which we tell an application its URL, with its scheme, host, port and prefix.
const TOLD: [&[u8]; 4] = [b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix"];

/// The key of a request. `upstream` are the fields that the application gets, so what a client says of itself is not among
/// them, and what a trusted proxy says is.
pub(crate) fn key(head: &RequestHead, upstream: &Fields, audience: Audience) -> Box<[u8]> {
    let mut key = vec![b'0' + audience as u8];
    // No value has a line feed.
    let mut add = |part: &[u8]| {
        key.push(b'\n');
        key.extend_from_slice(part);
    };
    add(head.fields.get(FieldKind::Host).unwrap_or_default());
    for name in TOLD {
        add(b"");
        upstream.all_named(name).for_each(&mut add);
    }
    add(head.target.as_bytes());
    key.into()
}

/// The key of the same request by somebody else.
pub(crate) fn for_audience(key: &[u8], audience: Audience) -> Box<[u8]> {
    let mut key = key.to_vec();
    if let Some(first) = key.first_mut() {
        *first = b'0' + audience as u8;
    }
    key.into()
}
