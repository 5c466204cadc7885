//! Host names and patterns of them. Text becomes a type here, and no later code parses it again.
//!
//! Hosts are compared in one form: lower case, without port and final dot, international names in
//! punycode, IPv6 in brackets and in its shortest form. [`canonical_host`] brings the host of a request into this
//! form; [`Hostname::parse`] and [`HostPattern::parse`] do so with the host of a label.

use std::fmt::{self, Display, Formatter};
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use gangway_diagnostic::{Finding, codes, quoted};

/// The length of the longest name that DNS can carry.
pub const HOST_LEN_MAX: usize = 253;

/// The length of the longest label of a name that DNS can carry.
const LABEL_LEN_MAX: usize = 63;

/// A DNS name or IP address in the form in which hosts are compared: lower case, no port, no final
/// dot, IPv6 in brackets.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hostname(Box<str>);

/// The hosts that one item of a `host` list stands for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HostPattern {
    /// `shop.example.org`.
    Exact(Hostname),
    /// `*.example.org`: exactly one label in front of the name kept here.
    Wildcard(Hostname),
    /// `budget.*`: this first label (or labels) in front of any domain.
    AnyDomain(Box<str>),
    /// `*`.
    Any,
}

impl Hostname {
    /// Reads a name or an address; spans are relative to `text`.
    pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        if let Some(position) = text.find('*') {
            findings.push(Finding::error(
                codes::HOST_WILDCARD,
                position..position + 1,
                format!("wildcard in {}", quoted(text)),
                "one name is needed here",
                "write the whole name",
            ));
            return None;
        }
        read(text, 0, findings).map(|name| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an IP address.
    pub fn is_address(&self) -> bool {
        self.0.starts_with('[') || self.0.parse::<Ipv4Addr>().is_ok()
    }
}

impl Display for Hostname {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HostPattern {
    /// Reads one item of a `host` list; spans are relative to `text`.
    pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let (read_from, name, make): (usize, &str, fn(String) -> Self) = if let Some(parent) = text.strip_prefix("*.") {
            (2, parent, |parent| Self::Wildcard(Hostname(parent.into())))
        } else if let Some(first) = text.strip_suffix(".*") {
            (0, first, |first| Self::AnyDomain(first.into()))
        } else {
            (0, text, |name| Self::Exact(Hostname(name.into())))
        };
        if let Some(position) = name.find('*') {
            findings.push(misplaced_wildcard(text, read_from + position));
            return None;
        }
        let is_exact = name.len() == text.len();
        let name = read(name, read_from, findings)?;
        let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
        if !is_exact && is_address {
            findings.push(misplaced_wildcard(text, text.find('*').unwrap_or_default()));
            return None;
        }
        Some(make(name))
    }

    /// Whether it matches a host in the form in which hosts are compared.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => *name.0 == *host,
            Self::Wildcard(parent) => {
                host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && *parent.0 == *rest)
            }
            Self::AnyDomain(first) => {
                host.strip_prefix(&**first).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
            }
            Self::Any => true,
        }
    }

    /// Whether it matches every host that `other` matches.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Exact(name)) => self.matches(&name.0),
            (Self::AnyDomain(_), Self::AnyDomain(first)) => self == other || self.matches(first),
            _ => self == other,
        }
    }
}

/// The text that a label would have.
impl Display for HostPattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
            Self::AnyDomain(first) => write!(f, "{first}.*"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// The host of a `Host` field, an `:authority` or an SNI in the form in which hosts are compared.
///
/// The result is written into `buffer`, so that a request costs no allocation. None where the text is outside the
/// grammar of RFC 3986, has user information or an impossible port, or is longer than [`HOST_LEN_MAX`]. A host
/// that no route could have is still a host.
pub fn canonical_host<'b>(host: &str, buffer: &'b mut [u8; HOST_LEN_MAX]) -> Option<&'b str> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let address: Ipv6Addr = address.parse().ok().filter(|_| is_port)?;
        let len_before = buffer.len();
        let mut unwritten = &mut buffer[..];
        write!(unwritten, "[{address}]").ok()?;
        let len = len_before - unwritten.len();
        return std::str::from_utf8(&buffer[..len]).ok();
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return None,
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let canonical = buffer.get_mut(..name.len()).filter(|canonical| !canonical.is_empty())?;
    for (to, from) in canonical.iter_mut().zip(name) {
        if !is_host_byte(*from) {
            return None;
        }
        *to = from.to_ascii_lowercase();
    }
    std::str::from_utf8(canonical).ok()
}

/// RFC 3986 allows an empty port.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

/// A byte of `reg-name` in RFC 3986. Two digits behind a percent sign are not checked, as no route has one.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

/// Reads a name or an address that stands at `offset` of the user's text.
fn read(text: &str, offset: usize, findings: &mut Vec<Finding>) -> Option<String> {
    match name(text) {
        Ok(name) => Some(name),
        Err(finding) => {
            findings.push(finding.shifted(offset));
            None
        }
    }
}

fn name(text: &str) -> Result<String, Finding> {
    if text.is_empty() {
        return Err(Finding::error(
            codes::HOST_EMPTY,
            0..0,
            "empty host",
            "a name is missing",
            "write a name such as `shop.example.org`",
        ));
    }
    if text.starts_with('[') || text.matches(':').count() > 1 && !text.contains('/') {
        return ipv6(text);
    }
    only_a_name(text)?;
    let ascii;
    let mut name = text.strip_suffix('.').unwrap_or(text);
    if !name.is_ascii() {
        ascii = idna::domain_to_ascii(name).ok().filter(|ascii| !ascii.is_empty()).ok_or_else(|| {
            invalid(
                text,
                0..text.len(),
                "not an international name",
                "write the name in punycode, such as `xn--bcher-kva.example`",
            )
        })?;
        name = &ascii;
    }
    let name = name.to_ascii_lowercase();
    check_labels(text, &name)?;
    let last = name.rsplit('.').next().unwrap_or_default();
    let looks_like_address = last.bytes().all(|byte| byte.is_ascii_digit());
    if looks_like_address && name.contains('.') && name.parse::<Ipv4Addr>().is_err() {
        return Err(Finding::error(
            codes::HOST_ADDRESS_INVALID,
            0..text.len(),
            format!("{} is not an address", quoted(text)),
            "four numbers from 0 to 255 are needed",
            "write the address or a name",
        ));
    }
    Ok(name)
}

/// Reports a scheme, a port or a path beside the name.
fn only_a_name(text: &str) -> Result<(), Finding> {
    let beside = |span, what: &str, note: &str, help: String| {
        Err(Finding::error(codes::HOST_NOT_ONLY_NAME, span, format!("{what} in host {}", quoted(text)), note, help))
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        let name = rest.split(['/', ':']).next().unwrap_or_default();
        return beside(
            0..scheme.len() + 3,
            "scheme",
            "a host is a name only",
            format!("write {}", quoted(if name.is_empty() { "shop.example.org" } else { name })),
        );
    }
    if let Some((name, path)) = text.split_once('/') {
        return beside(
            name.len()..text.len(),
            "path",
            "a host is a name only",
            format!(
                "write {} here and {} as path",
                quoted(name.split(':').next().unwrap_or_default()),
                quoted(&format!("/{path}"))
            ),
        );
    }
    if let Some((name, port)) = text.split_once(':')
        && is_port(port)
    {
        return beside(
            name.len()..text.len(),
            "port",
            "every listener serves every host",
            format!("write {}; the container's port is said by the label `port`", quoted(name)),
        );
    }
    if text.starts_with('~') {
        return Err(invalid(text, 0..1, "an expression is not a name", "write it in a rule: HostRegexp(`…`)"));
    }
    if let Some(parent) = text.strip_prefix('.') {
        return Err(invalid(
            text,
            0..1,
            "empty label",
            format!("write {} for all names below", quoted(&format!("*.{parent}"))),
        ));
    }
    Ok(())
}

/// `name` is the user's `text` in lower-case ASCII.
fn check_labels(text: &str, name: &str) -> Result<(), Finding> {
    if name.len() > HOST_LEN_MAX {
        return Err(invalid(text, 0..text.len(), format!("longer than {HOST_LEN_MAX} characters"), "shorten the name"));
    }
    // Positions in a converted name are not positions in the text.
    let place = |start: usize, len: usize| if text.is_ascii() { start..start + len } else { 0..text.len() };
    let mut start = 0_usize;
    for label in name.split('.') {
        if label.is_empty() {
            return Err(invalid(text, place(start.saturating_sub(1), 1), "empty label", "remove the dot"));
        }
        let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        if let Some((position, char)) = label.char_indices().find(|(_, char)| !allowed(*char)) {
            let help = if "${}".contains(char) {
                "write the name itself; a variable was not replaced here"
            } else {
                "use letters, digits, hyphens and dots"
            };
            let note = format!("{} cannot stand in a name", quoted(char.encode_utf8(&mut [0; 4])));
            return Err(invalid(text, place(start + position, 1), note, help));
        }
        if label.len() > LABEL_LEN_MAX {
            let note = format!("a label longer than {LABEL_LEN_MAX} characters");
            return Err(invalid(text, place(start, label.len()), note, "shorten the label"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(invalid(
                text,
                place(start, label.len()),
                "a label begins or ends with a hyphen",
                "remove the hyphen",
            ));
        }
        start += label.len() + 1;
    }
    Ok(())
}

fn ipv6(text: &str) -> Result<String, Finding> {
    let inner = text.strip_prefix('[').unwrap_or(text);
    let (address, beside) = inner.split_once(']').unwrap_or((inner, ""));
    if let Some(port) = beside.strip_prefix(':')
        && is_port(port)
    {
        let span = text.len() - beside.len()..text.len();
        return Err(Finding::error(
            codes::HOST_NOT_ONLY_NAME,
            span,
            format!("port in host {}", quoted(text)),
            "every listener serves every host",
            format!("write `[{address}]`"),
        ));
    }
    match address.parse::<Ipv6Addr>() {
        Ok(address) if beside.is_empty() => Ok(format!("[{address}]")),
        _ => Err(Finding::error(
            codes::HOST_ADDRESS_INVALID,
            0..text.len(),
            format!("{} is not an address", quoted(text)),
            "not an IPv6 address in brackets",
            "write it as in `[2001:db8::7]`",
        )),
    }
}

fn invalid(text: &str, span: std::ops::Range<usize>, note: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding::error(codes::HOST_INVALID, span, format!("{} is not a host name", quoted(text)), note, help)
}

fn misplaced_wildcard(text: &str, position: usize) -> Finding {
    Finding::error(
        codes::HOST_WILDCARD,
        position..position + 1,
        format!("wildcard in {} where none can stand", quoted(text)),
        "stands for one whole label at the beginning, or for any domain at the end",
        "write `*.example.org`, `budget.*` or `*`, or a rule with HostRegexp(`…`)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use gangway_diagnostic::Code;

    fn pattern(text: &str) -> HostPattern {
        let mut findings = Vec::new();
        let pattern = HostPattern::parse(text, &mut findings);
        assert_eq!(findings, [], "{text}");
        pattern.expect("no finding, so a pattern")
    }

    fn finding(text: &str) -> (Code, std::ops::Range<usize>) {
        let mut findings = Vec::new();
        assert_eq!(HostPattern::parse(text, &mut findings), None, "{text}");
        let [finding] = &findings[..] else { panic!("one finding: {findings:?}") };
        assert!(text.get(finding.span.start..finding.span.end).is_some(), "{finding:?}");
        (finding.code, finding.span.start..finding.span.end)
    }

    fn compared(text: &str) -> Option<String> {
        canonical_host(text, &mut [0; HOST_LEN_MAX]).map(str::to_owned)
    }

    #[test]
    fn patterns_are_read_and_written_alike() {
        for text in [
            "shop.example.org",
            "*.example.org",
            "budget.*",
            "a.b.*",
            "*",
            "localhost",
            "my_app.local",
            "10.0.0.1",
            "[::1]",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn names_are_brought_into_one_form() {
        assert_eq!(pattern("Shop.Example.ORG."), pattern("shop.example.org"));
        assert_eq!(pattern("bücher.example").to_string(), "xn--bcher-kva.example");
        assert_eq!(pattern("*.BÜCHER.example").to_string(), "*.xn--bcher-kva.example");
        assert_eq!(pattern("[2001:DB8:0::1]").to_string(), "[2001:db8::1]");
        assert_eq!(pattern("2001:db8::1").to_string(), "[2001:db8::1]");
    }

    #[test]
    fn what_is_wrong_is_said_precisely() {
        assert_eq!(finding(""), (codes::HOST_EMPTY, 0..0));
        assert_eq!(finding("https://a.org/x"), (codes::HOST_NOT_ONLY_NAME, 0..8));
        assert_eq!(finding("a.org:8080"), (codes::HOST_NOT_ONLY_NAME, 5..10));
        assert_eq!(finding("[::1]:80"), (codes::HOST_NOT_ONLY_NAME, 5..8));
        assert_eq!(finding("a.org/x"), (codes::HOST_NOT_ONLY_NAME, 5..7));
        assert_eq!(finding("*.a.org:80"), (codes::HOST_NOT_ONLY_NAME, 7..10));
        assert_eq!(finding("a..org"), (codes::HOST_INVALID, 1..2));
        assert_eq!(finding(".a.org"), (codes::HOST_INVALID, 0..1));
        assert_eq!(finding("a b.org"), (codes::HOST_INVALID, 1..2));
        assert_eq!(finding("-a.org"), (codes::HOST_INVALID, 0..2));
        assert_eq!(finding("${HOST}"), (codes::HOST_INVALID, 0..1));
        assert_eq!(finding("a*.org"), (codes::HOST_WILDCARD, 1..2));
        assert_eq!(finding("*.*.org"), (codes::HOST_WILDCARD, 2..3));
        assert_eq!(finding("a.*.org"), (codes::HOST_WILDCARD, 2..3));
        assert_eq!(finding("**"), (codes::HOST_WILDCARD, 0..1));
        assert_eq!(finding("*.0.0.1"), (codes::HOST_ADDRESS_INVALID, 2..7));
        assert_eq!(finding("*.10.0.0.1"), (codes::HOST_WILDCARD, 0..1));
        assert_eq!(finding("10.0.0.256"), (codes::HOST_ADDRESS_INVALID, 0..10));
        assert_eq!(finding("[::g]"), (codes::HOST_ADDRESS_INVALID, 0..5));
        assert_eq!(finding("~^a"), (codes::HOST_INVALID, 0..1));
        assert_eq!(finding(&format!("{}.org", "a".repeat(64))), (codes::HOST_INVALID, 0..64));
        assert_eq!(finding(&"aa.".repeat(90)).0, codes::HOST_INVALID);
        assert_eq!(finding("a\u{301}\u{ad}..é").0, codes::HOST_INVALID);
    }

    #[test]
    fn each_kind_matches_what_it_says() {
        assert!(pattern("a.org").matches("a.org"));
        assert!(!pattern("a.org").matches("b.a.org"));
        assert!(pattern("*.a.org").matches("b.a.org"));
        assert!(!pattern("*.a.org").matches("a.org"));
        assert!(!pattern("*.a.org").matches(".a.org"));
        assert!(!pattern("*.a.org").matches("c.b.a.org"));
        assert!(pattern("budget.*").matches("budget.local"));
        assert!(pattern("budget.*").matches("budget.a.b.org"));
        assert!(!pattern("budget.*").matches("budget"));
        assert!(!pattern("budget.*").matches("budget."));
        assert!(!pattern("budget.*").matches("budgets.org"));
        assert!(pattern("*").matches("[::1]"));
    }

    #[test]
    fn covering_is_matching_everything_of_the_other() {
        assert!(pattern("*").covers(&pattern("budget.*")));
        assert!(pattern("*.a.org").covers(&pattern("b.a.org")));
        assert!(pattern("a.*").covers(&pattern("a.b.*")));
        assert!(!pattern("a.b.*").covers(&pattern("a.*")));
        assert!(!pattern("a.*").covers(&pattern("*.org")));
        assert!(!pattern("b.a.org").covers(&pattern("*.a.org")));
    }

    #[test]
    fn a_request_is_compared_without_case_port_and_final_dot() {
        assert_eq!(compared("Shop.Example.ORG.:8443").as_deref(), Some("shop.example.org"));
        assert_eq!(compared("a.org:").as_deref(), Some("a.org"));
        assert_eq!(compared("[2001:DB8::0:1]:443").as_deref(), Some("[2001:db8::1]"));
        assert_eq!(compared("10.0.0.1:80").as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn what_is_no_host_is_none() {
        let long = "a".repeat(HOST_LEN_MAX + 1);
        for text in [
            "", ".", ":80", "a:b", "a:80:80", "a:65536", "a:+80", "u@a", "a/b", "a b", "ä.org", "[::1", "[::1]x",
            "[x]", &long,
        ] {
            assert_eq!(compared(text), None, "{text}");
        }
    }
}
