//! What clients see while a successor takes over, or does not after all.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Plane, app, route};
use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::wait::eventually;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longer than the wait for a first request after its handshake.
const LONG: Duration = Duration::from_millis(750);

const STUCK: Duration = Duration::from_secs(20);

/// An address where one connection is taken to `target` at once, and what is sent on it once that is allowed.
async fn held_back(target: SocketAddr) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (allow, allowed) = oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(target).await.expect("it listens");
        let _ = allowed.await;
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    (address, allow)
}

/// A client whose handshake has not begun yet, though its connection was taken, and what lets it go on.
async fn arriving(plane: &Plane, speaks: Speaks) -> (Client, oneshot::Sender<()>) {
    let (address, allow) = held_back(plane.plane.listening().https[0]).await;
    (Client::tls(address, plane.ca.root_pem()).expect("valid roots").speaking(speaks), allow)
}

/// What a client takes between its handshake and its request.
const MOMENT: Duration = Duration::from_millis(50);

async fn asked(client: Client, host: &'static str) -> Answer {
    let mut connection = client.connect(host).await.expect("connected");
    let begun = Instant::now();
    eventually("it has thought about it", STUCK, async || (begun.elapsed() >= MOMENT).then_some(())).await;
    connection.get("/").await.expect("answered")
}

async fn taken(plane: &Plane, count: f64) {
    eventually("the connections were taken", STUCK, async || {
        (plane.metric("gangway_connections") >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_was_taken_and_has_not_asked_yet_is_answered_before_it_is_sent_over() {
    let (address, _app) = app("late").await;
    let plane = Plane::serving(vec![route("late.localhost", address)]).await;
    let (h1, allow_h1) = arriving(&plane, Speaks::H1).await;
    let (h2, allow_h2) = arriving(&plane, Speaks::H2).await;
    let asking = [h1, h2].map(|client| tokio::spawn(asked(client, "late.localhost")));
    taken(&plane, 2.0).await;
    let mut sending_over = tokio::spawn(plane.plane.hand_over());
    let waited = tokio::time::timeout(LONG, &mut sending_over).await;
    assert!(waited.is_err(), "clients are told to go away before one of them could ask");
    for allow in [allow_h1, allow_h2] {
        let _ = allow.send(());
    }
    for asked in asking {
        assert_eq!(asked.await.expect("no panic").status, 200);
    }
    tokio::time::timeout(STUCK, sending_over).await.expect("nobody is waited for any more").expect("no panic");
}

#[tokio::test]
async fn a_shutdown_closes_no_connection_under_its_handshake() {
    let (address, _app) = app("last").await;
    let plane = Plane::serving(vec![route("last.localhost", address)]).await;
    let (h1, allow_h1) = arriving(&plane, Speaks::H1).await;
    let (h2, allow_h2) = arriving(&plane, Speaks::H2).await;
    let asking = [h1, h2].map(|client| tokio::spawn(asked(client, "last.localhost")));
    taken(&plane, 2.0).await;
    let mut ending = tokio::spawn(plane.plane.shutdown(Duration::from_secs(8)));
    assert!(tokio::time::timeout(LONG, &mut ending).await.is_err(), "it ended under those that have just come");
    for allow in [allow_h1, allow_h2] {
        let _ = allow.send(());
    }
    for asked in asking {
        assert_eq!(asked.await.expect("no panic").status, 200);
    }
    tokio::time::timeout(STUCK, ending).await.expect("it ends").expect("no panic");
}

#[tokio::test]
async fn what_was_handed_over_can_be_taken_back() {
    let (address, _app) = app("back").await;
    let plane = Plane::serving(vec![route("back.localhost", address)]).await;
    let (h1, h2) = (plane.https().speaking(Speaks::H1), plane.https().speaking(Speaks::H2));
    for round in 0..3 {
        plane.plane.pause().await;
        if round > 0 {
            plane.plane.hand_over().await;
        }
        let waiting: Vec<_> = [h1.clone(), h2.clone()]
            .into_iter()
            .map(|client| tokio::spawn(async move { client.get("back.localhost", "/").await }))
            .collect();
        let early = tokio::time::timeout(LONG, async {
            while waiting.iter().all(|one| !one.is_finished()) {
                tokio::task::yield_now().await;
            }
        });
        assert!(early.await.is_err(), "connections are taken that are a successor's");
        plane.plane.take_back();
        for one in waiting {
            assert_eq!(one.await.expect("no panic").expect("answered").status, 200);
        }
        // No client that comes now is sent elsewhere.
        for client in [&h1, &h2] {
            let mut connection = client.connect("back.localhost").await.expect("connected");
            for _ in 0..3 {
                let answer = connection.get("/").await.expect("answered");
                assert_eq!((answer.status.as_u16(), answer.header("connection") == "close"), (200, false));
            }
        }
    }
}

#[tokio::test]
async fn who_keeps_a_connection_hears_it_with_the_next_answer() {
    let (address, _app) = app("kept").await;
    let plane = Plane::serving(vec![route("kept.localhost", address)]).await;
    let mut h1 = plane.https().connect("kept.localhost").await.expect("connected");
    let mut h2 = plane.https().speaking(Speaks::H2).connect("kept.localhost").await.expect("connected");
    assert_ne!(h1.get("/").await.expect("answered").header("connection"), "close");
    assert_eq!(h2.get("/").await.expect("answered").status, 200);
    plane.plane.pause().await;
    plane.plane.hand_over().await;
    // However long it was idle: it is not closed under a request.
    assert_eq!(h1.get("/").await.expect("answered").header("connection"), "close");
    eventually("the HTTP/2 client goes", STUCK, async || (!h2.is_open()).then_some(())).await;
}
