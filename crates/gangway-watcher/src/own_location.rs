//! The place where Gangway runs, as seen from one engine: one of its containers, its host, or elsewhere.
//!
//! From a container, we reach another container only over a network that both share. From the host, we reach all
//! bridges, unless the engine keeps its networks in another network namespace or on another machine. No request to the
//! engine tells which of these is the case, so it is concluded from [`OwnIds`] and from the gateways in the listing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use gangway_model::{Container, EngineKind, NetworkMode, OwnPlace};

use crate::listing::ListedContainer;
use crate::own_ids::{OwnIds, SHORT_ID_LEN};

/// Concludes where we run, seen from one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locator {
    pub(crate) own_ids: OwnIds,
    /// The engine may run on another machine, where bridges with the same addresses exist.
    pub(crate) may_be_remote: bool,
}

impl Locator {
    /// Our own container, whichever network it uses.
    pub(crate) fn own_container<'c>(&self, containers: &'c [Container]) -> Option<&'c Container> {
        self.own_ids.find(containers)
    }

    /// The place where Gangway runs. Without evidence for another place, the engine counts as one on this host.
    pub(crate) fn own_place(
        &self,
        listing: &[ListedContainer],
        containers: &[Container],
        kind: EngineKind,
    ) -> OwnPlace {
        if let Some(own) = self.own_ids.find(containers) {
            return place_in_container(own, listing, containers);
        }
        match self.has_its_networks(listing, kind) {
            Some(false) => OwnPlace::Elsewhere(kind),
            Some(true) | None => OwnPlace::Host,
        }
    }

    /// Whether there is a reason to think that the engine is not on our host.
    ///
    /// Neither the id of another engine's container nor a remote address proves that the bridges are elsewhere: an
    /// engine may run inside a container, and a tunnel may lead back to this machine. Only the gateways prove it.
    pub(crate) fn may_be_elsewhere(&self) -> bool {
        self.may_be_remote || self.own_ids.any()
    }

    /// Whether any of the engine's networks is on this machine. `None` if no network could tell.
    fn has_its_networks(&self, listing: &[ListedContainer], kind: EngineKind) -> Option<bool> {
        if kind == EngineKind::Rootless {
            // Bridges of a rootless engine may have the same addresses as those of another engine on this machine.
            // The names of the bridges tell them apart.
            return Some(listing.iter().flat_map(ListedContainer::network_addresses).any(|(id, _)| has_bridge(id)));
        }
        let gateways: BTreeSet<IpAddr> = listing.iter().flat_map(ListedContainer::gateways_of_both_families).collect();
        if gateways.is_empty() {
            return None;
        }
        // The gateway of a bridge may be another machine, and the bridge still be one of our links.
        let places = listing.iter().flat_map(ListedContainer::network_addresses).filter_map(|(id, at)| Some((id, at?)));
        let one_each = || places.collect::<BTreeMap<_, _>>();
        let is_here = gateways.into_iter().any(is_own_address)
            || (!self.may_be_elsewhere()
                && one_each().into_values().any(|(address, prefix_len)| is_on_own_link(address, prefix_len)));
        Some(is_here)
    }
}

/// The place of a process in the container `own`.
fn place_in_container(own: &Container, listing: &[ListedContainer], containers: &[Container]) -> OwnPlace {
    let network_owner = match &own.network {
        NetworkMode::Host => return OwnPlace::Host,
        // For example behind the container of a VPN: its networks are ours.
        NetworkMode::Container(other) => containers.iter().find(|container| container.id == *other).unwrap_or(own),
        NetworkMode::Networks | NetworkMode::None => own,
    };
    let networks = network_owner.attachments.iter().map(|at| (at.network_id.clone(), at.network.clone())).collect();
    let host_gateway =
        listing.iter().find(|listed| listed.id == network_owner.id).and_then(ListedContainer::host_gateway);
    OwnPlace::Container { id: own.id.clone(), networks, host_gateway }
}

/// Whether this is an address of our network namespace.
fn is_own_address(address: IpAddr) -> bool {
    // Only an address of this namespace can be bound. Nothing is sent.
    UdpSocket::bind((address, 0)).is_ok()
}

/// Whether one of our addresses is in the same network as this address.
fn is_on_own_link(address: IpAddr, prefix_len: u8) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // On connecting, the kernel chooses the local address that it would send from. Nothing is sent.
    let socket = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9)).map(|()| socket));
    let ours = socket.and_then(|socket| socket.local_addr()).map(|local| local.ip());
    ours.is_ok_and(|ours| have_same_prefix(ours, address, prefix_len))
}

fn have_same_prefix(a: IpAddr, b: IpAddr, prefix_len: u8) -> bool {
    let len = u32::from(prefix_len);
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= len,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= len,
        _ => false,
    }
}

/// Whether our network namespace has the bridge that Docker makes for this network.
fn has_bridge(network_id: &str) -> bool {
    let is_id = |short: &&str| short.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = network_id.get(..SHORT_ID_LEN).filter(is_id);
    short.is_some_and(|short| Path::new("/sys/class/net").join(format!("br-{short}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "941d0eb2764328f8ccd96ea79a4ed56d7908dbe683211237392c83585f2b0dab";
    const OTHER: &str = "e4274f9c5e6303ec252e7ad983200aabd51da881768f44b3211c5255dc297870";

    fn listing(json: &str) -> (Vec<ListedContainer>, Vec<Container>) {
        let listing: Vec<ListedContainer> =
            serde_json::from_str(&json.replace("OURS", OURS).replace("OTHER", OTHER)).unwrap();
        let engine = gangway_model::EngineName("docker".into());
        let context = crate::listing::TranslationContext {
            engine: &engine,
            facts: &BTreeMap::new(),
            health: &BTreeMap::new(),
            now: 0,
        };
        let containers = crate::listing::translate(&listing, &context);
        (listing, containers)
    }

    fn place(own_ids: OwnIds, may_be_remote: bool, json: &str) -> OwnPlace {
        place_at(own_ids, may_be_remote, json, EngineKind::Other)
    }

    fn place_at(own_ids: OwnIds, may_be_remote: bool, json: &str, kind: EngineKind) -> OwnPlace {
        let (listing, containers) = listing(json);
        Locator { own_ids, may_be_remote }.own_place(&listing, &containers, kind)
    }

    const BOTH: &str = r#"[
      {"Id":"OURS","State":"running","HostConfig":{"NetworkMode":"edge"},"NetworkSettings":{"Networks":{
        "edge":{"NetworkID":"e1","IPAddress":"192.0.2.2","Gateway":"192.0.2.1"},
        "back":{"NetworkID":"b1","IPAddress":"192.0.2.130","Gateway":""}}}},
      {"Id":"OTHER","State":"running","HostConfig":{"NetworkMode":"container:OURS"}}]"#;

    fn inside_both() -> OwnPlace {
        OwnPlace::Container {
            id: OURS.into(),
            networks: BTreeMap::from([("b1".into(), "back".into()), ("e1".into(), "edge".into())]),
            host_gateway: Some("192.0.2.1".parse().unwrap()),
        }
    }

    #[test]
    fn our_container_is_found_by_its_id_or_by_its_host_name() {
        assert_eq!(place(OwnIds::of(&[OURS], "gangway"), false, BOTH), inside_both());
        assert_eq!(place(OwnIds::of(&[], &OURS[..12]), true, BOTH), inside_both());
    }

    #[test]
    fn a_container_with_the_network_of_another_counts_as_attached_to_its_networks() {
        let OwnPlace::Container { id, networks, host_gateway } = place(OwnIds::of(&[OTHER], ""), false, BOTH) else {
            panic!("not in a container");
        };
        assert_eq!((&*id, networks.len()), (OTHER, 2));
        assert_eq!(host_gateway, Some("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn host_networking_counts_as_the_host() {
        let host = BOTH.replace("\"NetworkMode\":\"edge\"", "\"NetworkMode\":\"host\"");
        assert_eq!(place(OwnIds::of(&[OURS], ""), false, &host), OwnPlace::Host);
    }

    #[test]
    fn without_any_own_id_we_are_on_the_host() {
        let here = BOTH.replace("192.0.2.1\"", "127.0.0.1\"");
        for listing in [&*here, "[]"] {
            assert_eq!(place(OwnIds::of(&[], "gangway"), false, listing), OwnPlace::Host);
            assert_eq!(place(OwnIds::of(&[], "abcdefabcdef"), false, listing), OwnPlace::Host);
        }
    }

    #[test]
    fn a_network_of_one_of_our_links_is_here_even_if_another_machine_is_its_gateway() {
        let linked = r#""IPAddress":"127.0.0.9","IPPrefixLen":8,"#;
        let linked = BOTH.replace(r#""IPAddress":"192.0.2.2","#, linked);
        assert_eq!(place(OwnIds::of(&[], ""), false, &linked), OwnPlace::Host);
        assert_eq!(place(OwnIds::of(&[], ""), true, &linked), OwnPlace::Elsewhere(EngineKind::Other));
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(have_same_prefix(address("10.1.2.3"), address("10.1.200.3"), 16));
        assert!(!have_same_prefix(address("10.1.2.3"), address("10.2.2.3"), 16));
        assert!(have_same_prefix(address("fd00::1"), address("fd00::2"), 64));
        assert!(!have_same_prefix(address("fd00::1"), address("10.0.0.1"), 0));
    }

    #[test]
    fn bridges_of_a_rootless_engine_are_not_taken_for_others_with_the_same_address() {
        let here = BOTH.replace("192.0.2.1\"", "127.0.0.1\"");
        for listing in [BOTH, &here, "[]"] {
            let place = place_at(OwnIds::of(&[], ""), false, listing, EngineKind::Rootless);
            assert_eq!(place, OwnPlace::Elsewhere(EngineKind::Rootless));
        }
        assert_eq!(place_at(OwnIds::of(&[], ""), false, &here, EngineKind::DockerDesktop), OwnPlace::Host);
        assert_eq!(place_at(OwnIds::of(&[OURS], ""), false, BOTH, EngineKind::Rootless), inside_both());
    }

    #[test]
    fn without_an_ipv4_gateway_the_ipv6_gateway_leads_to_the_host() {
        let six = BOTH.replace(r#""Gateway":"192.0.2.1""#, r#""Gateway":"","IPv6Gateway":"fd00::1""#);
        let gateway = |json: &str| match place(OwnIds::of(&[OURS], ""), false, json) {
            OwnPlace::Container { host_gateway, .. } => host_gateway.map(|gateway| gateway.to_string()),
            OwnPlace::Host | OwnPlace::Elsewhere(_) => None,
        };
        assert_eq!(gateway(&six).as_deref(), Some("fd00::1"));
        let both = six.replace(r#""IPAddress":"192.0.2.130","Gateway":"""#, r#""Gateway":"192.0.2.129""#);
        assert_eq!(gateway(&both).as_deref(), Some("192.0.2.129"), "IPv4 goes first, whatever the networks' names");
    }

    #[test]
    fn an_engine_without_bridges_here_is_elsewhere() {
        let elsewhere = OwnPlace::Elsewhere(EngineKind::Other);
        let unknown = "00".repeat(32);
        assert_eq!(place(OwnIds::of(&[&unknown], ""), false, BOTH), elsewhere);
        assert_eq!(place(OwnIds::of(&[], ""), true, BOTH), elsewhere);
        assert_eq!(place(OwnIds::of(&[], ""), false, BOTH), elsewhere);
        // An engine inside our own container, or on this machine behind an address.
        let here = BOTH.replace("192.0.2.1\"", "127.0.0.1\"");
        assert_eq!(place(OwnIds::of(&[&unknown], ""), true, &here), OwnPlace::Host);
        assert_eq!(place(OwnIds::of(&[&unknown], ""), true, "[]"), OwnPlace::Host);
    }
}
