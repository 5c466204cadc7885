//! Switching a connection to another protocol: which requests for it are passed on, and which answers are.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gangway_model::{Route, UpgradeFate};

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::{RequestHead, Upgrade};
use crate::message::response_head::ResponseHead;

/// The text that the answer to a WebSocket handshake hashes with the key (RFC 6455, section 1.3).
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether the route passes the upgrade on that a request asks for. Otherwise the request goes on without it.
pub(crate) fn is_passed_on(head: &RequestHead, route: &Route) -> bool {
    match head.upgrade {
        Some(Upgrade::WebSocket) => true,
        Some(Upgrade::Named) => fate(head, route) == Some(UpgradeFate::Allowed),
        None => false,
    }
}

/// The protocol that a request asks for and that a label of the route could allow, but none does.
pub(crate) fn unnamed_protocol<'h>(head: &'h RequestHead, route: &Route) -> Option<&'h str> {
    let is_unnamed = head.upgrade == Some(Upgrade::Named) && fate(head, route) == Some(UpgradeFate::NotNamed);
    protocol(head).filter(|_| is_unnamed)
}

fn fate(head: &RequestHead, route: &Route) -> Option<UpgradeFate> {
    Some(UpgradeFate::of(protocol(head)?, &route.upgrades))
}

fn protocol(head: &RequestHead) -> Option<&str> {
    std::str::from_utf8(single(&head.fields, FieldKind::Upgrade)?).ok()
}

/// Whether a 101 answers what the request asked for. Otherwise its connection would carry bytes that the client takes
/// for something else.
pub(crate) fn accepts(head: &RequestHead, response: &ResponseHead) -> bool {
    let Some(asked) = head.upgrade else { return false };
    let is_same_protocol =
        match (single(&head.fields, FieldKind::Upgrade), single(&response.fields, FieldKind::Upgrade)) {
            (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
            (Some(_) | None, Some(_) | None) => false,
        };
    is_same_protocol
        && match asked {
            Upgrade::Named => true,
            Upgrade::WebSocket => {
                let key = single(&head.fields, FieldKind::SecWebSocketKey);
                let accept = single(&response.fields, FieldKind::SecWebSocketAccept);
                key.zip(accept).is_some_and(|(key, accept)| websocket_accept(key).as_bytes() == accept)
            }
        }
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455, section 4.2.2).
fn websocket_accept(key: &[u8]) -> String {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(WEBSOCKET_GUID);
    STANDARD.encode(hash.finish())
}

/// The value of a field that is there once.
fn single(fields: &Fields, kind: FieldKind) -> Option<&[u8]> {
    let mut values = fields.all(kind);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of RFC 6455, section 1.3.
    const KEY: (&str, &str) = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    fn accepted(asked: Option<Upgrade>, sent: &[(&str, &str)], answered: &[(&str, &str)]) -> bool {
        let mut head = RequestHead::of_test("GET", "/", sent);
        head.upgrade = asked;
        let mut response = ResponseHead { status: http::StatusCode::SWITCHING_PROTOCOLS, ..ResponseHead::default() };
        for (name, value) in answered {
            response.fields.push(name.as_bytes(), value.as_bytes());
        }
        accepts(&head, &response)
    }

    #[test]
    fn a_websocket_is_there_only_if_its_key_was_answered() {
        let asked = Some(Upgrade::WebSocket);
        let (websocket, spelled) = (("upgrade", "websocket"), ("Upgrade", "WebSocket"));
        assert!(accepted(asked, &[websocket, KEY], &[websocket, ACCEPT]));
        assert!(accepted(asked, &[websocket, KEY], &[spelled, ACCEPT]));
        assert!(!accepted(asked, &[websocket], &[websocket, ACCEPT]), "no key was sent");
        assert!(!accepted(asked, &[websocket, KEY, KEY], &[websocket, ACCEPT]));
        assert!(!accepted(asked, &[websocket, KEY], &[websocket]), "no key was answered");
        assert!(!accepted(asked, &[websocket, KEY], &[websocket, ("sec-websocket-accept", "c3BPTE1C")]));
        assert!(!accepted(asked, &[websocket, KEY], &[websocket, ACCEPT, ACCEPT]));
        assert!(!accepted(asked, &[websocket, KEY], &[("upgrade", "h2c"), ACCEPT]));
        assert!(!accepted(asked, &[websocket, KEY], &[ACCEPT]));
        assert!(!accepted(asked, &[websocket, KEY], &[websocket, spelled, ACCEPT]));
        assert!(!accepted(None, &[websocket, KEY], &[websocket, ACCEPT]), "nobody asked");
    }

    #[test]
    fn another_protocol_is_the_one_that_was_asked_for() {
        let asked = Some(Upgrade::Named);
        let derp = ("upgrade", "DERP");
        assert!(accepted(asked, &[derp], &[("Upgrade", "derp")]));
        assert!(!accepted(asked, &[derp], &[("Upgrade", "websocket"), ACCEPT]));
        assert!(!accepted(asked, &[derp], &[]));
    }
}
