//! What clients see of Gangway being ended and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Speaks;
use gangway_testkit::websocket::WebSocket;
use gangway_tests::figures::figure;
use gangway_tests::gangway::Options;
use gangway_tests::load::{keep_asking, together};
use gangway_tests::run;

const RESTARTS: usize = 5;

#[test]
fn behind_held_sockets_a_restart_loses_no_request() {
    run(async {
        let (address, _app) = app::spawn(App::new("steady")).await.unwrap();
        let config = format!("[routes.steady]\nhost = \"steady.test\"\nupstream = \"http://{address}\"\n");
        let mut gangway = Options::docker("none").config(&config).held_sockets().start().await;
        gangway.served("steady.test", "/").await;
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = [Speaks::H1, Speaks::H2, Speaks::H1, Speaks::H2]
            .into_iter()
            .map(|speaks| keep_asking(&gangway.secure().speaking(speaks), "steady.test", "/slow/20", &stop))
            .collect();
        for _ in 0..RESTARTS {
            gangway.restart().await;
            gangway.served("steady.test", "/").await;
        }
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(load).await;
        figure(format!("{RESTARTS} restarts behind held sockets: {good} answered, {} lost", bad.len()));
        assert!(bad.is_empty(), "{:?}", bad.first());
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
