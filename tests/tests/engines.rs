//! Engines that come late, are Podman, are several, or are guarded: what worked keeps working.

use gangway_testkit::relay::{Relay, promised};
use gangway_testkit::wait::eventually;
use gangway_tests::docker::{Docker, SOCKET};
use gangway_tests::engines::Podman;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::{STUCK, run};

/// Waits until the instance says that it cannot read an engine; what it says.
async fn troubled(gangway: &Gangway) -> String {
    eventually("the engine's trouble is told", STUCK, async || {
        let status = gangway.api("status").await;
        status["engines"].as_array()?.iter().find_map(|engine| Some(engine["trouble"].as_str()?.to_owned()))
    })
    .await
}

#[test]
fn without_an_engine_we_are_not_ready_and_say_why_until_there_is_one() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("late.sock");
        let gangway = Options::docker(&format!("unix://{}", socket.display())).start_unready();
        eventually("alive", STUCK, async || gangway.admin("/healthz").await.ok().filter(|answer| answer.status == 200))
            .await;
        assert_eq!(gangway.admin("/readyz").await.unwrap().status, 503);
        let answer = gangway.plain().get("any.test", "/").await.unwrap();
        assert_eq!(answer.status, 503, "not ready is not the same as no route");
        assert!(answer.text().contains("not-ready"), "{}", answer.text());
        let trouble = troubled(&gangway).await;
        assert!(trouble.contains("late.sock") || gangway.process.log().contains("late.sock"), "{trouble}");
        let _relay = Relay::start(&socket, SOCKET.as_ref(), promised).unwrap();
        gangway.ready().await;
    });
}

#[test]
fn podman_is_followed_as_docker_is() {
    run(async {
        let podman = Podman::start().await;
        let docker = Docker::podman();
        let gangway = Options::docker(&podman.url()).start().await;
        let (host, early) = (docker.name("pod.test"), docker.name("early.test"));
        let app = docker.app("pod").label("gangway.host", &host).label("gangway.hold", "1s").start();
        gangway.served(&host, "/").await;
        docker.app("early").label("gangway.host", &early).start();
        gangway.served(&early, "/").await;
        docker.command(["stop", "-t", "1", &app.name]);
        gangway.answers(&host, 404).await;
        docker.command(["start", &app.name]);
        gangway.served(&host, "/").await;
        docker.command(["rm", "-f", "-t", "1", &app.name]);
        gangway.answers(&host, 404).await;
        gangway.served(&early, "/").await;
    });
}

#[test]
fn two_engines_make_one_table() {
    run(async {
        let podman = Podman::start().await;
        let (one, two) = (Docker::shared(), Docker::podman());
        let gangway = Options::docker(&one.url()).flag("--docker", &podman.url()).start().await;
        let (first, second) = (one.name("docker.test"), two.name("podman.test"));
        one.app("first").label("gangway.host", &first).start();
        two.app("second").label("gangway.host", &second).start();
        assert!(gangway.served(&first, "/").await.text().starts_with("first "));
        assert!(gangway.served(&second, "/").await.text().starts_with("second "));
    });
}

#[test]
fn a_guard_that_lets_only_the_promised_reads_through_is_enough() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("guard.sock");
        let relay = Relay::start(&socket, SOCKET.as_ref(), promised).unwrap();
        let docker = Docker::shared();
        let gangway = Options::docker(&format!("unix://{}", socket.display())).start().await;
        let host = docker.name("guarded.test");
        let app = docker.app("guarded").label("gangway.host", &host).label("gangway.hold", "0").start();
        gangway.served(&host, "/").await;
        docker.command(["rm", "-f", &app.name]);
        gangway.answers(&host, 404).await;
        let seen = relay.seen();
        let refused: Vec<_> = seen.iter().filter(|request| !request.allowed).collect();
        assert!(refused.is_empty(), "asked for more than is promised: {refused:?}");
        assert!(seen.iter().any(|request| request.path == "/events"), "events are followed");
    });
}

#[test]
fn health_checks_of_many_containers_cost_no_reads() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("counted.sock");
        let relay = Relay::start(&socket, SOCKET.as_ref(), promised).unwrap();
        let docker = Docker::shared();
        let image = docker.image_with_health_check();
        for number in 0..5 {
            docker.app(&format!("checked{number}")).image(&image).label("gangway.enable", "true").start();
        }
        let gangway = Options::docker(&format!("unix://{}", socket.display())).start().await;
        let healthy = docker.command(["ps", "-q", "--filter", &format!("label={}", docker.label())]);
        let first = healthy.lines().next().unwrap().to_owned();
        eventually("a container is healthy", STUCK, async || {
            (docker.command(["inspect", "-f", "{{.State.Health.Status}}", &first]) == "healthy").then_some(())
        })
        .await;
        let lists = || relay.seen().iter().filter(|request| request.path == "/containers/json").count();
        let (before, log) = (lists(), checks(&docker, &first));
        // Ten more rounds of checks, which are fifty exec events thrice over.
        eventually("five more checks have run", STUCK, async || (checks(&docker, &first) > log + 3).then_some(()))
            .await;
        let reads = lists() - before;
        assert!(reads <= 3, "{reads} reads for nothing but health checks");
        drop(gangway);
    });
}

/// How long the last recorded check of a container is in the past cannot be counted, but when it ran can.
fn checks(docker: &Docker, id: &str) -> u64 {
    let last = docker.command(["inspect", "-f", "{{range .State.Health.Log}}{{.End.Unix}} {{end}}", id]);
    last.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or_default()
}
