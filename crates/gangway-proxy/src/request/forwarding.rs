//! Fields that tell an application about its client, and fields that are not passed on.
//!
//! Forwarding fields are replaced, never appended to: an application that believes them would otherwise believe the
//! client. Only peers in `--trusted-proxies` are believed; their list is continued.

use std::net::{IpAddr, Ipv4Addr};

use crate::downstream::connection::ClientConnection;
use crate::grammar::host_of_authority;
use crate::message::address_text::AddressText;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::request::client_origin::{CHAIN_MAX, ClientOrigin, chain, single};

/// Facts about one request that the forwarding fields tell.
#[derive(Debug)]
pub(crate) struct ForwardingFacts<'a> {
    pub(crate) connection: &'a ClientConnection,
    pub(crate) origin: ClientOrigin,
    /// The port that the client named.
    pub(crate) port: Option<u16>,
    /// The public port of https, if one is set.
    pub(crate) public_https_port: Option<u16>,
    /// The path prefix that a middleware removed, or empty.
    pub(crate) prefix: &'a str,
}

/// Whether a client's field of this kind goes to the endpoint. The fields that `Connection` names are gone already: the
/// session has removed them.
pub(crate) fn is_for_endpoint(kind: FieldKind) -> bool {
    let is_ours = matches!(
        kind,
        FieldKind::XForwardedFor
            | FieldKind::XForwardedHost
            | FieldKind::XForwardedPort
            | FieldKind::XForwardedProto
            | FieldKind::Spoofable
    );
    // The credentials for a proxy are for the proxy that asked for them (RFC 9110, section 11.7.2).
    let is_for_proxy = matches!(kind, FieldKind::ProxyAuthenticate | FieldKind::ProxyAuthorization);
    !is_ours && !is_for_proxy && !kind.is_for_one_hop()
}

/// Appends the forwarding fields to those for the endpoint. `sent` are the fields that the peer sent.
pub(crate) fn tell(facts: &ForwardingFacts<'_>, sent: &Fields, fields: &mut Fields) {
    let (connection, origin) = (facts.connection, facts.origin);
    let peer_text = connection.peer_text.bytes();
    let believed = |kind| connection.trusted.then(|| single(sent, kind)).flatten();
    fields.push_written(FieldKind::XForwardedFor, b"X-Forwarded-For", |out| {
        if connection.trusted {
            write_chain(sent, connection.peer_ip(), origin.client, out);
        }
        out.extend_from_slice(peer_text);
    });
    fields.push_written(FieldKind::Spoofable, b"X-Real-IP", |out| {
        if origin.client == connection.peer_ip() {
            out.extend_from_slice(peer_text);
        } else {
            write_address(origin.client, out);
        }
    });
    fields.push_known(FieldKind::XForwardedProto, b"X-Forwarded-Proto", &[origin.scheme().text().as_bytes()]);
    // An invalid host is not believed even from a trusted peer, which may have passed it on unchecked.
    let public = believed(FieldKind::XForwardedHost).filter(|host| host_of_authority(host.as_bytes()).is_some());
    let named_port = match public {
        Some(host) => host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
        None => facts.port,
    };
    if let Some(host) = public.map(str::as_bytes).or_else(|| sent.get(FieldKind::Host)) {
        fields.push_known(FieldKind::XForwardedHost, b"X-Forwarded-Host", &[host]);
    }
    let port = believed(FieldKind::XForwardedPort).and_then(|port| port.parse().ok()).or(named_port);
    let port: u16 = match port {
        Some(0) | None if origin.secure => facts.public_https_port.unwrap_or(443),
        Some(0) | None => 80,
        Some(port) => port,
    };
    let port = Decimal::of(port.into());
    fields.push_known(FieldKind::XForwardedPort, b"X-Forwarded-Port", &[port.bytes()]);
    // A decoded prefix may hold any character.
    if !facts.prefix.is_empty() && facts.prefix.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        fields.push_known(FieldKind::Spoofable, b"X-Forwarded-Prefix", &[facts.prefix.as_bytes()]);
    }
}

/// Writes a trusted proxy's chain, the nearest address last and each followed by a comma and a space: some applications
/// split at exactly that. A chain in which the client does not occur is not continued: the client is known from a better
/// source.
fn write_chain(sent: &Fields, peer: IpAddr, client: IpAddr, out: &mut Vec<u8>) {
    let mut addresses = [IpAddr::V4(Ipv4Addr::UNSPECIFIED); CHAIN_MAX];
    let mut count = 0;
    for (place, address) in addresses.iter_mut().zip(chain(sent)) {
        *place = address;
        count += 1;
    }
    if client != peer && !addresses[..count].contains(&client) {
        (addresses[0], count) = (client, 1);
    }
    for address in addresses[..count].iter().rev() {
        write_address(*address, out);
        out.extend_from_slice(b", ");
    }
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    out.extend_from_slice(AddressText::of(address).bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::request_head::RequestHead;
    use crate::request::client_origin::client_origin;
    use crate::samples;
    use crate::trusted_proxies::TrustedProxies;

    /// A connection from this address to a listener that trusts these proxies.
    fn connection(peer: &str, trusted: &str) -> ClientConnection {
        let proxies = TrustedProxies::parse(trusted).expect("valid");
        ClientConnection::new(
            (peer.parse::<IpAddr>().expect("valid"), 5000).into(),
            samples::listener_trusting(proxies),
        )
    }

    /// The fields for the endpoint.
    fn told(sent: &Fields, connection: &ClientConnection, port: Option<u16>) -> Fields {
        let origin = client_origin(sent, connection, |_| false);
        let facts = ForwardingFacts { connection, origin, port, public_https_port: None, prefix: "" };
        let mut fields = Fields::default();
        fields.extend_from(sent, |field| is_for_endpoint(field.kind));
        tell(&facts, sent, &mut fields);
        fields
    }

    fn passed_on(sent: &[(&str, &str)], connection: &ClientConnection) -> Fields {
        told(&RequestHead::of_test("GET", "/", sent).fields, connection, None)
    }

    fn text<'f>(fields: &'f Fields, name: &'f str) -> Option<&'f str> {
        fields.get_named(name.as_bytes()).map(|value| std::str::from_utf8(value).expect("text"))
    }

    fn sorted(fields: &Fields) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let mut lines: Vec<String> =
            fields.iter().map(|field| format!("{}={}", text(field.name).to_lowercase(), text(field.value))).collect();
        lines.sort();
        lines
    }

    #[test]
    fn nothing_a_client_says_of_itself_is_believed() {
        let spoofs = [
            ("host", "a:8080"),
            ("x-forwarded-for", "203.0.113.5"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-prefix", "//evil"),
            ("forwarded", "for=1.1.1.1"),
            ("x-script-name", "/x"),
            ("x-forwarded-server", "x"),
            ("Remote-User", "admin"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x-forwarded-tls-client-cert", "x"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("true-client-ip", "1.1.1.1"),
            ("x-client-ip", "1.1.1.1"),
            ("cf-connecting-ip", "1.1.1.1"),
            ("x-ssl-client-verify", "SUCCESS"),
            ("ssl-client-verify", "SUCCESS"),
        ];
        assert_eq!(
            sorted(&passed_on(&spoofs, &connection("192.0.2.7", ""))),
            [
                "host=a:8080",
                "x-forwarded-for=192.0.2.7",
                "x-forwarded-host=a:8080",
                "x-forwarded-port=80",
                "x-forwarded-proto=http",
                "x-real-ip=192.0.2.7",
            ]
        );
    }

    #[test]
    fn what_concerns_the_clients_connection_stays_there() {
        let sent = [
            ("Host", "a"),
            ("Connection", "keep-alive"),
            ("X-Other", "1"),
            ("Content-Length", "3"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authenticate", "Basic"),
            ("Proxy-Authorization", "Basic eDp5"),
            ("HTTP2-Settings", "AAMA"),
            ("TE", "gzip"),
            ("Trailer", "x"),
            ("Upgrade", "h2c"),
            ("Expect", "100-continue"),
        ];
        let fields = passed_on(&sent, &connection("192.0.2.7", ""));
        let left: Vec<String> = sorted(&fields).into_iter().filter(|line| !line.starts_with("x-forwarded")).collect();
        assert_eq!(left, ["content-length=3", "expect=100-continue", "host=a", "x-other=1", "x-real-ip=192.0.2.7"]);
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_its_list_continued() {
        let sent = [
            ("host", "a"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.5"),
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example"),
        ];
        let fields = passed_on(&sent, &connection("192.0.2.7", "192.0.2.0/24"));
        let field = |name| text(&fields, name);
        assert_eq!(field("x-forwarded-for"), Some("6.6.6.6, 203.0.113.5, 192.0.2.9, 192.0.2.7"));
        assert_eq!(field("x-real-ip"), Some("203.0.113.5"));
        assert_eq!(field("x-forwarded-proto"), Some("https"));
        assert_eq!(field("x-forwarded-host"), Some("public.example"));
        assert_eq!(fields.all(FieldKind::XForwardedFor).count(), 1);
    }

    #[test]
    fn an_application_is_told_the_client_that_cloudflare_names() {
        let edge = connection("104.16.0.9", "cloudflare");
        for chain in [&[][..], &[("x-forwarded-for", "9.9.9.9")], &[("x-forwarded-for", "9.9.9.9, 203.0.113.5")]] {
            let sent =
                [&[("host", "a"), ("cf-connecting-ip", "203.0.113.5"), ("true-client-ip", "9.9.9.9")], chain].concat();
            let fields = passed_on(&sent, &edge);
            assert_eq!(text(&fields, "x-real-ip"), Some("203.0.113.5"));
            let told = text(&fields, "x-forwarded-for").expect("there");
            assert!(told.ends_with("203.0.113.5, 104.16.0.9"), "{told}");
            assert_eq!((text(&fields, "cf-connecting-ip"), text(&fields, "true-client-ip")), (None, None));
        }
    }

    #[test]
    fn garbage_in_a_chain_ends_it() {
        let sent = [("host", "a"), ("x-forwarded-for", "203.0.113.5, lies, 192.0.2.9")];
        let fields = passed_on(&sent, &connection("192.0.2.7", "192.0.2.0/24"));
        assert_eq!(text(&fields, "x-real-ip"), Some("192.0.2.9"));
        assert_eq!(text(&fields, "x-forwarded-for"), Some("192.0.2.9, 192.0.2.7"));
    }

    #[test]
    fn a_believed_host_names_the_public_port_too() {
        let believed = |host: &str, port: &str| {
            let sent = [("host", "inside:8080"), ("x-forwarded-host", host), ("x-forwarded-port", port)];
            let fields = passed_on(&sent, &connection("192.0.2.7", "192.0.2.0/24"));
            ["x-forwarded-host", "x-forwarded-port"].map(|name| text(&fields, name).expect("there").to_owned())
        };
        assert_eq!(believed("shop.example:8443", "no"), ["shop.example:8443", "8443"]);
        assert_eq!(believed("shop.example", "0"), ["shop.example", "80"]);
        assert_eq!(believed("lies, shop.example", "444"), ["shop.example", "444"]);
        assert_eq!(believed("a/b", ""), ["inside:8080", "80"]);
    }

    proptest::proptest! {
        #[test]
        fn an_app_is_told_each_thing_once_whatever_was_sent(
            values in proptest::collection::vec(("(x-forwarded-(for|host|port|proto)|x-real-ip|forwarded|x_y)", "[ -~\u{80}-\u{ff}]{0,30}"), 0..8),
            trusts in proptest::bool::ANY,
        ) {
            let mut sent = RequestHead::of_test("GET", "/", &[("host", "a")]).fields;
            for (name, value) in &values {
                sent.push(name.as_bytes(), value.trim().as_bytes());
            }
            let fields = told(&sent, &connection("192.0.2.7", if trusts { "192.0.2.0/24" } else { "" }), Some(8080));
            for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip"] {
                proptest::prop_assert_eq!(fields.all_named(name.as_bytes()).count(), 1);
            }
            let text = |name| text(&fields, name).expect("there");
            let told = text("x-forwarded-for").split(", ").map(str::parse).collect::<Result<Vec<IpAddr>, _>>();
            proptest::prop_assert!(told.expect("addresses only").contains(&text("x-real-ip").parse().expect("an address")));
            proptest::prop_assert!(text("x-forwarded-port").parse::<u16>().is_ok());
            proptest::prop_assert!(fields.get_named(b"forwarded").is_none() && fields.get_named(b"x_y").is_none());
            if !trusts {
                proptest::prop_assert_eq!(text("x-forwarded-for"), "192.0.2.7");
                proptest::prop_assert_eq!(text("x-forwarded-host"), "a");
            }
        }
    }
}
