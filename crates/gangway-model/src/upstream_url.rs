//! `upstream`: the URLs of what is not a container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::host::Hostname;
use crate::route::{Address, Scheme};
use crate::spec::UrlTarget;
use crate::value::Parsed;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// Reads one URL. Messages do not repeat it, as it may contain a password.
pub(crate) fn parse(url: &str) -> Parsed<UrlTarget> {
    let wrong = |note: &str, help: &str| {
        Finding::error(codes::UPSTREAM_INVALID, 0..url.len(), "not the URL of an upstream", note, help)
    };
    let schemes = [("http://", Scheme::Http, 80), ("https://", Scheme::Https, 443), ("h2c://", Scheme::H2c, 80)];
    let begins = |prefix: &str| url.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    let Some((prefix, scheme, default_port)) = schemes.into_iter().find(|(prefix, ..)| begins(prefix)) else {
        let with_scheme = format!("http://{url}");
        let help = match parse(&with_scheme) {
            // Nothing secret can be in it: a user or a password makes it no URL of an upstream.
            Ok(_) if !url.contains("//") => format!("write `{with_scheme}`"),
            _ => "write one such as `http://192.0.2.9:5006`".to_owned(),
        };
        return Err(wrong("http, https or h2c", &help));
    };
    let rest = &url[prefix.len()..];
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(wrong("more than a host and a port", "leave the path out; `add-prefix` puts one in front"));
    }
    if authority.contains('@') {
        return Err(wrong("with a user or a password", "set `request.header.Authorization` instead"));
    }
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            let port = port.parse().ok().filter(|port| *port > 0);
            (name, port.ok_or_else(|| wrong("the port is no number from 1 to 65535", "write one such as `:5006`"))?)
        }
        _ => (authority, default_port),
    };
    let mut findings = Vec::new();
    let host = Hostname::parse(name, &mut findings).ok_or_else(|| {
        let finding = findings.pop();
        let (note, help) = finding.map_or_else(Default::default, |finding| (finding.note, finding.help));
        wrong(&note, &help)
    })?;
    let address = match literal(host.as_str()) {
        Some(ip) => Address::Ip(ip, port),
        None => Address::Name(host.as_str().into(), port),
    };
    let transport = Arc::default();
    Ok(UrlTarget { url: url.into(), scheme, transport, host: host.as_str().into(), address })
}

fn literal(host: &str) -> Option<IpAddr> {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_port() {
        for (url, scheme, address) in [
            ("http://192.0.2.9:5006", Scheme::Http, "Ip(192.0.2.9, 5006)"),
            ("https://NAS.example.org/", Scheme::Https, "Name(\"nas.example.org\", 443)"),
            ("h2c://[2001:db8::1]:50051", Scheme::H2c, "Ip(2001:db8::1, 50051)"),
            ("HTTP://nas", Scheme::Http, "Name(\"nas\", 80)"),
        ] {
            let target = parse(url).expect(url);
            assert_eq!((target.scheme, format!("{:?}", target.address).as_str()), (scheme, address), "{url}");
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_offered_with_one() {
        let help = |url: &str| parse(url).expect_err(url).help;
        assert_eq!(help("192.168.1.5:5000"), "write `http://192.168.1.5:5000`");
        assert_eq!(help("nas"), "write `http://nas`");
        for url in ["nas:x", "//nas", "user:secret@nas", "ftp://nas", "nas/path"] {
            assert_eq!(help(url), "write one such as `http://192.0.2.9:5006`", "{url}");
        }
    }

    #[test]
    fn anything_else_is_named_without_repeating_it() {
        for url in
            ["nas:5000", "ftp://nas", "http://", "http://nas/path", "http://a:b@nas", "http://nas:x", "http://n as"]
        {
            let finding = parse(url).expect_err(url);
            assert!(!finding.message.contains("nas") && !finding.note.contains("a:b"), "{finding:?}");
        }
    }
}
