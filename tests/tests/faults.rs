//! Containers are recreated, killed and cut off under load, and no request is lost.
//!
//! Each thing is done a few times; `FAULT_TURNS` says how often instead, as `make faults` does.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gangway_testkit::engine::{Container as Told, Engine};
use gangway_testkit::fault::Fault;
use gangway_testkit::wait::eventually;
use gangway_tests::calm::Calm;
use gangway_tests::docker::{Container, Docker};
use gangway_tests::engine_events::EngineEvents;
use gangway_tests::engines::played;
use gangway_tests::figures::{millis, quantile};
use gangway_tests::gangway::{Gangway, Options, free_addresses};
use gangway_tests::load::Load;
use gangway_tests::process::Process;
use gangway_tests::scene::{command, lasting, lasts, listens, neighbour, replica, shop, turns};
use gangway_tests::{STUCK, artifact, run};
use tokio::task::block_in_place;
use tokio::time::Instant;

#[test]
fn recreating_the_only_container_costs_no_request() {
    run(async {
        let mut fault = Fault::begin(
            9,
            "`docker-compose up -d --force-recreate` of one replica with a health check",
            "0 lost, slowest <= longest gap + 100 ms (and what sending was late itself)",
        );
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("recreate.test");
        let shop = shop(&docker, &host, lasting(Duration::from_secs(3), Duration::from_millis(700)));
        gangway.served(&host, "/").await;
        let calm = neighbour(&docker, &gangway).await;
        let events = EngineEvents::of_project(&docker.url(), shop.project());
        let load = Load::begin(&gangway, &host);
        for _ in 0..turns() {
            block_in_place(|| shop.command(["up", "-d", "--force-recreate"]));
            gangway.served(&host, "/").await;
            load.settled().await;
        }
        let outcome = load.end().await;
        let gaps = events.gaps();
        let longest = gaps.iter().max().copied().unwrap_or_default();
        fault.saw(format!("{} times: {}, longest gap {}", gaps.len(), outcome.told(), millis(longest)));
        outcome.is_whole();
        assert_eq!(gaps.len(), turns());
        // On a machine that does other things as well, only the order of magnitude can be held against it.
        let slack = lasting(Duration::from_millis(100), Duration::from_secs(1)) + outcome.late;
        assert!(outcome.slowest <= longest + slack, "requests waited for longer than was needed");
        calm.is_undisturbed().await;
        fault.withstood();
    });
}

#[test]
fn restarting_the_only_container_costs_no_request() {
    run(async {
        let mut fault = Fault::begin(9, "`docker restart` of the only replica", "0 lost");
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("restart.test"), docker.name("p"));
        let only = replica(&docker, &project, &host, "only", Duration::from_millis(300));
        gangway.served(&host, "/").await;
        let calm = neighbour(&docker, &gangway).await;
        let load = Load::begin(&gangway, &host);
        for _ in 0..turns() {
            command(&docker, &["restart", "-t", "10", &only.name]);
            listens(&docker, &only).await;
            load.settled().await;
        }
        let outcome = load.end().await;
        fault.saw(format!("{} times: {}", turns(), outcome.told()));
        outcome.is_whole();
        calm.is_undisturbed().await;
        fault.withstood();
    });
}

/// What can happen to one of two replicas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Replaced,
    Killed,
    Restarted,
    CutOff,
}

impl Fate {
    fn fault(self) -> Fault {
        match self {
            Self::Replaced => Fault::begin(9, "one of two replicas replaced by a new one", "0 lost"),
            Self::Killed => Fault::begin(
                9,
                "`docker kill -s KILL` of one of two replicas",
                "0 lost but for POST that the dead one had been sent, at most 2 each",
            ),
            Self::Restarted => Fault::begin(9, "`docker restart` of one of two replicas", "0 lost"),
            Self::CutOff => Fault::begin(28, "one of two replicas leaves its network and joins it again", "0 lost"),
        }
    }

    async fn befalls(self, docker: &Docker, project: &str, host: &str, one: &mut Container, turn: usize) {
        match self {
            Self::Replaced => {
                let next = replica(docker, project, host, &format!("next-{turn}"), Duration::from_millis(300));
                listens(docker, &next).await;
                command(docker, &["stop", "-t", "10", &one.name]);
                command(docker, &["rm", &one.name]);
                *one = next;
            }
            Self::Killed => {
                command(docker, &["kill", "-s", "KILL", &one.name]);
                command(docker, &["start", &one.name]);
            }
            Self::Restarted => drop(command(docker, &["restart", "-t", "10", &one.name])),
            Self::CutOff => {
                command(docker, &["network", "disconnect", "bridge", &one.name]);
                command(docker, &["network", "connect", "bridge", &one.name]);
            }
        }
        listens(docker, one).await;
    }
}

#[test]
fn whatever_happens_to_one_of_two_replicas_costs_no_request() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("two.test"), docker.name("p"));
        let mut replicas = ["web-a", "web-b"].map(|name| replica(&docker, &project, &host, name, Duration::ZERO));
        gangway.served(&host, "/").await;
        let calm = neighbour(&docker, &gangway).await;
        let mut lost = Vec::new();
        for fate in [Fate::Replaced, Fate::Killed, Fate::Restarted, Fate::CutOff] {
            let mut fault = fate.fault();
            let load = Load::begin(&gangway, &host);
            for turn in 0..turns() {
                fate.befalls(&docker, &project, &host, &mut replicas[turn % 2], turn).await;
                load.settled().await;
            }
            let mut outcome = load.end().await;
            let cut = if fate == Fate::Killed { outcome.forgive_what_cannot_be_repeated() } else { 0 };
            fault.saw(format!("{} times: {}", turns(), outcome.told()));
            if fate == Fate::Killed {
                fault.saw(format!("{cut} POST cut"));
            }
            if outcome.failed.is_empty() && cut <= turns() * 2 {
                fault.withstood();
            } else {
                outcome.failed.truncate(5);
                lost.push((fate, cut, outcome.failed));
            }
        }
        calm.is_undisturbed().await;
        assert!(lost.is_empty(), "{lost:?}");
    });
}

#[test]
fn a_network_that_is_left_and_joined_is_followed_at_once() {
    run(async {
        let mut fault = Fault::begin(
            28,
            "`docker network disconnect` and `connect` of the only replica",
            "withdrawn and restored <= 2 s after it",
        );
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, network) = (docker.name("net.test"), docker.network("net"));
        let app =
            block_in_place(|| docker.app("net").options(["--network", &network]).label("gangway.host", &host).start());
        gangway.served(&host, "/").await;
        let (mut left, mut joined) = (Vec::new(), Vec::new());
        for _ in 0..turns() {
            command(&docker, &["network", "disconnect", &network, &app.name]);
            let begun = Instant::now();
            eventually("its endpoint is withdrawn", STUCK, async || {
                (endpoints(&gangway, &host).await == 0).then_some(())
            })
            .await;
            left.push(begun.elapsed());
            command(&docker, &["network", "connect", &network, &app.name]);
            let begun = Instant::now();
            gangway.served(&host, "/").await;
            joined.push(begun.elapsed());
        }
        let (left, joined) = (quantile(&left, 1.0), quantile(&joined, 1.0));
        fault.saw(format!(
            "{} times: withdrawn after {}, restored after {} at most",
            turns(),
            millis(left),
            millis(joined)
        ));
        assert!(left.max(joined) <= Duration::from_secs(2));
        fault.withstood();
    });
}

/// How many endpoints the route for this host has.
async fn endpoints(gangway: &Gangway, host: &str) -> usize {
    let routes = gangway.api("routes").await;
    let mut routes = routes["routes"].as_array().into_iter().flatten();
    let route = routes.find(|route| route["hosts"].as_array().is_some_and(|hosts| hosts.contains(&host.into())));
    route.and_then(|route| Some(route["endpoints"].as_array()?.len())).unwrap_or_default()
}

/// An application of this machine, which a container of the fake engine stands for.
fn process(folder: &Path, name: &str) -> (Process, SocketAddr) {
    let [address] = free_addresses();
    let mut app = std::process::Command::new(artifact("app"));
    app.args(["--name", name, "--http", &address.to_string()]);
    (Process::start(&mut app, &folder.join(name)), address)
}

#[test]
fn one_that_dies_without_a_word_costs_what_its_replica_cannot_take_over() {
    run(async {
        let mut fault = Fault::begin(
            8,
            "one of two replicas, then the only one, dies without an event (lost `die`)",
            "0 lost but for POST that it had been sent; alone: 502 in <= connect timeout",
        );
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let mut processes = Vec::new();
        for (name, service, host) in [("a", "web", "two.test"), ("b", "web", "two.test"), ("c", "one", "one.test")] {
            let (process, address) = process(folder.path(), name);
            let container = Told::new(name).service("shop", service).address(address.ip());
            let container = container.label("gangway.host", host).label("gangway.hold", "0");
            engine.add(container.label("gangway.port", &address.port().to_string()));
            processes.push(process);
        }
        let gangway = Options::docker(&played(&engine, folder.path())).start().await;
        gangway.served("two.test", "/").await;
        gangway.served("one.test", "/").await;
        let calm = Calm::begin(&gangway.secure(), "one.test").await;
        engine.lose_events(true);
        let load = Load::begin(&gangway, "two.test");
        lasts(Duration::from_secs(1)).await;
        drop(processes.remove(0));
        lasts(lasting(Duration::from_secs(20), Duration::from_secs(2))).await;
        let mut outcome = load.end().await;
        let cut = outcome.forgive_what_cannot_be_repeated();
        fault.saw(format!("{}, {cut} POST cut", outcome.told()));
        outcome.is_whole();
        assert!(cut <= 2, "{cut}");
        calm.is_undisturbed().await;
        drop(processes.pop());
        let begun = Instant::now();
        let answer = gangway.secure().get("one.test", "/").await.unwrap();
        fault.saw(format!("alone: {} after {}", answer.status.as_u16(), millis(begun.elapsed())));
        assert_eq!(answer.status, 502);
        assert!(begun.elapsed() <= Duration::from_secs(5));
        fault.withstood();
    });
}
