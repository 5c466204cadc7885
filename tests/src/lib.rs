//! Support for end-to-end tests: the real binary, a real engine, and nothing that outlives a test.
//!
//! Everything made on the engine carries a label of this run, and only what carries it is removed.
//! Figures go to standard output as `figure: …`, where `make test` collects them.

pub mod abuse;
pub mod bench;
pub mod browser;
pub mod callgrind;
pub mod calm;
pub mod cgroup;
pub mod cost;
pub mod diagrams;
pub mod docker;
pub mod echoed_socket;
pub mod engine_events;
pub mod engines;
pub mod figures;
pub mod footprint;
pub mod gangway;
pub mod household;
pub mod http2_bytes;
pub mod load;
pub mod modules;
pub mod odd_answers;
pub mod odd_requests;
pub mod openid;
pub mod peers;
pub mod process;
pub mod recorded;
pub mod scene;
pub mod side_by_side;
pub mod soak;
pub mod webdriver;

use std::path::PathBuf;
use std::time::Duration;

/// A test that waits longer than this counts as stuck.
pub const STUCK: Duration = Duration::from_secs(30);

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies below the root").to_owned()
}

/// A release binary of this repository.
///
/// # Panics
///
/// Panics if it was not built. Tests do not build what they test, because they would test another binary than the
/// shipped one.
pub fn artifact(name: &str) -> PathBuf {
    let path = process::output("bash", [root().join(".ci/artifact").to_string_lossy().as_ref(), name]);
    PathBuf::from(path.trim())
}

/// How often a fault is repeated: a few times, or as often as `FAULT_TURNS` says, which `make faults` sets.
pub fn turns(quick: usize) -> usize {
    std::env::var("FAULT_TURNS").ok().and_then(|turns| turns.parse().ok()).unwrap_or(quick)
}

/// Runs an async test body on a runtime of two threads, as many as the machines have cores.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be had")
        .block_on(test)
}
