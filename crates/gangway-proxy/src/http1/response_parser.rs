//! Parses the head of an HTTP/1 response as its bytes come.
//!
//! It is strict wherever two recipients could find different ends of a message, or different messages, and lenient
//! about forms that real applications send and that have one meaning: lines that end with LF alone, folded fields,
//! spaces before a colon, no reason phrase, a length that is said twice. What it passes on has none of them.

#[cfg(test)]
mod tests;

use http::{StatusCode, Version};
use memchr::memchr;

use crate::grammar::{content_length, is_value, token_len};
use crate::http1::connection_options::ConnectionOptions;
use crate::http1::field_line::FieldLine;
use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::response_head::{FIELDS_MAX, HEAD_MAX, HEAD_TOO_LARGE, ResponseHead, TOO_MANY_FIELDS};

/// Options that `Connection` may list: each is compared with each field.
const CONNECTION_OPTIONS_MAX: usize = 64;

/// The facts about its request that decide about a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFacts {
    /// Whether the request's method is HEAD.
    pub(crate) is_head: bool,
    /// Whether the request asks for another protocol.
    pub(crate) asked_upgrade: bool,
}

/// Parses one head after the other. Positions count from the first byte of a head.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseParser {
    /// Where the current line begins.
    line: usize,
    /// Up to where the end of the line was searched.
    searched: usize,
    /// Where the fields begin, once the status line was read.
    fields_start: Option<usize>,
    form: FieldForm,
    /// The buffers of the head that is filled. They may hold positions without bytes until the head has ended, so
    /// nobody else may see them.
    fields: Fields,
    seen: FramingFields,
}

/// How fields get into the head.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum FieldForm {
    /// All lines so far can go on as they are: their positions are noted, and their bytes stored at the end.
    #[default]
    AsSent,
    /// A line cannot go on as it is, so that each field is written anew.
    Rewritten,
}

/// The fields that decide about framing and connection.
#[derive(Clone, Debug, Default)]
struct FramingFields {
    content_length: Option<u64>,
    /// Whether the length is not among the fields, since it was sent as a list.
    lacks_length: bool,
    chunked: bool,
    keep_alive_timeout: Option<u32>,
    connection: ConnectionOptions,
}

impl ResponseParser {
    /// Begins the next head.
    pub(crate) fn reset(&mut self) {
        self.line = 0;
        self.searched = 0;
        self.fields_start = None;
        self.form = FieldForm::AsSent;
        self.fields.clear();
        self.seen.clear();
    }

    /// The seconds after which the application closes an idle connection, if the head announces them. For the head
    /// that was parsed last.
    pub(crate) fn keep_alive_timeout(&self) -> Option<u32> {
        self.seen.keep_alive_timeout
    }

    /// Parses on in `bytes`, which begin with the head and hold at least the bytes of the last call. Returns the
    /// length of the head with its blank line once the head has ended; `head` is then filled. All calls for one head
    /// get the same `head` and facts.
    ///
    /// The fields that concern only the connection to the application are removed, but for the `Upgrade` of a 101.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        facts: RequestFacts,
        head: &mut ResponseHead,
    ) -> Result<Option<usize>, &'static str> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.searched == 0 {
            head.clear();
            self.fields = std::mem::take(&mut head.fields);
        }
        let fields_start = match self.fields_start {
            Some(start) => start,
            None => match self.parse_status_line(bytes, head)? {
                Some(start) => start,
                None => return Ok(None),
            },
        };
        loop {
            self.take_usual_lines(bytes, fields_start, head.status)?;
            if self.searched == self.line && bytes[self.line..].starts_with(b"\r\n") {
                let end = self.line + 1;
                check_size(end)?;
                self.finish(bytes, fields_start, facts, head)?;
                return Ok(Some(end + 1));
            }
            let Some(at) = memchr(b'\n', &bytes[self.searched..]) else {
                self.searched = bytes.len();
                check_size(bytes.len())?;
                return Ok(None);
            };
            let end = self.searched + at;
            check_size(end)?;
            if matches!(&bytes[self.line..end], b"" | b"\r") {
                self.finish(bytes, fields_start, facts, head)?;
                return Ok(Some(end + 1));
            }
            match bytes.get(end + 1) {
                // The next byte tells whether the field has ended.
                None => {
                    self.searched = end;
                    return Ok(None);
                }
                Some(next) if is_space(*next) => self.searched = end + 1,
                Some(_) => self.take_odd_line(bytes, fields_start, end, head.status)?,
            }
        }
    }

    /// Parses the status line, and an empty line before it. Returns where the fields begin.
    fn parse_status_line(&mut self, bytes: &[u8], head: &mut ResponseHead) -> Result<Option<usize>, &'static str> {
        const BEGINNING: &[u8] = b"HTTP/1.";
        if self.line == 0 {
            // Some applications end a body with an empty line too many.
            self.line = match bytes {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                [b'\r'] => return Ok(None),
                _ => 0,
            };
        }
        // Without waiting for the end of a line that may never come.
        let begun = &bytes[self.line..];
        if !begun.starts_with(BEGINNING) && begun.iter().zip(BEGINNING).any(|(byte, expected)| byte != expected) {
            return Err("no HTTP/1 response begins like this");
        }
        let from = self.searched.max(self.line);
        let Some(at) = memchr(b'\n', &bytes[from..]) else {
            self.searched = bytes.len();
            check_size(bytes.len())?;
            return Ok(None);
        };
        let end = from + at;
        check_size(end)?;
        let line = &bytes[self.line..end];
        read_status_line(line.strip_suffix(b"\r").unwrap_or(line), head)?;
        self.line = end + 1;
        self.searched = end + 1;
        self.fields_start = Some(end + 1);
        Ok(self.fields_start)
    }

    /// Takes the lines that are there as a whole and can go on as they are, up to the first other one.
    #[inline(always)]
    fn take_usual_lines(&mut self, bytes: &[u8], fields_start: usize, status: StatusCode) -> Result<(), &'static str> {
        let mut start = self.line;
        // Only lines of which nothing was looked at before: nearly no byte is looked at twice.
        if self.form != FieldForm::AsSent || self.searched != start {
            return Ok(());
        }
        while let Some(field) = FieldLine::read(&bytes[start..]) {
            let end = start + field.len + 2;
            if bytes.get(end).is_none_or(|next| is_space(*next)) {
                break;
            }
            check_size(end - 1)?;
            self.take_field(bytes, fields_start, start, field, status)?;
            start = end;
        }
        self.line = start;
        self.searched = start;
        Ok(())
    }

    /// Takes the current field, which may have several lines, up to the LF at `end`.
    fn take_odd_line(
        &mut self,
        bytes: &[u8],
        fields_start: usize,
        end: usize,
        status: StatusCode,
    ) -> Result<(), &'static str> {
        let start = self.line;
        let usual = FieldLine::read(&bytes[start..=end]).filter(|field| start + field.len + 1 == end);
        match (self.form, usual) {
            (FieldForm::AsSent, Some(field)) => self.take_field(bytes, fields_start, start, field, status)?,
            (FieldForm::AsSent, None) => {
                // Once more from the first field.
                self.form = FieldForm::Rewritten;
                self.fields.clear();
                self.seen.clear();
                self.line = fields_start;
                self.searched = fields_start;
                return Ok(());
            }
            (FieldForm::Rewritten, _) => self.rewrite_field(&bytes[start..end], status)?,
        }
        self.line = end + 1;
        self.searched = end + 1;
        Ok(())
    }

    /// Takes a field that goes on as it is. `start` is the position of its line in the head.
    #[inline(always)]
    fn take_field(
        &mut self,
        bytes: &[u8],
        fields_start: usize,
        start: usize,
        field: FieldLine,
        status: StatusCode,
    ) -> Result<(), &'static str> {
        let value = start + field.value_start..start + field.value_end;
        let kind = FieldKind::of_response(&bytes[start..start + field.name_len]);
        // Asked first, since it is quickly answered for nearly all fields.
        if is_for_us(kind) && !(self.seen.note(kind, &bytes[value.clone()])? && is_passed_on(kind, status)) {
            return Ok(());
        }
        self.count_field()?;
        let line = start - fields_start;
        let value = value.start - fields_start..value.end - fields_start;
        self.fields.note(kind, line..line + field.name_len, value, line + field.len + 2);
        Ok(())
    }

    /// Takes a field in a form that does not go on, with all its lines; the final LF is cut off.
    fn rewrite_field(&mut self, lines: &[u8], status: StatusCode) -> Result<(), &'static str> {
        let name_len = token_len(lines);
        let (name, rest) = lines.split_at(name_len);
        if name_len == 0 {
            return Err("a field has no name");
        }
        // A proxy removes spaces before the colon (RFC 9112, section 5.1).
        let spaces = rest.iter().take_while(|byte| is_space(**byte)).count();
        let value = rest[spaces..].strip_prefix(b":").ok_or("a field name is no token, or has no colon")?;
        let value = unfolded(value).ok_or("a control byte in a field")?;
        let kind = FieldKind::of_response(name);
        if self.seen.note(kind, &value)? && is_passed_on(kind, status) {
            self.count_field()?;
            self.fields.push_known(kind, name, &[&value]);
        }
        Ok(())
    }

    fn count_field(&self) -> Result<(), &'static str> {
        if self.fields.len() == FIELDS_MAX { Err(TOO_MANY_FIELDS) } else { Ok(()) }
    }

    /// Fills `head` once all fields are there.
    fn finish(
        &mut self,
        bytes: &[u8],
        fields_start: usize,
        facts: RequestFacts,
        head: &mut ResponseHead,
    ) -> Result<(), &'static str> {
        let seen = &self.seen;
        let status = head.status;
        if status == StatusCode::SWITCHING_PROTOCOLS && !facts.asked_upgrade {
            return Err("a switch to another protocol that was not asked for");
        }
        let has_no_content = status.is_informational() || status == StatusCode::NO_CONTENT;
        let is_bodiless = has_no_content || status == StatusCode::NOT_MODIFIED || facts.is_head;
        head.body = match seen.content_length {
            _ if is_bodiless => BodyLength::Empty,
            _ if seen.chunked => BodyLength::Framed,
            Some(0) => BodyLength::Empty,
            Some(len) => BodyLength::Sized(len),
            None => BodyLength::UntilClose,
        };
        // Bytes that belong to no response may follow a body that is framed in two ways, or in one that its version
        // lacks, or that cannot be.
        let is_odd = seen.chunked && (seen.content_length.is_some() || head.version == Version::HTTP_10)
            || seen.chunked && is_bodiless && !facts.is_head
            || has_no_content && seen.content_length.is_some_and(|len| len > 0);
        head.keep_alive = seen.connection.keep_alive(head.version) && head.body != BodyLength::UntilClose && !is_odd;
        if self.form == FieldForm::AsSent {
            self.fields.store(&bytes[fields_start..self.line]);
        }
        head.fields = std::mem::take(&mut self.fields);
        if let Some(len) = seen.content_length {
            if seen.chunked || has_no_content {
                head.fields.remove(FieldKind::ContentLength);
            } else if seen.lacks_length {
                push_content_length(&mut head.fields, len);
            }
        }
        seen.connection.remove_named(&mut head.fields, is_protected);
        Ok(())
    }
}

/// Reads a status line into `head`.
fn read_status_line(line: &[u8], head: &mut ResponseHead) -> Result<(), &'static str> {
    head.version = match line.get(..8) {
        Some(b"HTTP/1.1") => Version::HTTP_11,
        Some(b"HTTP/1.0") => Version::HTTP_10,
        Some(_) | None => return Err("the HTTP version is not 1.0 or 1.1"),
    };
    let reason_phrase = match &line[8..] {
        [b' ', _, _, _] => &[],
        [b' ', _, _, _, b' ', reason_phrase @ ..] => reason_phrase,
        _ => return Err("the status line is malformed"),
    };
    head.status = StatusCode::from_bytes(&line[9..12]).map_err(|_| "the status is no number of three digits")?;
    if !is_value(reason_phrase) {
        return Err("a control byte in the status line");
    }
    head.reason_phrase.extend_from_slice(reason_phrase);
    Ok(())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a field says something to us, so that it may not go on as it is.
fn is_for_us(kind: FieldKind) -> bool {
    kind.is_for_one_hop() || kind == FieldKind::ContentLength
}

/// Whether a field goes to the client.
fn is_passed_on(kind: FieldKind, status: StatusCode) -> bool {
    !kind.is_for_one_hop() || kind == FieldKind::Upgrade && status == StatusCode::SWITCHING_PROTOCOLS
}

fn check_size(len: usize) -> Result<(), &'static str> {
    if len > HEAD_MAX { Err(HEAD_TOO_LARGE) } else { Ok(()) }
}

/// The value of a field that may go over several lines, in one (RFC 9112, section 5.2). None if it has a control byte.
fn unfolded(value: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for line in value.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !is_value(line) {
            return None;
        }
        let line = line.trim_ascii();
        if !joined.is_empty() && !line.is_empty() {
            joined.push(b' ');
        }
        joined.extend_from_slice(line);
    }
    Some(joined)
}

fn push_content_length(fields: &mut Fields, len: u64) {
    fields.push_known(FieldKind::ContentLength, b"Content-Length", &[Decimal::of(len).bytes()]);
}

impl FramingFields {
    fn clear(&mut self) {
        self.content_length = None;
        self.lacks_length = false;
        self.chunked = false;
        self.keep_alive_timeout = None;
        self.connection.clear();
    }

    /// Notes a field, and returns whether it may go on as it is.
    fn note(&mut self, kind: FieldKind, value: &[u8]) -> Result<bool, &'static str> {
        match kind {
            FieldKind::ContentLength => return self.note_content_length(value),
            FieldKind::TransferEncoding => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("Transfer-Encoding is not one `chunked`");
                }
                self.chunked = true;
            }
            FieldKind::Connection => self.note_connection(value)?,
            FieldKind::KeepAlive => self.keep_alive_timeout = self.keep_alive_timeout.or(announced_timeout(value)),
            FieldKind::Accept
            | FieldKind::Authorization
            | FieldKind::ContentType
            | FieldKind::Cookie
            | FieldKind::Date
            | FieldKind::Expect
            | FieldKind::Host
            | FieldKind::Http2Settings
            | FieldKind::ProxyAuthenticate
            | FieldKind::ProxyAuthorization
            | FieldKind::ProxyConnection
            | FieldKind::Referer
            | FieldKind::SecWebSocketAccept
            | FieldKind::SecWebSocketKey
            | FieldKind::SetCookie
            | FieldKind::Te
            | FieldKind::Trailer
            | FieldKind::Upgrade
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
        Ok(true)
    }

    #[inline(never)]
    fn note_connection(&mut self, value: &[u8]) -> Result<(), &'static str> {
        self.connection.note_all(value);
        if self.connection.count > CONNECTION_OPTIONS_MAX { Err("Connection lists too much") } else { Ok(()) }
    }

    /// Equal lengths are one (RFC 9110, section 8.6).
    #[inline(never)]
    fn note_content_length(&mut self, value: &[u8]) -> Result<bool, &'static str> {
        if self.content_length.is_none()
            && let Some(len) = content_length(value)
        {
            self.content_length = Some(len);
            return Ok(true);
        }
        let is_first = self.content_length.is_none();
        let mut count = 0;
        for number in value.split(|byte| *byte == b',') {
            let len = content_length(number.trim_ascii()).ok_or("Content-Length is no number")?;
            if *self.content_length.get_or_insert(len) != len {
                return Err("several Content-Lengths");
            }
            count += 1;
        }
        self.lacks_length |= is_first && count > 1;
        Ok(is_first && count == 1)
    }
}

/// The seconds that a `Keep-Alive` field announces.
fn announced_timeout(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?;
    text.split(',').find_map(|part| {
        let (name, number) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| number.trim().parse().ok())?
    })
}

/// Whether `Connection` cannot remove a field of this kind: the response would lose its framing or its meaning.
fn is_protected(kind: FieldKind) -> bool {
    kind.is_for_one_hop() || matches!(kind, FieldKind::ContentLength | FieldKind::ContentType | FieldKind::SetCookie)
}
