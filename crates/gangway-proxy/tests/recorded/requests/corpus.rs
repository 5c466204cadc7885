//! How the cases are made: the bytes of a connection, and the request that ends it.

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

pub(super) struct Corpus {
    pub(super) cases: Vec<RequestCase>,
    pub(super) rng: Rng,
    family: &'static str,
    number: usize,
}

/// A request of which only the given parts are special.
pub(super) fn request(line: &str, host: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(latin1(&format!("{line}\r\nHost: {host}\r\n{CASE_FIELD}: {{case}}\r\n{fields}\r\n")));
    bytes.extend(body);
    bytes
}

pub(super) fn latin1(text: &str) -> Vec<u8> {
    // Texts here are ASCII, or UTF-8 that is meant as such.
    text.as_bytes().to_vec()
}

impl Corpus {
    pub(super) fn new() -> Self {
        Self { cases: Vec::new(), rng: Rng::with_seed(SEED), family: "", number: 0 }
    }

    pub(super) fn begin(&mut self, family: &'static str) {
        self.family = family;
        self.number = 0;
    }

    pub(super) fn id(&self) -> String {
        format!("{}-{}", self.family, self.number + 1)
    }

    pub(super) fn fill(id: &str, bytes: &[u8]) -> Vec<u8> {
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
    pub(super) fn add(&mut self, listener: Listener, bytes: &[u8]) {
        self.add_in_pieces(listener, vec![bytes.to_vec()]);
    }

    pub(super) fn add_in_pieces(&mut self, listener: Listener, mut pieces: Vec<Vec<u8>>) {
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
    pub(super) fn add_half_closed(&mut self, listener: Listener, bytes: &[u8]) {
        let id = self.id();
        self.number += 1;
        let pieces = vec![Self::fill(&id, bytes)];
        self.cases.push(RequestCase { id, listener, pieces, is_half_closed: true });
    }

    pub(super) fn get(&mut self, fields: &str) {
        self.add(Listener::Plain, &request("GET /x HTTP/1.1", HOST, fields, b""));
    }

    pub(super) fn listener(&mut self) -> Listener {
        [Listener::Plain, Listener::Plain, Listener::Tls, Listener::Trusting][self.rng.usize(..4)]
    }

    pub(super) fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.rng.usize(..all.len())]
    }

    /// A text of some of these characters.
    pub(super) fn text(&mut self, of: &str, most: usize) -> String {
        let of: Vec<char> = of.chars().collect();
        (0..self.rng.usize(..=most)).map(|_| of[self.rng.usize(..of.len())]).collect()
    }

    /// Bytes cut at some places.
    pub(super) fn cut(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
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
    pub(super) fn chunked(&mut self, body: &[u8]) -> Vec<u8> {
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
}
