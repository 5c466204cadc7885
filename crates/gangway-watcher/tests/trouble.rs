//! A watch over engines that fail: the last state stays in force, and the trouble is reported.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gangway_model::{FileRoute, Settings};
use gangway_testkit::engine::{Container, Engine, Fault};
use gangway_testkit::fault;
use gangway_testkit::wait::eventually;
use gangway_watcher::{DockerEnvironment, engines, testing};
use support::{Watched, pass, seconds, watch, watch_all, watch_routes, way_to};
use tokio::time::Instant;

async fn watched(engine: &Engine) -> Watched {
    engine.add(Container::new("web"));
    let watched = watch(engine);
    watched.until_running(&["web"]).await;
    watched
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_dies_and_comes_back_loses_no_route() {
    let engine = Engine::default();
    let watched = watched(&engine).await;
    engine.die();
    watched.until_trouble("connection refused").await;
    pass(Duration::from_millis(12_500)).await;
    assert_eq!((watched.running(), watched.published()), (vec!["web".to_owned()], 1));
    engine.remove("web");
    engine.add(Container::new("new"));
    engine.revive();
    let back = watched.until_running(&["new"]).await;
    assert!(back <= seconds(3), "{back:?}");
    watched.until_well().await;
    assert_eq!(engine.subscribers(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_engine_is_noticed() {
    let engine = Engine::default();
    let watched = watched(&engine).await;
    pass(seconds(7)).await;
    engine.freeze();
    let noticed = watched.until_trouble("no answer within 10 s").await;
    assert!(noticed <= seconds(20), "{noticed:?}");
    pass(seconds(60)).await;
    engine.run(Container::new("new"));
    assert_eq!(watched.running(), ["web"]);
    engine.revive();
    let back = watched.until_running(&["new", "web"]).await;
    assert!(back <= seconds(3), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_go_wrong_leave_the_last_table_in_force() {
    let mut row = fault::Fault::begin(
        4,
        "an engine's answer hangs, is garbage, is cut off, has 2 GiB",
        "given up <= 10 s, capped at 64 MiB, the last table stays in force, no panic",
    );
    let nonsense = r#"[{"Id": 7}]"#;
    let mut latest = Duration::ZERO;
    for (fault, said) in [
        (Fault::Hang, "read the container list: no answer within 10 s"),
        (Fault::Garbage, "read the container list: the answer makes no sense"),
        (Fault::Body("<html>"), "read the container list: the answer makes no sense"),
        (Fault::Body(nonsense), "read the container list: the answer makes no sense: invalid type"),
        (Fault::Body("[] []"), "read the container list: the answer makes no sense"),
        (Fault::CutAfter(100), "read the container list: "),
        (Fault::Huge(2 << 30), "read the container list: the answer is too large to be true"),
        (Fault::Status(500), "read the container list: the engine answered 500: so it was ordered"),
    ] {
        let engine = Engine::default();
        let watched = watched(&engine).await;
        engine.break_answers("/containers/json", fault.clone());
        engine.run(Container::new("new"));
        let given_up = watched.until_trouble(said).await;
        assert!(given_up <= seconds(10), "{fault:?}: {given_up:?}");
        latest = latest.max(given_up);
        assert_eq!((watched.running(), watched.published()), (vec!["web".to_owned()], 1), "{fault:?}");
        engine.mend();
        watched.until_running(&["new", "web"]).await;
        watched.until_well().await;
    }
    row.saw(format!("8 kinds, each given up after {latest:.1?} at most, then well again"));
    row.withstood();
}

#[tokio::test(start_paused = true)]
async fn malformed_answers_at_the_start_are_survived() {
    for path in ["/version", "/events", "/containers/json"] {
        for fault in [Fault::Hang, Fault::Garbage, Fault::Body("{"), Fault::CutAfter(3), Fault::Status(503)] {
            let engine = Engine::default();
            engine.add(Container::new("web"));
            engine.break_answers(path, fault.clone());
            let watched = watch(&engine);
            watched.until_status(|status| status.trouble.is_some()).await;
            engine.mend();
            watched.until_running(&["web"]).await;
            watched.until_well().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_without_events_is_still_read() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    engine.break_answers("/events", Fault::Status(403));
    let watched = watch(&engine);
    watched.until_running(&["web"]).await;
    watched.until_trouble("subscribe to events: the engine answered 403").await;
    engine.run(Container::new("new"));
    assert!(watched.until_running(&["new", "web"]).await <= seconds(3));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_refuses_to_be_pinged_is_alive() {
    let engine = Engine::default();
    engine.break_answers("/_ping", Fault::Status(403));
    let watched = watched(&engine).await;
    pass(seconds(100)).await;
    assert!(engine.asked_for("/_ping") >= 10);
    assert_eq!((watched.status().failures, engine.asked_for("/version")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_by_itself_is_no_trouble() {
    let engine = Engine::default();
    let watched = watched(&engine).await;
    pass(seconds(10)).await;
    engine.die();
    engine.revive();
    engine.run(Container::new("new"));
    assert!(watched.until_running(&["new", "web"]).await <= seconds(1));
    assert_eq!(watched.status().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_lasts_is_trouble_and_costs_few_readings() {
    let engine = Engine::default();
    engine.break_answers("/events", Fault::Body("{}\n"));
    let watched = watched(&engine).await;
    watched.until_trouble("follow the events: the engine closed the stream").await;
    let listings = engine.asked_for("/containers/json");
    pass(seconds(60)).await;
    let more = engine.asked_for("/containers/json") - listings;
    assert!((25..=70).contains(&more), "{more} readings in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_day_away_is_survived_with_short_waits() {
    let mut row =
        fault::Fault::begin(5, "engine away for 24 h (paused clock)", "still trying, at most 30 s apart; back <= 3 s");
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let tries: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (fake, noted) = (engine.clone(), Arc::clone(&tries));
    let way = testing::engine("docker", move || {
        noted.lock().unwrap().push(Instant::now());
        fake.connect()
    });
    let watched = watch_all(vec![way], Settings::default());
    watched.until_running(&["web"]).await;
    engine.die();
    let away = tries.lock().unwrap().len();
    pass(seconds(24 * 3600)).await;
    let waits: Vec<Duration> = tries.lock().unwrap()[away..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| *wait <= seconds(30)), "{:?}", waits.iter().max());
    assert!(waits.iter().skip(10).all(|wait| *wait >= Duration::from_millis(500)), "{:?}", waits.iter().min());
    assert_eq!(watched.running(), ["web"]);
    engine.revive();
    engine.add(Container::new("new"));
    let back = watched.until_running(&["new", "web"]).await;
    assert!(back <= seconds(3), "{back:?}");
    let longest = waits.iter().max().copied().unwrap_or_default();
    row.saw(format!("{} tries, at most {longest:.1?} apart; back after {back:.1?}", waits.len()));
    row.withstood();
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_down_does_not_keep_the_others_from_being_served() {
    let (up, down) = (Engine::default(), Engine::default());
    up.add(Container::new("a"));
    down.add(Container::new("b"));
    down.freeze();
    let watched = watch_all(vec![way_to("up", &up), way_to("down", &down)], Settings::default());
    pass(seconds(5)).await;
    assert_eq!(watched.published(), 0, "nothing before each was read once or has failed once");
    watched.until_running(&["a"]).await;
    let troubles: Vec<_> = watched.statuses.load().iter().map(|status| status.trouble.is_some()).collect();
    assert_eq!(troubles, [false, true]);
    down.revive();
    watched.until_running(&["a", "b"]).await;
    up.die();
    pass(seconds(60)).await;
    assert_eq!(watched.running(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn while_no_engine_could_be_read_we_are_not_ready() {
    let engine = Engine::default();
    engine.die();
    let mut watched = watch(&engine);
    watched.until_trouble("connection refused").await;
    pass(seconds(60)).await;
    assert_eq!(watched.published(), 0);
    watched.settings.publish(Settings { file_routes: vec![FileRoute::default()], ..Settings::default() });
    watched.until(|watched| watched.published() == 1).await;
    engine.revive();
    watched.until(|watched| watched.published() == 2).await;
}

/// With the real clock, because a socket does not obey a paused one.
#[tokio::test]
async fn a_socket_that_is_removed_and_made_again_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let engine = Engine::default();
    engine.add(Container::new("web"));
    let listening = |path: std::path::PathBuf| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.listen_unix(&path).await })
    };
    let first = listening(path.clone());
    let address = engines(&[format!("unix://{}", path.display())], &DockerEnvironment::default()).unwrap();
    let watched = watch_all(address, Settings::default());
    watched.until_running(&["web"]).await;

    first.abort();
    engine.die();
    watched.until_trouble("connection refused; is the engine running?").await;
    std::fs::remove_file(&path).unwrap();
    let missing = || std::future::ready(watched.status().trouble.filter(|trouble| trouble.contains("no such file")));
    eventually("it is said that the file is gone", seconds(10), missing).await;
    engine.revive();
    engine.add(Container::new("new"));
    let second = listening(path.clone());
    watched.until_running(&["new", "web"]).await;
    second.abort();
}

/// With the real clock. The other side may not speak HTTP.
#[tokio::test]
async fn a_port_without_an_engine_is_reported_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let rude = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.example.org ESMTP\r\n").await?;
        }
        #[expect(unreachable_code, reason = "names the type of the block")]
        io::Result::Ok(())
    });
    let watched = watch_all(engines(&[url], &DockerEnvironment::default()).unwrap(), Settings::default());
    watched.until_trouble("ask the engine for its version: ").await;
    assert_eq!(watched.published(), 0);
    rude.abort();
}

#[tokio::test(start_paused = true)]
async fn malformed_parts_cost_only_themselves_and_are_reported() {
    let engine = Engine::default();
    let strange = r#"[
        {"Id":"aa","Names":["/web"],"State":"running","HostConfig":{"NetworkMode":"edge"},
         "Labels":{"gangway.host":"web.test","gangway.auth.basic":null},"Ports":[{"PrivatePort":80,"Type":"tcp"}],
         "NetworkSettings":{"Networks":{"edge":{"NetworkID":"e1","IPAddress":"172.18.0.2"}}}},
        {"Id":"bb","Names":["/well"],"State":"running","HostConfig":{"NetworkMode":"edge"},
         "Labels":{"gangway.host":"well.test"},"Ports":[{"PrivatePort":null,"Type":"tcp"},{"PrivatePort":80,"Type":"tcp"}],
         "NetworkSettings":{"Networks":{"edge":{"NetworkID":"e1","IPAddress":"172.18.0.3"}}}},
        {"Id":7,"Names":["/nobody"],"State":"running"}]"#;
    engine.break_answers("/containers/json", Fault::Body(strange));
    let watched = watch_routes(&engine);
    watched.until_running(&["web", "well"]).await;
    let tables = watched.tables.load();
    let told: Vec<_> = tables.diagnostics.iter().filter(|found| found.code.0 == 414).collect();
    let told: Vec<_> =
        told.iter().map(|found| (found.place.container().unwrap_or_default(), &*found.message)).collect();
    let message = "the engine describes the container in a form that makes no sense: ";
    let (auth, port, id) = ("`Labels.gangway.auth.basic`", "`Ports[0].PrivatePort`", "`Id`");
    let expected =
        [("nobody", id), ("web", auth), ("well", port)].map(|(name, part)| (name, format!("{message}{part}")));
    assert_eq!(told.iter().map(|(name, said)| (*name, (*said).to_owned())).collect::<Vec<_>>(), expected);
    // A protecting label that cannot be read must not leave its route open.
    let closed = |name: &str| tables.table.routes().iter().find(|route| *route.name == *name).unwrap().closed;
    assert!(closed("web") && !closed("well"));
    assert_eq!(watched.readiness("well"), ["ready"]);
    engine.mend();
    watched.until(|watched| !watched.codes().contains(&414)).await;
}
