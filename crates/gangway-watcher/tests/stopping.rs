//! Containers that were asked to stop.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use gangway_model::{Container as Read, ContainerState};
use gangway_testkit::engine::{Container, Engine, Fault, Flavour, Moment};
use support::{Watched, pass, seconds, watch, watch_routes};

async fn watched(engine: &Engine) -> Watched {
    let watched = watch(engine);
    watched.until_running(&["web"]).await;
    watched
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_asked_to_stop_leaves_at_once_and_without_a_reading() {
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
async fn a_container_that_is_started_again_is_back() {
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
async fn a_stopped_container_leaves_for_its_grace_period() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    engine.signal("web", 15);
    watched.until_container("web", |read| read.leaving).await;
    pass(seconds(1800)).await;
    assert!(watched.container("web").leaving);
    engine.signal("web", 9);
    pass(seconds(60)).await;
    assert!(watched.container("web").leaving);
    engine.end("web");
    watched.until_running(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_survives_another_signal_serves_again() {
    let engine = Engine::default();
    engine.add(Container::new("web").stop_signal("SIGQUIT"));
    let watched = watched(&engine).await;
    engine.signal("web", 15);
    watched.until_container("web", |read| read.leaving).await;
    let back = watched.until_container("web", |read| !read.leaving).await;
    assert!(back > seconds(10) && back <= seconds(30), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_not_obeyed_ends_some_day() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    engine.signal("web", 15);
    watched.until_container("web", |read| read.leaving).await;
    let back = watched.until_container("web", |read| !read.leaving).await;
    assert!(back >= seconds(3600) && back < seconds(3700), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn without_inspections_a_mark_ends_as_soon_as_it_is_doubtful() {
    let engine = Engine::default();
    let id = engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    engine.break_answers(&format!("/containers/{id}/json"), Fault::Status(403));
    engine.signal("web", 15);
    watched.until_container("web", |read| read.leaving).await;
    let back = watched.until_container("web", |read| !read.leaving).await;
    assert!(back <= seconds(20), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_past_its_grace_period_serves_if_no_other_does() {
    let engine = Engine::default();
    for name in ["shop-web-1", "shop-web-2", "lone"] {
        let container = Container::new(name).label("gangway.host", &format!("{}.example.org", &name[..4]));
        let service = if name == "lone" { "lone" } else { "web" };
        engine.add(container.service("shop", service).stop_timeout(30));
    }
    let watched = watch_routes(&engine);
    watched.until(|watched| watched.readiness("lone") == ["ready"]).await;
    engine.signal("shop-web-1", 15);
    engine.signal("lone", 15);
    watched.until(|watched| watched.readiness("lone") == ["leaving"]).await;
    let back = watched.until(|watched| watched.readiness("lone") == ["ready"]).await;
    assert!(back >= seconds(35) && back < seconds(70), "{back:?}");
    assert_eq!(watched.readiness("shop-web-1"), ["leaving"]);
    pass(seconds(600)).await;
    assert_eq!((watched.readiness("shop-web-1"), watched.readiness("shop-web-2")), (vec!["leaving"], vec!["ready"]));
    engine.end("lone");
    watched.until(|watched| watched.readiness("lone").is_empty()).await;
    engine.start("lone");
    watched.until(|watched| watched.readiness("lone") == ["ready"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_outlives_the_connection_and_a_missed_start_is_found() {
    for restarts in [false, true] {
        let engine = Engine::default();
        engine.add(Container::new("web"));
        let watched = watched(&engine).await;
        engine.signal("web", 15);
        watched.until_container("web", |read| read.leaving).await;
        engine.die();
        watched.until_trouble("connect").await;
        if restarts {
            engine.restart("web");
        }
        engine.revive();
        watched.until_well().await;
        pass(seconds(5)).await;
        assert_eq!(watched.container("web").leaving, !restarts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_was_begun_before_a_death_does_not_bring_the_container_back() {
    for flavour in [Flavour::Docker2020, Flavour::Docker2026, Flavour::Podman] {
        for is_told in [true, false] {
            let engine = Engine::new(flavour);
            engine.add(Container::new("web").network("edge"));
            let watched = watched(&engine).await;
            if is_told && flavour != Flavour::Podman {
                engine.signal("web", 15);
                watched.until_container("web", |read| read.leaving).await;
            }
            let before = watched.snapshots().len();
            engine.at(Moment::ListingTaken, |engine| engine.end("shop"));
            // A reading of this container, because of an event about something else.
            engine.rename("web", "shop");
            watched.until_running(&[]).await;
            let runs = |read: &Read| *read.name == *"shop" && read.state == ContainerState::Running && !read.leaving;
            for (number, snapshot) in watched.snapshots()[before..].iter().enumerate() {
                assert!(!snapshot.containers.iter().any(runs), "{flavour:?}, {is_told}: table {number} {snapshot:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dying_container_without_a_network_gets_no_diagnostic() {
    let engine = Engine::new(Flavour::Docker2026);
    engine.add(Container::new("web").label("gangway.host", "web.example.org").network("edge"));
    let watched = watch_routes(&engine);
    watched.until_running(&["web"]).await;
    // Like Docker when a process crashes: the networks are disconnected first.
    engine.leave_network("web", "edge");
    watched.until_container("web", |read| read.attachments.is_empty()).await;
    assert_eq!(watched.codes(), [] as [u16; 0]);
    // If it goes on running, there is a diagnostic.
    watched.until(|watched| watched.codes() == [405]).await;
}

#[tokio::test(start_paused = true)]
async fn other_signals_do_not_make_a_container_leave() {
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
async fn the_stop_signal_of_a_container_counts() {
    let engine = Engine::default();
    let id = engine.add(Container::new("web").stop_signal("SIGQUIT"));
    let watched = watched(&engine).await;
    engine.signal("web", 1);
    pass(seconds(1)).await;
    assert!(!watched.container("web").leaving);
    engine.signal("web", 3);
    watched.until_container("web", |read| read.leaving).await;
    assert_eq!(engine.asked_for(&format!("/containers/{id}/json")), 2);
    pass(seconds(1800)).await;
    assert!(watched.container("web").leaving, "its own signal is a stop");
}

#[tokio::test(start_paused = true)]
async fn every_name_of_a_stop_signal_is_understood() {
    for (name, number) in [("SIGURG", 23), ("SIGTTIN", 21), ("RTMIN+3", 37), ("6", 6)] {
        let engine = Engine::default();
        engine.add(Container::new("web").stop_signal(name));
        let watched = watched(&engine).await;
        engine.signal("web", number);
        watched.until_container("web", |read| read.leaving).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_signal_of_podman_does_not_count() {
    let engine = Engine::new(Flavour::Podman);
    engine.add(Container::new("web"));
    let watched = watched(&engine).await;
    engine.signal("web", 15);
    pass(seconds(1)).await;
    assert!(!watched.container("web").leaving);
}
