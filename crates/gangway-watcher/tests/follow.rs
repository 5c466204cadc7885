//! A watch over engines that work.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use gangway_model::{EngineName, FileRoute, Health, NetworkMode, OwnPlace, Settings};
use gangway_testkit::engine::{Container, Engine, Flavour, Moment};
use gangway_testkit::fault::Fault;
use gangway_watcher::EventAction;
use support::{pass, seconds, watch, watch_all, watch_routes, way_to};

#[tokio::test(start_paused = true)]
async fn running_containers_are_read_after_subscribing() {
    let engine = Engine::default();
    engine.add(Container::new("web").label("gangway.host", "web.example.org").network("edge"));
    let watched = watch(&engine);
    watched.until_running(&["web"]).await;
    assert_eq!(watched.published(), 1);
    let web = watched.container("web");
    assert_eq!((web.label("gangway.host"), web.ports[0].port), (Some("web.example.org"), 8080));
    assert_eq!((&*web.attachments[0].network, &web.network), ("edge", &NetworkMode::Networks));
    assert_eq!(watched.snapshot().own[&EngineName("docker".into())], OwnPlace::Host);

    let asked = engine.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/version", "/events", "/containers/json", "/networks"]);
    assert!(asked.iter().all(|asked| asked.method == "GET"));
    let versions: Vec<_> = asked.iter().map(|asked| asked.version.as_deref()).collect();
    assert_eq!(versions, [None, Some("1.41"), Some("1.41"), Some("1.41")]);
    let status = watched.status();
    assert_eq!((status.version.as_deref(), status.containers), (Some("20.10.24 (API 1.41)"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_start_is_in_force_without_waiting() {
    for flavour in [Flavour::Docker2020, Flavour::Docker2026, Flavour::Podman] {
        let engine = Engine::new(flavour);
        let watched = watch(&engine);
        watched.until_running(&[]).await;
        pass(seconds(3)).await;
        engine.run(Container::new("web"));
        assert_eq!(watched.until_running(&["web"]).await, Duration::ZERO, "{flavour:?}");
        engine.stop("web");
        watched.until_running(&[]).await;
        let status = watched.status();
        let counted: Vec<_> = status.events.all().filter(|(_, count)| *count > 0).collect();
        let of = |wanted| counted.iter().find(|(action, _)| *action == wanted).map(|(_, count)| *count);
        assert_eq!([of(EventAction::Start), of(EventAction::Die)], [Some(1); 2], "{flavour:?}: {counted:?}");
        let latency = status.latency.summary();
        assert!(latency.count > 0 && latency.ours.p99 <= Duration::from_millis(100), "{flavour:?}: {latency:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_event_one_container_is_read_and_soon_everything() {
    let engine = Engine::default();
    for name in ["a", "b", "c"] {
        engine.add(Container::new(name));
    }
    let watched = watch(&engine);
    watched.until_running(&["a", "b", "c"]).await;
    pass(seconds(3)).await;
    let listings = || {
        let asked = engine.asked().into_iter().filter(|asked| asked.path == "/containers/json");
        asked.map(|asked| asked.query).collect::<Vec<_>>()
    };
    let before = listings().len();
    engine.run(Container::new("d").id("d0d0"));
    watched.until_running(&["a", "b", "c", "d"]).await;
    let alone = listings()[before..].to_vec();
    assert!(!alone.is_empty() && alone.iter().all(|query| query.contains("d0d0")), "{alone:?}");
    let published = watched.published();
    pass(seconds(2)).await;
    assert!(listings()[before + alone.len()..].iter().all(|query| query == "all=1"), "{:?}", listings());
    assert!(listings().len() > before + alone.len(), "once more, everything");
    assert_eq!((watched.published(), watched.status().containers), (published, 4), "and that is no news");
    engine.remove("d");
    watched.until_running(&["a", "b", "c"]).await;
    assert_eq!(watched.status().containers, 3);
}

#[tokio::test(start_paused = true)]
async fn everything_that_can_happen_to_a_container_is_followed() {
    let engine = Engine::default();
    engine.add(Container::new("web").health("starting").network("edge"));
    let watched = watch(&engine);
    watched.until_container("web", |read| read.health == Health::Starting).await;
    engine.set_health("web", "healthy");
    watched.until_container("web", |read| read.health == Health::Healthy).await;
    engine.pause("web");
    watched.until_running(&[]).await;
    engine.unpause("web");
    watched.until_running(&["web"]).await;
    engine.rename("web", "shop");
    watched.until_running(&["shop"]).await;
    engine.join_network("shop", "back");
    watched.until_container("shop", |read| read.attachments.len() == 2).await;
    engine.leave_network("shop", "edge");
    watched.until_container("shop", |read| read.attachments.len() == 1).await;
    engine.restart("shop");
    watched.until_running(&["shop"]).await;
    engine.remove("shop");
    watched.until(|watched| watched.snapshot().containers.is_empty()).await;
    // All of that came from events, and nothing from the periodic reading.
    assert!(watched.status().reads < 30);
}

#[tokio::test(start_paused = true)]
async fn a_start_during_a_reading_is_not_missed() {
    let engine = Engine::default();
    engine.at(Moment::ListingTaken, |engine| {
        engine.run(Container::new("late"));
    });
    let watched = watch(&engine);
    assert!(watched.until_running(&["late"]).await < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn an_event_before_the_subscription_is_live_is_not_missed() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    // No reading shows this, only the event does.
    engine.at(Moment::BeforeSubscription, |engine| engine.signal("web", 15));
    let watched = watch(&engine);
    watched.until_running(&["web"]).await;
    assert!(watched.until_container("web", |read| read.leaving).await < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_is_made_up_for_by_the_next_full_reading() {
    let mut fault = Fault::begin(8, "a container goes without an event (paused clock)", "withdrawn <= 60 s");
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watch(&engine);
    watched.until_running(&["web"]).await;
    engine.lose_events(true);
    engine.remove("web");
    let noticed = watched.until_running(&[]).await;
    assert!(noticed > seconds(5) && noticed <= seconds(30), "{noticed:?}");
    fault.saw(format!("withdrawn after {noticed:.1?}"));
    fault.withstood();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_if_nothing_changed() {
    let engine = Engine::default();
    engine.add(Container::new("web").health("healthy"));
    let watched = watch(&engine);
    watched.until_running(&["web"]).await;
    let listings = engine.asked_for("/containers/json");
    for _ in 0..100 {
        engine.check_health("web");
    }
    pass(seconds(1)).await;
    assert_eq!(engine.asked_for("/containers/json"), listings, "noise costs no reading");
    pass(seconds(600)).await;
    let more = engine.asked_for("/containers/json") - listings;
    assert!((20..=25).contains(&more), "a full reading at least every 30 s: {more}");
    assert_eq!(watched.published(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_settings_are_compiled_without_reading_again() {
    let engine = Engine::default();
    let mut watched = watch(&engine);
    watched.until_running(&[]).await;
    let asked = engine.asked().len();
    watched.settings.publish(Settings { domain: "example.org".into(), ..Settings::default() });
    watched.until(|watched| watched.published() == 2).await;
    assert_eq!(engine.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_bug_that_a_label_triggers_costs_one_table() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let watched = watch(&engine);
    watched.until_running(&["web"]).await;
    engine.run(Container::new("bomb").label("test.bomb", "true"));
    pass(seconds(1)).await;
    assert_eq!((watched.running().len(), watched.published()), (2, 1));
    engine.remove("bomb");
    watched.until(|watched| watched.published() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_engine_there_is_a_table_at_once() {
    let mut watched = watch_all(Vec::new(), Settings::default());
    watched.until(|watched| watched.published() == 1).await;
    watched.settings.publish(Settings { file_routes: vec![FileRoute::default()], ..Settings::default() });
    watched.until(|watched| watched.published() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn podman_is_asked_once_for_what_its_listing_lacks() {
    let engine = Engine::new(Flavour::Podman);
    engine.add(Container::new("web").exposes(&[3000]).network("edge"));
    engine.add(Container::new("side").network_mode("host").exposes(&[]));
    engine.add(Container::new("gone").state("exited"));
    let checked = engine.add(Container::new("checked").health("starting"));
    let watched = watch(&engine);
    watched.until_running(&["checked", "side", "web"]).await;
    assert_eq!(watched.container("web").ports[0].port, 3000);
    assert_eq!(&*watched.container("web").attachments[0].network_id, "edge");
    assert_eq!(watched.container("side").network, NetworkMode::Host);
    assert_eq!(watched.container("checked").health, Health::Starting);

    engine.set_health("checked", "healthy");
    watched.until_container("checked", |read| read.health == Health::Healthy).await;
    pass(seconds(300)).await;
    let inspected: Vec<_> = engine.asked().into_iter().filter(|asked| asked.path.ends_with(&"/json")).collect();
    let of = |id: &str| inspected.iter().filter(|asked| asked.path == format!("/containers/{id}/json")).count();
    let listings = engine.asked_for("/containers/json");
    assert_eq!(of(&checked), listings, "a verdict that the listing hides is asked for each time");
    assert_eq!(inspected.len(), listings + of(&checked) + 2, "everything else once in a life");
}

#[tokio::test(start_paused = true)]
async fn the_containers_of_two_engines_are_in_one_table() {
    let (one, two) = (Engine::default(), Engine::new(Flavour::Docker2026));
    one.add(Container::new("a").network("edge"));
    two.add(Container::new("b").network("edge"));
    let watched = watch_all(vec![way_to("one", &one), way_to("two", &two)], Settings::default());
    watched.until_running(&["a", "b"]).await;
    let engines: Vec<_> = ["a", "b"].map(|name| watched.container(name).engine.0).into_iter().collect();
    assert_eq!(engines, ["one".into(), "two".into()]);
    assert_eq!(watched.snapshot().own.len(), 2);
    two.run(Container::new("c"));
    watched.until_running(&["a", "b", "c"]).await;
    one.remove("a");
    watched.until_running(&["b", "c"]).await;
    let newest: Vec<_> = two.asked().iter().filter_map(|asked| asked.version.clone()).collect();
    assert!(newest.iter().all(|version| version == "1.53"), "{newest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_route_outlives_its_container_by_its_hold() {
    let engine = Engine::default();
    let web = || Container::new("web").service("shop", "web").label("gangway.host", "web.example.org");
    engine.add(web());
    let watched = watch_routes(&engine);
    watched.until(|watched| watched.routes() == ["shop/web/web"]).await;
    engine.remove("web");
    assert!(watched.until(|watched| watched.routes() == ["shop/web/web held"]).await < seconds(1));
    // Like Compose: the next container has another id.
    pass(seconds(5)).await;
    engine.run(web().id("another"));
    assert_eq!(watched.until(|watched| watched.routes() == ["shop/web/web"]).await, Duration::ZERO);
    pass(seconds(30)).await;
    assert_eq!(watched.routes(), ["shop/web/web"]);
    // A container that exits by itself is still listed.
    engine.end("web");
    watched.until(|watched| watched.routes() == ["shop/web/web held"]).await;
    let held = watched.until(|watched| watched.routes().is_empty()).await;
    assert_eq!(held.as_secs(), 10, "{held:?}");
}
