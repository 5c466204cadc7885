//! `client-ca` and `tls-min` between parties.
//!
//! A handshake is for a host and not for a route: what one route asks of it, every route of the host gets. So
//! nobody may ask for more where an older route of another party asks for less, or all that one's clients
//! would be locked out. And a handshake asks for one bundle: of two on one host the older route's is asked
//! for.
//!
//! Two patterns of hosts that could have a host in common count as having one: closed on doubt.

use super::replicas::{Group, Standing};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::host::HostPattern;
use crate::route::TlsVersion;
use crate::rule::Finding;

/// Closes routes whose bundle cannot be asked for, and takes back what others would suffer from. `groups` are
/// sorted by age.
pub(super) fn settle(groups: &mut [Group<'_>], found: &mut Vec<Diagnostic>) {
    if groups.iter().all(|group| !asks(group)) {
        return;
    }
    for position in 0..groups.len() {
        if !asks(&groups[position]) {
            continue;
        }
        let (older, newer) = groups.split_at_mut(position);
        let group = &mut newer[0];
        let hosts = group.spec.matcher.hosts();
        let beside = |other: &&Group<'_>| {
            other.spec.matcher.hosts().iter().any(|host| hosts.iter().any(|own| may_share(host, own)))
        };
        let asked = group.spec.listener.clone();
        let party = group.party;
        let in_the_way = older.iter().filter(beside).find(|other| {
            let (of_other, is_others) = (&other.spec.listener, other.party != party);
            asked.client_ca.is_some()
                && of_other.client_ca != asked.client_ca
                && (is_others || of_other.client_ca.is_some())
        });
        let is_slower = |other: &&Group<'_>| other.party != party && other.spec.listener.tls_min < asked.tls_min;
        let held_back = older.iter().filter(beside).find(is_slower);
        let name = group.spec.name.clone();
        if let Some(other) = in_the_way {
            let finding = finding(&format!("client certificates on a host of {}", other.standing.described()));
            let effect = format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected");
            found.push(about(&group.standing, finding, effect));
            (group.spec.closed, group.spec.listener.client_ca) = (true, None);
        }
        if let Some(other) = held_back {
            let finding = finding(&format!("nothing but TLS 1.3 on a host of {}", other.standing.described()));
            let effect = format!("TLS 1.2 and 1.3 are served; the rest of route `{name}` is in force");
            found.push(about(&group.standing, finding, effect));
            group.spec.listener.tls_min = other.spec.listener.tls_min;
        }
    }
}

fn asks(group: &Group<'_>) -> bool {
    group.spec.listener.client_ca.is_some() || group.spec.listener.tls_min != TlsVersion::default()
}

fn finding(message: &str) -> Finding {
    let help = "take another host, or write the same on both routes";
    Finding::error(codes::HANDSHAKE_OF_OTHERS, 0..0, message, "an older route there asks for something else", help)
}

/// Points at the host, where one was written.
fn about(standing: &Standing<'_>, mut finding: Finding, effect: String) -> Diagnostic {
    let claim = standing.claim;
    if claim.label.is_empty() {
        return standing.source.about(finding, effect);
    }
    finding.span.end = claim.value.trim().len();
    standing.source.about_value(claim, finding, effect)
}

fn may_share(one: &HostPattern, other: &HostPattern) -> bool {
    match (one, other) {
        (HostPattern::Exact(name), pattern) | (pattern, HostPattern::Exact(name)) => pattern.matches(name.as_str()),
        (HostPattern::Wildcard(one), HostPattern::Wildcard(other)) => one == other,
        _ => true,
    }
}
