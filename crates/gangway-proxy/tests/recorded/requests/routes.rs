//! Hosts, and the routes below one of them.

use super::corpus::{Corpus, HOST, Listener, latin1, request};

impl Corpus {
    pub(super) fn hosts(&mut self) {
        self.begin("host");
        for host in HOSTS {
            self.add(Listener::Plain, &request("GET /h HTTP/1.1", host, "", b""));
            let absolute = request(&format!("GET http://{host}/h?q HTTP/1.1"), host, "", b"");
            self.add(Listener::Plain, &absolute);
        }
        for (target, host) in [
            ("http://a.localhost/h", "b.localhost"),
            ("http://A.localhost/h", "a.localhost"),
            ("http://a.localhost:80/h", "a.localhost"),
            ("https://a.localhost/h", "a.localhost"),
            ("HTTP://a.localhost/h", "a.localhost"),
            ("http://a.localhost", "a.localhost"),
            ("http://a.localhost?q=1", "a.localhost"),
            ("http://u:p@a.localhost/h", "a.localhost"),
            ("ftp://a.localhost/h", "a.localhost"),
            ("http:///h", "a.localhost"),
            ("http://a.localhost//h", "a.localhost"),
            ("http://a.localhost/strip/h", "a.localhost"),
            ("http://a.localhost/add/h", "a.localhost"),
            ("http://a.localhost/re/h", "a.localhost"),
            ("http://a.localhost/strip", "a.localhost"),
        ] {
            self.add(Listener::Plain, &request(&format!("GET {target} HTTP/1.1"), host, "", b""));
        }
        for head in [
            "GET /h HTTP/1.1\r\nX-Case: {case}\r\n\r\n",
            "GET /h HTTP/1.0\r\nX-Case: {case}\r\n\r\n",
            "GET /h HTTP/1.1\r\nhost: a.localhost\r\nX-Case: {case}\r\n\r\n",
            "GET /h HTTP/1.1\r\nX-Case: {case}\r\nHOST:a.localhost\r\n\r\n",
            "GET /h HTTP/1.1\r\nHost: a.localhost\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
            "GET /h HTTP/1.1\r\nHost: a.localhost\r\nhost: b.localhost\r\nX-Case: {case}\r\n\r\n",
            "GET http://a.localhost/h HTTP/1.1\r\nX-Case: {case}\r\n\r\n",
        ] {
            self.add(Listener::Plain, &latin1(head));
        }
    }

    pub(super) fn routes(&mut self) {
        self.begin("route");
        for path in ROUTES {
            self.add(Listener::Plain, &request(&format!("GET {path} HTTP/1.1"), HOST, "", b""));
            let post = request(
                &format!("POST {path} HTTP/1.1"),
                HOST,
                "Content-Length: 12\r\nX-Set: mine\r\nX-Gone: 1\r\n",
                b"twelve bytes",
            );
            let listener = self.listener();
            self.add(listener, &post);
        }
        for host in ["named.localhost", "upstream.localhost", "named.localhost:8080", "nobody.localhost"] {
            for listener in [Listener::Plain, Listener::Trusting] {
                self.add(listener, &request("GET /r?x HTTP/1.1", host, "X-Forwarded-Host: c.example:99\r\n", b""));
            }
        }
        for len in [0_usize, 9, 10, 11, 100] {
            let body = "b".repeat(len);
            let sized = request("POST /small HTTP/1.1", HOST, &format!("Content-Length: {len}\r\n"), body.as_bytes());
            self.add(Listener::Plain, &sized);
            let chunks = self.chunked(body.as_bytes());
            self.add(
                Listener::Plain,
                &request("POST /small HTTP/1.1", HOST, "Transfer-Encoding: chunked\r\n", &chunks),
            );
        }
    }
}

const HOSTS: &[&str] = &[
    "a.localhost",
    "A.LOCALHOST",
    "a.localhost.",
    "a.localhost:80",
    "a.localhost:8080",
    "a.localhost:0",
    "a.localhost:",
    "a.localhost:65535",
    "a.localhost:65536",
    "a.localhost:x",
    "a.localhost:080",
    "a.localhost:-1",
    "",
    " ",
    ".",
    "a..localhost",
    ".a.localhost",
    "a_b.localhost",
    "a.localhost/x",
    "a.localhost?x",
    "a.localhost#x",
    "u@a.localhost",
    "127.0.0.1",
    "[::1]",
    "[::1]:80",
    "[::1",
    "::1",
    "[::g]",
    "a.localhost, b.localhost",
    "a.localhost b.localhost",
    "xn--bcher-kva.localhost",
    "b\u{fc}cher.localhost",
    "a%2elocalhost",
    "named.localhost",
    "upstream.localhost",
    "nobody.localhost",
    "a*localhost",
    "*.localhost",
];

const ROUTES: &[&str] = &[
    "/strip",
    "/strip/",
    "/strip?q",
    "/strip/a",
    "/strip/a%2Fb//c?x=%20",
    "/%73trip/x",
    "//strip/x",
    "/y/../strip/x",
    "/stripped",
    "/strip/../add/x",
    "/strip/..",
    "/STRIP/x",
    "/strip//",
    "/strip/./x",
    "/strip%2Fx",
    "/strip/%2e%2e/x",
    "/add",
    "/add/x",
    "/add/x?y",
    "/add/",
    "/add/../x",
    "/add/%2e%2e/x",
    "/add//x",
    "/re",
    "/re/",
    "/re/x",
    "/re/x?y=z",
    "/re/a%2Fb",
    "/re/a/b?c",
    "//re/x",
    "/both",
    "/both/",
    "/both/x?y",
    "/both/../both/x",
    "/fields",
    "/fields/x?y",
    "/small",
    "/small/x",
    "/redirect",
    "/redirect/x?y=z",
    "/answer",
    "/answer/x",
    "/strip;a/x",
    "/strip/x;a",
    "/add;a/x",
];
