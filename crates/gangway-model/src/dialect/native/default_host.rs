//! The host of a route for which none is written.

use crate::host::HostPattern;

/// `<route>.<domain>`, with the route's name as a DNS label.
pub(crate) fn default_host(name: &str, domain: &str) -> Option<HostPattern> {
    const LABEL_LEN_MAX: usize = 63;
    let mut label = String::with_capacity(name.len());
    for char in name.chars() {
        match char.to_ascii_lowercase() {
            char if char.is_ascii_alphanumeric() => label.push(char),
            _ if !label.is_empty() && !label.ends_with('-') => label.push('-'),
            _ => {}
        }
    }
    label.truncate(LABEL_LEN_MAX);
    let (label, domain) = (label.trim_end_matches('-'), domain.trim_matches('.'));
    if label.is_empty() || domain.is_empty() {
        return None;
    }
    HostPattern::parse(&format!("{label}.{domain}"), &mut Vec::new())
        .filter(|host| matches!(host, HostPattern::Exact(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_host_is_a_dns_name() {
        let host = |name: &str| default_host(name, "localhost").map(|host| host.to_string());
        assert_eq!(host("web").as_deref(), Some("web.localhost"));
        assert_eq!(host("My_App.v2").as_deref(), Some("my-app-v2.localhost"));
        assert_eq!(host("_a_").as_deref(), Some("a.localhost"));
        assert_eq!(host(&"x".repeat(100)), Some(format!("{}.localhost", "x".repeat(63))));
        assert_eq!(host("__"), None);
        assert_eq!(host("ünï"), Some("n.localhost".into()));
        assert_eq!(default_host("web", ""), None);
        assert_eq!(default_host("web", "home.arpa.").map(|host| host.to_string()).as_deref(), Some("web.home.arpa"));
    }
}
