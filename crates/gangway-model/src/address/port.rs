//! Which port of a container, and how it is spoken to.

use std::collections::BTreeSet;

use super::target_owner::TargetOwner;
use crate::image_defaults;
use crate::route::Scheme;
use crate::snapshot::Container;
use crate::spec::{Access, PortGuess};
use crate::value::and_list;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// Where applications usually listen. Of several that are exposed the lowest is taken.
const USUAL: [u16; 7] = [80, 8080, 3000, 8000, 5000, 443, 8443];

/// Where TLS is usually spoken.
const TLS_PORTS: [u16; 2] = [443, 8443];

/// A port and how it was chosen.
pub(super) struct ChosenPort {
    pub number: u16,
    pub scheme: Scheme,
    pub reason: &'static str,
}

/// The port of a container for one route; the error says why there is none.
pub(super) fn of(
    container: &Container,
    access: &Access<'_>,
    target_owner: &TargetOwner<'_, '_>,
    found: &mut Vec<Diagnostic>,
) -> Result<ChosenPort, String> {
    let TargetOwner { source, name: route, words } = *target_owner;
    let exposed: BTreeSet<u16> = container.ports.iter().map(|exposed| exposed.port).collect();
    let preset = image_defaults::find(&container.image);
    let chosen = match access.port {
        Some((port, mark)) => {
            if !exposed.is_empty() && !exposed.contains(&port) {
                let inside = container.ports.iter().find(|exposed| exposed.published == Some(port));
                let help = match inside {
                    Some(inside) => format!("write `{}`: {port} is where it is published on the host", inside.port),
                    None => "write the port at which the application listens inside the container".to_owned(),
                };
                let finding = Finding::error(
                    codes::PORT_NOT_EXPOSED,
                    0..mark.value.trim().len(),
                    format!("port `{port}` is not among the exposed ones"),
                    format!("exposed: {}", listed(&exposed)),
                    help,
                );
                let effect = format!("requests of route `{route}` are sent to port {port}");
                found.push(source.about_value(mark, finding.warning(), effect));
            }
            Some((port, "as the label says"))
        }
        None => match access.guess {
            PortGuess::Usual => {
                preset.map(|preset| (preset.port, "known of the image")).or_else(|| guessed(container, &exposed))
            }
            PortGuess::Lowest => exposed.first().map(|port| (*port, "the lowest exposed port")),
        },
    };
    let Some((number, reason)) = chosen else {
        let (what, help) = match exposed.first() {
            None => ("no port is exposed".to_owned(), "8080".to_owned()),
            Some(first) => (format!("several ports are exposed: {}", listed(&exposed)), first.to_string()),
        };
        let finding = Finding::error(
            codes::PORT_UNKNOWN,
            0..0,
            format!("port unknown: {what}"),
            "",
            format!(
                "add the label `{}` with the port at which it listens, such as `{help}`",
                (words.port_of)(container, route)
            ),
        );
        let effect = format!("route `{route}` has no endpoint here; it answers 503 unless another container serves it");
        found.push(source.about(finding, effect));
        return Err(what);
    };
    let of_preset = preset.filter(|preset| preset.port == number).and_then(|preset| preset.scheme);
    let usual = if TLS_PORTS.contains(&number) { Scheme::Https } else { Scheme::Http };
    Ok(ChosenPort { number, scheme: access.scheme.or(of_preset).unwrap_or(usual), reason })
}

fn guessed(container: &Container, exposed: &BTreeSet<u16>) -> Option<(u16, &'static str)> {
    if exposed.len() == 1 {
        return exposed.first().map(|port| (*port, "the only exposed port"));
    }
    if let Some(port) = exposed.iter().find(|port| USUAL.contains(port)) {
        return Some((*port, "the lowest of the usual ports that are exposed"));
    }
    let published: BTreeSet<u16> =
        container.ports.iter().filter(|exposed| exposed.published.is_some()).map(|exposed| exposed.port).collect();
    let only = published.first().filter(|_| published.len() == 1);
    only.map(|port| (*port, "the only published port"))
}

fn listed(ports: &BTreeSet<u16>) -> String {
    /// An image may expose a range of thousands.
    const LISTED_MAX: usize = 10;
    let more = if ports.len() > LISTED_MAX { " and more" } else { "" };
    let ports: Vec<String> = ports.iter().take(LISTED_MAX).map(u16::to_string).collect();
    format!("{}{more}", and_list(ports.iter().map(String::as_str)))
}
