//! Where waiting does not help, no request waits, and local clients see the fix.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{Plane, RouteToServe, app, route};
use gangway_model::{Address, EndpointKey, Policy, Scheme, Upstream};
use gangway_testkit::client::Answer;
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

const STUCK: Duration = Duration::from_secs(20);

/// The same answer to each client; one of them.
async fn asked(plane: &Plane) -> Answer {
    let mut answers = Vec::new();
    for client in plane.clients() {
        let answer = tokio::time::timeout(STUCK, client.get("app.localhost", "/")).await;
        answers.push(answer.expect("nobody is kept waiting").expect("answered"));
    }
    let told = |answer: &Answer| (answer.status, answer.header("retry-after").to_owned());
    assert!(answers.iter().all(|answer| told(answer) == told(&answers[0])), "{answers:?}");
    answers.pop().expect("there are some")
}

fn with_upstream(mut route: RouteToServe, change: impl FnOnce(&mut Upstream) + 'static) -> RouteToServe {
    route.change = Box::new(move |route| {
        let Upstream { id, endpoints, policy, held, unreachable, internal: _ } = &*route.upstream;
        let (id, endpoints, policy) = (id.clone(), endpoints.clone(), policy.clone());
        let mut upstream =
            Upstream { id, endpoints, policy, held: *held, unreachable: unreachable.clone(), internal: None };
        change(&mut upstream);
        route.upstream = Arc::new(upstream);
    });
    route
}

#[tokio::test]
async fn no_shared_network_is_said_at_once() {
    let unreachable = with_upstream(route("app.localhost", ClosedPort::kept()), |upstream| {
        upstream.endpoints.clear();
        upstream.policy = Policy { hold: Duration::from_secs(3600), ..Policy::default() };
        upstream.unreachable = Some("container `app-1`: no shared network (G401). To mend it, add it.".into());
    });
    let plane = Plane::serving(vec![unreachable]).await;
    let answer = asked(&plane).await;
    let text = answer.text();
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, ""));
    assert!(text.contains("no shared network (G401). To mend it, add it."), "{text}");
    assert!(!text.contains("not running") && !text.contains("refresh"), "it runs, and will not come: {text}");
}

#[tokio::test]
async fn a_port_that_was_never_open_is_not_waited_for_once_the_time_is_over() {
    const HOLD: Duration = Duration::from_millis(500);
    let address = ClosedPort::kept();
    let wrong = with_upstream(route("app.localhost", address), |upstream| {
        upstream.policy = Policy { hold: HOLD, ..Policy::default() };
    });
    let begun = Instant::now();
    let plane = Plane::serving(vec![wrong]).await;
    eventually("it has been there for longer than anybody waits", STUCK, async || {
        (begun.elapsed() > 2 * HOLD).then_some(())
    })
    .await;
    let answer = asked(&plane).await;
    let text = answer.text();
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (502, ""), "{text}");
    assert!(text.contains("Does the app listen on this port") && !text.contains("refresh"), "{text}");
    let state = plane.plane.endpoint_state(&key(address)).expect("it is served");
    assert!(state.trouble().is_some_and(|trouble| trouble.contains("connection refused")));
}

#[tokio::test]
async fn the_first_to_wait_in_vain_is_told_why_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let crashes = with_upstream(route("app.localhost", listener.local_addr().expect("bound")), |upstream| {
        upstream.policy = Policy { hold: Duration::from_millis(300), ..Policy::default() };
    });
    let plane = Plane::serving(vec![crashes]).await;
    let once = async {
        let (mut stream, _) = listener.accept().await.expect("asked");
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.expect("sent");
    };
    let client = plane.http();
    let (well, ()) = tokio::join!(client.get("app.localhost", "/"), once);
    assert_eq!(well.expect("answered").status, 200);
    drop(listener);
    let answer = asked(&plane).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (502, ""), "{}", answer.text());
}

fn key(address: SocketAddr) -> EndpointKey {
    EndpointKey { container: address.to_string().into(), address: Address::Ip(address.ip(), address.port()) }
}

/// Answers every ClientHello with this alert, as an application does that is too old.
async fn refusing(alert: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, alert]).await;
        }
    });
    address
}

#[tokio::test]
async fn an_app_whose_tls_is_too_old_is_said_to_be_so() {
    const HANDSHAKE_FAILURE: u8 = 40;
    const PROTOCOL_VERSION: u8 = 70;
    for alert in [HANDSHAKE_FAILURE, PROTOCOL_VERSION] {
        let address = refusing(alert).await;
        let mut old = route("app.localhost", address);
        old.endpoints[0].1 = Scheme::Https;
        let mut plane = Plane::serving(vec![old]).await;
        let answer = asked(&plane).await;
        let text = answer.text();
        assert_eq!(answer.status, 502);
        assert!(text.contains("upstream-tls") && text.contains("TLS 1.1 or older"), "{text}");
        assert!(text.contains("Let it speak TLS 1.2"), "what to do is missing: {text}");
        let state = plane.plane.endpoint_state(&key(address)).expect("it is served");
        assert!(state.trouble().is_some_and(|trouble| trouble.contains("no TLS in common")));
        // What was wrong is not held against it for ever.
        let (well, _) = app("well").await;
        plane.serve(vec![route("app.localhost", well)]).await;
        assert_eq!(asked(&plane).await.status, 200);
    }
}

#[tokio::test]
async fn an_app_that_speaks_tls_where_plain_http_is_expected_is_guessed() {
    const UNEXPECTED_MESSAGE: u8 = 10;
    let address = refusing(UNEXPECTED_MESSAGE).await;
    let plane = Plane::serving(vec![route("app.localhost", address)]).await;
    let answer = asked(&plane).await;
    let text = answer.text();
    assert_eq!(answer.status, 502);
    assert!(text.contains("set <code>scheme</code> to <code>https</code>"), "{text}");
}
