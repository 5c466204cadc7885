//! Many containers, and some that ask for much, on the engine that has only words behind its containers.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_testkit::engine::{Container, Engine, Flavour};
use gangway_testkit::wait::eventually;
use gangway_tests::engines::played;
use gangway_tests::figures::{figure, millis, quantile};
use gangway_tests::gangway::{Options, free_addresses};
use gangway_tests::process::Process;
use gangway_tests::{STUCK, artifact, run};
use tempfile::TempDir;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

const MANY: usize = 10_000;

/// One start after the other, each in a quiet engine: in a storm of them the watcher waits before it reads, and what is
/// measured would be that.
fn one_by_one() -> Interval {
    let mut starts = interval(Duration::from_millis(400));
    starts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    starts
}

fn container(number: usize, port: u16) -> Container {
    secure_container(number, port).label("gangway.tls", "off")
}

/// Its host gets a certificate of the internal CA.
fn secure_container(number: usize, port: u16) -> Container {
    Container::new(&format!("c{number}"))
        .label("gangway.host", &format!("h{number}.test"))
        .label("gangway.port", &port.to_string())
        .address(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// An engine with so many containers, and the one app that stands behind all of them.
struct World {
    url: String,
    engine: Engine,
    port: u16,
    _app: Process,
    _folder: TempDir,
}

impl World {
    fn of(count: usize, container: impl Fn(usize, u16) -> Container) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [address] = free_addresses();
        let mut command = Command::new(artifact("app"));
        let app = Process::start(command.args(["--http", &address.to_string()]), &folder.path().join("app.log"));
        let engine = Engine::new(Flavour::Docker2020);
        for number in 0..count {
            engine.add(container(number, address.port()));
        }
        let url = played(&engine, folder.path());
        Self { url, engine, port: address.port(), _app: app, _folder: folder }
    }
}

#[test]
fn ten_thousand_containers_are_served_and_swapped_without_loss() {
    run(async {
        let World { url, engine, port, .. } = &World::of(MANY, container);

        let began = Instant::now();
        let gangway = Options::docker(url).start().await;
        let ready = began.elapsed();
        gangway.answers("h0.test", 200).await;
        gangway.answers(&format!("h{}.test", MANY - 1), 200).await;
        let memory = gangway.process.resident_kib() / 1024;

        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = (0..20)
            .map(|task| {
                let (client, stop) = (gangway.plain(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let (mut good, mut bad, host) = (0_u32, 0_u32, format!("h{}.test", task * 499));
                    let mut connection = client.connect(&host).await.unwrap();
                    while !stop.load(Ordering::SeqCst) {
                        match connection.get("/slow/5").await {
                            Ok(answer) if answer.status == 200 => good += 1,
                            _ => {
                                bad += 1;
                                connection = client.connect(&host).await.unwrap();
                            }
                        }
                    }
                    (good, bad)
                })
            })
            .collect();
        let (mut spans, mut starts) = (Vec::new(), one_by_one());
        for extra in MANY..MANY + 20 {
            starts.tick().await;
            let started = Instant::now();
            engine.run(container(extra, *port));
            gangway.answers(&format!("h{extra}.test"), 200).await;
            spans.push(started.elapsed());
        }
        stop.store(true, Ordering::SeqCst);
        let (mut good, mut bad) = (0, 0);
        for task in load {
            let (answered, lost) = task.await.unwrap();
            good += answered;
            bad += lost;
        }
        let ours = gangway.reaction_millis("0.5").await;
        figure(format!(
            "{MANY} containers: ready after {}, {memory} MiB; 20 more one by one: served after {} (median), ours {ours:.1} ms; {good} requests meanwhile, {bad} lost",
            millis(ready),
            millis(quantile(&spans, 0.5)),
        ));
        assert_eq!(bad, 0);
    });
}

const ROUTES: usize = 255;

/// The most that one container can ask for, each in its own way.
fn bombs() -> [(&'static str, Container); 4] {
    let with_routes = |name: &str, key: &str, value: &dyn Fn(usize) -> String| {
        let key = |route| format!("gangway.routes.r{route}.{key}");
        (0..ROUTES).fold(Container::new(name), |bomb, route| bomb.label(&key(route), &value(route)))
    };
    let queries: Vec<String> = (0..10).map(|number| format!("(Query(`a{number}`)||Query(`b{number}`))")).collect();
    let queries = queries.join("&&");
    let hosts = |route: usize| (0..200).map(|host| format!("h{host}.r{route}.test")).collect::<Vec<_>>().join(",");
    [
        ("combinations", with_routes("bomb0", "rule", &|_| format!("Host(`q.test`)&&{queries}"))),
        ("hosts", with_routes("bomb1", "host", &hosts)),
        ("expressions", with_routes("bomb2", "path", &|route| format!("~{route}{}", r"\p{L}".repeat(800)))),
        ("words of 4 KiB", with_routes("bomb3", "hots", &|_| "x".repeat(4096))),
    ]
}

#[test]
fn a_container_that_asks_for_as_much_as_it_can_keeps_no_other_waiting() {
    run(async {
        let World { url, engine, port, .. } = &World::of(100, container);
        let gangway = Options::docker(url).start().await;
        gangway.answers("h99.test", 200).await;
        let before = gangway.process.resident_kib();
        let mut other = 100;
        for (what, bomb) in bombs() {
            let (mut spans, mut starts) = (Vec::new(), one_by_one());
            starts.tick().await;
            let bomb = engine.run(bomb);
            // The first of them is read together with the bomb, the others while it is there.
            for _ in 0..10 {
                let started = Instant::now();
                engine.run(container(other, *port));
                gangway.answers(&format!("h{other}.test"), 200).await;
                spans.push(started.elapsed());
                other += 1;
                starts.tick().await;
            }
            figure(format!(
                "beside {ROUTES} labels full of {what}: a start is served after {} (the first), {} (median)",
                millis(spans[0]),
                millis(quantile(&spans, 0.5)),
            ));
            engine.remove(&bomb);
        }
        let (ours, most) = (gangway.reaction_millis("0.5").await, gangway.reaction_millis("0.99").await);
        let grown = gangway.process.resident_kib().saturating_sub(before) / 1024;
        figure(format!("beside all of them: ours {ours:.1} ms (median), {most:.1} ms (p99); {grown} MiB more memory"));
        assert!(grown <= 64, "{grown} MiB");
    });
}

#[test]
fn ten_thousand_hosts_with_internal_certificates_are_ready_at_once() {
    run(async {
        let World { url, .. } = &World::of(MANY, secure_container);

        let began = Instant::now();
        let gangway = Options::docker(url).start().await;
        let ready = began.elapsed();
        let client = gangway.secure();
        for number in [MANY - 1, 0, MANY / 2] {
            assert_eq!(client.get(&format!("h{number}.test"), "/").await.unwrap().status, 200);
        }
        let served = began.elapsed();
        let memory = gangway.process.resident_kib() / 1024;
        // The certificates that were made are reported a second later.
        let made = eventually("all are told of, and those that were asked for", STUCK, async || {
            let listed = gangway.api("certificates").await["certificates"].as_array()?.clone();
            let made = listed.iter().filter(|one| one["serial"] != "").count();
            (listed.len() == MANY && made >= 3).then_some(made)
        })
        .await;
        figure(format!(
            "{MANY} hosts with internal certificates: ready after {}, three of them served by https after {}, {made} \
             certificates made, {memory} MiB",
            millis(ready),
            millis(served),
        ));
        assert_eq!(made, 3, "one for each that was asked for");
    });
}
