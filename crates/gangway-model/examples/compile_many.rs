//! How long compiling 10,000 containers takes: `cargo run --release -p gangway-model --example compile_many`.
//!
//! Each is a service of its own with a host, a path, two headers and the labels that compose adds; one in
//! a hundred has a label that is wrong.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use gangway_model::snapshot::{Attachment, ContainerState, EngineName, ExposedPort, Health, NetworkMode};
use gangway_model::{Container, Settings, Snapshot, compile};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTAINERS: u16 = 10_000;
const ROUNDS: usize = 15;

#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures, for people")]
fn main() {
    let snapshot = Snapshot { containers: (0..CONTAINERS).map(container).collect(), ..Snapshot::default() };
    let settings = Settings::default();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let compiled = compile(&snapshot, &settings);
            let time = start.elapsed();
            assert_eq!(compiled.table.routes().len(), usize::from(CONTAINERS));
            time
        })
        .collect();
    times.sort();
    println!("{CONTAINERS} containers: median {:?}, slowest {:?}", times[ROUNDS / 2], times[ROUNDS - 1]);
}

fn container(number: u16) -> Container {
    let [high, low] = number.to_be_bytes();
    let mut labels = vec![
        ("com.docker.compose.project", format!("project-{number}")),
        ("com.docker.compose.service", "web".to_owned()),
        ("com.docker.compose.config-hash", "0123456789abcdef".repeat(4)),
        ("com.docker.compose.container-number", "1".to_owned()),
        ("com.docker.compose.oneoff", "False".to_owned()),
        ("com.docker.compose.version", "2.40.0".to_owned()),
        ("org.opencontainers.image.title", "app".to_owned()),
        ("org.opencontainers.image.version", "1.2.3".to_owned()),
        ("gangway.host", format!("app-{number}.example.org, www.app-{number}.example.org")),
        ("gangway.path", "/app".to_owned()),
        ("gangway.port", "8080".to_owned()),
        ("gangway.strip-prefix", "true".to_owned()),
        ("gangway.response.header.X-Frame-Options", "DENY".to_owned()),
        ("gangway.request.header.X-Tenant", format!("tenant-{number}")),
    ];
    if number.is_multiple_of(100) {
        labels.push(("gangway.hots", "x".to_owned()));
    }
    Container {
        id: format!("{number:064x}").into(),
        engine: EngineName::default(),
        name: format!("project-{number}-web-1").into(),
        image: "registry.example/team/app:1.2.3".into(),
        created: i64::from(number),
        state: ContainerState::Running,
        ended: None,
        health: Health::Healthy,
        leaving: false,
        labels: labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        network: NetworkMode::Networks,
        attachments: vec![Attachment {
            network_id: "edge".into(),
            network: "edge".into(),
            address: Some(IpAddr::V4(Ipv4Addr::new(172, 20, high, low))),
        }],
        ports: vec![ExposedPort { port: 8080, published: None }],
    }
}
