//! Where there is no more room: who is refused, and who is served.

mod common;

use std::future::ready;
use std::num::NonZeroU64;
use std::time::Duration;

use common::{Plane, app, held, resident_bytes, route};
use gangway_model::Middleware;
use gangway_testkit::client::Speaks;
use gangway_testkit::raw::Raw;
use gangway_testkit::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const STUCK: Duration = Duration::from_secs(30);

/// Much longer than a test waits here.
const HOLD: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_memory_is_used_up_requests_are_refused_whether_their_heads_are_whole_or_not() {
    let (address, _) = app("full").await;
    // The process of this test alone has more.
    let mut plane = Plane::start_with(|settings| settings.limits.memory = 1 << 20);
    plane.serve(vec![route("full.localhost", address)]).await;
    let is_measured = || ready((plane.metric("gangway_memory_bytes") > 0.0).then_some(()));
    eventually("memory is measured", STUCK, is_measured).await;
    // Connections are closed for lack of memory as well, so not every one gets as far as to an answer.
    for client in plane.clients() {
        let refused = eventually("an answer", STUCK, async || client.get("full.localhost", "/").await.ok()).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_empty()), (503, false));
        // Over HTTP/2 a body could keep the stream of a client that has no room for it.
        assert_eq!(refused.body.is_empty(), refused.version == http::Version::HTTP_2, "{:?}", refused.version);
    }
    let refused = eventually("an answer to half a head", STUCK, async || {
        let mut client = Raw::connect(plane.plane.listening().plain()[0]).await.ok()?;
        client.ask("GET / HTTP/1.1\r\nHost").await.ok()
    });
    assert_eq!(refused.await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_requests_under_way_and_others_have_theirs() {
    const MOST: usize = 5;
    let (address, _) = app("calm").await;
    let mut plane = Plane::start_with(|settings| settings.limits.requests_per_address = MOST);
    plane.serve(vec![held("held.localhost", HOLD), route("calm.localhost", address)]).await;
    let client = plane.https().speaking(Speaks::H2);
    let mut waiting = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..MOST {
        // Connections do not multiply what an address may have.
        let connection = client.connect("held.localhost").await.expect("connected");
        let mut stream = connection.beside().expect("HTTP/2 asks side by side");
        waiting.spawn(async move { stream.ask("GET", "/", &[], "").await });
        connections.push(connection);
    }
    let all_wait = || ready((plane.metric("gangway_requests_waiting") >= 5.0).then_some(()));
    eventually("all of them wait", STUCK, all_wait).await;
    let refused = client.get("calm.localhost", "/").await.expect("an answer");
    assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_empty()), (503, false));
    let other = client.clone().leaving_from([127, 0, 0, 2].into());
    assert_eq!(other.get("calm.localhost", "/").await.expect("an answer").status, 200);
    waiting.shutdown().await;
    eventually("its places are free again", STUCK, async || {
        client.get("calm.localhost", "/").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_bound_idle_connections_are_closed_and_the_heaviest_address_too() {
    const ROOM: usize = 128 << 20;
    let mut plane = Plane::start_with(|settings| settings.limits.memory = resident_bytes() + ROOM);
    plane.serve(vec![held("held.localhost", HOLD)]).await;
    let http = plane.plane.listening().plain()[0];
    let (mut idle, mut busy) =
        (TcpStream::connect(http).await.expect("room"), TcpStream::connect(http).await.expect("room"));
    busy.write_all(b"GET / HTTP/1.1\r\nHost: held.localhost\r\n\r\n").await.expect("open");
    let waits = || ready((plane.metric("gangway_requests_waiting") >= 1.0).then_some(()));
    eventually("the request waits", STUCK, waits).await;
    let filling = vec![1_u8; 2 * ROOM];
    for connection in [&mut idle, &mut busy] {
        let end = tokio::time::timeout(STUCK, connection.read(&mut [0; 1])).await.expect("it is closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    assert!(plane.metric("gangway_shed_total") >= 2.0 && filling.iter().all(|byte| *byte == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_memory_runs_short_what_is_kept_of_answers_goes() {
    const ROOM: usize = 128 << 20;
    const KEPT: &str = "/bytes/500000?cache-control=max-age=600";
    let (address, _) = app("kept").await;
    let mut plane = Plane::start_with(|settings| settings.limits.memory = resident_bytes() + ROOM);
    let mut cached = route("kept.localhost", address);
    cached.middlewares = vec![Middleware::Cache(NonZeroU64::new(32 << 20).expect("not 0"))];
    plane.serve(vec![cached]).await;
    let client = plane.https();
    let is_hit = async || {
        let answer = client.get("kept.localhost", KEPT).await.ok().filter(|answer| answer.status == 200)?;
        assert_eq!(answer.body.len(), 500_000);
        Some(answer.header("cache-status").contains("hit"))
    };
    assert_eq!((is_hit().await, is_hit().await), (Some(false), Some(true)));
    let is_counted = || ready((plane.metric("gangway_cache_bytes") > 500_000.0).then_some(()));
    eventually("what is kept is counted", STUCK, is_counted).await;
    let filling = vec![1_u8; 2 * ROOM];
    eventually("it goes", STUCK, || ready((plane.metric("gangway_cache_bytes") == 0.0).then_some(()))).await;
    assert!(filling.iter().all(|byte| *byte == 1));
    drop(filling);
    assert!(!eventually("it is served again", STUCK, is_hit).await, "it was kept all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_place_is_left_connections_that_are_idle_give_up_theirs() {
    let (address, _) = app("calm").await;
    let mut plane = Plane::start_with(|settings| settings.limits.connections = 10);
    plane.serve(vec![route("calm.localhost", address)]).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        let served = async {
            let mut connection = plane.http().connect("calm.localhost").await?;
            let answer = connection.get("/").await?;
            std::io::Result::Ok((connection, answer.status))
        };
        let (connection, status) = tokio::time::timeout(STUCK, served).await.expect("a place").expect("an answer");
        assert_eq!(status, 200);
        open.push(connection);
    }
}
