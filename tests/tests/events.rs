//! Containers come, change and go, and the table follows: every kind of event on a real engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use gangway_tests::docker::Docker;
use gangway_tests::figures::figure;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::load::together;
use gangway_tests::process::output;
use gangway_tests::{STUCK, run};

/// Waits until a request over https gets this status from this host.
async fn status(gangway: &Gangway, host: &str, status: u16) {
    let client = gangway.secure();
    eventually(&format!("https://{host}/ answers {status}"), STUCK, async || {
        client.get(host, "/").await.ok().filter(|answer| answer.status == status).map(drop)
    })
    .await;
}

#[test]
fn a_container_that_stops_leaves_and_one_that_starts_again_returns() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("come.test");
        let app = docker.app("come").label("gangway.host", &host).label("gangway.hold", "1s").create();
        gangway.answers(&host, 404).await;
        docker.command(["start", &app.name]);
        gangway.served(&host, "/").await;
        docker.command(["stop", "-t", "1", &app.name]);
        gangway.answers(&host, 404).await;
        docker.command(["start", &app.name]);
        gangway.served(&host, "/").await;
        docker.command(["rm", "-f", &app.name]);
        gangway.answers(&host, 404).await;
    });
}

#[test]
fn a_paused_container_is_not_routed_until_it_goes_on() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("pause.test"), docker.name("p"));
        let one = docker.app("one").service(&project, "web").label("gangway.host", &host).start();
        docker.app("two").service(&project, "web").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        docker.command(["pause", &one.name]);
        let client = gangway.secure();
        eventually("only the other replica answers, twenty times in a row", STUCK, async || {
            for _ in 0..20 {
                let answer = tokio::time::timeout(Duration::from_secs(2), client.get(&host, "/")).await.ok()?.ok()?;
                if !answer.text().starts_with("two ") {
                    return None;
                }
            }
            Some(())
        })
        .await;
        docker.command(["unpause", &one.name]);
        eventually("the first replica answers again", STUCK, async || {
            client.get(&host, "/").await.ok().filter(|answer| answer.text().starts_with("one ")).map(drop)
        })
        .await;
    });
}

#[test]
fn a_renamed_container_gets_the_host_of_its_new_name() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let app = docker.app("before").label("gangway.enable", "true").start();
        gangway.served(&format!("{}.localhost", app.name), "/").await;
        let renamed = docker.name("after");
        docker.command(["rename", &app.name, &renamed]);
        gangway.served(&format!("{renamed}.localhost"), "/").await;
        gangway.answers(&format!("{}.localhost", app.name), 404).await;
    });
}

#[test]
fn a_network_that_is_left_or_joined_changes_the_address() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, first, second) = (docker.name("net.test"), docker.network("aa"), docker.network("bb"));
        let app = docker.app("net").options(["--network", &first]).label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        docker.command(["network", "connect", &second, &app.name]);
        docker.command(["network", "disconnect", &first, &app.name]);
        gangway.served(&host, "/").await;
        docker.command(["network", "disconnect", &second, &app.name]);
        let said = gangway.diagnosed(&[&app.name, "network"]).await;
        assert!(said.contains("G4"), "{said}");
        docker.command(["network", "connect", &first, &app.name]);
        gangway.served(&host, "/").await;
    });
}

#[test]
fn a_container_with_a_health_check_gets_traffic_only_while_it_is_healthy() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("health.test"), docker.name("p"));
        // An image without a shell runs its check only in the form that needs none.
        let image = docker.image_with_health_check();
        let older = docker.app("older").service(&project, "web").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        let newer = docker
            .app("newer")
            .image(&image)
            .service(&project, "web")
            .label("gangway.host", &host)
            .arguments(["--unhealthy"])
            .start();
        let address = docker.command(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &newer.name]);
        let client = gangway.secure();
        for _ in 0..50 {
            let answer = client.get(&host, "/").await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.text().starts_with("older "), "an unhealthy replica was asked: {}", answer.text());
        }
        let newer_itself = Client::plain(format!("{address}:8080").parse().unwrap());
        eventually("the newer replica listens", STUCK, async || newer_itself.get("x", "/health/ok").await.ok()).await;
        eventually("the newer replica is asked once it is healthy", STUCK, async || {
            client.get(&host, "/").await.ok().filter(|answer| answer.text().starts_with("newer ")).map(drop)
        })
        .await;
        docker.command(["rm", "-f", &older.name]);
        newer_itself.get("x", "/health/fail").await.unwrap();
        eventually("nobody healthy is left", STUCK, async || {
            let answer = tokio::time::timeout(Duration::from_millis(300), client.get(&host, "/")).await;
            (!matches!(answer, Ok(Ok(ref answer)) if answer.status == 200)).then_some(())
        })
        .await;
    });
}

#[test]
fn requests_wait_for_a_container_that_is_restarting() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("hold.test");
        let app = docker.app("hold").label("gangway.host", &host).arguments(["--start-delay", "300"]).start();
        gangway.served(&host, "/").await;
        let client = gangway.secure();
        let restart = tokio::task::spawn_blocking({
            let (url, name) = (docker.url(), app.name.clone());
            move || output("docker", ["--host", &url, "restart", "-t", "1", &name])
        });
        let mut asked = 0;
        while !restart.is_finished() {
            let answer = client.get(&host, "/").await.unwrap();
            assert_eq!(answer.status, 200, "request {asked} was lost: {}", answer.text());
            asked += 1;
        }
        restart.await.unwrap();
        status(&gangway, &host, 200).await;
    });
}

#[test]
fn a_recreated_replica_costs_no_request() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("roll.test"), docker.name("p"));
        let start = |name: &str| {
            docker
                .app(name)
                .service(&project, "web")
                .label("gangway.host", &host)
                .arguments(["--on-term", "drain"])
                .start()
        };
        let (one, two) = (start("one"), start("two"));
        gangway.served(&host, "/").await;
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = [Speaks::H1, Speaks::H2, Speaks::H1, Speaks::H2]
            .into_iter()
            .map(|speaks| {
                let (client, host, stop) = (gangway.secure().speaking(speaks), host.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let (mut good, mut bad) = (0_u32, Vec::new());
                    let mut connection = client.connect(&host).await.unwrap();
                    while !stop.load(Ordering::SeqCst) {
                        match connection.get("/slow/5").await {
                            Ok(answer) if answer.status == 200 => good += 1,
                            Ok(answer) => bad.push(format!("{} {}", answer.status, answer.text())),
                            Err(error) => {
                                bad.push(error.to_string());
                                connection = client.connect(&host).await.unwrap();
                            }
                        }
                    }
                    (good, bad)
                })
            })
            .collect();
        for old in [one, two] {
            start(&format!("after-{}", &old.id[..6]));
            docker.command(["stop", "-t", "20", &old.name]);
            docker.command(["rm", &old.name]);
        }
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(load).await;
        figure(format!("two replicas replaced under load: {good} requests answered, {} lost", bad.len()));
        assert!(bad.is_empty(), "{} of {} lost: {:?}", bad.len(), good as usize + bad.len(), &bad[..bad.len().min(5)]);
    });
}

#[test]
fn a_change_to_one_app_never_touches_the_connections_of_another() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("calm.test");
        docker.app("calm").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        let client = gangway.secure();
        let mut socket = WebSocket::open(client.stream(&host).await.unwrap(), &host, "/ws").await.unwrap();
        let mut kept = client.connect(&host).await.unwrap();
        for turn in 0..5 {
            let other = docker.name(&format!("other{turn}.test"));
            let app =
                docker.app(&format!("other{turn}")).label("gangway.host", &other).label("gangway.hold", "0").start();
            gangway.served(&other, "/").await;
            assert_eq!(socket.ask("still there").await.unwrap(), "still there");
            assert_eq!(kept.get("/").await.unwrap().status, 200);
            docker.command(["rm", "-f", &app.name]);
            gangway.answers(&other, 404).await;
        }
        assert_eq!(socket.ask("to the end").await.unwrap(), "to the end");
        assert_eq!(kept.get("/").await.unwrap().status, 200);
    });
}
