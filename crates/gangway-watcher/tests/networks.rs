//! The network over which a Gangway on the host reaches a container.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use gangway_model::{EngineKind, EngineName, OwnPlace};
use gangway_testkit::engine::{Container, Engine, Fault, Flavour};
use support::{Watched, pass, seconds, watch_routes};

/// The network over which the container of the only route is reached.
fn way(watched: &Watched, container: &str) -> String {
    let tables = watched.tables.load();
    let verdict = tables.containers.iter().find(|verdict| *verdict.name == *container);
    let reason = verdict.map(|verdict| verdict.reason.clone()).unwrap_or_default();
    reason.rsplit_once("on network ").map_or(reason.clone(), |(_, network)| network.to_owned())
}

/// One container on a macvlan and a bridge, with these drivers in `/networks`.
fn with_broken_networks(fault: Fault) -> (Engine, Watched) {
    let engine = Engine::default();
    engine.set_driver("aaa_lan", "macvlan");
    engine.break_answers("/networks", fault);
    engine.add(web("web"));
    let watched = watch_routes(&engine);
    (engine, watched)
}

fn web(name: &str) -> Container {
    Container::new(name).label("gangway.enable", "true").network("aaa_lan").network("zzz_bridge")
}

#[tokio::test(start_paused = true)]
async fn a_bridge_is_used_whatever_it_is_called() {
    for flavour in [Flavour::Docker2020, Flavour::Docker2026, Flavour::Podman] {
        let engine = Engine::new(flavour);
        engine.set_driver("aaa_lan", "macvlan");
        engine.add(web("web"));
        let watched = watch_routes(&engine);
        watched.until_running(&["web"]).await;
        assert_eq!((way(&watched, "web"), watched.codes()), ("zzz_bridge".to_owned(), vec![]), "{flavour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn drivers_are_asked_for_once_and_again_for_a_network_that_is_new() {
    let engine = Engine::default();
    engine.set_driver("other_lan", "ipvlan");
    engine.add(web("web"));
    let watched = watch_routes(&engine);
    watched.until_running(&["web"]).await;
    pass(seconds(300)).await;
    engine.run(web("more"));
    watched.until_running(&["more", "web"]).await;
    pass(seconds(300)).await;
    assert_eq!(engine.asked_for("/networks"), 1);
    engine.run(Container::new("alone").label("gangway.enable", "true").network("other_lan"));
    watched.until_running(&["alone", "more", "web"]).await;
    assert_eq!((engine.asked_for("/networks"), watched.codes()), (2, vec![410]));
    engine.join_network("alone", "aaa_lan");
    watched.until(|watched| watched.codes().is_empty()).await;
    assert_eq!((way(&watched, "alone"), engine.asked_for("/networks")), ("aaa_lan".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_socket_proxy_that_refuses_is_asked_once_a_session() {
    let (engine, watched) = with_broken_networks(Fault::Status(403));
    watched.until_running(&["web"]).await;
    pass(seconds(300)).await;
    assert_eq!((way(&watched, "web"), engine.asked_for("/networks")), ("aaa_lan".to_owned(), 1));
    engine.mend();
    engine.die();
    watched.until_trouble("refused").await;
    engine.revive();
    watched.until(|watched| way(watched, "web") == "zzz_bridge").await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_fails_to_list_networks_is_asked_again() {
    let (engine, watched) = with_broken_networks(Fault::Status(503));
    watched.until_running(&["web"]).await;
    engine.mend();
    watched.until(|watched| way(watched, "web") == "zzz_bridge").await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_answer_delays_no_reading_and_is_asked_for_again() {
    let (engine, watched) = with_broken_networks(Fault::Hang);
    assert!(watched.until_running(&["web"]).await < seconds(3));
    assert!(watched.snapshot().drivers.is_empty());
    engine.mend();
    watched.until(|watched| way(watched, "web") == "zzz_bridge").await;
    let drivers = watched.snapshot().drivers[&EngineName("docker".into())].clone();
    assert_eq!(drivers.get("aaa_lan").map(|driver| &**driver).unwrap(), "macvlan");
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_networks_are_elsewhere_is_named() {
    for flavour in [Flavour::Docker2020, Flavour::Docker2026, Flavour::Podman] {
        for rootless in [true, false] {
            let engine = Engine::new(flavour);
            // An address for documentation, which no machine has.
            engine.set_gateway("aaa_lan", "192.0.2.1".parse().unwrap());
            if rootless {
                engine.set_rootless();
            }
            engine.add(web("web"));
            let watched = watch_routes(&engine);
            watched.until_running(&["web"]).await;
            let own = watched.snapshot().own[&EngineName("docker".into())].clone();
            let kind = if rootless { EngineKind::Rootless } else { EngineKind::Other };
            assert_eq!((own, watched.codes()), (OwnPlace::Elsewhere(kind), vec![411]), "{flavour:?} {rootless}");
            pass(seconds(100)).await;
            assert!(engine.asked_for("/info") <= 1 && engine.asked_for("/networks") <= 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_containers_are_all_on_macvlan_is_still_the_host() {
    let engine = Engine::default();
    engine.set_driver("aaa_lan", "macvlan");
    // The gateway of that network is not an address of any machine that runs this test.
    engine.set_gateway("aaa_lan", "192.0.2.1".parse().unwrap());
    engine.add(Container::new("printer").network("aaa_lan"));
    engine.add(Container::new("web").label("gangway.enable", "true").network_mode("host"));
    let watched = watch_routes(&engine);
    watched.until_running(&["printer", "web"]).await;
    assert_eq!(watched.snapshot().own[&EngineName("docker".into())], OwnPlace::Host);
    assert_eq!((watched.readiness("web"), watched.codes()), (vec!["ready"], vec![]));
    assert!(!watched.snapshot().drivers.is_empty(), "they were learnt on the way");
}

#[tokio::test(start_paused = true)]
async fn a_guest_in_the_network_of_a_restarted_container_is_reached_once_it_is_restarted_too() {
    for flavour in [Flavour::Docker2020, Flavour::Docker2026, Flavour::Podman] {
        let engine = Engine::new(flavour);
        let vpn = engine.add(Container::new("vpn").network("edge"));
        let torrent = Container::new("torrent").label("gangway.enable", "true");
        engine.add(torrent.network_mode(&format!("container:{vpn}")));
        let watched = watch_routes(&engine);
        let is_reached = |watched: &Watched| watched.readiness("torrent") == ["ready"] && watched.codes().is_empty();
        watched.until(is_reached).await;
        pass(seconds(100)).await;
        engine.restart("vpn");
        let told = watched.until(|watched| watched.codes() == [412]).await;
        assert!(told < seconds(1) && watched.readiness("torrent").is_empty(), "{flavour:?}: {told:?}");
        pass(seconds(100)).await;
        assert_eq!(watched.codes(), [412], "{flavour:?}: every reading says so");
        engine.restart("torrent");
        watched.until(is_reached).await;
        // A change between two sessions is found by the next one.
        engine.die();
        watched.until_trouble("refused").await;
        engine.revive();
        engine.lose_events(true);
        engine.restart("vpn");
        watched.until(|watched| watched.codes() == [412]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_inspections_a_shared_network_is_taken_as_listed() {
    let engine = Engine::default();
    let vpn = engine.add(Container::new("vpn").network("edge"));
    let torrent = Container::new("torrent").id("0123456789abcdef").label("gangway.port", "80");
    engine.add(torrent.network_mode(&format!("container:{vpn}")));
    for id in [&*vpn, "0123456789abcdef"] {
        engine.break_answers(&format!("/containers/{id}/json"), Fault::Status(403));
    }
    let watched = watch_routes(&engine);
    watched.until(|watched| watched.readiness("torrent") == ["ready"]).await;
    engine.restart("vpn");
    pass(seconds(100)).await;
    assert_eq!((watched.readiness("torrent"), watched.codes()), (vec!["ready"], vec![]));
}
