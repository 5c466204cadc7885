//! Containers are recreated, killed and cut off under load, and no request is lost.
//!
//! Each thing is done a few times; `FAULT_TURNS` says how often instead, as `make faults` does.

use std::time::Duration;

use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use gangway_tests::calm::Calm;
use gangway_tests::docker::{Container, Docker};
use gangway_tests::figures::{figure, millis};
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::load::Load;
use gangway_tests::{STUCK, run};
use tokio::task::block_in_place;
use tokio::time::Instant;

/// How often each thing is done.
fn turns() -> usize {
    std::env::var("FAULT_TURNS").ok().and_then(|turns| turns.parse().ok()).unwrap_or(2)
}

/// A replica that takes its time to listen, and lets requests under way end before it does.
fn replica(docker: &Docker, project: &str, host: &str, name: &str, delay: Duration) -> Container {
    let delay = delay.as_millis().to_string();
    block_in_place(|| {
        docker
            .app(name)
            .service(project, "web")
            .label("gangway.host", host)
            .arguments(["--on-term", "drain", "--start-delay", &delay])
            .start()
    })
}

fn command(docker: &Docker, words: &[&str]) {
    block_in_place(|| docker.command(words.iter().copied()));
}

/// Waits until a container listens, asked past Gangway; when that was.
async fn listens(docker: &Docker, container: &Container) -> Instant {
    let format = "{{.NetworkSettings.IPAddress}}";
    let address = block_in_place(|| docker.command(["inspect", "-f", format, &container.name]));
    let itself = Client::plain(format!("{address}:8080").parse().expect("an address"));
    eventually("it listens", STUCK, async || itself.get("x", "/").await.ok().map(|_| Instant::now())).await
}

/// Another app whose connections nothing may touch.
async fn neighbour(docker: &Docker, gangway: &Gangway) -> Calm {
    let host = docker.name("calm.test");
    block_in_place(|| docker.app("calm").label("gangway.host", &host).start());
    gangway.served(&host, "/").await;
    Calm::begin(&gangway.secure(), &host).await
}

#[test]
fn recreating_the_only_container_costs_no_request() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("recreate.test"), docker.name("p"));
        // A second more or less does not matter, as long as it is much longer than everything else.
        let delay = Duration::from_millis(if turns() > 2 { 3000 } else { 700 });
        let mut current = replica(&docker, &project, &host, "web-0", Duration::ZERO);
        gangway.served(&host, "/").await;
        let calm = neighbour(&docker, &gangway).await;
        let load = Load::begin(&gangway, &host);
        let mut longest = Duration::ZERO;
        for turn in 1..=turns() {
            // As compose does it: another name, stopped, removed, and made anew.
            let aside = docker.name(&format!("aside-{turn}"));
            command(&docker, &["rename", &current.name, &aside]);
            let begun = Instant::now();
            command(&docker, &["stop", "-t", "10", &aside]);
            command(&docker, &["rm", &aside]);
            current = replica(&docker, &project, &host, &format!("web-{turn}"), delay);
            longest = longest.max(listens(&docker, &current).await - begun);
            gangway.served(&host, "/").await;
        }
        let outcome = load.end().await;
        figure(format!(
            "one replica recreated {} times under 200 requests/s: {} answered, {} lost, slowest {}, longest gap {}",
            turns(),
            outcome.answered,
            outcome.failed.len(),
            millis(outcome.slowest),
            millis(longest),
        ));
        outcome.is_whole();
        // On a machine that does other things as well, only the order of magnitude can be held against it.
        let slack = Duration::from_millis(if turns() > 2 { 100 } else { 1000 });
        assert!(outcome.slowest <= longest + slack, "requests waited for longer than was needed");
        calm.is_undisturbed().await;
    });
}

#[test]
fn whatever_happens_to_one_of_two_replicas_costs_no_request() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("two.test"), docker.name("p"));
        let delay = Duration::from_millis(300);
        let mut replicas = Vec::new();
        for name in ["web-a", "web-b"] {
            replicas.push(replica(&docker, &project, &host, name, Duration::ZERO));
        }
        gangway.served(&host, "/").await;
        let calm = neighbour(&docker, &gangway).await;
        let mut lost = Vec::new();
        for what in ["rolled", "killed", "restarted", "cut off"] {
            let load = Load::begin(&gangway, &host);
            for turn in 0..turns() {
                let one = replicas[turn % 2].clone();
                match what {
                    "rolled" => {
                        let next = replica(&docker, &project, &host, &format!("next-{turn}"), delay);
                        listens(&docker, &next).await;
                        command(&docker, &["stop", "-t", "10", &one.name]);
                        command(&docker, &["rm", &one.name]);
                        replicas[turn % 2] = next;
                    }
                    "killed" => {
                        command(&docker, &["kill", "-s", "KILL", &one.name]);
                        command(&docker, &["start", &one.name]);
                        listens(&docker, &one).await;
                    }
                    "restarted" => {
                        command(&docker, &["restart", "-t", "10", &one.name]);
                        listens(&docker, &one).await;
                    }
                    _ => {
                        command(&docker, &["network", "disconnect", "bridge", &one.name]);
                        command(&docker, &["network", "connect", "bridge", &one.name]);
                        listens(&docker, &one).await;
                    }
                }
            }
            let mut outcome = load.end().await;
            let cut = if what == "killed" { outcome.forgive_what_cannot_be_repeated() } else { 0 };
            figure(format!(
                "one of two replicas {what} {} times under 200 requests/s: {} answered, {} lost, {cut} POST cut at the \
                 endpoint's death, slowest {}",
                turns(),
                outcome.answered,
                outcome.failed.len(),
                millis(outcome.slowest),
            ));
            assert!(cut <= turns() * 2, "{cut} requests in flight at {} kills", turns());
            lost.push(outcome);
        }
        lost.iter().for_each(gangway_tests::load::Outcome::is_whole);
        calm.is_undisturbed().await;
    });
}

#[test]
fn restarting_the_only_container_costs_no_request() {
    run(async {
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
            gangway.served(&host, "/").await;
        }
        let outcome = load.end().await;
        figure(format!(
            "the only container restarted {} times under 200 requests/s: {} answered, {} lost, slowest {}",
            turns(),
            outcome.answered,
            outcome.failed.len(),
            millis(outcome.slowest),
        ));
        outcome.is_whole();
        calm.is_undisturbed().await;
    });
}
