//! The client that a request comes from: the peer, or the client that a trusted peer speaks for.

use std::net::IpAddr;

use crate::downstream::connection::{ClientConnection, canonical};
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::trusted_proxies::{TrustedProxies, is_lan};

/// Addresses that are read of a chain of proxies. No real chain is longer.
pub(crate) const CHAIN_MAX: usize = 32;

/// The client of a request, and how it asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClientOrigin {
    pub(crate) client: IpAddr,
    /// Whether the client's own connection uses TLS.
    pub(crate) secure: bool,
    /// Whether the client is certainly on the local network, so that it may see what is wrong inside.
    pub(crate) local: bool,
    /// Whether the address is a gateway's, so that it says nothing about the client.
    pub(crate) is_anonymous: bool,
    /// Whether the address is certainly the client's. Otherwise it may be that of a proxy.
    pub(crate) is_certain: bool,
}

/// The scheme of the URL that the client asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientScheme {
    Http,
    Https,
}

impl ClientScheme {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl ClientOrigin {
    pub(crate) fn scheme(self) -> ClientScheme {
        if self.secure { ClientScheme::Https } else { ClientScheme::Http }
    }
}

/// Whether a connection comes from the local network, as far as that is known before its first request. A proxy
/// speaks for other clients, and a gateway's address says nothing.
pub(crate) fn is_from_local_network(connection: &ClientConnection) -> bool {
    is_lan(connection.peer_ip()) && !connection.is_anonymous && !connection.trusted
}

/// The client of a request: the peer, or the client that a trusted peer speaks for.
pub(crate) fn client_origin(
    fields: &Fields,
    connection: &ClientConnection,
    is_gateway: impl Fn(IpAddr) -> bool,
) -> ClientOrigin {
    let (peer, trusted) = (connection.peer_ip(), &connection.listener.trusted_proxies);
    if !connection.trusted {
        // Behind a proxy that no setting names, a local peer is that proxy, and the client may be anywhere.
        let is_proxy = is_lan(peer) && is_passed_on(fields);
        let is_anonymous = connection.is_anonymous;
        return ClientOrigin {
            client: peer,
            secure: connection.secure,
            local: is_from_local_network(connection) && !is_proxy,
            is_anonymous,
            is_certain: !is_anonymous && !is_proxy,
        };
    }
    let secure = match single(fields, FieldKind::XForwardedProto) {
        Some(proto) => proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss"),
        None => connection.secure,
    };
    let (client, is_known) = match client_of_cloudflare(fields, peer, trusted) {
        Some(client) => (client, true),
        None => {
            let (client, is_known) = client_in_chain(fields, peer, trusted);
            (client, is_known && (fields.has(FieldKind::XForwardedFor) || !is_passed_on(fields)))
        }
    };
    let is_anonymous = if client == peer { connection.is_anonymous } else { is_gateway(client) };
    let is_certain = is_known && !is_anonymous;
    ClientOrigin { client, secure, local: is_lan(client) && is_certain, is_anonymous, is_certain }
}

/// Whether another proxy has forwarded the request.
fn is_passed_on(fields: &Fields) -> bool {
    let is = |name: &[u8], known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    fields.has(FieldKind::XForwardedFor)
        || fields.has(FieldKind::Via)
        || fields.has(FieldKind::Spoofable)
            && fields.iter().any(|field| is(field.name, "x-real-ip") || is(field.name, "forwarded"))
}

/// The client that Cloudflare names, where `cloudflare` is trusted.
///
/// Cloudflare replaces what a client sends of the field, so from an address of Cloudflare it is the best source. From
/// another trusted peer, such as the end of a tunnel, it counts only without a chain: the peer may have passed it on as
/// a client sent it.
fn client_of_cloudflare(fields: &Fields, peer: IpAddr, trusted: &TrustedProxies) -> Option<IpAddr> {
    let counts = trusted.is_cloudflare(peer) || trusted.trusts_cloudflare() && !fields.has(FieldKind::XForwardedFor);
    let mut named = fields.all_named(b"cf-connecting-ip");
    let client = text(named.next().filter(|_| counts)?)?.trim().parse().ok()?;
    named.next().is_none().then(|| canonical(client))
}

/// The last address of the chain that does not belong to a trusted proxy: a client can make up everything left of it.
/// Also whether that is the client, and not just the point up to which the chain could be read.
fn client_in_chain(fields: &Fields, peer: IpAddr, trusted: &TrustedProxies) -> (IpAddr, bool) {
    let mut client = peer;
    for item in listed(fields) {
        let Some(address) = address_of(item) else { return (client, false) };
        client = address;
        if !trusted.contains(address) {
            break;
        }
    }
    (client, true)
}

/// The addresses in a peer's lists, the nearest first. The first item that is no address ends the chain: neither that
/// item nor anything left of it can be believed.
pub(crate) fn chain(fields: &Fields) -> impl Iterator<Item = IpAddr> + '_ {
    listed(fields).map_while(address_of)
}

/// The items of a peer's lists, the nearest first; none for what is no address. A count includes those.
pub(crate) fn forwarded(fields: &Fields) -> impl Iterator<Item = Option<IpAddr>> + '_ {
    let lines = fields.all(FieldKind::XForwardedFor).rev();
    let items = lines.flat_map(|line| text(line).unwrap_or("not text").rsplit(',')).map(str::trim);
    items.take(CHAIN_MAX).map(address_of)
}

/// The items in a peer's lists, the nearest first.
fn listed(fields: &Fields) -> impl Iterator<Item = &str> {
    let lines = fields.all(FieldKind::XForwardedFor).rev();
    let items = lines.flat_map(|line| text(line).unwrap_or("not text").rsplit(',')).map(str::trim);
    items.filter(|item| !item.is_empty()).take(CHAIN_MAX)
}

/// Parses an address that may have brackets or a port, as some proxies write them.
fn address_of(item: &str) -> Option<IpAddr> {
    let bare = item.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(item);
    let address = bare.parse().ok().or_else(|| item.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(canonical(address))
}

/// The item that the nearest proxy wrote: the last one of the last field.
pub(crate) fn single(fields: &Fields, kind: FieldKind) -> Option<&str> {
    let last = fields.all(kind).next_back()?;
    Some(text(last)?.rsplit(',').next()?.trim())
}

/// A value that consists of printable ASCII.
fn text(value: &[u8]) -> Option<&str> {
    let is_printable = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    std::str::from_utf8(value).ok().filter(|_| is_printable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::request_head::RequestHead;
    use crate::samples;

    #[test]
    fn the_client_that_cloudflare_names_is_believed_where_cloudflare_is_trusted() {
        let client = |peer: &str, trusted: &str, fields: &[(&str, &str)]| {
            let trusted = TrustedProxies::parse(trusted).expect("valid");
            let peer: IpAddr = peer.parse().expect("valid");
            let connection = ClientConnection::new((peer, 5000).into(), samples::listener_trusting(trusted));
            let head = RequestHead::of_test("GET", "/", fields);
            client_origin(&head.fields, &connection, |_| false).client.to_string()
        };
        const NAMED: (&str, &str) = ("cf-connecting-ip", "203.0.113.5");
        const CHAIN: (&str, &str) = ("x-forwarded-for", "198.51.100.1");
        for peer in ["104.16.0.9", "2606:4700::9"] {
            assert_eq!(client(peer, "cloudflare", &[NAMED]), "203.0.113.5");
            assert_eq!(client(peer, "cloudflare", &[CHAIN, NAMED]), "203.0.113.5");
            // These networks are trusted, but not as Cloudflare's.
            assert_eq!(client(peer, "104.16.0.0/13, 2606:4700::/32", &[NAMED]), peer);
            assert_eq!(client(peer, "", &[NAMED]), peer);
        }
        assert_eq!(client("104.16.0.9", "cloudflare", &[NAMED, NAMED]), "104.16.0.9", "Cloudflare sends one");
        assert_eq!(client("104.16.0.9", "cloudflare", &[("cf-connecting-ip", "lies")]), "104.16.0.9");
        assert_eq!(client("198.51.100.7", "cloudflare", &[NAMED]), "198.51.100.7", "it is no peer of ours");
        // The end of a tunnel on the local network.
        assert_eq!(client("172.18.0.3", "cloudflare, 172.18.0.3", &[NAMED]), "203.0.113.5");
        assert_eq!(client("172.18.0.3", "cloudflare, 172.18.0.3", &[CHAIN, NAMED]), "198.51.100.1");
        assert_eq!(client("172.18.0.3", "172.18.0.3", &[NAMED]), "172.18.0.3");
    }

    #[test]
    fn only_who_is_surely_on_the_local_network_is_local() {
        let local = |peer: &str, trusted: &str, fields: &[(&str, &str)]| {
            let trusted = TrustedProxies::parse(trusted).expect("valid");
            let peer: IpAddr = peer.parse().expect("valid");
            let connection = ClientConnection::new((peer, 5000).into(), samples::listener_trusting(trusted));
            client_origin(&RequestHead::of_test("GET", "/", fields).fields, &connection, |_| false).local
        };
        assert!(local("192.168.1.5", "", &[]) && local("::1", "", &[]) && local("192.168.1.5", "lan", &[]));
        assert!(!local("203.0.113.5", "", &[]) && !local("100.64.0.1", "", &[]));
        // A proxy on the local network that nobody told us about, such as a tunnel's end.
        for name in ["x-forwarded-for", "x-real-ip", "forwarded", "via"] {
            assert!(!local("172.17.0.1", "", &[(name, "192.168.1.5")]), "{name}");
        }
        assert!(local("172.17.0.1", "172.17.0.1", &[("x-forwarded-for", "203.0.113.5, 192.168.1.5")]));
        assert!(local("172.17.0.1", "lan", &[("x-forwarded-for", "192.168.1.5")]));
        assert!(!local("172.17.0.1", "lan", &[("x-forwarded-for", "203.0.113.5")]));
        assert!(!local("172.17.0.1", "lan", &[("x-forwarded-for", "203.0.113.5, unknown")]));
        assert!(!local("172.17.0.1", "lan", &[("via", "1.1 tunnel")]));
    }
}
