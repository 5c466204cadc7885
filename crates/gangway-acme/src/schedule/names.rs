//! The names that a public CA signs for, and the domains by which it counts them.

use std::net::IpAddr;

/// Whether a public CA could sign for the name: a name below a public domain, or a public address.
pub(crate) fn is_orderable(name: &str) -> bool {
    if let Ok(address) = name.parse::<IpAddr>() {
        return !gangway_tls::is_internal(name) && !address.is_unspecified() && !address.is_multicast();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && !gangway_tls::is_internal(name)
        && name.rsplit('.').next().is_some_and(|top| !top.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The domain by which a CA counts certificates. The list of all public suffixes is deliberately absent: a domain
/// that is too wide only delays users who need more than forty certificates a week.
pub(super) fn registered_domain(name: &str) -> String {
    let name = gangway_tls::without_star(name);
    if name.parse::<IpAddr>().is_ok() {
        return name.to_owned();
    }
    let labels: Vec<&str> = name.rsplit('.').collect();
    let second = labels.get(1).copied().unwrap_or_default();
    let is_shared = is_second_level(labels[0], second)
        || SHARED_DOMAINS.iter().any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    let count = if is_shared { 3 } else { 2 };
    labels[..labels.len().min(count)].iter().rev().copied().collect::<Vec<_>>().join(".")
}

/// Whether anyone can register names below the domain, so that it cannot be one user's site.
pub(crate) fn is_shared_domain(name: &str) -> bool {
    let is_second_level = name.split_once('.').is_some_and(|(second, top)| is_second_level(top, second));
    is_second_level || SHARED_DOMAINS.contains(&name)
}

/// `co.uk`
fn is_second_level(top: &str, second: &str) -> bool {
    top.len() == 2 && matches!(second, "co" | "com" | "net" | "org" | "gov" | "edu" | "ac" | "or" | "ne")
}

/// Domains of services that give names below them to the public.
const SHARED_DOMAINS: [&str; 14] = [
    "duckdns.org",
    "dynv6.net",
    "ddns.net",
    "hopto.org",
    "zapto.org",
    "no-ip.org",
    "dedyn.io",
    "freeddns.org",
    "mooo.com",
    "myds.me",
    "synology.me",
    "spdns.de",
    "selfhost.eu",
    "ipv64.net",
];
