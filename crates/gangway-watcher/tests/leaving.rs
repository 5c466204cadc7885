//! Containers that were told to end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use gangway_testkit::engine::{Container, Engine, Flavour};
use support::{Watched, pass, seconds, watch};

async fn watched(engine: &Engine) -> Watched {
    let watched = watch(engine);
    watched.until_running(&["web"]).await;
    watched
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_end_leaves_at_once_and_without_a_reading() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    let listings = engine.asked_for("/containers/json");
    engine.signal("web", 15);
    assert_eq!(watched.until_container("web", |read| read.leaving).await, Duration::ZERO);
    assert_eq!(engine.asked_for("/containers/json"), listings);
    // A reading for another reason does not bring it back.
    engine.run(Container::new("other"));
    watched.until_running(&["other", "web"]).await;
    assert!(watched.container("web").leaving);
}

#[tokio::test(start_paused = true)]
async fn who_starts_anew_is_back() {
    for flavour in [Flavour::Docker2020, Flavour::Docker2026] {
        let engine = Engine::new(flavour);
        engine.add(Container::new("web"));
        let watched = watched(&engine).await;
        engine.signal("web", 15);
        watched.until_container("web", |read| read.leaving).await;
        engine.end("web");
        watched.until_running(&[]).await;
        assert!(!watched.container("web").leaving);
        engine.start("web");
        watched.until_running(&["web"]).await;
        assert!(!watched.container("web").leaving, "{flavour:?}");
        engine.restart("web");
        pass(seconds(1)).await;
        assert!(watched.running() == ["web"] && !watched.container("web").leaving, "{flavour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_survives_serves_again() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    engine.signal("web", 15);
    watched.until_container("web", |read| read.leaving).await;
    let back = watched.until_container("web", |read| !read.leaving).await;
    assert!(back > seconds(10) && back <= seconds(30), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn other_signals_are_no_leaving() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    for signal in [1, 10, 12, 28] {
        engine.signal("web", signal);
    }
    pass(seconds(1)).await;
    assert!(!watched.container("web").leaving);
    assert_eq!(watched.published(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_signal_by_which_it_is_asked_to_end_counts() {
    let engine = Engine::default();
    let id = engine.add(Container::new("web").stop_signal("SIGQUIT"));
    let watched = watched(&engine).await;
    engine.signal("web", 1);
    pass(seconds(1)).await;
    assert!(!watched.container("web").leaving);
    engine.signal("web", 3);
    watched.until_container("web", |read| read.leaving).await;
    assert_eq!(engine.asked_for(&format!("/containers/{id}/json")), 2);
}

#[tokio::test(start_paused = true)]
async fn podman_does_not_say_which_signal_it_was_and_nobody_guesses() {
    let engine = Engine::new(Flavour::Podman);
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    engine.signal("web", 15);
    pass(seconds(1)).await;
    assert!(!watched.container("web").leaving);
}
