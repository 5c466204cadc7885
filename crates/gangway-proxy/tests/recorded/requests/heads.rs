//! Request lines and heads: methods, targets, versions, line ends, sizes.

use gangway_testkit::odd_parts::{recorded, requests};

use super::corpus::{Corpus, HOST, Listener, latin1, request};

impl Corpus {
    pub(super) fn methods(&mut self) {
        self.begin("method");
        let methods = [
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "DELETE",
            "OPTIONS",
            "PATCH",
            "PROPFIND",
            "PROPPATCH",
            "MKCOL",
            "COPY",
            "MOVE",
            "LOCK",
            "UNLOCK",
            "REPORT",
            "SEARCH",
            "PURGE",
            "QUERY",
            "LINK",
            "get",
            "Get",
            "X",
            "M-SEARCH",
            "A!#$%&'*+-.^_`|~9",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG",
            "TRACE",
            "CONNECT",
            "PRI",
            "GE(T",
            "GÉT",
            "",
        ];
        for method in methods {
            for listener in [Listener::Plain, Listener::Tls] {
                self.add(listener, &request(&format!("{method} /m?a=b HTTP/1.1"), HOST, "", b""));
            }
            let sized = request(&format!("{method} /m HTTP/1.1"), HOST, "Content-Length: 4\r\n", b"body");
            self.add(Listener::Plain, &sized);
            let empty = request(&format!("{method} /m HTTP/1.1"), HOST, "Content-Length: 0\r\n", b"");
            self.add(Listener::Plain, &empty);
        }
        for target in ["*", "a.localhost:443", "/"] {
            for method in ["OPTIONS", "CONNECT", "GET"] {
                self.add(Listener::Plain, &request(&format!("{method} {target} HTTP/1.1"), HOST, "", b""));
            }
        }
    }

    pub(super) fn targets(&mut self) {
        self.begin("target");
        for target in recorded(requests::TARGETS) {
            self.add(Listener::Plain, &request(&format!("GET {target} HTTP/1.1"), HOST, "", b""));
        }
        for byte in 0x21..=0xff_u8 {
            if byte.is_ascii_alphanumeric() {
                continue;
            }
            for in_query in [false, true] {
                let mut bytes = b"GET /x".to_vec();
                bytes.extend(if in_query { &b"?"[..] } else { b"" });
                bytes.push(byte);
                bytes.extend(b"y HTTP/1.1");
                bytes.extend(&request("", HOST, "", b""));
                // Every second byte above ASCII is enough.
                if byte < 0x80 || byte % 16 == 9 {
                    self.add(Listener::Plain, &bytes);
                }
            }
        }
        for _ in 0..120 {
            let path = self.text("abcXYZ019/././..//%2F%2e%41%c3%b6-_~!$&'()*+,;=:@|^[]{}\\", 24);
            let query = if self.rng.bool() {
                format!("?{}", self.text("ab=&?/%20%zz+:@[]{}|^'`,;", 20))
            } else {
                String::new()
            };
            let listener = self.listener();
            self.add(listener, &request(&format!("GET /{path}{query} HTTP/1.1"), HOST, "", b""));
        }
        let long = |len: usize| format!("GET /{} HTTP/1.1", "x".repeat(len - 1));
        for len in [4000, 8191, 8192, 8193, 9000] {
            self.add(Listener::Plain, &request(&long(len), HOST, "", b""));
        }
    }

    pub(super) fn versions(&mut self) {
        self.begin("version");
        for version in [
            "HTTP/1.0",
            "HTTP/1.1",
            "HTTP/0.9",
            "HTTP/1.2",
            "HTTP/2",
            "HTTP/2.0",
            "HTTP/3",
            "http/1.1",
            "HTTP/1.1 ",
            " HTTP/1.1",
            "HTTP/01.1",
            "HTTP/1,1",
            "HTTP/1.10",
            "HTTPS/1.1",
            "",
            "x",
        ] {
            for fields in ["", "Connection: keep-alive\r\n", "Connection: close\r\n", "Accept: a\r\n"] {
                self.add(Listener::Plain, &request(&format!("GET /v {version}"), HOST, fields, b""));
            }
        }
        for fields in [
            "Content-Length: 2\r\n",
            "Content-Length: 2\r\nConnection: keep-alive\r\n",
            "Expect: 100-continue\r\nContent-Length: 2\r\n",
            "Expect: x\r\nContent-Length: 2\r\n",
        ] {
            self.add(Listener::Plain, &request("POST /v HTTP/1.0", HOST, fields, b"ab"));
        }
        for line in [
            "GET /v",
            "GET",
            "",
            "GET  /v HTTP/1.1",
            "GET /v  HTTP/1.1",
            "GET\t/v\tHTTP/1.1",
            " GET /v HTTP/1.1",
            "GET /v HTTP/1.1 x",
            "GET /a b HTTP/1.1",
        ] {
            self.add(Listener::Plain, &request(line, HOST, "", b""));
        }
    }

    pub(super) fn large_heads(&mut self) {
        self.begin("large");
        for count in [90, 97, 98, 99, 100, 101, 150] {
            let fields: String = (0..count).map(|number| format!("X-{number}: y\r\n")).collect();
            self.get(&fields);
        }
        for len in [8_000, 16_000, 30_000, 32_500, 32_700, 33_000, 40_000] {
            self.get(&format!("X-Long: {}\r\n", "y".repeat(len)));
            self.get(&format!("Cookie: {}\r\n", "z".repeat(len)));
        }
        self.get(&format!("{}: y\r\n", "N".repeat(5000)));
    }

    pub(super) fn line_ends(&mut self) {
        self.begin("line");
        for head in LINES {
            self.add(Listener::Plain, &latin1(head));
        }
    }
}

const LINES: &[&str] = &[
    "GET /l HTTP/1.1\nHost: a.localhost\nX-Case: {case}\n\n",
    "GET /l HTTP/1.1\r\nHost: a.localhost\nX-Case: {case}\r\n\r\n",
    "GET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\n",
    "\r\nGET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "\r\n\r\nGET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "\nGET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "\rGET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "GET /l HTTP/1.1\r\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "GET /l HTTP/1.1\r\nHost: a.localhost\r\r\nX-Case: {case}\r\n\r\n",
    "GET /l HTTP/1.1\r\nX: a\rb\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "\u{1}\u{2}\u{3}\r\n\r\n",
    "{\"a\": 1}\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH-2.0-x\r\n",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "GET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\nX: y",
    " \r\nGET /l HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
];
