//! While a table is compiled, reports are received.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use gangway_model::{Compiled, HostCondition, Settings, Snapshot};
use gangway_testkit::engine::{Container, Engine};
use support::{watch_with_compiler, way_to};
use tokio::sync::Notify;

/// Compiling is held up for at most this long, so that a failing test ends.
const HELD_UP_MAX: Duration = Duration::from_secs(20);

#[tokio::test]
async fn reports_arrive_while_a_table_is_compiled_and_the_next_one_has_the_newest_state() {
    static BEGUN: Notify = Notify::const_new();
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let engine = Engine::default();
    let mut watched = watch_with_compiler(
        vec![way_to("docker", &engine)],
        Settings::default(),
        move |snapshot: &Snapshot, _: &Settings| {
            if snapshot.containers.iter().any(|container| &*container.name == "slow") {
                BEGUN.notify_one();
                let opened = gate.lock().unwrap().recv_timeout(HELD_UP_MAX);
                assert_ne!(opened, Err(RecvTimeoutError::Timeout), "somebody is heard meanwhile");
            }
            Compiled::default()
        },
    );
    watched.until_running(&[]).await;
    engine.run(Container::new("slow"));
    BEGUN.notified().await;
    let tables = watched.snapshots().len();
    engine.run(Container::new("a"));
    watched.until_status(|status| status.containers == 2).await;
    engine.run(Container::new("b"));
    watched.until_status(|status| status.containers == 3).await;
    engine.remove("a");
    watched.until_status(|status| status.containers == 2).await;
    let host = HostCondition::parse("a.test").unwrap();
    let publication = watched.released.publish([host.clone()].into()).count();
    open.send(()).unwrap();
    watched.until(|watched| watched.published() == tables as u64).await;
    assert!(watched.tables.load().releases < publication, "the table was begun before it was given up");
    drop(open);
    watched.until_running(&["b", "slow"]).await;
    watched.until(|watched| watched.tables.load().releases == publication).await;
    let snapshots = watched.snapshots();
    let names = |snapshot: &Snapshot| snapshot.containers.iter().any(|container| &*container.name == "a");
    assert!(!snapshots.iter().any(names), "what has come and gone is in no table");
    assert_eq!(snapshots.iter().filter(|snapshot| snapshot.released == [host.clone()].into()).count(), 1);
}
