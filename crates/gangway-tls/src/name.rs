//! Names in the form that certificates and handshakes use.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::cert_name::CertName;

/// Domains that no public CA signs for, each with everything below it.
pub const INTERNAL_DOMAINS: [&str; 7] = ["localhost", "local", "internal", "home.arpa", "lan", "home", "test"];

/// The normal form of a name from SNI or Host: lower case, without a final dot.
///
/// Borrows if the name is normal already, as nearly all are.
pub fn normal_name(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether no public CA would sign for a normal name: internal domains, single labels, and addresses that are not
/// public. A wildcard counts like the domain below its star.
pub fn is_internal(name: &str) -> bool {
    if let Ok(address) = name.parse::<IpAddr>() {
        return is_private(address);
    }
    let base = without_star(name);
    !base.contains('.') || is_below_internal_domain(base)
}

/// The domain that a wildcard stands below, and every other name as it is.
pub fn without_star(name: &str) -> &str {
    CertName::parse(name).wildcard_parent().unwrap_or(name)
}

/// Whether a normal name is one of [`INTERNAL_DOMAINS`] or below one.
pub(crate) fn is_below_internal_domain(name: &str) -> bool {
    INTERNAL_DOMAINS.iter().any(|domain| is_within(name, domain))
}

/// Whether `name` is `domain` or below it.
pub(crate) fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a certificate may carry the text as a DNS name: letters, digits, hyphens and underscores in labels of 1
/// to 63, 253 in all, in lower case; `*` only as the whole left-most label.
pub(crate) fn is_dns_name(name: &str) -> bool {
    let labels = without_star(name);
    name.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        })
}

/// The networks of [`is_internal`] addresses.
pub(crate) const PRIVATE_NETWORKS: [IpNet; 8] = [
    v4([10, 0, 0, 0], 8),
    // Carrier-grade NAT, also used by Tailscale.
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v6(Ipv6Addr::LOCALHOST, 128),
    v6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(address: Ipv6Addr, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(address, prefix))
}

fn is_private(address: IpAddr) -> bool {
    PRIVATE_NETWORKS.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case_without_final_dot() {
        assert_eq!(normal_name("App.Example.ORG."), "app.example.org");
        assert!(matches!(normal_name("app.example.org"), Cow::Borrowed(_)));
    }

    #[test]
    fn internal_names_are_those_no_public_ca_signs_for() {
        for name in ["nas", "app.localhost", "localhost", "*.localhost", "a.b.home.arpa", "x.test", "10.1.2.3", "::1"] {
            assert!(is_internal(name), "{name}");
        }
        for name in
            ["example.org", "notlocalhost.com", "mylan.de", "arpa.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
        {
            assert!(!is_internal(name), "{name}");
        }
    }

    #[test]
    fn a_network_contains_its_addresses_only() {
        for (address, is_inside) in [
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("100.127.0.1", true),
            ("100.128.0.0", false),
            ("fdff::1", true),
            ("::2", false),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(is_private(address.parse().expect("an address")), is_inside, "{address}");
        }
    }

    #[test]
    fn only_dns_names_are_dns_names() {
        for name in ["a", "*.a", "a_b.example", "xn--bcher-kva.example"] {
            assert!(is_dns_name(name), "{name}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for name in ["", "a..b", "*", "a.*", "a b", "bücher.example", "A", "[::1]", long.as_str()] {
            assert!(!is_dns_name(name), "{name}");
        }
    }
}
