//! What clients see while a successor takes over, or does not after all.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Plane, app, route};
use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
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

/// Clients whose connections were taken and whose handshakes have not begun yet, and what lets them go on.
type ArrivingClients = [(JoinHandle<Answer>, oneshot::Sender<()>); 2];

/// A plane with a client by each version of HTTP that has just come.
async fn arriving_at(host: &'static str) -> (Plane, ArrivingClients) {
    let (address, _app) = app("app").await;
    let plane = Plane::serving(vec![route(host, address)]).await;
    let arriving = async |speaks| {
        let (address, allow) = held_back(plane.plane.listening().tls()[0]).await;
        let client = Client::tls(address, plane.ca.root_pem()).expect("valid roots").speaking(speaks);
        (tokio::spawn(asked(client, host)), allow)
    };
    let clients = [arriving(Speaks::H1).await, arriving(Speaks::H2).await];
    taken(&plane, 2.0).await;
    (plane, clients)
}

/// Checks that an act of the plane lasts until these clients have been answered.
async fn waits_for(clients: ArrivingClients, act: impl Future<Output = ()> + Send + 'static) {
    let mut act = tokio::spawn(act);
    let waited = tokio::time::timeout(LONG, &mut act).await;
    assert!(waited.is_err(), "it ended, or told clients to go away, before one of them could ask");
    for (asking, allow) in clients {
        let _ = allow.send(());
        assert_eq!(asking.await.expect("no panic").status, 200);
    }
    tokio::time::timeout(STUCK, act).await.expect("nobody is waited for any more").expect("no panic");
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
    let (plane, arriving) = arriving_at("late.localhost").await;
    waits_for(arriving, plane.plane.hand_over()).await;
}

#[tokio::test]
async fn a_shutdown_closes_no_connection_under_its_handshake() {
    let (plane, arriving) = arriving_at("last.localhost").await;
    waits_for(arriving, plane.plane.shutdown(Duration::from_secs(8))).await;
}

#[tokio::test]
async fn a_shutdown_waits_for_a_connection_that_the_system_keeps_back() {
    let (address, _app) = app("app").await;
    let plane = Plane::serving(vec![route("silent.localhost", address)]).await;
    let mut client = TcpStream::connect(plane.plane.listening().plain()[0]).await.expect("it listens");
    let mut shutdown = tokio::spawn(plane.plane.shutdown(Duration::from_secs(8)));
    let waited = tokio::time::timeout(LONG, &mut shutdown).await;
    assert!(waited.is_err(), "it ended before the client could ask");
    client.write_all(b"GET / HTTP/1.1\r\nHost: silent.localhost\r\n\r\n").await.expect("it is connected");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(STUCK, shutdown).await.expect("nobody is waited for any more").expect("no panic");
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
