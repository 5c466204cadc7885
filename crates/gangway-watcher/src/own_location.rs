//! Where Gangway itself stands, seen from one engine.
//!
//! In a container, only the networks that we share with another container lead there. On the host, all
//! bridges do, unless the engine keeps its networks elsewhere. Which of the two it is cannot be asked; it is
//! concluded from traces an engine leaves in its containers, and a trace counts only where the engine knows a
//! container of that name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use gangway_model::snapshot::{Container, EngineKind, NetworkMode, OwnPlace};

use crate::listing::ListedContainer;

/// Digits of a container's id in full, and as Docker makes a host name of it.
const ID_LEN: usize = 64;
const SHORT_ID_LEN: usize = 12;

/// Files that engines mount into each container, from a folder that is named after it.
const MOUNTED: &[&str] = &["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"];

/// What the surroundings say about who we are; the same for all engines.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnIds {
    /// Ids that only the inside of a container shows.
    ids: Vec<Box<str>>,
    /// Our host name, which is a short id unless someone chose another.
    hostname: Box<str>,
}

/// The traces, beside what is known of the way to one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locator {
    pub(crate) traces: OwnIds,
    /// The engine may run on another machine, where bridges of the same addresses exist.
    pub(crate) remote: bool,
}

impl OwnIds {
    /// These ids, for a test.
    #[cfg(test)]
    pub(crate) fn of(ids: &[&str]) -> Self {
        Self { ids: ids.iter().map(|id| (*id).into()).collect(), hostname: Box::default() }
    }

    /// Looks around.
    pub(crate) fn look() -> Self {
        let file = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        let mut ids = ids_in_mounts(&file("/proc/self/mountinfo"));
        ids.extend(ids_in_groups(&file("/proc/self/cgroup")));
        ids.dedup();
        Self { ids, hostname: file("/proc/sys/kernel/hostname").trim().into() }
    }

    /// Our own container among those that an engine lists.
    pub(crate) fn find<'c>(&self, containers: &'c [Container]) -> Option<&'c Container> {
        let by_id = containers.iter().find(|container| self.ids.contains(&container.id));
        let by_hostname = || {
            let short = &*self.hostname;
            let is_id = short.len() == SHORT_ID_LEN && short.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id.then(|| containers.iter().find(|container| container.id.starts_with(short))).flatten()
        };
        by_id.or_else(by_hostname)
    }
}

impl Locator {
    /// Our own container, whichever network it uses.
    pub(crate) fn own_container<'c>(&self, containers: &'c [Container]) -> Option<&'c Container> {
        self.traces.find(containers)
    }

    pub(crate) fn own_place(
        &self,
        listing: &[ListedContainer],
        containers: &[Container],
        kind: EngineKind,
    ) -> OwnPlace {
        if let Some(own) = self.traces.find(containers) {
            return inside(own, listing, containers);
        }
        match self.has_its_networks(listing, kind) {
            Some(false) => OwnPlace::Elsewhere(kind),
            Some(true) | None => OwnPlace::Host,
        }
    }

    /// Is there a reason to think that the engine is not on our host? Neither a trace of another engine's container
    /// nor a far engine proves that its bridges are not here: an engine may run inside a container, and a tunnel may
    /// lead home. Its gateways do.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.remote || !self.traces.ids.is_empty()
    }

    /// Whether any of the engine's networks is where we are; none where there is none that could tell.
    fn has_its_networks(&self, listing: &[ListedContainer], kind: EngineKind) -> Option<bool> {
        if kind == EngineKind::Rootless {
            // Its bridges may well have the addresses of another engine's beside it. Their names tell them apart.
            return Some(listing.iter().flat_map(ListedContainer::places).any(|(id, _)| has_bridge(id)));
        }
        let gateways: BTreeSet<IpAddr> = listing.iter().flat_map(ListedContainer::gateways_of_both_families).collect();
        if gateways.is_empty() {
            return None;
        }
        // A bridge may have its gateway elsewhere, and still be one of our links.
        let places = listing.iter().flat_map(ListedContainer::places).filter_map(|(id, at)| Some((id, at?)));
        let one_each = || places.collect::<BTreeMap<_, _>>();
        let is_here = gateways.into_iter().any(is_here)
            || (!self.is_doubtful()
                && one_each().into_values().any(|(address, prefix_len)| is_linked(address, prefix_len)));
        Some(is_here)
    }
}

fn inside(own: &Container, listing: &[ListedContainer], containers: &[Container]) -> OwnPlace {
    let whose = match &own.network {
        NetworkMode::Host => return OwnPlace::Host,
        // Behind a VPN's container, say: its networks are ours.
        NetworkMode::Container(other) => containers.iter().find(|container| container.id == *other).unwrap_or(own),
        NetworkMode::Networks | NetworkMode::None => own,
    };
    let networks = whose.attachments.iter().map(|at| (at.network_id.clone(), at.network.clone())).collect();
    let host_gateway = listing.iter().find(|listed| listed.id == whose.id).and_then(ListedContainer::host_gateway);
    OwnPlace::Container { id: own.id.clone(), networks, host_gateway }
}

/// Is this an address of this machine, in our network namespace?
fn is_here(address: IpAddr) -> bool {
    // Only one's own addresses can be bound. Nothing is sent.
    UdpSocket::bind((address, 0)).is_ok()
}

/// Do we have an address on the network of this one?
fn is_linked(address: IpAddr, prefix_len: u8) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The kernel chooses the address by which it would send. Nothing is sent.
    let socket = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9)).map(|()| socket));
    let ours = socket.and_then(|socket| socket.local_addr()).map(|local| local.ip());
    ours.is_ok_and(|ours| begins_alike(ours, address, prefix_len))
}

fn begins_alike(a: IpAddr, b: IpAddr, prefix_len: u8) -> bool {
    let len = u32::from(prefix_len);
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= len,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= len,
        _ => false,
    }
}

/// Is the bridge that Docker makes for this network in our network namespace?
fn has_bridge(network_id: &str) -> bool {
    let is_id = |short: &&str| short.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = network_id.get(..SHORT_ID_LEN).filter(is_id);
    short.is_some_and(|short| Path::new("/sys/class/net").join(format!("br-{short}")).exists())
}

/// Ids in the origin of files that are mounted where engines mount them. On a host, the list of mounts is
/// full of ids as well, but never at these places.
fn ids_in_mounts(mounts: &str) -> Vec<Box<str>> {
    let mut ids = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(3);
        let (Some(origin), Some(point)) = (fields.next(), fields.next()) else { continue };
        if MOUNTED.contains(&point) {
            ids.extend(ids_in(origin));
        }
    }
    ids.dedup();
    ids
}

/// Ids in our own control groups, as the first version of them shows.
fn ids_in_groups(groups: &str) -> Vec<Box<str>> {
    groups.lines().flat_map(ids_in).collect()
}

fn ids_in(text: &str) -> impl Iterator<Item = Box<str>> {
    text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == ID_LEN).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "941d0eb2764328f8ccd96ea79a4ed56d7908dbe683211237392c83585f2b0dab";
    const OTHER: &str = "e4274f9c5e6303ec252e7ad983200aabd51da881768f44b3211c5255dc297870";

    fn listing(json: &str) -> (Vec<ListedContainer>, Vec<Container>) {
        let listing: Vec<ListedContainer> =
            serde_json::from_str(&json.replace("OURS", OURS).replace("OTHER", OTHER)).unwrap();
        let engine = gangway_model::snapshot::EngineName("docker".into());
        let beside = crate::listing::TranslationContext {
            engine: &engine,
            facts: &BTreeMap::new(),
            health: &BTreeMap::new(),
            now: 0,
        };
        let containers = crate::listing::translate(&listing, &beside);
        (listing, containers)
    }

    fn traces(ids: &[&str], hostname: &str) -> OwnIds {
        OwnIds { ids: ids.iter().map(|id| (*id).into()).collect(), hostname: hostname.into() }
    }

    fn place(traces: OwnIds, remote: bool, json: &str) -> OwnPlace {
        place_at(traces, remote, json, EngineKind::Other)
    }

    fn place_at(traces: OwnIds, remote: bool, json: &str, kind: EngineKind) -> OwnPlace {
        let (listing, containers) = listing(json);
        Locator { traces, remote }.own_place(&listing, &containers, kind)
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
        assert_eq!(place(traces(&[OURS], "gangway"), false, BOTH), inside_both());
        assert_eq!(place(traces(&[], &OURS[..12]), true, BOTH), inside_both());
    }

    #[test]
    fn who_borrows_a_network_stands_in_it() {
        let OwnPlace::Container { id, networks, host_gateway } = place(traces(&[OTHER], ""), false, BOTH) else {
            panic!("not in a container");
        };
        assert_eq!((&*id, networks.len()), (OTHER, 2));
        assert_eq!(host_gateway, Some("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn host_networking_is_standing_on_the_host() {
        let host = BOTH.replace("\"NetworkMode\":\"edge\"", "\"NetworkMode\":\"host\"");
        assert_eq!(place(traces(&[OURS], ""), false, &host), OwnPlace::Host);
    }

    #[test]
    fn without_a_trace_we_are_on_the_host() {
        let here = BOTH.replace("192.0.2.1\"", "127.0.0.1\"");
        for listing in [&*here, "[]"] {
            assert_eq!(place(traces(&[], "gangway"), false, listing), OwnPlace::Host);
            assert_eq!(place(traces(&[], "abcdefabcdef"), false, listing), OwnPlace::Host);
        }
    }

    #[test]
    fn a_network_that_we_are_linked_to_is_here_whoever_its_gateway_is() {
        let linked = r#""IPAddress":"127.0.0.9","IPPrefixLen":8,"#;
        let linked = BOTH.replace(r#""IPAddress":"192.0.2.2","#, linked);
        assert_eq!(place(traces(&[], ""), false, &linked), OwnPlace::Host);
        assert_eq!(place(traces(&[], ""), true, &linked), OwnPlace::Elsewhere(EngineKind::Other));
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(begins_alike(address("10.1.2.3"), address("10.1.200.3"), 16));
        assert!(!begins_alike(address("10.1.2.3"), address("10.2.2.3"), 16));
        assert!(begins_alike(address("fd00::1"), address("fd00::2"), 64));
        assert!(!begins_alike(address("fd00::1"), address("10.0.0.1"), 0));
    }

    #[test]
    fn bridges_of_a_rootless_engine_are_told_from_others_of_the_same_address() {
        let here = BOTH.replace("192.0.2.1\"", "127.0.0.1\"");
        for listing in [BOTH, &here, "[]"] {
            let place = place_at(traces(&[], ""), false, listing, EngineKind::Rootless);
            assert_eq!(place, OwnPlace::Elsewhere(EngineKind::Rootless));
        }
        assert_eq!(place_at(traces(&[], ""), false, &here, EngineKind::DockerDesktop), OwnPlace::Host);
        assert_eq!(place_at(traces(&[OURS], ""), false, BOTH, EngineKind::Rootless), inside_both());
    }

    #[test]
    fn where_there_is_no_gateway_of_ipv4_the_host_has_one_of_ipv6() {
        let six = BOTH.replace(r#""Gateway":"192.0.2.1""#, r#""Gateway":"","IPv6Gateway":"fd00::1""#);
        let gateway = |json: &str| match place(traces(&[OURS], ""), false, json) {
            OwnPlace::Container { host_gateway, .. } => host_gateway.map(|gateway| gateway.to_string()),
            _ => None,
        };
        assert_eq!(gateway(&six).as_deref(), Some("fd00::1"));
        let both = six.replace(r#""IPAddress":"192.0.2.130","Gateway":"""#, r#""Gateway":"192.0.2.129""#);
        assert_eq!(gateway(&both).as_deref(), Some("192.0.2.129"), "IPv4 goes first, whatever the networks' names");
    }

    #[test]
    fn nothing_is_shared_with_an_engine_whose_bridges_are_not_here() {
        let elsewhere = OwnPlace::Elsewhere(EngineKind::Other);
        let stranger = "00".repeat(32);
        assert_eq!(place(traces(&[&stranger], ""), false, BOTH), elsewhere);
        assert_eq!(place(traces(&[], ""), true, BOTH), elsewhere);
        assert_eq!(place(traces(&[], ""), false, BOTH), elsewhere);
        // An engine inside our own container, or on this machine behind an address.
        let here = BOTH.replace("192.0.2.1\"", "127.0.0.1\"");
        assert_eq!(place(traces(&[&stranger], ""), true, &here), OwnPlace::Host);
        assert_eq!(place(traces(&[&stranger], ""), true, "[]"), OwnPlace::Host);
    }

    #[test]
    fn ids_are_found_where_only_a_container_shows_them() {
        let docker = format!(
            "1 0 254:0 /var/lib/docker/containers/{OURS}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n\
             2 0 0:9 / /var/lib/docker/containers/{OTHER}/mounts/shm rw - tmpfs shm rw\n\
             3 0 0:9 / /var/lib/docker/overlay2/{OTHER}/merged rw - overlay overlay rw"
        );
        assert_eq!(ids_in_mounts(&docker), [OURS.into()]);
        let podman = format!("1 0 0:9 /containers/overlay-containers/{OURS}/userdata/hosts /etc/hosts rw - tmpfs t rw");
        assert_eq!(ids_in_mounts(&podman), [OURS.into()]);
        assert_eq!(ids_in_groups(&format!("4:memory:/docker/{OURS}\n0::/")), [OURS.into()]);
        assert_eq!(ids_in_groups("4:memory:/process/28a03f226591c3bba536e9b80e12f13b\n"), [] as [Box<str>; 0]);
    }
}
