//! Protocols that a connection may switch to by `Upgrade` (RFC 9110, section 7.8).

use gangway_diagnostic::{Finding, codes, quoted};

use crate::value::Parsed;

/// The protocol that every route allows.
pub(crate) const WEBSOCKET: &str = "websocket";

/// The longest name of a protocol; registered ones have at most 26 bytes.
const NAME_LEN_MAX: usize = 64;

/// What becomes of a request to switch the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UpgradeFate {
    /// It passes on every route.
    WebSocket,
    /// The route names it.
    Allowed,
    /// The route does not name it, so `Upgrade` is removed.
    NotNamed,
    /// It carries further requests, and no route can allow it.
    CarriesRequests,
    /// The value is not the name of one protocol.
    NoProtocol,
}

impl UpgradeFate {
    /// The fate of the value of an `Upgrade` field on a route with these `upgrades`.
    pub fn of(value: &str, upgrades: &[Box<str>]) -> Self {
        if value.eq_ignore_ascii_case(WEBSOCKET) {
            Self::WebSocket
        } else if carries_requests(value) {
            Self::CarriesRequests
        } else if !is_name(value) {
            Self::NoProtocol
        } else if upgrades.iter().any(|allowed| value.eq_ignore_ascii_case(allowed)) {
            Self::Allowed
        } else {
            Self::NotNamed
        }
    }
}

/// Reads the name of a protocol. The result is in lower case.
pub(crate) fn parse(text: &str) -> Parsed<Box<str>> {
    let wrong = |what: &str, note: &str, help: String| {
        Err(Finding::error(codes::UPGRADE, 0..text.len(), format!("{} {what}", quoted(text)), note, help))
    };
    if carries_requests(text) {
        return wrong(
            "is not passed on",
            "carries further requests, which no route would check",
            "for HTTP/2 between Gangway and the application write `gangway.scheme` with `h2c` or `https`".to_owned(),
        );
    }
    if let Some((name, _)) = text.split_once('/').filter(|(name, _)| is_name(name)) {
        return wrong(
            "has a version",
            "only names are compared, without a version",
            format!("write {}, if the application's clients ask for exactly that", quoted(name)),
        );
    }
    if !is_name(text) {
        let help =
            "write the name as it stands in the field `Upgrade`, such as `tailscale-control-protocol`".to_owned();
        return wrong("is not the name of a protocol", "letters, digits and `!#$%&'*+-.^_|~`", help);
    }
    Ok(text.to_ascii_lowercase().into())
}

/// Whether a protocol would carry further HTTP requests, or TLS, in which they hide.
fn carries_requests(text: &str) -> bool {
    let name = text.split('/').next().unwrap_or_default();
    let carriers = ["h2c", "h2", "h3", "http", "https", "http2", "spdy", "tls", "ssl"];
    carriers.iter().any(|carrier| name.trim().eq_ignore_ascii_case(carrier))
}

/// Whether the text is a token (RFC 9110, section 5.6.2), and not the asterisk that may be meant for every protocol.
fn is_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(is_token) && text != "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_lower_case() {
        assert_eq!(parse("DERP").as_deref().expect("a name"), "derp");
        assert_eq!(parse("tailscale-control-protocol").as_deref().expect("a name"), "tailscale-control-protocol");
        for wrong in
            ["h2c", "H2C", "HTTP/2.0", "TLS/1.2", "tls", "*", "", "a b", "IRC/6.9", "a=b", "é", &"x".repeat(65)]
        {
            let finding = parse(wrong).expect_err(wrong);
            assert_eq!((finding.code, finding.span.end), (codes::UPGRADE, wrong.len()), "{wrong}");
        }
    }

    #[test]
    fn a_route_allows_what_it_names_and_nothing_that_carries_requests() {
        let upgrades: [Box<str>; 2] = ["derp".into(), "h2c".into()];
        for (value, fate) in [
            ("WebSocket", UpgradeFate::WebSocket),
            ("DERP", UpgradeFate::Allowed),
            ("derp2", UpgradeFate::NotNamed),
            ("h2c", UpgradeFate::CarriesRequests),
            ("TLS/1.0", UpgradeFate::CarriesRequests),
            ("derp, websocket", UpgradeFate::NoProtocol),
            ("", UpgradeFate::NoProtocol),
        ] {
            assert_eq!(UpgradeFate::of(value, &upgrades), fate, "{value}");
        }
    }
}
