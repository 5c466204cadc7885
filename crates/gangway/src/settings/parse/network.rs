//! Addresses, hosts and URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gangway_model::Hostname;

use crate::settings::error::ValueError;

/// An address to listen on. `:8080` and `8080` mean every address.
pub(crate) fn address(text: &str) -> Result<SocketAddr, ValueError> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        // An IPv4 address in the form of IPv6 is the same address to the system.
        return Ok(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let note = if text.parse::<IpAddr>().is_ok() { "a port is missing" } else { "not an address with a port" };
    Err(ValueError::new(note, "write an address and a port, such as `[::]:80` or `127.0.0.1:8080`"))
}

pub(crate) fn port(text: &str) -> Result<u16, ValueError> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(ValueError::new("not a port", "write a number from 1 to 65535")),
    }
}

pub(crate) fn host(text: &str) -> Result<Box<str>, ValueError> {
    let mut findings = Vec::new();
    Hostname::parse(text, &mut findings).map(|name| name.as_str().into()).ok_or_else(|| {
        let finding = findings.into_iter().next();
        let (note, help) = finding.map_or_else(Default::default, |finding| (finding.note, finding.help));
        ValueError::new(note, help)
    })
}

/// The domain of a wildcard certificate, with or without `*.` before it.
pub(crate) fn wildcard_domain(text: &str) -> Result<Box<str>, ValueError> {
    host(text.strip_prefix("*.").unwrap_or(text))
}

pub(crate) fn email(text: &str) -> Result<Box<str>, ValueError> {
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    match text.split_once('@') {
        Some((name, domain)) if !name.is_empty() && domain.contains('.') => Ok(text.into()),
        _ => Err(ValueError::new("not a mail address", "write one such as `you@example.org`")),
    }
}

pub(crate) fn web_url(text: &str) -> Result<Box<str>, ValueError> {
    match text.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() => Ok(text.into()),
        _ => Err(ValueError::new("not a URL", "write one such as `http://127.0.0.1:8080`")),
    }
}

/// The URL of a service whose paths are known: without a path of its own, or with the beginning of one.
pub(crate) fn service_url(text: &str) -> Result<Box<str>, ValueError> {
    let url = web_url(text)?;
    let is_plain = !text.contains(['?', '#', '@']);
    let has_host = url.parse::<http::Uri>().is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()));
    if has_host && is_plain {
        return Ok(url);
    }
    Err(ValueError::new("not the URL of a service", "write one such as `http://crowdsec:8080`"))
}

/// The URL that is asked whether a host may have a certificate: `ask=URL`.
pub(crate) fn ask_url(text: &str) -> Result<Box<str>, ValueError> {
    let Some(url) = text.strip_prefix("ask=") else {
        let help = "write `ask=http://…`, a URL that says which hosts may have a certificate";
        return Err(ValueError::new("no URL to ask", help));
    };
    let url = web_url(url)?;
    let has_host = url.parse::<http::Uri>().is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()));
    if has_host { Ok(url) } else { Err(ValueError::new("not a URL", "write one such as `http://app:8080/allowed`")) }
}
