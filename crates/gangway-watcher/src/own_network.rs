//! What an engine says of our own container: how clients come to it.

use std::net::IpAddr;

use gangway_model::snapshot::{Container, NetworkMode};

use crate::listing::ListedContainer;
use crate::own_location::OwnIds;

/// Where an engine sees us.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum OwnNetwork {
    /// In none of its containers, or it was not read yet.
    #[default]
    Nowhere,
    /// In a container that uses the host's network.
    OnTheHost,
    /// In a container with networks of its own.
    Inside(OwnContainer),
}

/// Our container, or the one whose network ours uses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnContainer {
    /// Gateways of its networks and its own addresses: what passes a connection on to it comes with one of
    /// these, whoever the client is.
    pub gateways: Vec<IpAddr>,
    /// Its ports on the host.
    pub published: Vec<PublishedPort>,
}

/// A port of a container on the host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PublishedPort {
    /// Inside the container.
    pub inside: u16,
    /// On the host.
    pub outside: u16,
    /// Only processes of the host reach it.
    pub is_loopback: bool,
}

/// Finds us among what an engine lists.
pub(crate) fn seen(traces: &OwnIds, listing: &[ListedContainer], containers: &[Container]) -> OwnNetwork {
    let Some(own) = traces.find(containers) else { return OwnNetwork::Nowhere };
    let whose = match &own.network {
        NetworkMode::Host => return OwnNetwork::OnTheHost,
        NetworkMode::Container(other) => containers.iter().find(|container| container.id == *other).unwrap_or(own),
        NetworkMode::Networks | NetworkMode::None => own,
    };
    if whose.network == NetworkMode::Host {
        return OwnNetwork::OnTheHost;
    }
    let Some(listed) = listing.iter().find(|listed| listed.id == whose.id) else { return OwnNetwork::Nowhere };
    let own_addresses = whose.attachments.iter().filter_map(|at| at.address);
    let mut gateways: Vec<IpAddr> = listed.gateways_of_both_families().chain(own_addresses).collect();
    gateways.sort();
    gateways.dedup();
    let mut published: Vec<PublishedPort> = listed.published().collect();
    published.sort();
    published.dedup();
    OwnNetwork::Inside(OwnContainer { gateways, published })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const OURS: &str = "941d0eb2764328f8ccd96ea79a4ed56d7908dbe683211237392c83585f2b0dab";

    fn seen_in(json: &str) -> OwnNetwork {
        let listing: Vec<ListedContainer> = serde_json::from_str(&json.replace("OURS", OURS)).expect("a listing");
        let engine = gangway_model::snapshot::EngineName("docker".into());
        let beside = crate::listing::TranslationContext {
            engine: &engine,
            facts: &BTreeMap::new(),
            health: &BTreeMap::new(),
            now: 0,
        };
        let containers = crate::listing::translate(&listing, &beside);
        seen(&OwnIds::of(&[OURS]), &listing, &containers)
    }

    const BEHIND_A_BRIDGE: &str = r#"[
      {"Id":"OURS","State":"running","HostConfig":{"NetworkMode":"edge"},
       "Ports":[{"PrivatePort":443,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":443,"PublicPort":18443,"Type":"tcp"},
         {"IP":"::","PrivatePort":443,"PublicPort":18443,"Type":"tcp"},
         {"IP":"127.0.0.1","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
         {"IP":"0.0.0.0","PrivatePort":443,"PublicPort":443,"Type":"udp"}],
       "NetworkSettings":{"Networks":{
        "edge":{"NetworkID":"e1","IPAddress":"172.18.0.2","Gateway":"172.18.0.1","IPv6Gateway":"fd00::1"},
        "back":{"NetworkID":"b1","IPAddress":"172.19.0.2","Gateway":""}}}}]"#;

    #[test]
    fn gateways_and_ports_are_those_of_our_container() {
        let OwnNetwork::Inside(own) = seen_in(BEHIND_A_BRIDGE) else { panic!("it is listed") };
        let gateways: Vec<String> = own.gateways.iter().map(ToString::to_string).collect();
        assert_eq!(gateways, ["172.18.0.1", "172.18.0.2", "172.19.0.2", "fd00::1"]);
        let published = |inside, outside, is_loopback| PublishedPort { inside, outside, is_loopback };
        assert_eq!(own.published, [published(80, 8080, true), published(443, 18443, false)]);
    }

    #[test]
    fn with_the_hosts_network_there_is_nothing_in_between() {
        assert_eq!(
            seen_in(&BEHIND_A_BRIDGE.replace("\"NetworkMode\":\"edge\"", "\"NetworkMode\":\"host\"")),
            OwnNetwork::OnTheHost
        );
        assert_eq!(seen_in("[]"), OwnNetwork::Nowhere);
    }
}
