//! Writes heads and chunks of HTTP/1.

use http::{Method, StatusCode, Version};

use crate::http1::http_date::DateText;
use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::stream::upstream_request::UpstreamRequest;

/// The end of the data of a chunk.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// How a response goes to a client over HTTP/1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ResponseFraming {
    /// Whether the body is chunked. If it is not and has no length, the connection's end is the body's end.
    pub(crate) chunked: bool,
    /// Whether the client may send another request on the connection.
    pub(crate) keep_alive: bool,
    /// The version of the request.
    pub(crate) version: Version,
    /// Whether the request's method is HEAD.
    pub(crate) is_head: bool,
    /// The current time, for a response that may have no `Date`.
    pub(crate) date: Option<DateText>,
}

impl ResponseFraming {
    /// The framing of a response. `keep_alive` says whether both sides would go on; a body without a length ends that
    /// for clients that do not know chunks.
    pub(crate) fn new(
        version: Version,
        is_head: bool,
        body: BodyLength,
        keep_alive: bool,
        date: Option<DateText>,
    ) -> Self {
        let has_no_length = matches!(body, BodyLength::Framed | BodyLength::UntilClose);
        let chunked = has_no_length && version == Version::HTTP_11;
        Self { chunked, keep_alive: keep_alive && (chunked || !has_no_length), version, is_head, date }
    }
}

/// Writes the head of a request for an endpoint.
pub(crate) fn write_request_head(request: &UpstreamRequest<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    match request.body {
        BodyLength::Sized(len) => write_fields(request.fields, Some(len), out),
        BodyLength::Framed | BodyLength::UntilClose => {
            write_fields(request.fields, None, out);
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        BodyLength::Empty => {
            // Servers expect a length where a method usually has a body (RFC 9110, section 8.6).
            let expects_body = matches!(*request.method, Method::POST | Method::PUT | Method::PATCH);
            let len = (expects_body || request.fields.has(FieldKind::ContentLength)).then_some(0);
            write_fields(request.fields, len, out);
        }
    }
    if request.is_last && !request.is_upgrade {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a response for a client.
pub(crate) fn write_response_head(head: &ResponseHead, framing: &ResponseFraming, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    if head.reason_phrase.is_empty() {
        out.extend_from_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    } else {
        out.extend_from_slice(&head.reason_phrase);
    }
    out.extend_from_slice(b"\r\n");
    if head.status.is_informational() {
        head.fields.write_lines(out);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            out.extend_from_slice(b"Connection: Upgrade\r\n");
        }
        out.extend_from_slice(b"\r\n");
        return;
    }
    let cannot_have_length = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match head.body {
        BodyLength::Sized(len) => write_fields(&head.fields, Some(len), out),
        BodyLength::Framed | BodyLength::UntilClose => write_fields(&head.fields, None, out),
        // The fields tell of the body that there is not.
        BodyLength::Empty if framing.is_head || cannot_have_length => head.fields.write_lines(out),
        BodyLength::Empty => write_fields(&head.fields, Some(0), out),
    }
    if let Some(date) = &framing.date
        && !head.fields.has(FieldKind::Date)
    {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if framing.chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !framing.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if framing.version == Version::HTTP_10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the line before the data of a chunk. [`CHUNK_END`] follows the data.
pub(crate) fn write_chunk_size(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len > 0, "an empty chunk would end the body");
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        let value = (len >> (4 * digit)) & 0xf;
        out.push(b"0123456789abcdef"[value]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body. Trailers that decide about framing or routing are left out.
pub(crate) fn write_last_chunk(trailers: Option<&Fields>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers.into_iter().flat_map(Fields::iter) {
        if field.kind.is_for_one_hop() || matches!(field.kind, FieldKind::ContentLength | FieldKind::Host) {
            continue;
        }
        out.extend_from_slice(field.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes all fields, with exactly this length for the body.
fn write_fields(fields: &Fields, len: Option<u64>, out: &mut Vec<u8>) {
    let mut lengths = fields.all(FieldKind::ContentLength);
    match (lengths.next(), len) {
        (None, None) => fields.write_lines(out),
        (None, Some(len)) => {
            fields.write_lines(out);
            write_length(len, out);
        }
        (Some(sent), Some(len)) if lengths.next().is_none() && is_number(sent, len) => fields.write_lines(out),
        // No message like this is made. If there is a bug, it must not become one that can be read in two ways.
        (Some(_), len) => {
            for field in fields.iter().filter(|field| field.kind != FieldKind::ContentLength) {
                out.extend_from_slice(field.name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(field.value);
                out.extend_from_slice(b"\r\n");
            }
            if let Some(len) = len {
                write_length(len, out);
            }
        }
    }
}

fn is_number(text: &[u8], number: u64) -> bool {
    crate::grammar::content_length(text) == Some(number)
}

fn write_length(len: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(Decimal::of(len).bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    fn fields(of: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in of {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn request(method: &Method, given: &[(&str, &str)], body: BodyLength) -> String {
        let fields = fields(given);
        let request =
            UpstreamRequest { method, target: "/a?b", fields: &fields, body, is_upgrade: false, is_last: false };
        let mut out = Vec::new();
        write_request_head(&request, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn response(head: &ResponseHead, version: Version, is_head: bool, keep_alive: bool) -> String {
        let date = DateText::of(SystemTime::UNIX_EPOCH);
        let framing = ResponseFraming::new(version, is_head, head.body, keep_alive, Some(date));
        let mut out = Vec::new();
        write_response_head(head, &framing, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_request_has_exactly_one_framing() {
        let host = ("Host", "a");
        let get = request(&Method::GET, &[host], BodyLength::Empty);
        assert_eq!(get, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n");
        let put = request(&Method::PUT, &[host], BodyLength::Empty);
        assert_eq!(put, "PUT /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let length = ("content-length", "12");
        let as_sent = request(&Method::GET, &[length, host], BodyLength::Sized(12));
        assert_eq!(as_sent, "GET /a?b HTTP/1.1\r\ncontent-length: 12\r\nHost: a\r\n\r\n");
        let sized = "GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 120\r\n\r\n";
        assert_eq!(request(&Method::GET, &[host], BodyLength::Sized(120)), sized);
        assert_eq!(request(&Method::GET, &[length, host], BodyLength::Sized(120)), sized);
        assert_eq!(request(&Method::GET, &[("content-length", "120"), host, length], BodyLength::Sized(120)), sized);
        let chunked = "GET /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(request(&Method::GET, &[host], BodyLength::Framed), chunked);
        assert_eq!(request(&Method::GET, &[length, host], BodyLength::Framed), chunked);
        let none = request(&Method::GET, &[length, host], BodyLength::Empty);
        assert_eq!(none, "GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn the_last_request_says_so_and_a_switch_does_not() {
        let switch = fields(&[("Connection", "Upgrade"), ("Upgrade", "websocket")]);
        let mut request = UpstreamRequest {
            method: &Method::GET,
            target: "*",
            fields: &switch,
            body: BodyLength::Empty,
            is_upgrade: true,
            is_last: true,
        };
        let mut out = Vec::new();
        write_request_head(&request, &mut out);
        assert_eq!(out, b"GET * HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let none = Fields::default();
        request = UpstreamRequest { fields: &none, is_upgrade: false, ..request };
        out.clear();
        write_request_head(&request, &mut out);
        assert_eq!(out, b"GET * HTTP/1.1\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn a_response_has_the_framing_that_its_client_knows() {
        let of = |body, version, keep_alive| {
            let head = ResponseHead { body, ..ResponseHead::default() };
            response(&head, version, false, keep_alive).replace(DATE, "").replace("HTTP/1.1 200 OK\r\n", "")
        };
        let (new, old) = (Version::HTTP_11, Version::HTTP_10);
        assert_eq!(of(BodyLength::Sized(5), new, true), "Content-Length: 5\r\n\r\n");
        assert_eq!(of(BodyLength::Empty, new, true), "Content-Length: 0\r\n\r\n");
        assert_eq!(
            of(BodyLength::Sized(u64::MAX), new, false),
            "Content-Length: 18446744073709551615\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(of(BodyLength::Sized(5), old, true), "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(of(BodyLength::Sized(5), old, false), "Content-Length: 5\r\nConnection: close\r\n\r\n");
        for body in [BodyLength::Framed, BodyLength::UntilClose] {
            assert_eq!(of(body, new, true), "Transfer-Encoding: chunked\r\n\r\n");
            assert_eq!(of(body, old, true), "Connection: close\r\n\r\n");
        }
    }

    #[test]
    fn a_response_keeps_what_the_application_said() {
        let mut head = ResponseHead {
            reason_phrase: b"Fine".to_vec(),
            fields: fields(&[("date", "yesterday"), ("Content-Length", "5"), ("X", "y")]),
            body: BodyLength::Sized(5),
            version: Version::HTTP_10,
            ..ResponseHead::default()
        };
        let as_sent = "HTTP/1.1 200 Fine\r\ndate: yesterday\r\nContent-Length: 5\r\nX: y\r\n\r\n";
        assert_eq!(response(&head, Version::HTTP_11, false, true), as_sent);
        head.body = BodyLength::Empty;
        assert_eq!(response(&head, Version::HTTP_11, true, true), as_sent, "a response to HEAD tells of a body");
        head.status = StatusCode::NOT_MODIFIED;
        assert_eq!(response(&head, Version::HTTP_11, false, true), as_sent.replace("200", "304"));
        head.status = StatusCode::from_u16(299).expect("valid");
        head.reason_phrase.clear();
        let emptied = "HTTP/1.1 299 \r\ndate: yesterday\r\nX: y\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(response(&head, Version::HTTP_11, false, true), emptied);
        head.fields.clear();
        assert_eq!(response(&head, Version::HTTP_11, true, true), format!("HTTP/1.1 299 \r\n{DATE}\r\n"));
    }

    #[test]
    fn what_comes_before_a_response_has_no_framing() {
        let mut head = ResponseHead { status: StatusCode::CONTINUE, ..ResponseHead::default() };
        assert_eq!(response(&head, Version::HTTP_11, false, false), "HTTP/1.1 100 Continue\r\n\r\n");
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        head.fields = fields(&[("Upgrade", "websocket")]);
        assert_eq!(
            response(&head, Version::HTTP_11, false, false),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        );
    }

    #[test]
    fn chunks_are_framed() {
        let mut out = Vec::new();
        for len in [1, 9, 10, 15, 16, 255, 256, 16_384, 0xdead_beef] {
            out.clear();
            write_chunk_size(len, &mut out);
            assert_eq!(out, format!("{len:x}\r\n").as_bytes());
        }
        out.clear();
        write_last_chunk(None, &mut out);
        assert_eq!(out, b"0\r\n\r\n");
        out.clear();
        let trailers = fields(&[("X-Sum", "a"), ("content-length", "5"), ("Connection", "x"), ("Y", "")]);
        write_last_chunk(Some(&trailers), &mut out);
        assert_eq!(out, b"0\r\nX-Sum: a\r\nY: \r\n\r\n");
    }
}
