//! Any labels on two containers: no panic, a good neighbour is served as before, and order does not matter.
#![no_main]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use gangway_model::{
    Attachment, Container, ContainerState, EngineName, ExposedPort, Health, NetworkMode, Settings, Snapshot, compile,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A line is a label; those of the second container follow after a line with a dash.
    let mut halves = text.splitn(2, "\n-\n");
    let strange = halves.next().unwrap_or_default();
    let other = halves.next().unwrap_or_default();
    let neighbour = container(1, BTreeMap::from([("gangway.host".into(), "neighbour.test".into())]));
    let mut snapshot = Snapshot {
        containers: vec![neighbour, container(2, labels(strange)), container(3, labels(other))],
        ..Snapshot::default()
    };
    let settings = Settings::default();
    let compiled = compile(&snapshot, &settings);
    snapshot.containers.reverse();
    let reversed = compile(&snapshot, &settings);
    let routes = |table: &gangway_model::RoutingTable| {
        table.routes().iter().map(|route| format!("{route:?}")).collect::<Vec<_>>()
    };
    assert_eq!(routes(&compiled.table), routes(&reversed.table), "the order of listing matters for {text:?}");
    assert!(compiled.table.knows_host("neighbour.test"), "a neighbour was hurt by {text:?}");
});

fn labels(text: &str) -> BTreeMap<Box<str>, Box<str>> {
    let pairs = text.lines().map(|line| line.split_once('=').unwrap_or((line, "")));
    pairs.map(|(key, value)| (format!("gangway.{key}").into(), value.into())).collect()
}

fn container(number: u8, labels: BTreeMap<Box<str>, Box<str>>) -> Container {
    Container {
        id: format!("{number:064x}").into(),
        engine: EngineName::default(),
        name: format!("c{number}").into(),
        image: "app".into(),
        created: i64::from(number),
        state: ContainerState::Running,
        ended: None,
        health: Health::NoCheck,
        leaving: false,
        labels,
        network: NetworkMode::Networks,
        attachments: vec![Attachment {
            network_id: "n".into(),
            network: "bridge".into(),
            address: Some(IpAddr::V4(Ipv4Addr::new(172, 17, 0, number + 1))),
        }],
        ports: vec![ExposedPort { port: 8080, published: None }],
    }
}
