//! `ports` and `expose`, in their short and long forms.

use std::ops::RangeInclusive;

use super::value_reader::{Relevance, ValueReader};
use crate::service::ServicePort;
use crate::spanned_text::SpannedText;
use crate::yaml::Node;

/// The largest number of ports in a range. `1-65535` names more than a service publishes for HTTP.
const PORT_RANGE_MAX: u16 = 100;

/// The TCP ports of a list. Entries that cannot be read are left out, because compose reports them.
pub(crate) fn ports(reader: &mut ValueReader<'_, '_>, node: Option<&Node>) -> Vec<ServicePort> {
    let mut ports = Vec::new();
    for item in node.map(Node::items).unwrap_or_default() {
        let mut add = |(port, published)| ports.push(ServicePort { port, published, span: item.span() });
        if let Some(target) = item.get("target") {
            long_port(reader, item, target).into_iter().for_each(add);
        } else if let Some(text) = reader.scalar(item, Relevance::Routing) {
            short_ports(text.as_str()).into_iter().for_each(&mut add);
        }
    }
    ports
}

/// The long form: a mapping with `target`, `published` and `protocol`.
fn long_port(reader: &mut ValueReader<'_, '_>, item: &Node, target: &Node) -> Option<(u16, Option<u16>)> {
    let published = reader.text(item.get("published"), Relevance::Routing);
    let published = published.and_then(|text| text.as_str().parse().ok());
    let protocol = item.get("protocol").and_then(Node::text).map_or("tcp", SpannedText::as_str);
    let target = reader.scalar(target, Relevance::Routing).and_then(|text| text.as_str().parse().ok());
    target.filter(|_| protocol == "tcp").map(|target| (target, published))
}

/// The short form `[[address:]host:]container[/protocol]`, each port a number or a range. The result has the ports
/// in the container with those on the host.
fn short_ports(text: &str) -> Vec<(u16, Option<u16>)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if protocol != "tcp" {
        return Vec::new();
    }
    let mut parts = ports.rsplit(':');
    let Some(container) = parts.next().and_then(range) else { return Vec::new() };
    let mut host = parts.next().and_then(range).into_iter().flatten();
    container.map(|port| (port, host.next())).collect()
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first <= last && last - first < PORT_RANGE_MAX).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_every_short_form() {
        assert_eq!(short_ports("8080"), [(8080, None)]);
        assert_eq!(short_ports("80:8080"), [(8080, Some(80))]);
        assert_eq!(short_ports("127.0.0.1:80:8080/tcp"), [(8080, Some(80))]);
        assert_eq!(short_ports("127.0.0.1::8080"), [(8080, None)]);
        assert_eq!(short_ports("80-81:8080-8081"), [(8080, Some(80)), (8081, Some(81))]);
        assert_eq!(short_ports("[::1]:80:8080"), [(8080, Some(80))]);
        assert_eq!(short_ports("53:53/udp"), []);
        assert_eq!(short_ports("nonsense"), []);
        assert_eq!(short_ports("1-65535"), []);
    }
}
