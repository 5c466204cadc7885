//! Ten thousand containers, on the engine that has only words behind its containers.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gangway_testkit::engine::{Container, Engine, Flavour};
use gangway_tests::engines::played;
use gangway_tests::figures::{figure, millis, quantile};
use gangway_tests::gangway::{Options, free_addresses};
use gangway_tests::process::Process;
use gangway_tests::{artifact, run};
use tokio::time::Instant;

const MANY: usize = 10_000;

fn container(number: usize, port: u16) -> Container {
    Container::new(&format!("c{number}"))
        .label("gangway.host", &format!("h{number}.test"))
        .label("gangway.port", &port.to_string())
        .label("gangway.tls", "off")
        .address(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[test]
fn ten_thousand_containers_are_served_and_swapped_without_loss() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let [address] = free_addresses();
        let mut command = Command::new(artifact("app"));
        let _app = Process::start(command.args(["--http", &address.to_string()]), &folder.path().join("app.log"));
        let engine = Engine::new(Flavour::Docker2020);
        for number in 0..MANY {
            engine.add(container(number, address.port()));
        }
        let url = played(&engine, folder.path());

        let began = Instant::now();
        let gangway = Options::docker(&url).start().await;
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
        let mut spans = Vec::new();
        for extra in MANY..MANY + 20 {
            let started = Instant::now();
            engine.run(container(extra, address.port()));
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
