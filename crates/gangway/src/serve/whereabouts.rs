//! Derives for the data plane where it runs, from what the engines know about our own container.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gangway_proxy::Whereabouts;
use gangway_publish::{Publisher, Reader};
use gangway_watcher::{EngineStatus, OwnNetwork};

use crate::main_process;

/// Publishes the whereabouts whenever they change, for ever.
pub(super) async fn follow(
    mut engines: Reader<Vec<EngineStatus>>,
    mut published: Publisher<Whereabouts>,
) -> Infallible {
    let (in_force, alone) = (published.reader(), at_the_start());
    // Before the first publication, the list is empty although there are engines.
    let _ = engines.first().await;
    loop {
        let now = whereabouts(&engines.load(), &alone);
        if *in_force.load() != now {
            published.publish(now);
        }
        if engines.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The whereabouts according to the kernel's tables, which count until an engine lists our container.
pub(super) fn at_the_start() -> Whereabouts {
    if !main_process::is_main_process() {
        return Whereabouts::default();
    }
    let table = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let gateways = default_gateways(&table("/proc/net/route"), &table("/proc/net/ipv6_route"));
    Whereabouts { gateways, has_loopback_of_its_own: true, ..Whereabouts::default() }
}

/// The whereabouts according to the engines. `alone` counts if no engine lists our container.
fn whereabouts(engines: &[EngineStatus], alone: &Whereabouts) -> Whereabouts {
    let mut now = Whereabouts::default();
    let mut is_listed = false;
    for engine in engines {
        match &engine.own_network {
            OwnNetwork::Unknown => {}
            OwnNetwork::Host => is_listed = true,
            OwnNetwork::Container(own) => {
                is_listed = true;
                now.has_loopback_of_its_own = true;
                now.gateways.extend(&own.gateways);
                let mut published = own.published.clone();
                published.sort_by_key(|port| (port.is_loopback, port.outside));
                now.published.extend(published.iter().map(|port| (port.inside, port.outside)));
            }
        }
    }
    if !is_listed {
        now = alone.clone();
    }
    // On the host, an engine cannot contribute anything, so one that cannot be read does not matter.
    let is_known = |engine: &EngineStatus| engine.reads > 0 || (engine.failures > 0 && !alone.has_loopback_of_its_own);
    now.is_known = engines.iter().all(is_known);
    let is_unread = !engines.is_empty() && engines.iter().all(|engine| engine.reads == 0 && engine.failures > 0);
    let troubles = engines.iter().filter_map(|engine| Some((&engine.url, engine.trouble.as_deref()?)));
    let troubles: Vec<String> = troubles.map(|(url, trouble)| format!("`{url}`: failed to {trouble}")).collect();
    now.trouble = is_unread.then(|| format!("the engine cannot be read at {}", troubles.join("; ")).into());
    now
}

/// The default gateways in the routing tables of the kernel.
fn default_gateways(ipv4: &str, ipv6: &str) -> Vec<IpAddr> {
    let of_ipv4 = ipv4.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "00000000", gateway, ..] = fields[..] else { return None };
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        // The kernel prints the bytes in the order of its memory.
        Some(IpAddr::from(Ipv4Addr::from(gateway.to_ne_bytes())))
    });
    let of_ipv6 = ipv6.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, "00", _, _, gateway, ..] = fields[..] else { return None };
        let gateway = u128::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        destination.bytes().all(|byte| byte == b'0').then(|| IpAddr::from(Ipv6Addr::from_bits(gateway)))
    });
    of_ipv4.chain(of_ipv6).collect()
}

/// The networks that the kernel reaches without a router, with the lengths of their prefixes, as its table of IPv4 lists
/// them.
pub(super) fn connected_networks(ipv4: &str) -> Vec<(Ipv4Addr, u32)> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, network, "00000000", _, _, _, _, mask, ..] = fields[..] else { return None };
        // The kernel prints the bytes in the order of its memory.
        let bits = |text: &str| Some(u32::from_be_bytes(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()));
        let (network, mask) = (bits(network)?, bits(mask)?);
        (mask != 0).then(|| (Ipv4Addr::from_bits(network), mask.leading_ones()))
    };
    ipv4.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use gangway_watcher::{OwnContainer, PublishedPort};

    use super::*;

    fn engine(own_network: OwnNetwork) -> EngineStatus {
        EngineStatus { reads: 1, own_network, ..EngineStatus::unknown("docker", "unix:///var/run/docker.sock") }
    }

    fn alone() -> Whereabouts {
        Whereabouts { gateways: vec![[172, 17, 0, 1].into()], has_loopback_of_its_own: true, ..Whereabouts::default() }
    }

    #[test]
    fn an_engine_knows_better_than_the_surroundings() {
        let published = |inside, outside, is_loopback| PublishedPort { inside, outside, is_loopback };
        let own = OwnContainer {
            gateways: vec![[172, 18, 0, 1].into()],
            published: vec![published(443, 444, true), published(443, 18443, false), published(80, 18080, false)],
        };
        let inside = whereabouts(&[engine(OwnNetwork::Container(own))], &alone());
        let known = |whereabouts: Whereabouts| Whereabouts { is_known: true, ..whereabouts };
        assert_eq!(inside.gateways, [IpAddr::from([172, 18, 0, 1])]);
        assert_eq!(inside.published, [(80, 18080), (443, 18443), (443, 444)]);
        assert!(inside.has_loopback_of_its_own && inside.trouble.is_none());
        assert_eq!(whereabouts(&[engine(OwnNetwork::Host)], &alone()), known(Whereabouts::default()));
        assert_eq!(whereabouts(&[engine(OwnNetwork::Unknown)], &alone()), known(alone()));
        assert_eq!(whereabouts(&[], &alone()), known(alone()));
    }

    #[test]
    fn in_a_container_published_ports_are_known_once_every_engine_was_read() {
        let (unheard, read) = (EngineStatus { reads: 0, ..engine(OwnNetwork::Unknown) }, engine(OwnNetwork::Unknown));
        let failing = EngineStatus { failures: 1, ..unheard.clone() };
        let is_known = |engines: &[EngineStatus], alone| whereabouts(engines, &alone).is_known;
        for other in [&unheard, &failing] {
            assert!(!is_known(&[read.clone(), other.clone()], alone()));
        }
        assert!(!is_known(&[unheard], Whereabouts::default()));
        assert!(is_known(&[read, failing], Whereabouts::default()), "on the host no port is another outside");
    }

    #[test]
    fn an_engine_that_was_never_read_is_a_reason_not_to_wait() {
        let down = EngineStatus {
            reads: 0,
            failures: 1,
            trouble: Some("connect to the engine: no such file".into()),
            ..engine(OwnNetwork::Unknown)
        };
        let trouble = whereabouts(std::slice::from_ref(&down), &Whereabouts::default()).trouble;
        assert!(
            trouble.is_some_and(|text| text.contains("docker.sock`: failed to connect to the engine: no such file"))
        );
        assert_eq!(whereabouts(&[down, engine(OwnNetwork::Unknown)], &Whereabouts::default()).trouble, None);
    }

    #[test]
    fn default_gateways_are_read_as_the_kernel_writes_them() {
        let ipv4 = "Iface\tDestination\tGateway \tFlags\n\
                    eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\n\
                    eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n";
        let ipv6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                    fd000000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
                    fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n";
        let found: Vec<String> = default_gateways(ipv4, ipv6).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["172.18.0.1", "fd00::1"]);
    }

    #[test]
    fn connected_networks_are_read_as_the_kernel_writes_them() {
        let ipv4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                    eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let found = connected_networks(ipv4);
        assert_eq!(found, [([172, 18, 0, 0].into(), 16), ([192, 168, 1, 0].into(), 24)]);
    }
}
