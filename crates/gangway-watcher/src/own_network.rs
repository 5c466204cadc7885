//! How clients reach us, as far as an engine knows: its view of the network of our own container.

use std::net::IpAddr;

use gangway_model::{Container, NetworkMode};

use crate::listing::{ListedContainer, PublishedPort};
use crate::own_ids::OwnIds;

/// The network that clients reach us through, according to one engine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum OwnNetwork {
    /// We run in none of the engine's containers, or the engine was not read yet.
    #[default]
    Unknown,
    /// We run in a container that uses the network of the host.
    Host,
    /// We run in a container with networks of its own.
    Container(OwnContainer),
}

/// Our own container, or the container whose network it uses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnContainer {
    /// The gateways of its networks and its own addresses. A connection that the engine forwards to us comes from
    /// one of these addresses, whatever the address of the client is.
    pub gateways: Vec<IpAddr>,
    /// Its TCP ports that are published on the host.
    pub published: Vec<PublishedPort>,
}

/// The network of our own container among those that an engine lists.
pub(crate) fn own_network(own_ids: &OwnIds, listing: &[ListedContainer], containers: &[Container]) -> OwnNetwork {
    let Some(own) = own_ids.find(containers) else { return OwnNetwork::Unknown };
    let network_owner = match &own.network {
        NetworkMode::Host => return OwnNetwork::Host,
        NetworkMode::Container(other) => containers.iter().find(|container| container.id == *other).unwrap_or(own),
        NetworkMode::Networks | NetworkMode::None => own,
    };
    if network_owner.network == NetworkMode::Host {
        return OwnNetwork::Host;
    }
    let Some(listed) = listing.iter().find(|listed| listed.id == network_owner.id) else { return OwnNetwork::Unknown };
    let own_addresses = network_owner.attachments.iter().filter_map(|at| at.address);
    let mut gateways: Vec<IpAddr> = listed.gateways_of_both_families().chain(own_addresses).collect();
    gateways.sort();
    gateways.dedup();
    let mut published: Vec<PublishedPort> = listed.published().collect();
    published.sort();
    published.dedup();
    OwnNetwork::Container(OwnContainer { gateways, published })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const OURS: &str = "941d0eb2764328f8ccd96ea79a4ed56d7908dbe683211237392c83585f2b0dab";

    fn read(json: &str) -> OwnNetwork {
        let listing: Vec<ListedContainer> = serde_json::from_str(&json.replace("OURS", OURS)).expect("a listing");
        let engine = gangway_model::EngineName("docker".into());
        let context = crate::listing::TranslationContext {
            engine: &engine,
            facts: &BTreeMap::new(),
            health: &BTreeMap::new(),
            now: 0,
        };
        let containers = crate::listing::translate(&listing, &context);
        own_network(&OwnIds::of(&[OURS], ""), &listing, &containers)
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
        let OwnNetwork::Container(own) = read(BEHIND_A_BRIDGE) else { panic!("it is listed") };
        let gateways: Vec<String> = own.gateways.iter().map(ToString::to_string).collect();
        assert_eq!(gateways, ["172.18.0.1", "172.18.0.2", "172.19.0.2", "fd00::1"]);
        let published = |inside, outside, is_loopback| PublishedPort { inside, outside, is_loopback };
        assert_eq!(own.published, [published(80, 8080, true), published(443, 18443, false)]);
    }

    #[test]
    fn with_the_hosts_network_there_is_no_gateway() {
        assert_eq!(
            read(&BEHIND_A_BRIDGE.replace("\"NetworkMode\":\"edge\"", "\"NetworkMode\":\"host\"")),
            OwnNetwork::Host
        );
        assert_eq!(read("[]"), OwnNetwork::Unknown);
    }
}
