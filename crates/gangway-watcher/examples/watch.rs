//! Prints each table that is published: a look at an engine without a proxy.
//!
//! ```text
//! cargo run -p gangway-watcher --example watch -- [URL…]
//! ```
#![expect(clippy::print_stdout, reason = "that is its use")]

use std::error::Error;

use gangway_model::{Compiled, Settings};
use gangway_publish::{Reader, channel};
use gangway_watcher::{DockerEnvironment, EngineStatus, engines, watch};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let environment = DockerEnvironment {
        host: std::env::var("DOCKER_HOST").ok(),
        tls_verify: std::env::var("DOCKER_TLS_VERIFY").ok(),
    };
    let engines = engines(&urls, &environment)?;
    let (tables_tx, tables) = channel(Compiled::default());
    let (statuses_tx, statuses) = channel(Vec::new());
    let (_settings_tx, settings) = channel(Settings::default());
    tokio::select! {
        never = watch(engines, settings, channel(Default::default()).1, tables_tx, statuses_tx) => match never {},
        () = show(tables, statuses) => Ok(()),
    }
}

async fn show(mut tables: Reader<Compiled>, statuses: Reader<Vec<EngineStatus>>) {
    while let Ok(generation) = tables.changed().await {
        let table = tables.load_full();
        println!("--- table {} with {} routes", generation.count(), table.table.routes().len());
        for verdict in &table.containers {
            let (state, health) = (verdict.state, verdict.health);
            println!("{:30} {state:?} {health:?} {:?}: {}", verdict.name, verdict.routes, verdict.reason);
        }
        for diagnostic in &table.diagnostics {
            println!("{diagnostic}");
        }
        for status in &**statuses.load() {
            let latency = status.latency.summary();
            let (ours, whole) = (latency.ours, latency.whole);
            println!("{}: {:?}, ours {ours:?}, whole {whole:?}", status.name.0, status.version);
        }
    }
}
