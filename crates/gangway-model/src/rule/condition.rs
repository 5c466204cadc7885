//! The name and the values of a matcher become a [`Condition`].

use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};

use gangway_diagnostic::{Finding, codes, nearest, quoted};
use http::{HeaderName, HeaderValue, Method};
use ipnet::{IpNet, Ipv4Net};

use super::expression::Condition;
use crate::host::HostPattern;
use crate::path;
use crate::regex_pattern::RegexPattern;

/// A value as it stands between the parentheses.
pub(crate) struct Argument {
    pub text: String,
    /// The place in the rule, with its quotes.
    pub span: Range<usize>,
    /// The position at which the text begins, if it stands in the rule unchanged. Otherwise findings point at the whole
    /// argument.
    pub start: Option<usize>,
}

/// Every matcher, with the number of values that it takes.
const MATCHERS: [(&str, RangeInclusive<usize>); 11] = [
    ("Host", 1..=usize::MAX),
    ("HostRegexp", 1..=usize::MAX),
    ("Path", 1..=usize::MAX),
    ("PathPrefix", 1..=usize::MAX),
    ("PathRegexp", 1..=usize::MAX),
    ("Method", 1..=usize::MAX),
    ("Header", 2..=2),
    ("HeaderRegexp", 2..=2),
    ("Query", 1..=2),
    ("QueryRegexp", 2..=2),
    ("ClientIP", 1..=usize::MAX),
];

/// Names from other proxies and older versions of them. No slip of the finger leads from one to the other.
const FOREIGN: [(&str, &str); 8] = [
    ("HostHeader", "write `Host`"),
    ("HostSNI", "write `Host`; it decides over TLS as well"),
    ("PathStrip", "write `Path` and set the label `strip-prefix`"),
    ("PathPrefixStrip", "write `PathPrefix` and set the label `strip-prefix`"),
    ("PathStripRegex", "write `PathRegexp`; what is removed from the path is said by the label `rewrite`"),
    ("PathPrefixStripRegex", "write `PathRegexp`; what is removed from the path is said by the label `rewrite`"),
    ("RemoteIP", "write `ClientIP`"),
    ("SourceIP", "write `ClientIP`"),
];

/// The matcher of this name, in any case.
pub(super) fn known(name: &str) -> Option<&'static str> {
    MATCHERS.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(name))
}

/// Reads one matcher. None where the findings contain an error.
pub(crate) fn read(
    name: &str,
    span: Range<usize>,
    arguments: &[Argument],
    findings: &mut Vec<Finding>,
) -> Option<Condition> {
    let Some((_, counts)) = MATCHERS.iter().find(|(known, _)| *known == name) else {
        findings.push(unknown(name, span));
        return None;
    };
    if !counts.contains(&arguments.len()) {
        let takes = match (*counts.start(), *counts.end()) {
            (2, 2) => "takes two",
            (1, 2) => "takes one or two",
            _ => "takes one or more",
        };
        let count = match arguments.len() {
            0 => "no arguments".to_owned(),
            1 => "1 argument".to_owned(),
            several => format!("{several} arguments"),
        };
        let message = format!("`{name}` with {count}");
        let help = format!("write {}", example(name));
        findings.push(Finding::error(codes::ARGUMENT_COUNT, span, message, takes, help));
        return None;
    }
    match (name, arguments) {
        ("Host", values) => each(values, findings, HostPattern::parse).map(Condition::Host),
        ("HostRegexp", values) => each(values, findings, RegexPattern::parse_for_host).map(Condition::HostRegexp),
        ("Path", values) => each(values, findings, path::parse_exact).map(Condition::Path),
        ("PathPrefix", values) => each(values, findings, path::parse_prefix).map(Condition::PathPrefix),
        ("PathRegexp", values) => each(values, findings, RegexPattern::parse).map(Condition::PathRegexp),
        ("Method", values) => each(values, findings, method).map(Condition::Method),
        ("ClientIP", values) => each(values, findings, network).map(Condition::ClientIp),
        ("Header", [field, value]) => {
            let field = field.read(findings, header_name);
            let value = value.read(findings, header_value);
            Some(Condition::Header(field?, value?))
        }
        ("HeaderRegexp", [field, value]) => {
            let field = field.read(findings, header_name);
            let value = value.read(findings, RegexPattern::parse);
            Some(Condition::HeaderRegexp(field?, value?))
        }
        ("Query", [both]) => both.read(findings, |text, findings| match text.split_once('=') {
            Some((key, value)) => Some(Condition::Query(parameter(key, findings)?, Some(value.into()))),
            None => Some(Condition::Query(parameter(text, findings)?, None)),
        }),
        ("Query", [key, value]) => {
            let key = key.read(findings, parameter);
            Some(Condition::Query(key?, Some(value.text.as_str().into())))
        }
        ("QueryRegexp", [key, value]) => {
            let key = key.read(findings, parameter);
            let value = value.read(findings, RegexPattern::parse);
            Some(Condition::QueryRegexp(key?, value?))
        }
        // Every name of the table has an arm above, and the counts were checked.
        _ => None,
    }
}

impl Argument {
    /// Reads the value and moves the findings to its place in the rule.
    pub(crate) fn read<V>(
        &self,
        findings: &mut Vec<Finding>,
        read: impl FnOnce(&str, &mut Vec<Finding>) -> Option<V>,
    ) -> Option<V> {
        let mut found = Vec::new();
        let value = read(&self.text, &mut found);
        findings.extend(found.into_iter().map(|finding| match self.start {
            Some(start) => finding.shifted(start),
            None => Finding { span: self.span.clone().into(), ..finding },
        }));
        value
    }
}

/// Reads all values, including those behind a wrong one.
fn each<V>(
    values: &[Argument],
    findings: &mut Vec<Finding>,
    read: impl Fn(&str, &mut Vec<Finding>) -> Option<V>,
) -> Option<Vec<V>> {
    let values: Vec<Option<V>> = values.iter().map(|value| value.read(findings, &read)).collect();
    values.into_iter().collect()
}

fn unknown(name: &str, span: Range<usize>) -> Finding {
    let foreign = FOREIGN.iter().find(|(foreign, _)| foreign.eq_ignore_ascii_case(name));
    let names = || MATCHERS.iter().map(|(known, _)| *known);
    let help = match (foreign, nearest(name, names())) {
        (Some((_, help)), _) => (*help).to_owned(),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => format!("matchers are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Finding::error(codes::MATCHER_UNKNOWN, span, format!("unknown matcher {}", quoted(name)), "not a matcher", help)
}

fn example(name: &str) -> &'static str {
    match name {
        "Host" => "Host(`shop.example.org`)",
        "HostRegexp" => r"HostRegexp(`^[a-z]+\.example\.org$`)",
        "Path" => "Path(`/login`)",
        "PathPrefix" => "PathPrefix(`/api`)",
        "PathRegexp" => "PathRegexp(`^/api/v[0-9]+/`)",
        "Method" => "Method(`GET`, `HEAD`)",
        "Header" => "Header(`X-Version`, `2`)",
        "HeaderRegexp" => "HeaderRegexp(`User-Agent`, `(?i)mobile`)",
        "Query" => "Query(`version`, `2`)",
        "QueryRegexp" => "QueryRegexp(`version`, `^[0-9]+$`)",
        _ => "ClientIP(`10.0.0.0/8`)",
    }
}

fn method(text: &str, findings: &mut Vec<Finding>) -> Option<Method> {
    let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok();
    if method.is_none() {
        findings.push(Finding::error(
            codes::METHOD_INVALID,
            0..text.len(),
            format!("{} is not a method", quoted(text)),
            "not a single word",
            "several methods are several values: Method(`GET`, `HEAD`)",
        ));
    }
    method
}

fn header_name(text: &str, findings: &mut Vec<Finding>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        findings.push(Finding::error(
            codes::FIELD_INVALID,
            0..text.len(),
            format!("{} is not a header name", quoted(text)),
            "letters, digits and hyphens only",
            "write the name without a colon, such as `X-Version`",
        ));
    }
    name
}

fn header_value(text: &str, findings: &mut Vec<Finding>) -> Option<Box<str>> {
    if HeaderValue::from_bytes(text.as_bytes()).is_err() {
        findings.push(Finding::error(
            codes::FIELD_INVALID,
            0..text.len(),
            format!("{} is not a header's value", quoted(text)),
            "has a control character",
            "remove the control character",
        ));
        return None;
    }
    Some(text.into())
}

fn parameter(text: &str, findings: &mut Vec<Finding>) -> Option<Box<str>> {
    let is_name = !text.is_empty() && !text.contains(['=', '&']);
    if !is_name {
        findings.push(Finding::error(
            codes::PARAMETER_INVALID,
            0..text.len(),
            format!("{} is not the name of a parameter", quoted(text)),
            if text.is_empty() { "empty" } else { "a name has no `=` and no `&`" },
            "write Query(`name`, `value`); several parameters are joined by `&&`",
        ));
    }
    is_name.then(|| text.into())
}

pub(crate) fn network(text: &str, findings: &mut Vec<Finding>) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        let note = match text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => "the part after `/` is not a number of bits",
            _ => "not an address",
        };
        findings.push(Finding::error(
            codes::NETWORK_INVALID,
            0..text.len(),
            format!("{} is not an address or a network", quoted(text)),
            note,
            "such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`",
        ));
        return None;
    };
    if network.addr() != network.network() {
        findings.push(
            Finding::error(
                codes::NETWORK_HOST_BITS,
                0..text.len(),
                format!("{} has bits beyond its mask", quoted(text)),
                format!("means all of {}", network.trunc()),
                format!("write `{}` for the network or `{}` for the address", network.trunc(), network.addr()),
            )
            .warning(),
        );
    }
    Some(canonical(network.trunc()))
}

/// A network of IPv4 addresses in IPv6 form as an IPv4 network, because IPv4 clients are compared as such.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    match (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96)) {
        (Some(address), Some(prefix_len)) => Ipv4Net::new(address, prefix_len).map_or(network, IpNet::V4),
        _ => network,
    }
}
