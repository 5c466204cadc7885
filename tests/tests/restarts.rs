//! What clients see of Gangway being ended and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Speaks;
use gangway_testkit::engine::{Engine, Flavour};
use gangway_testkit::fault::Fault;
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use gangway_tests::calm::Calm;
use gangway_tests::docker::Docker;
use gangway_tests::engines::played;
use gangway_tests::figures::figure;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::load::{Load, keep_asking, together};
use gangway_tests::scene::replica;
use gangway_tests::{STUCK, run, turns};

const HOST: &str = "steady.test";

/// What the log of a successor says before it has a table.
const TAKES_OVER: &str = "takes over as soon as";

/// What the log of a predecessor says once it has taken back.
const SERVES_AGAIN: &str = "this one serves again";

/// An instance that serves an app, beside the engine at this address.
async fn steady(docker: &str, options: impl FnOnce(Options) -> Options) -> Gangway {
    let (address, _app) = app::spawn(App::new("steady")).await.expect("a free port");
    let config = format!("[routes.steady]\nhost = \"{HOST}\"\nupstream = \"http://{address}\"\n");
    let gangway = options(Options::docker(docker).config(&config)).start().await;
    gangway.served(HOST, "/").await;
    gangway
}

#[test]
fn behind_held_sockets_a_restart_loses_no_request() {
    run(async {
        let mut fault =
            Fault::begin(22, "ended and started again behind held sockets, under load", "0 lost; ends with 0");
        let mut gangway = steady("none", Options::held_sockets).await;
        let restarts = turns(5);
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = [Speaks::H1, Speaks::H2, Speaks::H1, Speaks::H2]
            .into_iter()
            .map(|speaks| keep_asking(&gangway.secure().speaking(speaks), HOST, "/slow/20", &stop))
            .collect();
        for _ in 0..restarts {
            gangway.restart().await;
            gangway.served(HOST, "/").await;
        }
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(load).await;
        fault.saw(format!("{restarts} times: {good} answered, {} lost", bad.len()));
        assert!(bad.is_empty(), "{:?}", bad.first());
        fault.withstood();
    });
}

#[test]
fn an_upgrade_by_a_successor_loses_nothing() {
    run(async {
        let mut fault = Fault::begin(
            23,
            "upgraded by a successor, under load",
            "0 lost, 0 WebSockets and streams closed; no descriptor more; the one that left ends with 0",
        );
        let mut gangway = steady("none", |options| options).await;
        let open_at_first = gangway.process.open_files();
        let calm = Calm::begin(&gangway.secure(), HOST).await;
        let load = Load::begin(&gangway, HOST);
        let stop = Arc::new(AtomicBool::new(false));
        let fresh = [Speaks::H1, Speaks::H2]
            .map(|speaks| keep_asking(&gangway.secure().speaking(speaks), HOST, "/slow/20", &stop));
        let upgrades = turns(5);
        let mut leaving = Vec::new();
        for _ in 0..upgrades {
            leaving.push(gangway.succeed().await);
        }
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(fresh.into()).await;
        let outcome = load.end().await;
        fault.saw(format!("{upgrades} times: {}", outcome.told()));
        fault.saw(format!("on a connection each: {good} answered, {} lost", bad.len()));
        outcome.is_whole();
        assert!(bad.is_empty() && good > 0, "{:?}", bad.first());
        // They are still where they were opened.
        calm.is_undisturbed().await;
        // The last of them stands ready for a minute; the others are not needed any more.
        let mut ready = leaving.pop().expect("there was one at least");
        for mut left in leaving {
            assert!(left.end(STUCK).await.success(), "it ends by itself when nothing is left to do");
        }
        assert!(ready.ended().is_none(), "who has not made it yet would be followed by nobody");
        ready.signal("TERM");
        assert!(ready.end(STUCK).await.success());
        eventually("no descriptor is left over", STUCK, async || {
            (gangway.process.open_files() <= open_at_first).then_some(())
        })
        .await;
        fault.withstood();
    });
}

#[test]
fn a_successor_that_soon_ends_gives_back_what_it_took() {
    run(async {
        let mut gangway = steady("none", |options| options).await;
        let stop = Arc::new(AtomicBool::new(false));
        let client = gangway.secure();
        let load = [Speaks::H1, Speaks::H2]
            .map(|speaks| keep_asking(&client.clone().speaking(speaks), HOST, "/slow/20", &stop));
        for _ in 0..turns(2) {
            end_the_successor(&mut gangway, "TERM").await;
        }
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(load.into()).await;
        figure(format!("successors stopped within a minute: {good} answered, {} lost", bad.len()));
        assert!(bad.is_empty() && good > 0, "{:?}", bad.first());
        // One that crashes takes with it what it was doing, and no more.
        end_the_successor(&mut gangway, "KILL").await;
        assert_eq!(gangway.admin("/readyz").await.unwrap().status, 200);
        let mut left = gangway.succeed().await;
        left.signal("TERM");
        assert!(left.end(STUCK).await.success());
        gangway.served(HOST, "/").await;
    });
}

/// Starts a successor, ends it once it has taken over, and waits until who was there before serves again.
async fn end_the_successor(gangway: &mut Gangway, signal: &str) {
    let again = gangway.process.log().matches(SERVES_AGAIN).count();
    let first = gangway.succeed().await;
    let mut successor = std::mem::replace(&mut gangway.process, first);
    successor.signal(signal);
    successor.end(STUCK).await;
    eventually("the first serves again", STUCK, async || {
        (gangway.process.log().matches(SERVES_AGAIN).count() > again).then_some(())
    })
    .await;
    gangway.served(HOST, "/").await;
}

#[test]
fn hand_overs_beside_a_real_engine_lose_nothing() {
    run(async {
        let docker = Docker::shared();
        let mut gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("steady.test");
        replica(&docker, "steady", &host, "steady", Duration::ZERO);
        gangway.served(&host, "/").await;
        let load = Load::begin(&gangway, &host);
        let stop = Arc::new(AtomicBool::new(false));
        let fresh = [Speaks::H1, Speaks::H2]
            .map(|speaks| keep_asking(&gangway.secure().speaking(speaks), &host, "/slow/20", &stop));
        let upgrades = turns(5) * 10;
        let mut leaving = Vec::new();
        for _ in 0..upgrades {
            leaving.push(gangway.succeed().await);
            leaving.retain_mut(|left| match left.ended() {
                Some(ended) => {
                    assert!(ended.success(), "it ends well");
                    false
                }
                None => true,
            });
        }
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(fresh.into()).await;
        let outcome = load.end().await;
        figure(format!("{upgrades} hand-overs beside a real engine, on connections that are kept: {}", outcome.told()));
        figure(format!("the same, on a connection for each request: {good} answered, {} lost", bad.len()));
        outcome.is_whole();
        assert!(bad.is_empty() && good > 0, "{:?}", bad.first());
        docker.clear();
    });
}

#[test]
fn a_successor_that_cannot_serve_takes_nothing() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(Flavour::Docker2020);
        let mut gangway = steady(&played(&engine, folder.path()), |options| options).await;
        engine.freeze();
        let useless = gangway.successor(&["--take-over"]);
        eventually("it has the sockets", STUCK, async || useless.log().contains(TAKES_OVER).then_some(())).await;
        let client = gangway.secure();
        for _ in 0..100 {
            assert_eq!(client.get(HOST, "/").await.unwrap().status, 200);
        }
        useless.stop();
        engine.revive();

        let mut left = gangway.succeed().await;
        left.signal("TERM");
        assert!(left.end(STUCK).await.success());
        gangway.served(HOST, "/").await;
    });
}

#[test]
fn a_websocket_is_told_that_we_go_away() {
    run(async {
        let (address, _app) = app::spawn(App::new("chat")).await.unwrap();
        let config = format!("[routes.chat]\nhost = \"chat.test\"\nupstream = \"http://{address}\"\n");
        let gangway = Options::docker("none").config(&config).start().await;
        gangway.served("chat.test", "/").await;
        let mut sockets = Vec::new();
        for _ in 0..20 {
            let stream = gangway.secure().stream("chat.test").await.unwrap();
            let mut socket = WebSocket::open(stream, "chat.test", "/ws").await.unwrap();
            assert_eq!(socket.ask("there").await.unwrap(), "there");
            sockets.push(tokio::spawn(socket.closed()));
        }
        assert!(gangway.stop().await);
        for socket in sockets {
            assert_eq!(socket.await.unwrap().unwrap(), 1001, "going away");
        }
    });
}
