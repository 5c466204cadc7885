//! The requests of HTTP/1 that are recorded: written by hand where a kind is known, and drawn where a kind is wide.
//!
//! Each case is the bytes of one client connection. Its last request is [`LAST`], so that the connection ends by itself
//! whatever became of those before; where a request is left unfinished, the client closes its sending direction instead.

use fastrand::Rng;
use gangway_testkit::recording::CASE_FIELD;

/// One seed for all: the same cases come out on each run.
const SEED: u64 = 0x6761_6e67;

/// The hosts that all routes of the recorded data planes are under.
pub(crate) const HOST: &str = "a.localhost";

/// The target of the request that ends a connection.
pub(crate) const LAST: &str = "/last";

/// The client connection of a case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listener {
    /// Plain HTTP.
    Plain,
    /// HTTPS.
    Tls,
    /// Plain HTTP, from a peer that is trusted to speak for clients.
    Trusting,
}

/// The bytes of one client connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RequestCase {
    pub(crate) id: String,
    pub(crate) listener: Listener,
    /// Each is one write.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Whether the client closes its sending direction behind its bytes.
    pub(crate) is_half_closed: bool,
}

/// All cases, in the same order each time.
pub(crate) fn all() -> Vec<RequestCase> {
    let mut corpus = Corpus { cases: Vec::new(), rng: Rng::with_seed(SEED), family: "", number: 0 };
    corpus.methods();
    corpus.targets();
    corpus.fields();
    corpus.connection_options();
    corpus.cookies();
    corpus.forwarding();
    corpus.hosts();
    corpus.routes();
    corpus.bodies();
    corpus.broken_framing();
    corpus.several_requests();
    corpus.versions();
    corpus.expectations();
    corpus.upgrades();
    corpus.trailers();
    corpus.large_heads();
    corpus.line_ends();
    corpus.early_ends();
    corpus.cases
}

struct Corpus {
    cases: Vec<RequestCase>,
    rng: Rng,
    family: &'static str,
    number: usize,
}

/// A request of which only the given parts are special.
fn request(line: &str, host: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(latin1(&format!("{line}\r\nHost: {host}\r\n{CASE_FIELD}: {{case}}\r\n{fields}\r\n")));
    bytes.extend(body);
    bytes
}

fn latin1(text: &str) -> Vec<u8> {
    // Texts here are ASCII, or UTF-8 that is meant as such.
    text.as_bytes().to_vec()
}

impl Corpus {
    fn begin(&mut self, family: &'static str) {
        self.family = family;
        self.number = 0;
    }

    fn id(&self) -> String {
        format!("{}-{}", self.family, self.number + 1)
    }

    fn fill(id: &str, bytes: &[u8]) -> Vec<u8> {
        let mark = b"{case}";
        let mut filled = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at..].starts_with(mark) {
                filled.extend(id.as_bytes());
                at += mark.len();
            } else {
                filled.push(bytes[at]);
                at += 1;
            }
        }
        filled
    }

    /// A case whose connection is ended by one more request.
    fn add(&mut self, listener: Listener, bytes: &[u8]) {
        self.add_in_pieces(listener, vec![bytes.to_vec()]);
    }

    fn add_in_pieces(&mut self, listener: Listener, mut pieces: Vec<Vec<u8>>) {
        let id = self.id();
        self.number += 1;
        let last = request(&format!("GET {LAST} HTTP/1.1"), HOST, "Connection: close\r\n", b"");
        match pieces.last_mut() {
            Some(piece) => piece.extend(last),
            None => pieces.push(last),
        }
        let pieces = pieces.iter().map(|piece| Self::fill(&id, piece)).collect();
        self.cases.push(RequestCase { id, listener, pieces, is_half_closed: false });
    }

    /// A case whose client sends these bytes and no more.
    fn add_half_closed(&mut self, listener: Listener, bytes: &[u8]) {
        let id = self.id();
        self.number += 1;
        let pieces = vec![Self::fill(&id, bytes)];
        self.cases.push(RequestCase { id, listener, pieces, is_half_closed: true });
    }

    fn get(&mut self, fields: &str) {
        self.add(Listener::Plain, &request("GET /x HTTP/1.1", HOST, fields, b""));
    }

    fn listener(&mut self) -> Listener {
        [Listener::Plain, Listener::Plain, Listener::Tls, Listener::Trusting][self.rng.usize(..4)]
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.rng.usize(..all.len())]
    }

    /// A text of some of these characters.
    fn text(&mut self, of: &str, most: usize) -> String {
        let of: Vec<char> = of.chars().collect();
        (0..self.rng.usize(..=most)).map(|_| of[self.rng.usize(..of.len())]).collect()
    }

    /// Bytes cut at some places.
    fn cut(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        // The case is named before the cuts, or its mark could be cut apart.
        let bytes = &*Self::fill(&self.id(), bytes);
        let most = [1, 3, 17, 200, bytes.len().max(1)][self.rng.usize(..5)];
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(self.rng.usize(1..=most).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = behind;
        }
        pieces
    }

    /// A body as chunks of odd sizes, with extensions and trailers now and then.
    fn chunked(&mut self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(self.rng.usize(1..=rest.len()));
            let size = match self.rng.usize(..4) {
                0 => format!("{:X}", chunk.len()),
                1 => format!("{:03x}", chunk.len()),
                _ => format!("{:x}", chunk.len()),
            };
            let extension = self.pick(&["", "", "", ";a", ";a=b", ";a=\"b c\""]);
            bytes.extend(format!("{size}{extension}\r\n").into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
            rest = behind;
        }
        bytes.extend(
            self.pick(&["0\r\n\r\n", "0\r\n\r\n", "0\r\n\r\n", "00;x=y\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"]).as_bytes(),
        );
        bytes
    }

    fn methods(&mut self) {
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

    fn targets(&mut self) {
        self.begin("target");
        for target in TARGETS {
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

    fn fields(&mut self) {
        self.begin("field");
        for fields in FIELDS {
            self.get(fields);
        }
        for byte in (0..0x20_u8).chain(0x7f..=0x81).chain([0xa0, 0xe9, 0xff]) {
            for place in 0..3 {
                let mut field = b"GET /x HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\nX".to_vec();
                let parts: [&[u8]; 3] = [b"-A", b": ", b"v"];
                for (at, part) in parts.iter().enumerate() {
                    field.extend(*part);
                    if at == place {
                        field.push(byte);
                    }
                }
                field.extend(b"w\r\n\r\n");
                self.add(Listener::Plain, &field);
            }
        }
        for _ in 0..160 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..8) {
                let name = match self.rng.usize(..3) {
                    0 => self
                        .pick(&[
                            "Accept",
                            "ACCEPT",
                            "accept",
                            "User-Agent",
                            "Referer",
                            "X-A",
                            "x-a",
                            "X-B",
                            "Range",
                            "If-None-Match",
                        ])
                        .to_owned(),
                    1 => self
                        .pick(&[
                            "Accept-Encoding",
                            "Authorization",
                            "Origin",
                            "Cache-Control",
                            "Pragma",
                            "Via",
                            "Date",
                            "Content-Type",
                        ])
                        .to_owned(),
                    _ => format!("X-{}", self.text("abcXYZ019-!#$%&'*+.^`|~", 8)),
                };
                let space = self.pick(&["", " ", "  ", "\t", " \t "]);
                let behind = self.pick(&["", "", "", " ", "\t"]);
                let value = self.text("abc XYZ,;=\"'<>()/?\\%{}äé", 20);
                fields += &format!("{name}:{space}{value}{behind}\r\n");
            }
            let listener = self.listener();
            self.add(listener, &request("GET /f HTTP/1.1", HOST, &fields, b""));
        }
    }

    fn connection_options(&mut self) {
        self.begin("connection");
        for options in CONNECTION {
            self.get(&format!("Connection: {options}\r\nX-Inner: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\n"));
        }
        for field in [
            "Keep-Alive: timeout=5, max=100\r\n",
            "Proxy-Connection: keep-alive\r\n",
            "Proxy-Connection: close\r\n",
            "Proxy-Authorization: Basic eDp5\r\n",
            "Proxy-Authenticate: Basic\r\n",
            "Connection: close\r\nConnection: X-Inner\r\nX-Inner: 1\r\n",
        ] {
            self.get(field);
        }
        for _ in 0..60 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..4) {
                let mut options = Vec::new();
                for _ in 0..self.rng.usize(1..4) {
                    options.push(self.pick(&[
                        "close",
                        "keep-alive",
                        "Keep-Alive",
                        "X-Inner",
                        "x-other",
                        "upgrade",
                        "te",
                        "cookie",
                        "",
                        "accept",
                        "x-real-ip",
                        "http2-settings",
                        "Trailer",
                    ]));
                }
                fields +=
                    &format!("Connection: {}\r\n", options.join(self.rng.choice([",", ", ", " , "]).unwrap_or(",")));
            }
            let rest = self.pick(&[
                "",
                "X-Inner: 1\r\nX-Other: 2\r\n",
                "TE: trailers\r\nCookie: a=b\r\nAccept: x\r\n",
                "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
            ]);
            let listener = self.listener();
            self.add(listener, &request("GET /c HTTP/1.1", HOST, &format!("{fields}{rest}"), b""));
        }
    }

    fn cookies(&mut self) {
        self.begin("cookie");
        for fields in COOKIES {
            self.get(fields);
        }
        for _ in 0..20 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..5) {
                fields += &format!("Cookie: {}={}\r\n", self.text("abcXYZ-_", 6), self.text("abc019%=\"{}:, ", 12));
            }
            let listener = self.listener();
            self.add(listener, &request("GET /k HTTP/1.1", HOST, &fields, b""));
        }
    }

    fn forwarding(&mut self) {
        self.begin("forwarding");
        for fields in FORWARDING {
            for listener in [Listener::Plain, Listener::Tls, Listener::Trusting] {
                self.add(listener, &request("GET /w HTTP/1.1", HOST, fields, b""));
            }
        }
        for _ in 0..80 {
            let mut fields = String::new();
            for _ in 0..self.rng.usize(1..5) {
                let address = self.pick(&[
                    "203.0.113.5",
                    "10.0.0.7",
                    "192.168.1.9, 203.0.113.9",
                    "2001:db8::1",
                    "[2001:db8::1]:443",
                    "203.0.113.5:8080",
                    "unknown",
                    "",
                    "::ffff:10.1.2.3",
                    "a, b",
                    "127.0.0.1",
                ]);
                fields += &match self.rng.usize(..7) {
                    0 | 1 => format!("X-Forwarded-For: {address}\r\n"),
                    2 => format!(
                        "X-Forwarded-Proto: {}\r\n",
                        self.pick(&["https", "http", "HTTPS", "wss", "ftp", "https, http", ""])
                    ),
                    3 => format!(
                        "X-Forwarded-Host: {}\r\n",
                        self.pick(&["b.example", "b.example:8443", "a b", "[::1]:80", "", "b, c"])
                    ),
                    4 => format!("X-Forwarded-Port: {}\r\n", self.pick(&["443", "8443", "0", "65536", "x", ""])),
                    5 => format!("Forwarded: for={address};proto=https\r\n"),
                    _ => format!("X-Real-IP: {address}\r\n"),
                };
            }
            let listener = self.listener();
            let host = self.pick(&[HOST, "a.localhost:8080", "A.LOCALHOST"]);
            self.add(listener, &request("GET /w HTTP/1.1", host, &fields, b""));
        }
    }

    fn hosts(&mut self) {
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

    fn routes(&mut self) {
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

    fn bodies(&mut self) {
        self.begin("body");
        for turn in 0..240 {
            let len = match turn % 6 {
                0 => self.rng.usize(..3),
                1..=4 => self.rng.usize(..200),
                _ => self.rng.usize(..40_000),
            };
            // Runs, so that the record stays small.
            let mut body = Vec::new();
            while body.len() < len {
                let byte = self.rng.u8(..);
                let run = if len > 300 { 1000 } else { 7 };
                body.extend(std::iter::repeat_n(byte, self.rng.usize(1..=run).min(len - body.len())));
            }
            let method = self.pick(&["POST", "PUT", "PATCH", "DELETE", "GET", "PROPFIND"]);
            let line = format!("{method} /b/{turn} HTTP/1.1");
            let listener = self.listener();
            let is_chunked = self.rng.bool();
            let bytes = if is_chunked {
                let coding = self.pick(&["chunked", "chunked", "Chunked", "CHUNKED", " chunked "]);
                let chunks = self.chunked(&body);
                request(&line, HOST, &format!("Transfer-Encoding: {coding}\r\nContent-Type: x/y\r\n"), &chunks)
            } else {
                request(&line, HOST, &format!("Content-Length: {len}\r\n"), &body)
            };
            let pieces = if bytes.len() < 3000 {
                self.cut(&bytes)
            } else {
                Self::fill(&self.id(), &bytes).chunks(7919).map(<[u8]>::to_vec).collect()
            };
            self.add_in_pieces(listener, pieces);
        }
    }

    fn broken_framing(&mut self) {
        self.begin("framing");
        for (fields, body) in FRAMING {
            for line in ["POST /p HTTP/1.1", "GET /p HTTP/1.1", "POST /p HTTP/1.0"] {
                self.add(Listener::Plain, &request(line, HOST, fields, body.as_bytes()));
            }
        }
        for chunks in CHUNKS {
            let bytes = request("POST /p HTTP/1.1", HOST, "Transfer-Encoding: chunked\r\n", chunks.as_bytes());
            self.add(Listener::Plain, &bytes);
            let pieces = self.cut(&bytes);
            self.add_in_pieces(Listener::Tls, pieces);
        }
    }

    fn several_requests(&mut self) {
        self.begin("pipelined");
        for _ in 0..70 {
            let mut bytes = Vec::new();
            for number in 0..self.rng.usize(2..7) {
                let body = self.text("abc\r\nGET / HTTP/1.1", 60).into_bytes();
                let line = |method: &str| format!("{method} /q/{number} HTTP/1.1");
                let one = match self.rng.usize(..4) {
                    0 => request(&line("POST"), HOST, &format!("Content-Length: {}\r\n", body.len()), &body),
                    1 => {
                        let chunks = self.chunked(&body);
                        request(&line("PUT"), HOST, "Transfer-Encoding: chunked\r\n", &chunks)
                    }
                    2 => request(
                        &line("GET"),
                        self.pick(&[HOST, "named.localhost", "A.localhost:80"]),
                        "Cookie: a=b\r\n",
                        b"",
                    ),
                    _ => request(&line("DELETE"), HOST, "X-Inner: 1\r\nConnection: X-Inner\r\n", b""),
                };
                // One empty line before a request is allowed.
                if number > 0 && self.rng.usize(..5) == 0 {
                    bytes.extend(b"\r\n");
                }
                bytes.extend(one);
            }
            let pieces = self.cut(&bytes);
            let listener = self.listener();
            self.add_in_pieces(listener, pieces);
        }
        for behind in ["\r\n", "\r\n\r\n", "\n", " ", "\0", "x", "GET", "\r\r\n"] {
            let mut bytes = request("GET /q HTTP/1.1", HOST, "", b"");
            bytes.extend(behind.as_bytes());
            self.add(Listener::Plain, &bytes);
            let mut bytes = request("POST /q HTTP/1.1", HOST, "Content-Length: 2\r\n", b"ab");
            bytes.extend(behind.as_bytes());
            self.add(Listener::Plain, &bytes);
        }
    }

    fn versions(&mut self) {
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

    fn expectations(&mut self) {
        self.begin("expect");
        for expect in ["100-continue", "100-Continue", " 100-continue ", "100-continue, x", "x", "", "200-ok"] {
            for (fields, body) in [
                ("Content-Length: 2\r\n", "ab"),
                ("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n"),
                ("", ""),
                ("Content-Length: 0\r\n", ""),
            ] {
                self.add(
                    Listener::Plain,
                    &request("POST /e HTTP/1.1", HOST, &format!("Expect: {expect}\r\n{fields}"), body.as_bytes()),
                );
            }
        }
        self.get("Expect: 100-continue\r\nExpect: 100-continue\r\n");
    }

    fn upgrades(&mut self) {
        self.begin("upgrade");
        for upgrade in UPGRADES {
            for method in ["GET", "POST"] {
                self.add(Listener::Plain, &request(&format!("{method} /u HTTP/1.1"), HOST, upgrade, b""));
            }
        }
    }

    fn trailers(&mut self) {
        self.begin("trailer");
        for te in ["trailers", "Trailers", "trailers, deflate", "gzip;q=0.5", "", "trailers\r\nTE: trailers"] {
            self.get(&format!("TE: {te}\r\n"));
            self.get(&format!("TE: {te}\r\nConnection: TE\r\n"));
        }
        for trailer in TRAILERS {
            let body = format!("3\r\nabc\r\n0\r\n{trailer}\r\n");
            for fields in ["", "Trailer: X-Sum\r\n"] {
                let fields = format!("Transfer-Encoding: chunked\r\n{fields}");
                self.add(Listener::Plain, &request("POST /t HTTP/1.1", HOST, &fields, body.as_bytes()));
            }
        }
    }

    fn large_heads(&mut self) {
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

    fn line_ends(&mut self) {
        self.begin("line");
        for head in LINES {
            self.add(Listener::Plain, &latin1(head));
        }
    }

    fn early_ends(&mut self) {
        self.begin("end");
        let get = request("GET /z HTTP/1.1", HOST, "Accept: x\r\n", b"");
        let sized = request("POST /z HTTP/1.1", HOST, "Content-Length: 10\r\n", b"ten  bytes");
        let chunked = request(
            "POST /z HTTP/1.1",
            HOST,
            "Transfer-Encoding: chunked\r\n",
            b"5;x=y\r\nhello\r\n3\r\nyou\r\n0\r\nX-Sum: 1\r\n\r\n",
        );
        for bytes in [get, sized, chunked] {
            for len in 0..bytes.len() {
                let listener = if len % 5 == 0 { Listener::Tls } else { Listener::Plain };
                // The mark of the case is not cut.
                let mark = bytes.windows(6).position(|window| window == b"{case}").unwrap_or_default();
                if (mark + 1..mark + 6).contains(&len) {
                    continue;
                }
                self.add_half_closed(listener, &bytes[..len]);
            }
        }
    }
}

const TARGETS: &[&str] = &[
    "/",
    "//",
    "///",
    "/.",
    "/..",
    "/./",
    "/../",
    "/a/./b",
    "/a/../b",
    "/a//b",
    "/../a",
    "/a/..",
    "/%2e%2e/a",
    "/a%2F..%2fb",
    "/%00",
    "/%0a",
    "/%0d%0aX:%20y",
    "/%7f",
    "/%",
    "/%4",
    "/%zz",
    "/a%",
    "/%u0041",
    "/%c3%b6",
    "/%C3%B6",
    "/%c0%af",
    "/%41",
    "/a%20b",
    "/a+b",
    "/?",
    "/??",
    "/?a",
    "/?a=b&c=d",
    "/?%",
    "/?%zz",
    "/?a=%00",
    "/?#",
    "/#",
    "/a#b",
    "/?a#b",
    "/?q=\"a\"",
    "/?query={job=\"x\"}",
    "/?q=<b>",
    "/a<b",
    "/a>b",
    "/a\"b",
    "/a`b",
    "/?a`b",
    "/[a]",
    "/?a[]=1",
    "/a|b",
    "/a^b",
    "/a\\b",
    "/{a}",
    "/~a",
    "/a;b=c",
    "/a,b",
    "/a:b",
    "/:80",
    "/@",
    "/a=b",
    "/&",
    "/!$'()*",
    "/ö",
    "/?ö",
    "/日本",
    "/?q=日本",
    "*",
    "",
    "a",
    "a/b",
    "?",
    "?a",
    "#",
    "http:",
    "http://",
    "http:/a",
    "/http://b.localhost/",
    "/.well-known/acme-challenge/token",
    "/.well-known/security.txt",
    "/index.php/a?b",
    "/a/b/c/d/e/f/g",
    "/last/",
    "/%6cast",
    "/x;jsessionid=1",
    "/a%252fb",
    "/a%5cb",
    "/%e2%80%ae",
    "/\u{7f}",
    "/a\tb",
];

const FIELDS: &[&str] = &[
    "",
    "X: y\r\n",
    "x: y\r\nX: z\r\n",
    "X: a\r\nY: b\r\nX: c\r\nY: d\r\n",
    "X:\r\n",
    "X: \r\n",
    "X:y\r\n",
    "X:  y  \r\n",
    "X:\ty\t\r\n",
    "X : y\r\n",
    " X: y\r\n",
    "X: a\r\n b\r\n",
    "X: a\r\n\tb\r\n",
    ": y\r\n",
    "X\r\n",
    "X y\r\n",
    "X: a:b\r\n",
    "X: ,\r\n",
    "X: \"a\r\n",
    "A-Very-Long-Name-Of-A-Field-That-Nobody-Knows: 1\r\n",
    "User_Agent: x\r\n",
    "X_Forwarded_For: 1.1.1.1\r\n",
    "User-Agent: curl\r\nAccept: */*\r\n",
    "Accept: a\r\nAccept: b\r\nACCEPT: c\r\n",
    "Authorization: Basic YTpi\r\n",
    "Authorization: Bearer x.y.z\r\n",
    "Authorization: Negotiate YII\r\n",
    "Authorization: NTLM TlRM\r\n",
    "Range: bytes=0-1\r\n",
    "If-Match: \"x\"\r\n",
    "Accept-Encoding: gzip, br\r\n",
    "Origin: null\r\n",
    "Referer: http://x/?a\r\n",
    "Via: 1.1 proxy\r\n",
    "Via: 1.0 a, 1.1 b\r\n",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    "X-Request-ID: mine\r\n",
    "X-Correlation-ID: mine\r\n",
    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    "Server: x\r\n",
    "Set-Cookie: a=b\r\n",
    "Content-Type: text/plain\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Language: en\r\n",
    "Max-Forwards: 0\r\n",
    "Upgrade-Insecure-Requests: 1\r\n",
    "Sec-Fetch-Site: none\r\n",
    "DNT: 1\r\n",
    "HTTP2-Settings: AAMA\r\n",
    "Content-Length : 0\r\n",
    "Host : b\r\n",
    "Status: 200\r\n",
    "X-HTTP-Method-Override: DELETE\r\n",
    "Early-Data: 1\r\n",
    "Alt-Used: x\r\n",
    "X-Accel-Redirect: /x\r\n",
    "Proxy: http://evil\r\n",
    ":method: GET\r\n",
    "X!: y\r\n",
    "!: y\r\n",
    "X(: y\r\n",
    "X/: y\r\n",
    "X\u{e9}: y\r\n",
];

const CONNECTION: &[&str] = &[
    "keep-alive",
    "Keep-Alive",
    "close",
    "Close",
    "CLOSE",
    "",
    ",",
    "X-Inner",
    "x-inner",
    "X-Inner, X-Other",
    "X-Inner,X-Other",
    " X-Inner ,, X-Other ",
    "keep-alive, X-Inner",
    "close, X-Inner",
    "X-Absent",
    "Host",
    "host",
    "Content-Length",
    "Transfer-Encoding",
    "X-Forwarded-For",
    "x-forwarded-host",
    "x-forwarded-proto",
    "X-Forwarded-Port",
    "X-Real-IP",
    "X-Case",
    "Cookie",
    "Authorization",
    "Upgrade",
    "TE",
    "a b",
    "\"x\"",
    "x;y",
    "X-Inner\r\nConnection: X-Other",
    "a,b,c,d,e,f,g,h,i",
    "a,b,c,d,e,f,g,h,i,j",
    "close\r\nConnection: close",
    "keep-alive\r\nConnection: close",
];

const COOKIES: &[&str] = &[
    "Cookie: a=b\r\n",
    "Cookie: a=b; c=d\r\n",
    "Cookie: a=b\r\nCookie: c=d\r\n",
    "cookie: a=b\r\nCOOKIE: c=d\r\n",
    "Cookie:\r\n",
    "Cookie: ;\r\n",
    "Cookie: a\r\n",
    "Cookie: =b\r\n",
    "Cookie: a=b;c=d\r\n",
    "Cookie: a=b,c=d\r\n",
    "Cookie: a=\"b;c\"\r\n",
    "Cookie: gangway-sticky=x\r\n",
    "Cookie: a=b; gangway-sticky=0.aaaa; c=d\r\n",
    "Cookie: $Version=1; a=b\r\n",
    "Cookie: a=b; a=c\r\n",
    "Cookie: a=\u{e9}\r\n",
    "Cookie2: $Version=1\r\n",
];

const FORWARDING: &[&str] = &[
    "X-Forwarded-For: 203.0.113.5\r\n",
    "X-Forwarded-For: 203.0.113.5, 10.0.0.1\r\n",
    "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 198.51.100.7\r\n",
    "X-Forwarded-For: unknown\r\n",
    "X-Forwarded-For: unknown, 203.0.113.5\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-Proto: http\r\n",
    "X-Forwarded-Host: b.example\r\n",
    "X-Forwarded-Host: b.example:8443\r\n",
    "X-Forwarded-Port: 8443\r\n",
    "X-Forwarded-Prefix: /p\r\n",
    "X-Forwarded-Server: x\r\n",
    "X-Forwarded-Scheme: https\r\n",
    "X-Forwarded-Ssl: on\r\n",
    "X-Forwarded-Uri: /x\r\n",
    "X-Forwarded: 1\r\n",
    "X-Forwarded-Tls-Client-Cert: x\r\n",
    "X-Real-IP: 203.0.113.5\r\n",
    "Forwarded: for=203.0.113.5;proto=https;host=b\r\n",
    "Remote-User: admin\r\n",
    "Remote-Groups: wheel\r\n",
    "Remote-Email: a@b\r\n",
    "X-Script-Name: /x\r\n",
    "X-Original-URL: /admin\r\n",
    "X-Rewrite-URL: /admin\r\n",
    "True-Client-IP: 1.2.3.4\r\n",
    "CF-Connecting-IP: 1.2.3.4\r\n",
    "X-Client-IP: 1.2.3.4\r\n",
    "X-Cluster-Client-IP: 1.2.3.4\r\n",
    "Fastly-Client-IP: 1.2.3.4\r\n",
    "X-SSL-Client-Cert: x\r\n",
    "X-SSL-Client-Verify: SUCCESS\r\n",
    "Ssl-Client-Verify: SUCCESS\r\n",
    "Ssl-Client-Cert: x\r\n",
    "X-Forwarded-User: admin\r\n",
    "X-Auth-Request-User: admin\r\n",
    "X-WEBAUTH-USER: admin\r\n",
    "X-Remote-User: admin\r\n",
    "Front-End-Https: on\r\n",
    "X-Url-Scheme: https\r\n",
    "X-Forwarded-Protocol: https\r\n",
    "X-ProxyUser-Ip: 1.2.3.4\r\n",
    "Via: 1.1 x\r\n",
    "X-FORWARDED-FOR: 203.0.113.5\r\nx-forwarded-proto: https\r\nX-Forwarded-host: c.example\r\nx-forwarded-PORT: 444\r\n",
];

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

const FRAMING: &[(&str, &str)] = &[
    ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
    ("Content-Length: 5, 5\r\n", "hello"),
    ("Content-Length: +5\r\n", "hello"),
    ("Content-Length: -1\r\n", ""),
    ("Content-Length: 0x5\r\n", "hello"),
    ("Content-Length: 5 \r\n", "hello"),
    ("Content-Length:5\r\n", "hello"),
    ("Content-Length: 05\r\n", "hello"),
    ("Content-Length: \r\n", ""),
    ("Content-Length: 5;\r\n", "hello"),
    ("Content-Length: 5a\r\n", "hello"),
    ("Content-Length: 18446744073709551616\r\n", ""),
    ("Content-Length: 9223372036854775808\r\n", ""),
    ("content-length: 5\r\n", "hello"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: identity\r\n", ""),
    ("Transfer-Encoding: gzip\r\n", ""),
    ("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding:\r\n", ""),
    ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("Transfer_Encoding: chunked\r\n", ""),
    ("Content_Length: 5\r\n", ""),
    ("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"),
    ("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"),
    ("Transfer-Encoding: , chunked\r\n", "0\r\n\r\n"),
];

const CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "00000\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "05\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "5 ;a=b\r\nhello\r\n0\r\n\r\n",
    "5; a = \"x;\\\"y\"\r\nhello\r\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhellox\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5g\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\t\r\nhello\r\n0\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "5;\r\nhello\r\n0\r\n\r\n",
    "5;a\0b\r\nhello\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-Case: x\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
    "5\r\nhello\r\n0\r\nX y\r\n\r\n",
    "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5,5\r\nhello\r\n0\r\n\r\n",
    "5\r\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n-0\r\n\r\n",
    "\r\nGET /smuggled HTTP/1.1\r\nHost: a.localhost\r\nX-Case: {case}\r\n\r\n",
    "x\r\n\r\n",
    "5;x=\"a\r\nhello\r\n0\r\n\r\n",
];

const UPGRADES: &[&str] = &[
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    "Upgrade: websocket\r\n",
    "Connection: upgrade\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
    "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
    "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    "Connection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n",
    "Connection: upgrade\r\nUpgrade: DERP\r\n",
    "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    "Connection: upgrade\r\nUpgrade:\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
    "Connection: close, upgrade\r\nUpgrade: websocket\r\n",
    "Connection: upgrade\r\nConnection: x\r\nUpgrade: websocket\r\n",
    "Connection: x, upgrade, y\r\nUpgrade: websocket\r\n",
    "Connection: upgraded\r\nUpgrade: websocket\r\n",
];

const TRAILERS: &[&str] = &[
    "X-Sum: 1\r\n",
    "X-Sum: 1\r\nX-Two: 2\r\n",
    "X-Sum:\r\n",
    "x-sum: a\r\nX-Sum: b\r\n",
    "Cookie: a=b\r\n",
    "Authorization: x\r\n",
    "X-Forwarded-For: 1.2.3.4\r\n",
    "Grpc-Status: 0\r\n",
    "Connection: close\r\n",
    "X Sum: 1\r\n",
    "X-Sum\r\n",
    "X-Sum: a\0b\r\n",
    "X-Sum: a\r\n b\r\n",
    "User_Id: 1\r\n",
];

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
