//! A table that takes long to make keeps nobody from being heard.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use gangway_model::{Compiled, Settings, Snapshot};
use gangway_testkit::engine::{Container, Engine};
use support::{watch_with_compiler, way_to};
use tokio::sync::Notify;

/// Time after which compiling is held up no more, so that a test that fails ends.
const HELD_UP_MAX: Duration = Duration::from_secs(20);

#[tokio::test]
async fn engines_are_heard_while_a_table_is_made_and_the_next_one_is_of_the_newest() {
    static BEGUN: Notify = Notify::const_new();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(Some(gate));
    let engine = Engine::default();
    let watched = watch_with_compiler(
        vec![way_to("docker", &engine)],
        Settings::default(),
        move |snapshot: &Snapshot, _: &Settings| {
            if snapshot.containers.iter().any(|container| &*container.name == "slow")
                && let Some(gate) = gate.lock().unwrap().take()
            {
                BEGUN.notify_one();
                gate.recv_timeout(HELD_UP_MAX).expect("somebody is heard meanwhile");
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
    open.send(()).unwrap();
    watched.until_running(&["b", "slow"]).await;
    assert_eq!(watched.snapshots().len(), tables + 1, "one table for all that has happened");
}
