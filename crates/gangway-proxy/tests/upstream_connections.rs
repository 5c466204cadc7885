//! Connections to an application that are kept: who may use one again, and who may not.

mod common;

use std::time::Duration;

use common::{Plane, route};
use gangway_proxy::Threading;
use gangway_testkit::client::Speaks;
use gangway_testkit::pieces::Pieces;
use gangway_testkit::raw::{self, Raw};
use gangway_testkit::scripted::{Asked, Scripted};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// With one thread, so that all connections that are kept are kept in one place.
async fn plane(upstream: &Scripted) -> Plane {
    let mut plane = Plane::start_with(|settings| settings.threading = Threading::PerCore(1));
    let mut served = route("app.localhost", upstream.address);
    served.change = Box::new(|route| route.timeouts.response = Duration::from_secs(20));
    plane.serve(vec![served]).await;
    plane
}

async fn client(plane: &Plane) -> Raw {
    Raw::connect(plane.plane.listening().plain()[0]).await.expect("it listens")
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n")
}

#[tokio::test]
async fn a_body_ends_once_however_its_last_frame_looks() {
    let upstream = Scripted::answering(|_| OK.into()).await.expect("a free port");
    let plane = plane(&upstream).await;
    let stream = plane.https().speaking(Speaks::H2).stream("app.localhost").await.expect("connected");
    let mut uploads = Pieces::over(stream, "app.localhost").await.expect("HTTP/2");
    let bodies: [&[&'static str]; 5] = [&["x", ""], &["", "x", ""], &[""], &["", ""], &["x", "", "y"]];
    for frames in bodies {
        let answer = uploads.ask("PUT", "/", &[], frames).await.expect("answered");
        assert_eq!((answer.0.as_u16(), &*answer.1), (200, "ok"), "{frames:?}");
        // The next two requests on the same connection get answers of their own.
        for _ in 0..2 {
            let next = client(&plane).await.ask(get("")).await.expect("answered");
            assert_eq!((next.status, &*next.text()), (200, "ok"), "after {frames:?}");
        }
        assert_eq!(upstream.strays(), Vec::<String>::new(), "after {frames:?}");
    }
    let uploaded: Vec<Asked> = upstream.asked().into_iter().filter(|asked| asked.head.starts_with("PUT")).collect();
    let expected = bodies.map(|frames| frames.concat().into_bytes());
    assert_eq!(uploaded.iter().map(|asked| asked.body.clone()).collect::<Vec<_>>(), expected);
    assert!(
        upstream.asked().iter().all(|asked| asked.connection == 0),
        "the connection is kept: {:?}",
        upstream.asked()
    );
}

/// An application that authenticates connections: the answer says who it takes the client for.
async fn authenticating() -> Scripted {
    let names = std::sync::Mutex::new(std::collections::HashMap::<usize, String>::new());
    let script = move |asked: &Asked| {
        let mut names = names.lock().expect("no panic");
        let credentials = asked.field("authorization");
        let demand = |challenge: &str, len: &str| {
            format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{len}\r\n").into_bytes()
        };
        match credentials.split_once(' ') {
            Some(("NTLM", "begin")) => {
                names.insert(asked.connection, String::new());
                demand("NTLM challenge", "Content-Length: 0\r\n")
            }
            // Known here only if it was begun here.
            Some(("NTLM", name)) if names.contains_key(&asked.connection) => {
                names.insert(asked.connection, name.to_owned());
                hello(name)
            }
            Some(("Negotiate", name)) => {
                names.insert(asked.connection, name.to_owned());
                hello(name)
            }
            _ => match names.get(&asked.connection).filter(|name| !name.is_empty()) {
                Some(name) => hello(name),
                None if asked.head.starts_with("GET /open") => hello("whoever"),
                None => demand("Negotiate, NTLM", "Transfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n0\r\n"),
            },
        }
    };
    Scripted::answering(script).await.expect("a free port")
}

fn hello(name: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).into_bytes()
}

#[tokio::test]
async fn who_authenticated_a_connection_is_the_only_one_it_answers() {
    let upstream = authenticating().await;
    let plane = plane(&upstream).await;
    let (mut anna, mut berta, mut nobody) = (client(&plane).await, client(&plane).await, client(&plane).await);
    // All of them have used connections that are shared.
    for client in [&mut anna, &mut berta, &mut nobody] {
        assert_eq!(client.ask(get("").replace("/ ", "/open ")).await.expect("answered").text(), "whoever");
        assert_eq!(client.ask(get("")).await.expect("answered").status, 401);
    }
    for (client, name) in [(&mut anna, "anna"), (&mut berta, "berta")] {
        let asked = client.ask(get("Authorization: NTLM begin\r\n")).await.expect("answered");
        assert_eq!((asked.status, asked.field("www-authenticate")), (401, "NTLM challenge"));
        let known = client.ask(get(&format!("Authorization: NTLM {name}\r\n"))).await.expect("answered");
        assert_eq!((known.status, &*known.text()), (200, name));
    }
    for _ in 0..3 {
        // Without credentials: the connection speaks for them.
        assert_eq!(anna.ask(get("")).await.expect("answered").text(), "anna");
        assert_eq!(berta.ask(get("")).await.expect("answered").text(), "berta");
        assert_eq!(nobody.ask(get("")).await.expect("answered").status, 401);
        assert_eq!(client(&plane).await.ask(get("")).await.expect("answered").status, 401);
        let mut fourth = client(&plane).await;
        assert_eq!(fourth.ask(get("").replace("/ ", "/open ")).await.expect("answered").text(), "whoever");
    }
    let is_annas = |asked: &&Asked| asked.field("authorization") == "NTLM anna";
    let annas = upstream.asked().iter().find(is_annas).expect("she came").connection;
    drop(anna);
    gangway_testkit::wait::eventually("her connection ends with hers", Duration::from_secs(20), async || {
        upstream.ended().contains(&annas).then_some(())
    })
    .await;
    assert_eq!(berta.ask(get("")).await.expect("answered").text(), "berta");
}

#[tokio::test]
async fn what_asked_for_a_connections_credentials_is_used_by_nobody_else() {
    let upstream = authenticating().await;
    let plane = plane(&upstream).await;
    for _ in 0..5 {
        assert_eq!(client(&plane).await.ask(get("")).await.expect("answered").status, 401);
    }
    let turns: Vec<usize> = upstream.asked().iter().map(|asked| asked.turn).collect();
    assert_eq!(turns, [0; 5]);
}

#[tokio::test]
async fn over_http2_such_credentials_are_for_one_request() {
    let upstream = authenticating().await;
    let plane = plane(&upstream).await;
    let mut connection = plane.https().speaking(Speaks::H2).connect("app.localhost").await.expect("connected");
    let fields = [("authorization", "Negotiate anna")];
    for _ in 0..2 {
        assert_eq!(connection.ask("GET", "/", &fields, "").await.expect("answered").text(), "anna");
        assert_eq!(connection.get("/").await.expect("answered").status, 401);
        assert_eq!(client(&plane).await.ask(get("")).await.expect("answered").status, 401);
    }
    for asked in upstream.asked().iter().filter(|asked| !asked.field("authorization").is_empty()) {
        assert_eq!((asked.turn, asked.field("connection")), (0, "close"));
    }
}

#[tokio::test]
async fn a_connection_that_carried_more_than_an_answer_is_used_by_nobody_else() {
    let answers = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nstray"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nstray"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokstray"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nstray"),
    ];
    for (method, answer) in answers {
        let upstream = Scripted::answering(move |_| answer.into()).await.expect("a free port");
        let plane = plane(&upstream).await;
        for _ in 0..3 {
            let mut client = client(&plane).await;
            client.send(get("").replace("GET", method)).await.expect("sent");
            let asked = if method == "HEAD" { raw::Asked::ForHead } else { raw::Asked::ForAll };
            let got = client.answer(asked).await.expect("answered");
            assert!(got.status < 400 && !got.text().contains("stray"), "{got:?}");
        }
        let turns: Vec<usize> = upstream.asked().iter().map(|asked| asked.turn).collect();
        assert_eq!(turns, [0; 3], "{answer:?}");
    }
}
