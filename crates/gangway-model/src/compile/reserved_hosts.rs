//! Hosts from which the patterns of others are kept: those that a party holds, and those that the file names.
//!
//! Every path of a held host is its holder's, also one that it does not serve now. So a route that takes all hosts of a
//! domain gets neither what the holder leaves out nor what comes while it is stopped, unless it shares the host.

use std::collections::{BTreeMap, BTreeSet};

use super::replicas::RouteGroup;
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::ownership::{Holdings, Observation, Tenant};
use crate::table::Reserved;

pub(super) fn hosts(groups: &[RouteGroup<'_>], holdings: &Holdings, moment: Observation<'_>) -> Reserved {
    let of_patterns = |group: &&RouteGroup<'_>| {
        group.party.tenant != Tenant::File
            && group.spec.matcher.alternatives().iter().any(|asked| exact(asked.host()).is_none())
    };
    let tenants: BTreeMap<&Tenant, Box<str>> =
        groups.iter().filter(of_patterns).map(|group| (&group.party.tenant, group.party.tenant.key().into())).collect();
    if tenants.is_empty() {
        return Reserved::default();
    }
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (tenant, key) in &tenants {
        by_name.entry(tenant.name().to_ascii_lowercase()).or_default().push(key);
    }
    let mut reserved = Reserved::among(tenants.values().cloned());
    for (host, holding) in holdings.iter() {
        let Some(host) = exact(host) else { continue };
        let here = || holding.tenures.iter().filter(|(_, tenure)| moment.has(tenure));
        let share: BTreeSet<String> = here()
            .filter(|(_, tenure)| !tenure.is_guest)
            .flat_map(|(_, tenure)| tenure.share.iter().map(|with| with.to_ascii_lowercase()))
            .collect();
        if here().next().is_none() || share.contains("*") {
            continue;
        }
        let own = here().filter_map(|(party, _)| tenants.get(&party.tenant)).map(|key| &**key);
        let shared = share.iter().filter_map(|name| by_name.get(name)).flatten().copied();
        reserved.keep(host, own.chain(shared));
    }
    // The file goes before every holder.
    let mut of_file: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.party.tenant == Tenant::File) {
        for host in group.spec.matcher.alternatives().iter().filter_map(|asked| exact(asked.host())) {
            of_file.entry(host).or_default().extend(group.spec.share.iter().map(|with| with.to_ascii_lowercase()));
        }
    }
    for (host, share) in of_file {
        if share.contains("*") {
            reserved.keep(host, tenants.values().map(|key| &**key));
        } else {
            reserved.keep(host, share.iter().filter_map(|name| by_name.get(name)).flatten().copied());
        }
    }
    reserved
}

fn exact(host: &HostCondition) -> Option<&str> {
    match host {
        HostCondition::Pattern(HostPattern::Exact(name)) => Some(name.as_str()),
        HostCondition::Pattern(HostPattern::Wildcard(_) | HostPattern::AnyDomain(_) | HostPattern::Any)
        | HostCondition::Regex(_) => None,
    }
}
