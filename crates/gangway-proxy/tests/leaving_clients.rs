//! Requests wait for an endpoint, and their clients go: they give their places up long before the wait would end.

mod common;

use std::future::ready;
use std::time::Duration;

use common::{Plane, held, route};
use gangway_model::Scheme;
use gangway_testkit::client::Speaks;
use gangway_testkit::wait::eventually;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const HOST: &str = "gone.localhost";

/// How many requests wait at first.
const MANY: u16 = 20;

/// Much longer than a test waits here.
const HOLD: Duration = Duration::from_secs(600);

async fn wait_for(plane: &Plane, waiting: u16) {
    let is_so = || ready((plane.metric("gangway_requests_waiting") == f64::from(waiting)).then_some(()));
    eventually("so many requests wait", Duration::from_secs(30), is_so).await;
}

/// Clients over HTTP/1 that wait, each on a connection of its own.
async fn waiting_clients(plane: &Plane) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..MANY {
        let mut client = TcpStream::connect(plane.plane.listening().plain()[0]).await.expect("connected");
        client.write_all(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.expect("sent");
        clients.push(client);
    }
    wait_for(plane, MANY).await;
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_its_connection_does_not_wait_on() {
    let plane = Plane::serving(vec![held(HOST, HOLD)]).await;
    let clients = waiting_clients(&plane).await;
    for client in &clients {
        SockRef::from(client).set_linger(Some(Duration::ZERO)).expect("set");
    }
    drop(clients);
    wait_for(&plane, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_does_not_wait_on_and_one_that_still_reads_is_told_so() {
    let plane = Plane::serving(vec![held(HOST, HOLD)]).await;
    let mut clients = waiting_clients(&plane).await;
    let mut half_closed = clients.pop().expect("there are many");
    drop(clients);
    half_closed.shutdown().await.expect("its sending side ends");
    let mut answer = String::new();
    half_closed.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    wait_for(&plane, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_connected_to_for_a_client_that_has_gone() {
    // It accepts connections, and says nothing of TLS.
    let endpoint = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut silent = route(HOST, endpoint.local_addr().expect("bound"));
    silent.endpoints[0].1 = Scheme::Https;
    silent.change = Box::new(|route| route.timeouts.connect = HOLD);
    let plane = Plane::serving(vec![silent]).await;
    let mut client = TcpStream::connect(plane.plane.listening().plain()[0]).await.expect("connected");
    client.write_all(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.expect("sent");
    let (mut connection, _) = endpoint.accept().await.expect("connected to");
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
    drop(client);
    let ends = async { while let Ok(1..) = connection.read(&mut [0; 1024]).await {} };
    tokio::time::timeout(Duration::from_secs(30), ends).await.expect("the connection is given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_drops_its_streams_does_not_wait_on() {
    let plane = Plane::serving(vec![held(HOST, HOLD)]).await;
    let connection = plane.https().speaking(Speaks::H2).connect(HOST).await.expect("connected");
    let mut waiting = JoinSet::new();
    for _ in 0..MANY {
        let mut stream = connection.beside().expect("HTTP/2 asks side by side");
        waiting.spawn(async move { stream.ask("GET", "/", &[], "").await });
    }
    wait_for(&plane, MANY).await;
    // Each of them is reset; the connection stays.
    waiting.shutdown().await;
    wait_for(&plane, 0).await;
    drop(connection);
}
