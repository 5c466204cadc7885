//! Many requests have waited for one container, and it comes: it is not overrun, and nobody waits for long.

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Plane, held, route};
use gangway_testkit::client::Speaks;
use gangway_testkit::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

/// More than an application can be expected to have room for.
const MANY: u16 = 800;

/// An application that takes its time for each answer; when each request came.
async fn slow(answers_after: Duration) -> io::Result<(SocketAddr, Arc<Mutex<Vec<Instant>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, came) = (listener.local_addr()?, Arc::default());
    let noted = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, answers_after, Arc::clone(&noted)));
        }
    });
    Ok((address, came))
}

async fn answer(mut stream: TcpStream, after: Duration, came: Arc<Mutex<Vec<Instant>>>) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\nx") {
        request.push(stream.read_u8().await?);
    }
    came.lock().expect("no panic").push(Instant::now());
    interval_at(Instant::now() + after, after).tick().await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_waited_go_on_by_and_by_and_none_waits_for_the_answer_of_another() {
    let (address, came) = slow(Duration::from_secs(3)).await.expect("a free port");
    let mut plane = Plane::serving(vec![held("gone.localhost", Duration::from_secs(60))]).await;
    let mut waiting = JoinSet::new();
    for _ in 0..MANY / 50 {
        let connection = plane.https().speaking(Speaks::H2).connect("gone.localhost").await.expect("connected");
        for _ in 0..50 {
            let mut stream = connection.beside().expect("HTTP/2 asks side by side");
            waiting.spawn(async move { stream.ask("POST", "/", &[], "x").await });
        }
    }
    let all_wait = || std::future::ready((plane.metric("gangway_requests_waiting") >= f64::from(MANY)).then_some(()));
    eventually("all wait", Duration::from_secs(20), all_wait).await;
    plane.serve(vec![route("gone.localhost", address)]).await;
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer.expect("no panic").expect("answered").status, 200);
    }
    let came = came.lock().expect("no panic");
    let spread = *came.last().expect("they came") - came[0];
    assert_eq!(came.len(), usize::from(MANY), "each came once");
    // 64 at once, the next 64 after 50 ms, and so on.
    assert!(spread >= Duration::from_millis(450), "an application is overrun: all in {spread:?}");
    // One batch after the answers of the other would take twelve times three seconds.
    assert!(spread < Duration::from_secs(3), "who takes its time holds up the others: {spread:?}");
}
