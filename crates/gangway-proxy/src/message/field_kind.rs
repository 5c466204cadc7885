//! The fields that the data plane itself looks at.

use crate::message::spoofable::is_spoofable;

/// A field by its name. It is recognised once, when the field is read; every later question compares one byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum FieldKind {
    Accept,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Referer,
    SecWebSocketAccept,
    SecWebSocketKey,
    SetCookie,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Via,
    WwwAuthenticate,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    /// A field that applications take for a statement of the proxy. A client may not set it.
    Spoofable,
    Other,
}

impl FieldKind {
    /// The kind of the field with this name, in any case. The name is a token.
    pub(crate) fn of(name: &[u8]) -> Self {
        match Self::of_response(name) {
            Self::Other if is_spoofable(name) => Self::Spoofable,
            kind => kind,
        }
    }

    /// The kind of a field of a response, where no field is [`FieldKind::Spoofable`]: nobody takes it for a statement
    /// about a client. This saves the search for such names.
    #[inline]
    pub(crate) fn of_response(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::Other };
        // The length and the first letter rule out all other known names, or all but one.
        match (name.len(), first.to_ascii_lowercase()) {
            (2, b't') if is(name, b"te") => Self::Te,
            (3, b'v') if is(name, b"via") => Self::Via,
            (4, b'h') if is(name, b"host") => Self::Host,
            (4, b'd') if is(name, b"date") => Self::Date,
            (6, b'a') if is(name, b"accept") => Self::Accept,
            (6, b'c') if is(name, b"cookie") => Self::Cookie,
            (6, b'e') if is(name, b"expect") => Self::Expect,
            (7, b'r') if is(name, b"referer") => Self::Referer,
            (7, b't') if is(name, b"trailer") => Self::Trailer,
            (7, b'u') if is(name, b"upgrade") => Self::Upgrade,
            (10, b'c') if is(name, b"connection") => Self::Connection,
            (10, b'k') if is(name, b"keep-alive") => Self::KeepAlive,
            (10, b's') if is(name, b"set-cookie") => Self::SetCookie,
            (10, b'u') if is(name, b"user-agent") => Self::UserAgent,
            (12, b'c') if is(name, b"content-type") => Self::ContentType,
            (13, b'a') if is(name, b"authorization") => Self::Authorization,
            (14, b'c') if is(name, b"content-length") => Self::ContentLength,
            (14, b'h') if is_http2_settings(name) => Self::Http2Settings,
            (15, b'x') if is(name, b"x-forwarded-for") => Self::XForwardedFor,
            (16, b'x') if is(name, b"x-forwarded-host") => Self::XForwardedHost,
            (16, b'x') if is(name, b"x-forwarded-port") => Self::XForwardedPort,
            (16, b'p') if is(name, b"proxy-connection") => Self::ProxyConnection,
            (16, b'w') if is(name, b"www-authenticate") => Self::WwwAuthenticate,
            (17, b't') if is(name, b"transfer-encoding") => Self::TransferEncoding,
            (17, b'x') if is(name, b"x-forwarded-proto") => Self::XForwardedProto,
            (17, b's') if is(name, b"sec-websocket-key") => Self::SecWebSocketKey,
            (18, b'p') if is(name, b"proxy-authenticate") => Self::ProxyAuthenticate,
            (19, b'p') if is(name, b"proxy-authorization") => Self::ProxyAuthorization,
            (20, b's') if is(name, b"sec-websocket-accept") => Self::SecWebSocketAccept,
            _ => Self::Other,
        }
    }

    /// Whether the field concerns only one connection (RFC 9110, section 7.6.1), so that it is never passed on.
    pub(crate) fn is_for_one_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// Apart from the others, since it has a digit, which has no case.
fn is_http2_settings(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"http2-settings")
}

/// Whether a token is the known one, which consists of small letters and hyphens, in any case. The length is known
/// when this is compiled, so that many bytes are compared at once.
fn is<const LEN: usize>(name: &[u8], known: &[u8; LEN]) -> bool {
    let Ok(name) = <&[u8; LEN]>::try_from(name) else { return false };
    // The bit makes a capital letter a small one, and no other byte of a token a letter or a hyphen.
    name.iter().zip(known).fold(true, |same, (byte, known)| same & (byte | 0x20 == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_known_in_any_case_and_by_its_whole_name() {
        for (name, kind) in [
            ("TE", FieldKind::Te),
            ("via", FieldKind::Via),
            ("HOST", FieldKind::Host),
            ("User-Agent", FieldKind::UserAgent),
            ("content-length", FieldKind::ContentLength),
            ("X-Forwarded-FOR", FieldKind::XForwardedFor),
            ("sec-websocket-accept", FieldKind::SecWebSocketAccept),
            ("x-forwarded-anything", FieldKind::Spoofable),
            ("X-Real-IP", FieldKind::Spoofable),
            ("HTTP2-Settings", FieldKind::Http2Settings),
            ("Remote-User", FieldKind::Spoofable),
            ("content_length", FieldKind::Spoofable),
            ("X-Requested-With", FieldKind::Other),
            ("Hos", FieldKind::Other),
            ("Hosts", FieldKind::Other),
            ("content.length", FieldKind::Other),
        ] {
            assert_eq!(FieldKind::of(name.as_bytes()), kind, "{name}");
        }
        // Bytes that differ from those of a known name in the bit of the case alone.
        for name in ["h/st", "hos4", "HO\u{13}T"] {
            assert_ne!(FieldKind::of(name.as_bytes()), FieldKind::ContentLength, "{name:?}");
            assert_ne!(FieldKind::of(name.as_bytes()), FieldKind::Host, "{name:?}");
        }
    }
}
