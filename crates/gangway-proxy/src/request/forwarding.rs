//! Fields that tell an application about its client, and fields that a client must not set.
//!
//! Forwarding fields are replaced, never appended to: an application that believes them would otherwise believe the
//! client. Only peers in `--trusted-proxies` are believed; their list is continued.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{CONNECTION, COOKIE, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::downstream::connection::{ClientConnection, PeerText};
use crate::grammar::host_of_authority;
use crate::request::client_origin::{ClientOrigin, chain, single};
use crate::request::spoofable::is_spoofable;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

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
    /// Whether `TE: trailers` may pass: both sides speak HTTP/2.
    pub(crate) trailers: bool,
}

/// Turns the fields of a request into the fields that the application gets.
pub(crate) fn to_upstream(
    upstream: &mut RequestHeader,
    original: &RequestHeader,
    facts: &ForwardingFacts<'_>,
) -> Result<()> {
    let connection = facts.connection;
    // Usually no field is dropped, and then nothing is allocated.
    let dropped: Vec<HeaderName> =
        original.headers.keys().filter(|name| is_spoofable(name.as_str().as_bytes())).cloned().collect();
    for name in &dropped {
        drop(upstream.remove_header(name));
    }
    let believed = |name: &HeaderName| connection.trusted.then(|| single(&original.headers, name)).flatten();

    if original.version > Version::HTTP_11 {
        join_cookies(upstream, original)?;
    }

    let chain = || continued_chain(&original.headers, &connection.peer_text, facts.origin.client);
    let continued = connection.trusted.then(chain).flatten();
    let forwarded_for = continued.unwrap_or_else(|| connection.peer_text.0.clone());
    // The name is given as text: for a `HeaderName`, Pingora allocates a text for each field and request.
    upstream.insert_header("X-Forwarded-For", forwarded_for)?;
    let real_ip = if facts.origin.client == connection.peer_ip() {
        connection.peer_text.0.clone()
    } else {
        PeerText::new(facts.origin.client).0
    };
    upstream.insert_header("X-Real-IP", real_ip)?;
    let proto = if facts.origin.secure { "https" } else { "http" };
    upstream.insert_header("X-Forwarded-Proto", HeaderValue::from_static(proto))?;
    // An invalid host is not believed even from a trusted peer, which may have passed it on unchecked.
    let public = believed(&X_FORWARDED_HOST).filter(|host| host_of_authority(host.as_bytes()).is_some());
    let named_port = match public {
        Some(host) => host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
        None => facts.port,
    };
    let host = match public {
        Some(host) => HeaderValue::from_str(host).ok(),
        None => original.headers.get(HOST).cloned().or_else(|| {
            let authority = original.uri.authority()?;
            HeaderValue::from_str(authority.as_str()).ok()
        }),
    };
    if let Some(host) = host {
        upstream.insert_header("X-Forwarded-Host", host)?;
    }
    let port = believed(&X_FORWARDED_PORT).and_then(|port| port.parse().ok()).or(named_port);
    let port = match port {
        Some(0) | None if facts.origin.secure => {
            facts.public_https_port.map_or(HeaderValue::from_static("443"), HeaderValue::from)
        }
        Some(0) | None => HeaderValue::from_static("80"),
        Some(port) => HeaderValue::from(port),
    };
    upstream.insert_header("X-Forwarded-Port", port)?;
    if !facts.prefix.is_empty()
        && let Ok(prefix) = HeaderValue::from_str(facts.prefix)
    {
        upstream.insert_header("X-Forwarded-Prefix", prefix)?;
    }
    if facts.trailers && original.headers.get(TE).is_some_and(|te| te == "trailers") {
        upstream.insert_header(TE, HeaderValue::from_static("trailers"))?;
    }
    Ok(())
}

/// A trusted proxy's chain with the proxy's own address at its end; none if there is no address but its own. A chain
/// in which the client does not occur is not continued: the client is known from a better source.
fn continued_chain(headers: &HeaderMap, peer: &PeerText, client: IpAddr) -> Option<HeaderValue> {
    let mut addresses: Vec<IpAddr> = chain(headers).collect();
    addresses.reverse();
    if !addresses.contains(&client) && peer.0 != PeerText::new(client).0 {
        addresses = vec![client];
    }
    if addresses.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(16 * (addresses.len() + 1));
    for address in addresses {
        // Comma and space: some applications split at exactly that.
        let _ = write!(text, "{address}, ");
    }
    text.push_str(peer.0.to_str().ok()?);
    HeaderValue::from_str(&text).ok()
}

/// Joins the cookie fields of HTTP/2, where browsers send each cookie as a field of its own, into the single field
/// that HTTP/1 allows (RFC 9113, section 8.2.3). Many applications see only the first field, or join with commas.
fn join_cookies(upstream: &mut RequestHeader, original: &RequestHeader) -> Result<()> {
    let mut cookies = original.headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return Ok(()) };
    let mut joined = first.as_bytes().to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        upstream.insert_header(COOKIE, joined)?;
    }
    Ok(())
}

/// Removes hop-by-hop fields from a response, and the fields that `Connection` names (RFC 9110, section 7.6.1).
pub(crate) fn to_client(response: &mut ResponseHeader) {
    // Most responses have none of them, and one look at each name costs less than a look-up for each field.
    if !response.headers.keys().any(is_for_one_hop) {
        return;
    }
    let named = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // The usual options, which name no field.
        .filter(|option| !option.eq_ignore_ascii_case("keep-alive") && !option.eq_ignore_ascii_case("close"))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        // Removing these would break the framing or the meaning of the response.
        .filter(|name| {
            !matches!(name.as_str(), "content-length" | "transfer-encoding" | "content-type" | "set-cookie")
        });
    let hop_by_hop = response.headers.keys().filter(|name| is_for_one_hop(name)).cloned();
    let removed: Vec<HeaderName> = named.chain(hop_by_hop).collect();
    for name in &removed {
        drop(response.remove_header(name));
    }
}

/// Whether a field concerns only the connection between us and the application.
fn is_for_one_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "proxy-authenticate" | "upgrade" | "te" | "trailer"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::client_origin::client_origin;
    use crate::trusted_proxies::TrustedProxies;
    use crate::whereabouts::Whereabouts;

    fn connection(trusted: bool) -> ClientConnection {
        ClientConnection::new("192.0.2.7:5000".parse().expect("valid"), "192.0.2.1:80".parse().expect("valid"), trusted)
    }

    fn request(fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).expect("valid");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("valid");
        }
        request
    }

    fn sent(fields: &[(&'static str, &'static str)], connection: &ClientConnection, trusted: &str) -> RequestHeader {
        let original = request(fields);
        let trusted = TrustedProxies::parse(trusted).expect("valid");
        let mut upstream = original.clone();
        let origin = client_origin(&original, connection, &trusted, &Whereabouts::default());
        let facts =
            ForwardingFacts { connection, origin, port: None, public_https_port: None, prefix: "", trailers: false };
        to_upstream(&mut upstream, &original, &facts).expect("valid");
        upstream
    }

    #[test]
    fn nothing_a_client_says_of_itself_is_believed() {
        let spoofs = [
            ("host", "a:8080"),
            ("x-forwarded-for", "203.0.113.5"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-prefix", "//evil"),
            ("forwarded", "for=1.1.1.1"),
            ("x-script-name", "/x"),
            ("x-forwarded-server", "x"),
            ("remote-user", "admin"),
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
        let upstream = sent(&spoofs, &connection(false), "");
        let mut left: Vec<String> =
            upstream.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().expect("ASCII"))).collect();
        left.sort();
        assert_eq!(
            left,
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
    fn a_trusted_proxy_is_believed_and_its_list_continued() {
        let fields = [
            ("host", "a"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.5"),
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example"),
        ];
        let upstream = sent(&fields, &connection(true), "192.0.2.0/24");
        let field = |name: &str| upstream.headers.get(name).map(|value| value.to_str().expect("ASCII"));
        assert_eq!(field("x-forwarded-for"), Some("6.6.6.6, 203.0.113.5, 192.0.2.9, 192.0.2.7"));
        assert_eq!(field("x-real-ip"), Some("203.0.113.5"));
        assert_eq!(field("x-forwarded-proto"), Some("https"));
        assert_eq!(field("x-forwarded-host"), Some("public.example"));
        assert_eq!(upstream.headers.get_all("x-forwarded-for").iter().count(), 1);
    }

    #[test]
    fn an_application_is_told_the_client_that_cloudflare_names() {
        let edge = ClientConnection::new(
            "104.16.0.9:5000".parse().expect("valid"),
            "192.0.2.1:80".parse().expect("valid"),
            true,
        );
        for chain in [&[][..], &[("x-forwarded-for", "9.9.9.9")], &[("x-forwarded-for", "9.9.9.9, 203.0.113.5")]] {
            let fields =
                [&[("host", "a"), ("cf-connecting-ip", "203.0.113.5"), ("true-client-ip", "9.9.9.9")], chain].concat();
            let upstream = sent(&fields, &edge, "cloudflare");
            assert_eq!(upstream.headers["x-real-ip"], "203.0.113.5");
            let told = upstream.headers["x-forwarded-for"].to_str().expect("ASCII");
            assert!(told.ends_with("203.0.113.5, 104.16.0.9"), "{told}");
            assert!(
                !upstream.headers.contains_key("cf-connecting-ip") && !upstream.headers.contains_key("true-client-ip")
            );
        }
    }

    #[test]
    fn garbage_in_a_chain_ends_it() {
        let fields = [("host", "a"), ("x-forwarded-for", "203.0.113.5, lies, 192.0.2.9")];
        let upstream = sent(&fields, &connection(true), "192.0.2.0/24");
        assert_eq!(upstream.headers["x-real-ip"], "192.0.2.9");
        assert_eq!(upstream.headers["x-forwarded-for"], "192.0.2.9, 192.0.2.7");
    }

    #[test]
    fn a_believed_host_names_the_public_port_too() {
        let believed = |host: &'static str, port: &'static str| {
            let fields = [("host", "inside:8080"), ("x-forwarded-host", host), ("x-forwarded-port", port)];
            let upstream = sent(&fields, &connection(true), "192.0.2.0/24");
            ["x-forwarded-host", "x-forwarded-port"]
                .map(|name| upstream.headers[name].to_str().expect("ASCII").to_owned())
        };
        assert_eq!(believed("shop.example:8443", "no"), ["shop.example:8443", "8443"]);
        assert_eq!(believed("shop.example", "0"), ["shop.example", "80"]);
        assert_eq!(believed("lies, shop.example", "444"), ["shop.example", "444"]);
        assert_eq!(believed("a/b", ""), ["inside:8080", "80"]);
    }

    #[test]
    fn cookies_that_came_one_by_one_go_on_as_one_field() {
        let cookies = |version| {
            let mut original = request(&[("host", "a"), ("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]);
            original.set_version(version);
            let mut upstream = original.clone();
            let connection = connection(false);
            let origin = ClientOrigin { client: connection.peer_ip(), secure: true, local: false, is_anonymous: false };
            let facts = ForwardingFacts {
                connection: &connection,
                origin,
                port: None,
                public_https_port: None,
                prefix: "",
                trailers: false,
            };
            to_upstream(&mut upstream, &original, &facts).expect("valid");
            let cookies = upstream.headers.get_all("cookie").iter();
            cookies.map(|cookie| cookie.to_str().expect("ASCII").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cookies(Version::HTTP_2), ["a=1; b=2; c=3; d=4"]);
        assert_eq!(cookies(Version::HTTP_11), ["a=1", "b=2; c=3", "d=4"]);
    }

    proptest::proptest! {
        #[test]
        fn an_app_is_told_each_thing_once_whatever_was_sent(
            values in proptest::collection::vec(("(x-forwarded-(for|host|port|proto)|x-real-ip|forwarded|x_y)", "[ -~\u{80}-\u{ff}]{0,30}"), 0..8),
            trusts in proptest::bool::ANY,
        ) {
            let mut original = request(&[("host", "a")]);
            for (name, value) in &values {
                original.append_header(name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("printable")).expect("valid");
            }
            let connection = connection(trusts);
            let trusted = TrustedProxies::parse("192.0.2.0/24").expect("valid");
            let origin = client_origin(&original, &connection, &trusted, &Whereabouts::default());
            let mut upstream = original.clone();
            let facts = ForwardingFacts { connection: &connection, origin, port: Some(8080), public_https_port: None, prefix: "", trailers: false };
            to_upstream(&mut upstream, &original, &facts).expect("valid");
            for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip"] {
                proptest::prop_assert_eq!(upstream.headers.get_all(name).iter().count(), 1);
            }
            let text = |name: &str| upstream.headers[name].to_str().expect("ASCII").to_owned();
            let told = text("x-forwarded-for").split(", ").map(str::parse).collect::<std::result::Result<Vec<IpAddr>, _>>();
            proptest::prop_assert!(told.expect("addresses only").contains(&text("x-real-ip").parse().expect("an address")));
            proptest::prop_assert!(text("x-forwarded-port").parse::<u16>().is_ok());
            proptest::prop_assert!(!upstream.headers.contains_key("forwarded") && !upstream.headers.contains_key("x_y"));
            if !trusts {
                proptest::prop_assert_eq!(text("x-forwarded-for"), "192.0.2.7");
                proptest::prop_assert_eq!(text("x-forwarded-host"), "a");
            }
        }
    }

    #[test]
    fn an_answer_keeps_what_is_for_the_client_only() {
        let mut response = ResponseHeader::build(200, None).expect("valid");
        for (name, value) in [
            ("connection", "x-inner, close"),
            ("x-inner", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "x"),
            ("server", "app"),
            ("content-length", "3"),
        ] {
            response.insert_header(name, value).expect("valid");
        }
        to_client(&mut response);
        let mut left: Vec<&str> = response.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "server"]);
    }
}
