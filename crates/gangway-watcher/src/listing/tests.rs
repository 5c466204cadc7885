//! Listings of real engines. The one of 2026 is written by hand from what is known about its format.

use std::collections::BTreeMap;

use gangway_model::{Container, ContainerState, EngineName, Health, NetworkMode};

use super::*;

const DOCKER_2020: &str = include_str!("../../tests/listings/docker-20.10.json");
const DOCKER_2026: &str = include_str!("../../tests/listings/docker-2026.json");
const PODMAN: &str = include_str!("../../tests/listings/podman-4.3.json");
const PODMAN_INSPECTED: &str = include_str!("../../tests/listings/podman-4.3-inspected.json");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WithId {
    id: Box<str>,
    #[serde(flatten)]
    inspected: InspectedContainer,
}

/// The time of the listings, in seconds since the epoch.
const NOW: i64 = 1_790_000_000;

struct Read {
    listing: Vec<ListedContainer>,
    containers: Vec<Container>,
}

fn read(listing: &str, inspected: &str) -> Read {
    let listing: Vec<ListedContainer> = serde_json::from_str(listing).unwrap();
    let inspected: Vec<WithId> = serde_json::from_str(inspected).unwrap();
    let of = |id: &str| listing.iter().find(|listed| *listed.id == *id).unwrap();
    let facts: BTreeMap<_, _> = inspected.iter().map(|at| (at.id.clone(), at.inspected.facts(of(&at.id)))).collect();
    let health = inspected.iter().filter_map(|at| Some((at.id.clone(), at.inspected.health()?))).collect();
    let engine = EngineName("docker".into());
    let containers =
        translate(&listing, &TranslationContext { engine: &engine, facts: &facts, health: &health, now: NOW });
    Read { listing, containers }
}

impl Read {
    fn named(&self, name: &str) -> &Container {
        self.containers.iter().find(|container| *container.name == *name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn lacking_facts(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.listing.iter().filter(|listed| listed.lacks_facts()).collect();
        names.sort_by_key(|listed| listed.name());
        names.iter().map(|listed| listed.names.as_ref().unwrap()[0].trim_start_matches('/')).collect()
    }

    fn at(&self, name: &str) -> Vec<(&str, Option<String>)> {
        let attachments = self.named(name).attachments.iter();
        attachments.map(|at| (&*at.network, at.address.map(|address| address.to_string()))).collect()
    }

    fn ports(&self, name: &str) -> Vec<(u16, Option<u16>)> {
        self.named(name).ports.iter().map(|port| (port.port, port.published)).collect()
    }
}

#[test]
fn docker_of_2020_is_understood() {
    let read = read(DOCKER_2020, "[]");
    assert_eq!(read.containers.len(), 13);
    assert_eq!(read.at("web"), [("back", Some("172.19.0.2".to_owned())), ("edge", Some("172.18.0.2".to_owned()))]);
    assert_eq!(read.ports("web"), [(8080, None)]);
    let web = read.named("web");
    assert_eq!((web.service(), web.label("gangway.host")), (Some("web"), Some("shop.example.com")));
    assert_eq!((&*web.image, web.state, web.health), ("gangway-test/app", ContainerState::Running, Health::NoCheck));
    assert!(web.attachments[0].network_id.starts_with("6061be09d471"));
    assert_eq!(read.ports("pub"), [(443, None), (8080, Some(39183)), (9000, Some(39184))]);
    assert_eq!(read.named("host").network, NetworkMode::Host);
    assert!(read.named("host").attachments.is_empty());
    assert_eq!(read.named("none").network, NetworkMode::None);
    assert_eq!(read.named("side").network, NetworkMode::Container(web.id.clone()));
    for (name, state) in [
        ("paused", ContainerState::Paused),
        ("loop", ContainerState::Restarting),
        ("exited", ContainerState::Exited),
        ("created", ContainerState::Created),
    ] {
        assert_eq!(read.named(name).state, state, "{name}");
    }
    for (name, health) in [
        ("well", Health::Healthy),
        ("sick", Health::Unhealthy),
        ("starting", Health::Starting),
        ("pub", Health::NoCheck),
    ] {
        assert_eq!(read.named(name).health, health, "{name}");
    }
    assert_eq!(read.at("created"), [("bridge", None)]);
    assert_eq!(read.lacking_facts(), ["host", "loop", "side"]);
}

#[test]
fn docker_of_2026_is_understood() {
    let read = read(DOCKER_2026, "[]");
    let running = read.containers.iter().find(|container| container.state == ContainerState::Running).unwrap();
    assert_eq!(&*running.name, "shop-web-1");
    assert_eq!(
        read.at("shop-web-1"),
        [("bridge", Some("172.17.0.2".to_owned())), ("shop_default", Some("172.18.0.2".to_owned()))]
    );
    for (name, health) in [
        ("well", Health::Healthy),
        ("sick", Health::Unhealthy),
        ("starting", Health::Starting),
        ("host", Health::NoCheck),
    ] {
        assert_eq!(read.named(name).health, health, "{name}");
    }
    assert_eq!(read.ports("published"), [(8080, None), (9000, Some(39184))]);
    assert_eq!(read.at("v6"), [("six", Some("fd00:dead::2".to_owned()))]);
    assert_eq!(read.lacking_facts(), ["host", "side"]);
}

#[test]
fn podman_is_understood_with_what_it_tells_of_each() {
    let read = read(PODMAN, PODMAN_INSPECTED);
    assert_eq!(read.at("web"), [("edge", Some("10.89.0.4".to_owned()))]);
    assert_eq!(&*read.named("web").attachments[0].network_id, "edge");
    assert_eq!(read.ports("web"), [(8080, None)]);
    assert_eq!(read.ports("pub"), [(443, None), (8080, Some(39283)), (9000, Some(39284))]);
    assert_eq!(read.named("host").network, NetworkMode::Host);
    assert_eq!(read.named("none").network, NetworkMode::None);
    assert_eq!(read.named("side").network, NetworkMode::Container(read.named("web").id.clone()));
    assert_eq!((read.named("well").health, read.named("web").health), (Health::Healthy, Health::NoCheck));
    assert_eq!(read.named("paused").state, ContainerState::Paused);
    assert_eq!(read.lacking_facts(), ["host", "none", "paused", "pub", "side", "web", "well"]);
}

#[test]
fn only_verdicts_that_the_listing_hides_are_asked_for_again() {
    let listing: Vec<ListedContainer> = serde_json::from_str(PODMAN).unwrap();
    let inspected: Vec<WithId> = serde_json::from_str(PODMAN_INSPECTED).unwrap();
    let hidden = |at: &&WithId| {
        let listed = listing.iter().find(|listed| listed.id == at.id).unwrap();
        at.inspected.facts(listed).health_unlisted
    };
    let names: Vec<_> = inspected.iter().filter(hidden).map(|at| at.id.get(..12).unwrap()).collect();
    assert_eq!(names, ["28cc34bb92b6"]);
}

#[test]
fn compose_does_not_show_its_working() {
    let named = |name: &str, labels: &str| {
        let json = format!(r#"[{{"Id":"ab","Names":["/{name}"],"Labels":{labels}}}]"#);
        read(&json, "[]").containers[0].name.clone()
    };
    let composed = r#"{"com.docker.compose.project":"shop"}"#;
    assert_eq!(&*named("0a1b2c3d4e5f_shop-web-1", composed), "shop-web-1");
    assert_eq!(&*named("0a1b2c3d4e5f_shop-web-1", "{}"), "0a1b2c3d4e5f_shop-web-1");
    assert_eq!(&*named("shop_web_1", composed), "shop_web_1");
}

#[test]
fn strange_containers_do_not_make_a_listing_unreadable() {
    let strange = r#"[
        {"Id":"a","State":"levitating","Status":null,"Names":null,"Ports":null,"Labels":null,"NetworkSettings":null},
        {"Id":"b","State":"stopped","Names":["/other/alias","/b"],"Health":{"Status":"puzzled"},"HostConfig":null},
        {"Id":"c","State":"stopping","NetworkSettings":{"Networks":{"x":null,"y":{"NetworkID":null,"IPAddress":"invalid IP"}}}},
        {"Id":"d","HostConfig":{"NetworkMode":"container:b"},"Ports":[{"PrivatePort":0,"Type":"tcp"}]},
        {"Id":"","State":"running"}, {}
    ]"#;
    let read = read(strange, "[]");
    let states: Vec<_> = read.containers.iter().map(|container| (&*container.name, container.state)).collect();
    let exited = ContainerState::Exited;
    assert_eq!(states, [("a", exited), ("b", exited), ("c", ContainerState::Running), ("d", exited)]);
    assert!(read.named("c").leaving && !read.named("a").leaving);
    assert_eq!(read.at("c"), [("y", None)]);
    assert_eq!(read.named("d").network, NetworkMode::Container("b".into()));
    assert!(read.named("d").ports.is_empty());
    assert!(serde_json::from_str::<Vec<ListedContainer>>(r#"{"message":"no"}"#).is_err());
}

#[test]
fn containers_come_in_one_order_and_once() {
    let forth = read(r#"[{"Id":"b"},{"Id":"a"},{"Id":"b"}]"#, "[]").containers;
    let back = read(r#"[{"Id":"a"},{"Id":"b"}]"#, "[]").containers;
    assert_eq!(forth, back);
}

#[test]
fn stop_signals_of_both_engines_are_numbers() {
    let own = |value: &str| {
        let json = format!(r#"{{"Config":{{"StopSignal":{value}}}}}"#);
        serde_json::from_str::<InspectedContainer>(&json).unwrap().stop_signal()
    };
    for (value, signal) in [
        ("\"SIGUSR1\"", Some(10)),
        ("\"quit\"", Some(3)),
        ("\"SIGRTMIN+3\"", Some(37)),
        ("\"RTMAX-1\"", Some(63)),
        ("\"28\"", Some(28)),
        ("15", Some(15)),
        ("\"SIGNONSENSE\"", None),
        ("null", None),
        ("true", None),
    ] {
        assert_eq!(own(value), signal, "{value}");
    }
}

#[test]
fn how_a_container_ended_is_read_from_what_people_are_shown() {
    let ended = |state: &str, status: &str| {
        let listed: ListedContainer =
            serde_json::from_str(&format!(r#"{{"State":"{state}","Status":"{status}"}}"#)).unwrap();
        listed.ended(NOW).map(|ended| (ended.code, ended.at.map(|at| NOW - at)))
    };
    for (status, expected) in [
        ("Exited (137) 5 minutes ago", (Some(137), Some(300))),
        ("Exited (0) About an hour ago", (Some(0), Some(3600))),
        ("Exited (1) Less than a second ago", (Some(1), Some(0))),
        ("Exited (255) 2 weeks ago", (Some(255), Some(1_209_600))),
        ("Exited (1)", (Some(1), None)),
        ("Exited", (None, None)),
    ] {
        assert_eq!(ended("exited", status), Some(expected), "{status}");
    }
    assert_eq!(ended("restarting", "Restarting (3) 1 second ago"), Some((Some(3), Some(1))));
    assert_eq!((ended("running", "Up 2 minutes (unhealthy)"), ended("created", "Created")), (None, None));
}
