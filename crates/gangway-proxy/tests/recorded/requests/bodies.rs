//! Bodies and their framing, several requests on a connection, and early ends.

use gangway_testkit::odd_parts::{recorded, requests};

use super::corpus::{Corpus, HOST, Listener, request};

impl Corpus {
    pub(super) fn bodies(&mut self) {
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

    pub(super) fn broken_framing(&mut self) {
        self.begin("framing");
        for (fields, body) in recorded(requests::FRAMINGS) {
            for line in ["POST /p HTTP/1.1", "GET /p HTTP/1.1", "POST /p HTTP/1.0"] {
                self.add(Listener::Plain, &request(line, HOST, fields, body.as_bytes()));
            }
        }
        for chunks in recorded(requests::CHUNKS) {
            let bytes = request("POST /p HTTP/1.1", HOST, "Transfer-Encoding: chunked\r\n", chunks.as_bytes());
            self.add(Listener::Plain, &bytes);
            let pieces = self.cut(&bytes);
            self.add_in_pieces(Listener::Tls, pieces);
        }
    }

    pub(super) fn several_requests(&mut self) {
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

    pub(super) fn trailers(&mut self) {
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

    pub(super) fn early_ends(&mut self) {
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
