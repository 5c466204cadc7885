//! The odd requests that the three are compared by.

use gangway_testkit::odd_parts::{compared, requests};

use crate::side_by_side::{last, request};

/// What a client sends.
#[derive(Clone, Debug)]
pub struct OddRequest {
    /// The odd part, as it is shown.
    pub title: String,
    /// All bytes, with `{case}` for the name of the case.
    pub bytes: Vec<u8>,
    /// Whether the client closes its sending direction behind them.
    pub is_half_closed: bool,
}

/// A request that is cut after each of its bytes.
#[derive(Clone, Debug)]
pub struct CutRequest {
    /// The sample, as it is shown.
    pub title: String,
    /// All bytes of the sample.
    pub bytes: Vec<u8>,
}

fn odd(title: &str, bytes: impl Into<Vec<u8>>) -> OddRequest {
    let mut bytes = bytes.into();
    bytes.extend(last().into_bytes());
    OddRequest { title: title.to_owned(), bytes, is_half_closed: false }
}

/// All odd requests.
pub fn all() -> Vec<OddRequest> {
    let mut all = Vec::new();
    for method in [
        "get",
        "X",
        "M-SEARCH",
        "PROPFIND",
        "TRACE",
        "CONNECT",
        "OPTIONS",
        "G(T",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ",
    ] {
        all.push(odd(&format!("{method} /"), request(&format!("{method} / HTTP/1.1"), "", "")));
    }
    for target in compared(requests::TARGETS) {
        all.push(odd(&format!("GET {target}"), request(&format!("GET {target} HTTP/1.1"), "", "")));
    }
    all.push(odd("OPTIONS *", request("OPTIONS * HTTP/1.1", "", "")));
    for (title, bytes) in [
        ("a Latin-1 byte in the path", &b"GET /\xe4 HTTP/1.1"[..]),
        ("a Latin-1 byte in the query", b"GET /?\xe4 HTTP/1.1"),
        ("NUL in the path", b"GET /\0 HTTP/1.1"),
        ("DEL in the path", b"GET /\x7f HTTP/1.1"),
        ("TAB in the path", b"GET /\t HTTP/1.1"),
    ] {
        let mut bytes = bytes.to_vec();
        bytes.extend(request("", "", "").into_bytes());
        all.push(odd(title, bytes));
    }
    for (version, fields) in [
        ("HTTP/1.0", ""),
        ("HTTP/1.0", "Connection: keep-alive\r\n"),
        ("HTTP/1.2", ""),
        ("HTTP/2.0", ""),
        ("HTTP/0.9", ""),
        ("http/1.1", ""),
        ("HTTP/1.1x", ""),
        ("", ""),
    ] {
        let title = format!("version `{version}`{}", if fields.is_empty() { "" } else { ", keep-alive" });
        all.push(odd(&title, request(format!("GET / {version}").trim_end(), fields, "")));
    }
    for host in [
        "ODD.TEST",
        "odd.test.",
        "odd.test:80",
        "odd.test:x",
        "odd.test:99999",
        "",
        "odd.test/x",
        "u@odd.test",
        "odd test",
        "odd.test, x",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Case: {{case}}\r\n\r\n");
        all.push(odd(&format!("Host: {host}"), bytes));
    }
    for (title, head) in [
        ("no Host", "GET / HTTP/1.1\r\n"),
        ("Host twice", "GET / HTTP/1.1\r\nHost: odd.test\r\nHost: odd.test\r\n"),
        ("two Hosts", "GET / HTTP/1.1\r\nHost: odd.test\r\nHost: other.test\r\n"),
        ("absolute form, other Host", "GET http://odd.test/ HTTP/1.1\r\nHost: other.test\r\n"),
        ("absolute form, no Host", "GET http://odd.test/ HTTP/1.1\r\n"),
        ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n"),
    ] {
        all.push(odd(title, format!("{head}X-Case: {{case}}\r\n\r\n")));
    }
    for fields in FIELDS {
        all.push(odd(fields.trim_end(), request("GET / HTTP/1.1", fields, "")));
    }
    for (fields, body) in compared(requests::FRAMINGS) {
        all.push(odd(&format!("{} + {body}", fields.trim_end()), request("POST / HTTP/1.1", fields, body)));
    }
    for (fields, body) in
        [("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), ("Content-Length: 5\r\n", "hello"), ("", "")]
    {
        all.push(odd(
            &format!("POST, HTTP/1.0, {} + {body}", fields.trim_end()),
            request("POST / HTTP/1.0", fields, body),
        ));
    }
    for chunks in compared(requests::CHUNKS) {
        all.push(odd(
            &format!("chunks {chunks}"),
            request("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", chunks),
        ));
    }
    for (title, head) in LINES {
        all.push(odd(title, *head));
    }
    for (title, fields) in [
        ("120 fields", "X: y\r\n".repeat(120)),
        ("a field of 9,000 bytes", format!("X: {}\r\n", "y".repeat(9000))),
        ("a field of 40,000 bytes", format!("X: {}\r\n", "y".repeat(40_000))),
    ] {
        all.push(odd(title, request("GET / HTTP/1.1", &fields, "")));
    }
    for len in [7_000, 8_500] {
        all.push(odd(
            &format!("a target of {len} bytes"),
            request(&format!("GET /{} HTTP/1.1", "x".repeat(len)), "", ""),
        ));
    }
    for behind in ["\r\n", "\r\n\r\n", "\n", "x", "\0"] {
        all.push(odd(&format!("behind a request: {behind}"), request("GET / HTTP/1.1", "", behind)));
    }
    all.push(OddRequest {
        title: "Content-Length: 25, 23 sent, half-closed".into(),
        bytes: request("POST / HTTP/1.1", "Content-Length: 25\r\n", &"x".repeat(23)).into_bytes(),
        is_half_closed: true,
    });
    all.push(OddRequest { title: "nothing at all".into(), bytes: Vec::new(), is_half_closed: true });
    all
}

/// Requests that are cut after each byte.
pub fn cut() -> Vec<CutRequest> {
    [
        ("GET", "", ""),
        ("POST, Content-Length", "Content-Length: 10\r\n", "ten  bytes"),
        ("POST, chunked", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n5;x=y\r\nagain\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ]
    .into_iter()
    .map(|(title, fields, body)| {
        let line = if body.is_empty() { "GET / HTTP/1.1" } else { "POST / HTTP/1.1" };
        CutRequest { title: title.to_owned(), bytes: request(line, fields, body).into_bytes() }
    })
    .collect()
}

const FIELDS: &[&str] = &[
    "X:\r\n",
    "X : y\r\n",
    " X: y\r\n",
    "X: a\r\n b\r\n",
    "X\r\n",
    ": y\r\n",
    "X y: z\r\n",
    "X(: y\r\n",
    "X_Y: z\r\n",
    "X: a\0b\r\n",
    "X: a\x01b\r\n",
    "X: a\x7fb\r\n",
    "X: a\rb\r\n",
    "X: a\nY: b\r\n",
    "X: ä\r\n",
    "Xä: y\r\n",
    "Connection: X-Inner\r\nX-Inner: 1\r\n",
    "Connection: Host\r\n",
    "Connection: Content-Length\r\n",
    "Connection: X-Forwarded-For\r\n",
    "Connection: a b\r\n",
    "Connection: close\r\n",
    "Keep-Alive: timeout=5\r\n",
    "Proxy-Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    "TE: trailers\r\n",
    "TE: gzip\r\n",
    "Trailer: X-Sum\r\n",
    "Upgrade: websocket\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
    "Connection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
    "Connection: upgrade\r\n",
    "Max-Forwards: 0\r\n",
    "Cookie: a=b\r\nCookie: c=d\r\n",
];

const LINES: &[(&str, &str)] = &[
    ("LF only", "GET / HTTP/1.1\nHost: odd.test\nX-Case: {case}\n\n"),
    ("an empty line first", "\r\nGET / HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("LF first", "\nGET / HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("a TAB", "GET\t/ HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("CR CR LF", "GET / HTTP/1.1\r\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("no request at all", "{\"a\": 1}\r\n\r\n"),
    ("TLS on the plain port", "\x16\x03\x01\x02"),
    ("SSH", "SSH-2.0-x\r\n"),
    ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("PROXY protocol", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("a space first", " GET / HTTP/1.1\r\nHost: odd.test\r\nX-Case: {case}\r\n\r\n"),
    ("HTTP/0.9", "GET /\r\n"),
    ("an answer", "HTTP/1.1 200 OK\r\n\r\n"),
];
