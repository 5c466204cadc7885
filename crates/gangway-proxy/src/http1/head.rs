//! Reads the head of an HTTP/1 request as its bytes come, and rejects heads that can be interpreted in several ways
//! (RFC 9112).
//!
//! A line is judged once its end is there, a bound as soon as it is exceeded. So the result does not depend on how
//! the bytes were cut, a client that speaks another protocol is not waited for, and no byte is looked at twice
//! because more bytes came.
//!
//! Heads that Pingora's parser would reject are rejected here, since Pingora's rejections reach neither the access
//! log nor the metrics.

use std::ops::Range;

use memchr::memchr;

use crate::grammar::{
    FIELD_OVERHEAD, absolute_authority, all_token, content_length, host_of_authority, is_target, is_token, is_value,
};
use crate::http1::request_parser::HeadBounds;
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;

/// Registered methods have up to 17 bytes.
const METHOD_MAX: usize = 32;

/// The rest of a request line beside its target: the method, two spaces, `HTTP/1.1` and CR.
const REQUEST_LINE_OVERHEAD: usize = METHOD_MAX + 11;

/// Options that `Connection` may list. Pingora fails at ten, after it has connected to the endpoint.
const CONNECTION_OPTIONS_MAX: usize = 9;

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// The request has no body.
    None {
        /// Whether the request asks for a WebSocket.
        upgrade: bool,
    },
    /// The body has this many bytes.
    Sized(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Reads one head. Positions count from its first byte.
#[derive(Clone, Debug)]
pub(crate) struct HeadReader {
    bounds: HeadBounds,
    /// Where the current line begins.
    line: usize,
    /// Up to where the end of the line was searched.
    searched: usize,
    /// The counted size of the lines before the current one.
    size: usize,
    fields: usize,
    request_line: Option<RequestLine>,
    seen: FramingFields,
}

#[derive(Clone, Debug)]
struct RequestLine {
    version: Http1Version,
    is_get: bool,
    /// The authority of a target in absolute form.
    authority: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Http1Version {
    Http10,
    Http11,
}

/// The fields that decide about framing and host.
#[derive(Clone, Debug, Default)]
struct FramingFields {
    content_length: Option<u64>,
    chunked: bool,
    host: Option<Range<usize>>,
    upgrade: Option<Upgrade>,
    connection_upgrade: bool,
    connection_options: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Upgrade {
    WebSocket,
    /// To another protocol, or to several: no upgrade is passed on.
    Other,
}

impl HeadReader {
    pub(crate) fn new(bounds: HeadBounds) -> Self {
        Self { bounds, line: 0, searched: 0, size: 0, fields: 0, request_line: None, seen: FramingFields::default() }
    }

    /// Reads on in `bytes`, which begin with the head and hold at least the bytes of the last call. Returns the
    /// length of the head with its blank line and the framing of its body, or none if the head has not ended.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, Rejection> {
        loop {
            if self.request_line.is_none() {
                self.check_first_byte(bytes)?;
            }
            let Some(end) = memchr(b'\n', &bytes[self.searched..]).map(|at| self.searched + at) else {
                self.searched = bytes.len();
                self.check_bounds(bytes.len())?;
                return Ok(None);
            };
            self.check_bounds(end)?;
            let start = self.line;
            self.line = end + 1;
            self.searched = end + 1;
            let line = bytes[start..end].strip_suffix(b"\r").ok_or(Rejection::bad("a line ends without CR"))?;
            match &self.request_line {
                // One empty line before a request is allowed (RFC 9112, section 2.2).
                None if line.is_empty() => {}
                None => {
                    self.size += line.len();
                    self.request_line = Some(RequestLine::parse(line, start, &self.bounds)?);
                }
                Some(request_line) if line.is_empty() => {
                    return Ok(Some((end + 1, self.seen.framing(request_line, bytes)?)));
                }
                Some(request_line) => {
                    self.size += line.len() + FIELD_OVERHEAD;
                    self.fields += 1;
                    if self.size > self.bounds.bytes {
                        return Err(Rejection::head_too_large(self.bounds.bytes));
                    }
                    if self.fields > self.bounds.fields {
                        return Err(Rejection::too_many_fields(self.bounds.fields));
                    }
                    self.seen.field(line, start, request_line.version)?;
                }
            }
        }
    }

    /// Rejects bytes that do not begin with a method: no later byte makes them a request.
    fn check_first_byte(&self, bytes: &[u8]) -> Result<(), Rejection> {
        match bytes.get(self.line) {
            Some(b'\r') if self.line == 0 => Ok(()),
            Some(first) if !is_token(*first) => Err(Rejection::bad("no request begins like this")),
            _ => Ok(()),
        }
    }

    /// `end` is where the current line ends, or as far as it has come.
    fn check_bounds(&self, end: usize) -> Result<(), Rejection> {
        let len = end - self.line;
        match &self.request_line {
            None if len > self.bounds.target + REQUEST_LINE_OVERHEAD => {
                Err(Rejection::target_too_long(self.bounds.target))
            }
            // The CR does not count.
            Some(_) if self.size + len > self.bounds.bytes + 1 => Err(Rejection::head_too_large(self.bounds.bytes)),
            _ => Ok(()),
        }
    }
}

impl RequestLine {
    /// `start` is the position of the line in the head.
    fn parse(line: &[u8], start: usize, bounds: &HeadBounds) -> Result<Self, Rejection> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Rejection::bad("no HTTP version: HTTP/0.9 is not served"));
        };
        if method.is_empty() || method.len() > METHOD_MAX || !all_token(method) {
            return Err(Rejection::bad("the method is no token"));
        }
        if target.len() > bounds.target {
            return Err(Rejection::target_too_long(bounds.target));
        }
        let version = match version {
            b"HTTP/1.1" => Http1Version::Http11,
            b"HTTP/1.0" => Http1Version::Http10,
            _ => return Err(Rejection::bad("the HTTP version is not 1.0 or 1.1")),
        };
        if matches!(method, b"CONNECT" | b"TRACE") {
            return Err(Rejection::new(Reason::MethodNotAllowed, "CONNECT and TRACE are not served"));
        }
        if !is_target(target) {
            return Err(Rejection::bad("the target has a byte that must be encoded, or a fragment"));
        }
        let authority = absolute_authority(target);
        let asterisk = target == b"*" && method == b"OPTIONS";
        if !(target.starts_with(b"/") || asterisk || authority.is_some()) {
            return Err(Rejection::bad("the target is neither a path nor an http URL"));
        }
        let target_start = start + method.len() + 1;
        let authority = authority.map(|range| target_start + range.start..target_start + range.end);
        Ok(Self { version, is_get: method == b"GET", authority })
    }
}

impl FramingFields {
    /// Notes a field. `start` is the position of its line in the head.
    fn field(&mut self, line: &[u8], start: usize, version: Http1Version) -> Result<(), Rejection> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(Rejection::bad("a folded field"));
        }
        // One pass over the name finds its end and invalid bytes.
        let name_len = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
        if name_len == 0 || line.get(name_len) != Some(&b':') {
            return Err(Rejection::bad("a field name is no token, or has a space before its colon"));
        }
        let (name, value) = (&line[..name_len], &line[name_len + 1..]);
        if !is_value(value) {
            return Err(Rejection::bad("a control byte in a field"));
        }
        // The length of a name rules out nearly all fields but these.
        match name_len {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let leading = value.len() - value.trim_ascii_start().len();
                let from = start + name_len + 1 + leading;
                if self.host.replace(from..from + value.trim_ascii().len()).is_some() {
                    return Err(Rejection::bad("several Hosts"));
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                let expected = value.trim_ascii().eq_ignore_ascii_case(b"100-continue");
                if !expected && version == Http1Version::Http11 {
                    return Err(Rejection::new(Reason::ExpectationFailed, "only 100-continue may be expected"));
                }
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                let websocket = self.upgrade.is_none() && value.trim_ascii().eq_ignore_ascii_case(b"websocket");
                self.upgrade = Some(if websocket { Upgrade::WebSocket } else { Upgrade::Other });
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value)?,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let len =
                    content_length(value.trim_ascii()).ok_or(Rejection::bad("Content-Length is no single number"))?;
                if self.content_length.replace(len).is_some() {
                    return Err(Rejection::bad("several Content-Lengths"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Rejection::bad("Transfer-Encoding is not one `chunked`"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes the options of `Connection`. Listed fields are removed on the way, so fields that decide about framing,
    /// host or client must not be listed.
    fn connection(&mut self, value: &[u8]) -> Result<(), Rejection> {
        const PROTECTED: [&[u8]; 6] = [
            b"host",
            b"content-length",
            b"transfer-encoding",
            b"x-forwarded-for",
            b"x-forwarded-host",
            b"x-forwarded-proto",
        ];
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty()) {
            self.connection_options += 1;
            let protected = PROTECTED.iter().any(|name| option.eq_ignore_ascii_case(name));
            if protected || self.connection_options > CONNECTION_OPTIONS_MAX || !all_token(option) {
                return Err(Rejection::bad("Connection lists what it may not"));
            }
            self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
        Ok(())
    }

    /// The checks that need all fields. `bytes` begin with the head.
    fn framing(&self, request_line: &RequestLine, bytes: &[u8]) -> Result<Framing, Rejection> {
        let host = self.host.clone().ok_or(Rejection::bad("no Host"))?;
        let host = &bytes[host];
        if host_of_authority(host).is_none() {
            return Err(Rejection::bad("Host is no host name with a port"));
        }
        // Byte by byte, as Pingora compares them. Only attackers write the two differently.
        if request_line.authority.clone().is_some_and(|authority| bytes[authority] != *host) {
            return Err(Rejection::bad("the target names another host than Host"));
        }
        if self.chunked && request_line.version == Http1Version::Http10 {
            return Err(Rejection::bad("Transfer-Encoding in HTTP/1.0"));
        }
        match (self.content_length, self.chunked) {
            (Some(_), true) => Err(Rejection::bad("Content-Length together with Transfer-Encoding")),
            (None, true) => Ok(Framing::Chunked),
            (Some(len), false) if len > 0 => Ok(Framing::Sized(len)),
            _ => Ok(Framing::None { upgrade: self.asks_for_websocket(request_line) }),
        }
    }

    fn asks_for_websocket(&self, request_line: &RequestLine) -> bool {
        self.upgrade == Some(Upgrade::WebSocket)
            && self.connection_upgrade
            && request_line.is_get
            && request_line.version == Http1Version::Http11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 32 * 1024, fields: 100, target: 8 * 1024 };

    fn framing(head: &str) -> Result<Framing, &'static str> {
        match HeadReader::new(BOUNDS).read(head.as_bytes()) {
            Ok(read) => Ok(read.filter(|(len, _)| *len == head.len()).expect("a whole head").1),
            Err(rejection) => Err(rejection.detail),
        }
    }

    fn status(head: &str) -> u16 {
        HeadReader::new(BOUNDS).read(head.as_bytes()).map_or_else(|rejection| rejection.reason.status(), |_| 200)
    }

    fn with_fields(fields: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn what_is_in_order_passes_with_its_framing() {
        let none = Ok(Framing::None { upgrade: false });
        assert_eq!(framing("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), none);
        assert_eq!(framing("\r\nGET /%2F//x?a=b HTTP/1.0\r\nhost:A.example:8080\r\n\r\n"), none);
        assert_eq!(framing("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"), Ok(Framing::Sized(12)));
        assert_eq!(framing("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), none);
        assert_eq!(framing("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\t\r\n\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("GET http://a:80/x HTTP/1.1\r\nHost: \ta:80 \r\n\r\n"), none);
        assert_eq!(framing("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), none);
        assert_eq!(framing(&with_fields("X: \u{e4}\tb\r\nEmpty:\r\nExpect: 100-Continue\r\n")), none);
        assert_eq!(framing(&with_fields("Connection: keep-alive, TE\r\nTE: trailers\r\n")), none);
    }

    #[test]
    fn only_a_plain_request_for_a_websocket_is_an_upgrade() {
        let upgrade = |fields: &str| framing(&with_fields(fields)) == Ok(Framing::None { upgrade: true });
        assert!(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
        assert!(!upgrade("Upgrade: websocket\r\n"), "nobody says that it is for us");
        assert!(!upgrade("Connection: upgrade\r\nUpgrade: h2c\r\n"));
        assert!(!upgrade("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"));
        assert!(!upgrade("Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"));
        assert!(!upgrade("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"));
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(framing(&format!("GET / HTTP/1.0\r\nHost: a\r\n{upgrade}")), Ok(Framing::None { upgrade: false }));
        assert_eq!(framing(&format!("POST / HTTP/1.1\r\nHost: a\r\n{upgrade}")), Ok(Framing::None { upgrade: false }));
        assert_eq!(
            framing(&format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n{upgrade}")),
            Ok(Framing::Sized(1))
        );
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for head in [
            "GET /\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\x16\x03\x01",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:80abc\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /?\"x\" HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: \"x\"\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: a,b,c,d,e\r\nConnection: f,g,h,i,j\r\n\r\n",
        ] {
            assert_eq!(status(head), 400, "{head:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        assert_eq!(framing(&with_fields("X: a\r\n folded\r\n")), Err("a folded field"));
        assert_eq!(
            framing(&with_fields("X : a\r\n")),
            Err("a field name is no token, or has a space before its colon")
        );
        assert_eq!(framing("GET /\r\n"), Err("no HTTP version: HTTP/0.9 is not served"));
    }

    #[test]
    fn methods_and_sizes_have_answers_of_their_own() {
        assert_eq!(status("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
        assert_eq!(status("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
        assert_eq!(status("PUT / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n"), 417);
        assert_eq!(status("PUT / HTTP/1.0\r\nHost: a\r\nExpect: wonders\r\n\r\n"), 200);
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8191))), 200);
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8192))), 414);
        assert_eq!(status(&format!("GET /{}", "x".repeat(9000))), 414);
        assert_eq!(status(&with_fields(&"X: y\r\n".repeat(99))), 200);
        assert_eq!(status(&with_fields(&"X: y\r\n".repeat(100))), 431);
        assert_eq!(status(&with_fields(&format!("X: {}\r\n", "y".repeat(32_600)))), 200);
        assert_eq!(status(&with_fields(&format!("X: {}\r\n", "y".repeat(32_700)))), 431);
        assert_eq!(status(&with_fields(&format!("X: {}", "y".repeat(32_800)))), 431);
    }

    #[test]
    fn a_field_counts_more_than_its_bytes() {
        // 99 fields of 300 bytes are less than 32 KiB, and more with what each of them costs.
        assert_eq!(status(&with_fields(&format!("X: {}\r\n", "y".repeat(290)).repeat(98))), 200);
        assert_eq!(status(&with_fields(&format!("X: {}\r\n", "y".repeat(300)).repeat(98))), 431);
    }
}
