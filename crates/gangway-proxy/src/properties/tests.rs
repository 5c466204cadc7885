//! Connections through to applications: each way of them is reached, and what a fuzzer found.

use super::*;

/// The statuses of responses over HTTP/1, in order.
fn statuses(answer: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(answer).expect("ASCII");
    text.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect()
}

#[test]
fn every_way_of_an_application_is_reached_over_both_versions() {
    for (path, status, at_endpoints) in [
        ("/sized/100", "200", 1.0),
        ("/framed/100", "200", 1.0),
        ("/trailers/100", "200", 1.0),
        ("/until-close/100", "200", 1.0),
        ("/cut/100", "200", 1.0),
        ("/early/0", "413", 1.0),
        ("/late/0", "200", 1.0),
        ("/last/5", "200", 1.0),
        ("/old/5", "200", 1.0),
        ("/switch/0", "502", 1.0),
        ("/odd/0", "502", 1.0),
        ("/mute/0", "502", 1.0),
        ("/challenge/0", "401", 1.0),
        ("/h2c/sized/100", "200", 1.0),
        ("/h2c/trailers/1", "200", 1.0),
        ("/h2c/late/1", "200", 1.0),
        // A stream that is reset takes its head along.
        ("/h2c/cut/5", "502", 1.0),
        ("/either/sized/1", "200", 1.0),
        ("/bounded/echo/0", "200", 1.0),
        ("/gone/sized/1", "502", 0.0),
    ] {
        let body = "hello";
        let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{body}");
        let served = check_connection(ClientHttp::One, request.as_bytes());
        assert_eq!(statuses(&served.answer).first().copied(), Some(status), "{path}");
        assert_eq!((served.at_endpoints, served.ended), (at_endpoints, 1.0), "{path}");

        let served = check_connection(ClientHttp::Two, &frames::post(path, body));
        assert_eq!((served.at_endpoints, served.ended), (at_endpoints, 1.0), "{path}");
    }
}

/// The client waits for a 100 and the application for the body, which is how both may behave.
#[test]
fn a_client_and_an_application_that_wait_for_each_other_have_the_time_of_a_response() {
    let request = "POST /echo/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let served = check_connection(ClientHttp::One, request.as_bytes());
    assert_eq!((statuses(&served.answer), served.at_endpoints), (vec!["504"], 1.0));
    let served = check_connection(ClientHttp::Two, &frames::expecting("/echo/0"));
    assert_eq!((served.at_endpoints, served.ended), (1.0, 1.0));
}

/// Found by a fuzzer: such a client could keep its connection, and one to the application, for ever.
#[test]
fn a_client_that_asks_for_a_100_and_does_not_wait_for_it_has_the_time_of_a_body() {
    for path in ["/echo/0", "/h2c/sized/9"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\nExpect: 100-continue\r\n\r\n");
        let served = check_connection(ClientHttp::One, format!("{head}a part").as_bytes());
        assert_eq!((statuses(&served.answer), served.at_endpoints), (vec!["408"], 1.0), "{path}");
    }
}

#[test]
fn a_second_request_in_a_body_reaches_nobody() {
    let inner = "GET /sized/1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\n\r\n";
    let request = format!("POST /echo/0 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
    assert_eq!(check_connection(ClientHttp::One, request.as_bytes()).at_endpoints, 1.0);
    assert_eq!(check_connection(ClientHttp::Two, &frames::post("/echo/0", inner)).at_endpoints, 1.0);
    let twice = format!("{request}{request}");
    assert_eq!(check_connection(ClientHttp::One, twice.as_bytes()).at_endpoints, 2.0);
}

/// Parts of requests, most of which fit together.
const PIECES: &[&str] = &[
    "GET /sized/9 HTTP/1.1\r\n",
    "POST /echo/9 HTTP/1.1\r\n",
    "POST /h2c/trailers/9 HTTP/1.1\r\n",
    "PUT /either/early/9 HTTP/1.1\r\n",
    "POST /bounded/framed/9 HTTP/1.0\r\n",
    "HEAD /mute/9 HTTP/1.1\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close, X-Inner\r\n",
    "Authorization: NTLM x\r\n",
    "X-Forwarded-For: 1\r\n",
    "\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-Sum: 1\r\n\r\n",
    "\n",
    "\0",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn any_frames_are_served_in_order(choices in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        check_connection(ClientHttp::Two, &frames_from(&choices));
    }

    #[test]
    fn any_requests_are_served_in_order(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..16)
    ) {
        check_connection(ClientHttp::One, pieces.concat().as_bytes());
    }
}
