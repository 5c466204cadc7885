//! Parses the head of an HTTP/1 request as its bytes come, and rejects heads that can be interpreted in several ways
//! (RFC 9112).
//!
//! A line is judged once its end is there, a bound as soon as it is exceeded. So the result does not depend on how
//! the bytes were cut, a client that speaks another protocol is not waited for, and no byte is looked at twice
//! because more bytes came.

#[cfg(test)]
mod tests;

use std::ops::Range;

use http::{Method, Version};
use memchr::memchr;

use crate::grammar::{
    FIELD_OVERHEAD, absolute_authority, all_token, content_length, host_of_authority, is_token, push_target, token_len,
};
use crate::http1::connection_options::ConnectionOptions;
use crate::http1::field_line::FieldLine;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::{RequestHead, Upgrade};
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;

/// Registered methods have up to 17 bytes.
const METHOD_MAX: usize = 32;

/// The rest of a request line beside its target: the method, two spaces, `HTTP/1.1` and CR.
const REQUEST_LINE_OVERHEAD: usize = METHOD_MAX + 11;

/// Options that `Connection` may list. Real clients list up to three.
const CONNECTION_OPTIONS_MAX: usize = 9;

/// Bounds on a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadBounds {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
    pub(crate) target: usize,
}

/// Parses one head after the other. Positions count from the first byte of a head.
#[derive(Clone, Debug)]
pub(crate) struct RequestParser {
    bounds: HeadBounds,
    /// Where the current line begins.
    line: usize,
    /// Up to where the end of the line was searched.
    searched: usize,
    /// The counted size of the lines before the current one.
    size: usize,
    /// Where the fields begin, once the request line was read.
    fields_start: Option<usize>,
    /// The authority of a target in absolute form.
    authority: Option<Range<usize>>,
    /// The buffers of the head that is filled. They hold positions without bytes until the head has ended, so nobody
    /// else may see them.
    fields: Fields,
    seen: DecisiveFields,
}

/// The fields that decide about framing, host and connection.
#[derive(Clone, Debug, Default)]
struct DecisiveFields {
    host: Option<Range<usize>>,
    content_length: Option<u64>,
    chunked: bool,
    expects_continue: bool,
    upgrade: RequestedUpgrade,
    connection: ConnectionOptions,
}

/// The protocol that the `Upgrade` fields of a head ask for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum RequestedUpgrade {
    #[default]
    Nothing,
    Protocol(Upgrade),
    /// Several protocols, or none that can be read: no upgrade is passed on.
    Unclear,
}

impl RequestParser {
    pub(crate) fn new(bounds: HeadBounds) -> Self {
        Self {
            bounds,
            line: 0,
            searched: 0,
            size: 0,
            fields_start: None,
            authority: None,
            fields: Fields::default(),
            seen: DecisiveFields::default(),
        }
    }

    /// Begins the next head.
    pub(crate) fn reset(&mut self) {
        self.line = 0;
        self.searched = 0;
        self.size = 0;
        self.fields_start = None;
        self.authority = None;
        self.fields.clear();
        self.seen.clear();
    }

    /// Parses on in `bytes`, which begin with the head and hold at least the bytes of the last call. Returns the
    /// length of the head with its blank line once the head has ended; `head` is then filled. All calls for one head
    /// get the same `head`. Method, target and version are there as soon as the request line was read, also if the
    /// head is rejected later.
    pub(crate) fn parse(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<Option<usize>, Rejection> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.searched == 0 {
            head.clear();
            self.fields = std::mem::take(&mut head.fields);
        }
        let fields_start = match self.fields_start {
            Some(start) => start,
            None => match self.parse_request_line(bytes, head)? {
                Some(start) => start,
                None => return Ok(None),
            },
        };
        loop {
            let start = self.line;
            // Only lines of which nothing was looked at before: no byte is looked at twice.
            if self.searched == start {
                if let Some(field) = FieldLine::read(&bytes[start..]) {
                    self.line = start + field.len + 2;
                    self.searched = self.line;
                    self.count_field(field.len)?;
                    self.take_field(bytes, fields_start, start, field, head.version)?;
                    continue;
                }
                if bytes[start..].starts_with(b"\r\n") {
                    self.finish(bytes, fields_start, start, head)?;
                    return Ok(Some(start + 2));
                }
            }
            let Some(end) = self.line_end(bytes) else {
                self.check_bounds(bytes.len())?;
                return Ok(None);
            };
            self.check_bounds(end)?;
            self.line = end + 1;
            let line = bytes[start..end].strip_suffix(b"\r").ok_or(Rejection::bad("a line ends without CR"))?;
            if line.is_empty() {
                self.finish(bytes, fields_start, start, head)?;
                return Ok(Some(end + 1));
            }
            self.count_field(line.len())?;
            let field = FieldLine::read(&bytes[start..=end]).ok_or_else(|| malformed_field(line))?;
            self.take_field(bytes, fields_start, start, field, head.version)?;
        }
    }

    /// Whether nothing but an empty line has come, which does not begin a request.
    pub(crate) fn is_between_requests(&self, bytes: &[u8]) -> bool {
        self.fields_start.is_none() && b"\r\n".starts_with(bytes)
    }

    /// The position of the LF that ends the current line.
    fn line_end(&mut self, bytes: &[u8]) -> Option<usize> {
        match memchr(b'\n', &bytes[self.searched..]) {
            Some(at) => {
                let end = self.searched + at;
                self.searched = end + 1;
                Some(end)
            }
            None => {
                self.searched = bytes.len();
                None
            }
        }
    }

    /// Parses the request line, and an empty line before it (RFC 9112, section 2.2). Returns where the fields begin.
    fn parse_request_line(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<Option<usize>, Rejection> {
        loop {
            self.check_first_byte(bytes)?;
            let Some(end) = self.line_end(bytes) else {
                self.check_bounds(bytes.len())?;
                return Ok(None);
            };
            self.check_bounds(end)?;
            let start = self.line;
            self.line = end + 1;
            let line = bytes[start..end].strip_suffix(b"\r").ok_or(Rejection::bad("a line ends without CR"))?;
            if !line.is_empty() {
                self.size = line.len();
                self.authority = read_request_line(line, start, &self.bounds, head)?;
                self.fields_start = Some(end + 1);
                return Ok(Some(end + 1));
            }
        }
    }

    /// Rejects bytes that do not begin with a method: no later byte makes them a request.
    fn check_first_byte(&self, bytes: &[u8]) -> Result<(), Rejection> {
        match bytes.get(self.line) {
            Some(b'\r') if self.line == 0 => Ok(()),
            Some(first) if !is_token(*first) => Err(Rejection::bad("no request begins like this")),
            Some(_) | None => Ok(()),
        }
    }

    /// `end` is where the current line ends, or as far as it has come.
    fn check_bounds(&self, end: usize) -> Result<(), Rejection> {
        let len = end - self.line;
        if self.fields_start.is_none() {
            if len > self.bounds.target + REQUEST_LINE_OVERHEAD {
                return Err(Rejection::target_too_long(self.bounds.target));
            }
        } else if self.size + len > self.bounds.bytes + 1 {
            // The CR does not count.
            return Err(Rejection::head_too_large(self.bounds.bytes));
        }
        Ok(())
    }

    /// Counts a field whose line has this length.
    fn count_field(&mut self, len: usize) -> Result<(), Rejection> {
        self.size += len + FIELD_OVERHEAD;
        if self.size > self.bounds.bytes {
            return Err(Rejection::head_too_large(self.bounds.bytes));
        }
        if self.fields.len() == self.bounds.fields {
            return Err(Rejection::too_many_fields(self.bounds.fields));
        }
        Ok(())
    }

    /// Takes a field. `start` is the position of its line in the head.
    #[inline(always)]
    fn take_field(
        &mut self,
        bytes: &[u8],
        fields_start: usize,
        start: usize,
        field: FieldLine,
        version: Version,
    ) -> Result<(), Rejection> {
        let value = start + field.value_start..start + field.value_end;
        let kind = FieldKind::of(&bytes[start..start + field.name_len]);
        self.seen.note(kind, &bytes[value.clone()], value.start, version)?;
        let line = start - fields_start;
        let value = value.start - fields_start..value.end - fields_start;
        self.fields.note(kind, line..line + field.name_len, value, line + field.len + 2);
        Ok(())
    }

    /// Fills `head` once all fields are there. The fields stand in the bytes from `fields_start` to `fields_end`.
    fn finish(
        &mut self,
        bytes: &[u8],
        fields_start: usize,
        fields_end: usize,
        head: &mut RequestHead,
    ) -> Result<(), Rejection> {
        let seen = &self.seen;
        let host = seen.host.clone().ok_or(Rejection::bad("no Host"))?;
        let host = &bytes[host];
        let host_len = host_of_authority(host).ok_or(Rejection::bad("Host is no host name with a port"))?.len();
        head.host_len = Some(host_len);
        // Only attackers write the two differently.
        if self.authority.clone().is_some_and(|authority| !bytes[authority].eq_ignore_ascii_case(host)) {
            return Err(Rejection::bad("the target names another host than Host"));
        }
        let is_http10 = head.version == Version::HTTP_10;
        if seen.chunked && is_http10 {
            return Err(Rejection::bad("Transfer-Encoding in HTTP/1.0"));
        }
        head.body = match (seen.content_length, seen.chunked) {
            (Some(_), true) => return Err(Rejection::bad("Content-Length together with Transfer-Encoding")),
            (None, true) => BodyLength::Framed,
            (Some(0) | None, false) => BodyLength::Empty,
            (Some(len), false) => BodyLength::Sized(len),
        };
        head.keep_alive = seen.connection.keep_alive(head.version);
        head.expects_continue = seen.expects_continue && !is_http10 && head.body != BodyLength::Empty;
        head.upgrade = match seen.upgrade {
            RequestedUpgrade::Protocol(Upgrade::WebSocket) if head.method != Method::GET => None,
            RequestedUpgrade::Protocol(upgrade)
                if seen.connection.upgrade && !is_http10 && head.body == BodyLength::Empty =>
            {
                Some(upgrade)
            }
            RequestedUpgrade::Nothing | RequestedUpgrade::Protocol(_) | RequestedUpgrade::Unclear => None,
        };
        self.fields.store(&bytes[fields_start..fields_end]);
        head.fields = std::mem::take(&mut self.fields);
        seen.connection.remove_named(&mut head.fields, is_protected);
        if is_http10 {
            // It means nothing there, and the request goes on as one of HTTP/1.1.
            head.fields.remove(FieldKind::Expect);
        }
        Ok(())
    }
}

/// The reason why a line is no field.
fn malformed_field(line: &[u8]) -> Rejection {
    if matches!(line[0], b' ' | b'\t') {
        return Rejection::bad("a folded field");
    }
    let name_len = token_len(line);
    if name_len == 0 || line.get(name_len) != Some(&b':') {
        return Rejection::bad("a field name is no token, or has a space before its colon");
    }
    Rejection::bad("a control byte in a field")
}

/// Reads a request line into `head`, and returns the position of the authority of a target in absolute form. `start`
/// is the position of the line.
fn read_request_line(
    line: &[u8],
    start: usize,
    bounds: &HeadBounds,
    head: &mut RequestHead,
) -> Result<Option<Range<usize>>, Rejection> {
    let no_method = Rejection::bad("the method is no token");
    let (method, target) = match usual_parts(line) {
        Some(parts) => parts,
        None => {
            let no_version = Rejection::bad("no HTTP version: HTTP/0.9 is not served");
            let method_len = memchr(b' ', line).ok_or(no_version)?;
            let (method, rest) = (&line[..method_len], &line[method_len + 1..]);
            let target_len = memchr(b' ', rest).ok_or(no_version)?;
            let (target, version) = (&rest[..target_len], &rest[target_len + 1..]);
            if method.is_empty() || method.len() > METHOD_MAX || !all_token(method) {
                return Err(no_method);
            }
            if target.len() > bounds.target {
                return Err(Rejection::target_too_long(bounds.target));
            }
            head.version = match version {
                b"HTTP/1.1" => Version::HTTP_11,
                b"HTTP/1.0" => Version::HTTP_10,
                _ => return Err(Rejection::bad("the HTTP version is not 1.0 or 1.1")),
            };
            (method, target)
        }
    };
    if target.len() > bounds.target {
        return Err(Rejection::target_too_long(bounds.target));
    }
    let method_len = method.len();
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(Rejection::new(Reason::MethodNotAllowed, "CONNECT and TRACE are not served"));
    }
    head.method = Method::from_bytes(method).map_err(|_| no_method)?;
    let authority = if target.first() == Some(&b'/') { None } else { absolute_authority(target) };
    let target_start = start + method_len + 1;
    // The target goes on in origin form. Its authority is compared with Host once that is known.
    let path = match &authority {
        Some(authority) => &target[authority.end..],
        None => target,
    };
    let is_options = head.method == Method::OPTIONS;
    match path.first() {
        Some(b'/') => {}
        None if authority.is_some() => head.target.push(if is_options { '*' } else { '/' }),
        Some(b'?') if authority.is_some() => head.target.push('/'),
        Some(_) | None if path == b"*" && is_options => {}
        Some(_) | None if !is_target_at_all(target) => return Err(odd_target()),
        Some(_) | None => return Err(Rejection::bad("the target is neither a path nor an http URL")),
    }
    if !push_target(path, &mut head.target) {
        head.target.clear();
        return Err(odd_target());
    }
    Ok(authority.map(|range| target_start + range.start..target_start + range.end))
}

/// The method and the target of a line of HTTP/1.1, which is what [`RequestHead::clear`] leaves. None for any other line,
/// and where one of the parts is in doubt.
fn usual_parts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let parts = line.strip_suffix(b" HTTP/1.1")?;
    let (method, target) = parts.split_at_checked(token_len(parts))?;
    let target = target.strip_prefix(b" ")?;
    let is_method = !method.is_empty() && method.len() <= METHOD_MAX;
    (is_method && !target.contains(&b' ')).then_some((method, target))
}

/// Whether the bytes of something that is no target could stand in one.
fn is_target_at_all(target: &[u8]) -> bool {
    !target.is_empty() && push_target(target, &mut String::new())
}

fn odd_target() -> Rejection {
    Rejection::bad("the target has a byte that must be encoded, or a fragment")
}

impl DecisiveFields {
    fn clear(&mut self) {
        self.host = None;
        self.content_length = None;
        self.chunked = false;
        self.expects_continue = false;
        self.upgrade = RequestedUpgrade::Nothing;
        self.connection.clear();
    }

    /// Notes a field. `start` is the position of its value.
    #[inline(always)]
    fn note(&mut self, kind: FieldKind, value: &[u8], start: usize, version: Version) -> Result<(), Rejection> {
        match kind {
            FieldKind::Host => {
                if self.host.replace(start..start + value.len()).is_some() {
                    return Err(Rejection::bad("several Hosts"));
                }
            }
            FieldKind::Expect => {
                let is_known = value.eq_ignore_ascii_case(b"100-continue");
                if !is_known && version == Version::HTTP_11 {
                    return Err(Rejection::new(Reason::ExpectationFailed, "only 100-continue may be expected"));
                }
                self.expects_continue = is_known;
            }
            FieldKind::Upgrade => {
                let is_first = self.upgrade == RequestedUpgrade::Nothing;
                self.upgrade = match requested_upgrade(value) {
                    Some(upgrade) if is_first => RequestedUpgrade::Protocol(upgrade),
                    Some(_) | None => RequestedUpgrade::Unclear,
                };
            }
            FieldKind::Connection => self.note_connection(value)?,
            FieldKind::ContentLength => {
                let len = content_length(value).ok_or(Rejection::bad("Content-Length is no single number"))?;
                if self.content_length.replace(len).is_some() {
                    return Err(Rejection::bad("several Content-Lengths"));
                }
            }
            FieldKind::TransferEncoding => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Rejection::bad("Transfer-Encoding is not one `chunked`"));
                }
                self.chunked = true;
            }
            FieldKind::Accept
            | FieldKind::Authorization
            | FieldKind::ContentType
            | FieldKind::Cookie
            | FieldKind::Date
            | FieldKind::Http2Settings
            | FieldKind::KeepAlive
            | FieldKind::ProxyAuthenticate
            | FieldKind::ProxyAuthorization
            | FieldKind::ProxyConnection
            | FieldKind::Referer
            | FieldKind::SecWebSocketAccept
            | FieldKind::SecWebSocketKey
            | FieldKind::SetCookie
            | FieldKind::Te
            | FieldKind::Trailer
            | FieldKind::UserAgent
            | FieldKind::Via
            | FieldKind::WwwAuthenticate
            | FieldKind::XForwardedFor
            | FieldKind::XForwardedHost
            | FieldKind::XForwardedPort
            | FieldKind::XForwardedProto
            | FieldKind::Spoofable
            | FieldKind::Other => {}
        }
        Ok(())
    }

    /// Notes the options of `Connection`. Listed fields are removed on the way, so fields that decide about framing,
    /// host or client must not be listed.
    #[inline(never)]
    fn note_connection(&mut self, value: &[u8]) -> Result<(), Rejection> {
        for option in ConnectionOptions::split(value) {
            self.connection.note(option);
            let decides = matches!(
                FieldKind::of(option),
                FieldKind::Host
                    | FieldKind::ContentLength
                    | FieldKind::TransferEncoding
                    | FieldKind::XForwardedFor
                    | FieldKind::XForwardedHost
                    | FieldKind::XForwardedProto
            );
            if decides || self.connection.count > CONNECTION_OPTIONS_MAX || !all_token(option) {
                return Err(Rejection::bad("Connection lists what it may not"));
            }
        }
        Ok(())
    }
}

/// The one protocol that an `Upgrade` field names (RFC 9110, section 7.8).
fn requested_upgrade(value: &[u8]) -> Option<Upgrade> {
    if value.eq_ignore_ascii_case(b"websocket") {
        return Some(Upgrade::WebSocket);
    }
    let mut parts = value.splitn(2, |byte| *byte == b'/');
    parts.all(|part| !part.is_empty() && all_token(part)).then_some(Upgrade::Named)
}

/// Whether `Connection` cannot remove a field of this kind. A proxy in front that is trusted sets some of them, and
/// its client could otherwise remove them behind its back. Those for one hop are removed where they were looked at.
fn is_protected(kind: FieldKind) -> bool {
    kind.is_for_one_hop() || matches!(kind, FieldKind::XForwardedPort | FieldKind::Spoofable)
}
