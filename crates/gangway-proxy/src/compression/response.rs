//! Which responses are compressed, and what their heads say then.

use gangway_model::{CompressedTypes, Compression, ContentCoding, choose_coding};
use http::{Method, StatusCode};

use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::message::vary::{self, tokens};

/// Fields that say something about the bytes of the body, or of the representation, that would no longer hold.
const DIGESTS: [&[u8]; 4] = [b"content-md5", b"digest", b"content-digest", b"repr-digest"];

/// Compresses a response, if it is one that can be, and the client takes it: its head says so,
/// and the result is the coding for its body, if one follows.
///
/// The response to a HEAD request says what that to a GET request would say (RFC 9110, section 9.3.2), and so does a
/// 304 (section 15.4.5).
pub(crate) fn on_response(
    compression: &Compression,
    request: &RequestHead,
    has_memory: bool,
    response: &mut ResponseHead,
) -> Option<ContentCoding> {
    if !is_compressible(compression, request, response) {
        return None;
    }
    vary::add("Accept-Encoding", &mut response.fields);
    let coding = choose_coding(request.fields.all_named(b"accept-encoding"), &compression.codings)?;
    if !has_memory {
        return None;
    }
    weaken_etag(&mut response.fields);
    if response.status == StatusCode::NOT_MODIFIED {
        return None;
    }
    let fields = &mut response.fields;
    fields.remove_named(b"content-encoding");
    fields.push(b"Content-Encoding", coding.token().as_bytes());
    fields.remove(FieldKind::ContentLength);
    // Ranges would be those of the uncompressed bytes.
    fields.remove_named(b"accept-ranges");
    if response.body == BodyLength::Empty {
        return None;
    }
    response.body = BodyLength::Framed;
    Some(coding)
}

/// Whether a response would be compressed for a client that takes it.
fn is_compressible(compression: &Compression, request: &RequestHead, response: &ResponseHead) -> bool {
    let len_min = compression.len_min;
    let (status, fields) = (response.status, &response.fields);
    let has_body = match status {
        StatusCode::NOT_MODIFIED => true,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT => false,
        // CONNECT, whose response could have none, is not served.
        _ => !status.is_informational(),
    };
    let is_large = match response.body {
        BodyLength::Sized(len) => len >= len_min,
        BodyLength::Framed | BodyLength::UntilClose => true,
        // The length that the field states is that of another response, which has a body.
        BodyLength::Empty if request.method == Method::HEAD || status == StatusCode::NOT_MODIFIED => {
            fields.get(FieldKind::ContentLength).is_none_or(|len| {
                std::str::from_utf8(len).is_ok_and(|len| len.parse().is_ok_and(|len: u64| len >= len_min))
            })
        }
        BodyLength::Empty => false,
    };
    let is_of_type = match fields.get(FieldKind::ContentType) {
        Some(content_type) => is_of(&compression.types, essence(content_type)),
        None => status == StatusCode::NOT_MODIFIED,
    };
    has_body
        && is_large
        && is_of_type
        && fields.all_named(b"content-encoding").all(|coding| coding.eq_ignore_ascii_case(b"identity"))
        && !tokens(fields, b"cache-control").any(|token| token.eq_ignore_ascii_case(b"no-transform"))
        && !fields.iter().any(|field| {
            field.name.eq_ignore_ascii_case(b"content-range")
                || DIGESTS.iter().any(|digest| field.name.eq_ignore_ascii_case(digest))
        })
}

/// Whether content of this type is compressed.
fn is_of(types: &CompressedTypes, essence: &[u8]) -> bool {
    let is_among = |types: &[Box<str>]| types.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(essence));
    match types {
        CompressedTypes::Worthwhile { except } => is_worth_it(essence) && !is_among(except),
        CompressedTypes::Only(types) => is_among(types),
    }
}

/// A type without its parameters.
fn essence(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether content of this type becomes much smaller.
///
/// Events do as well, but a stream of events lasts for hours, and each would hold the memory of a compressor for that
/// long.
fn is_worth_it(essence: &[u8]) -> bool {
    const TYPES: &[&[u8]] = &[
        b"application/graphql",
        b"application/javascript",
        b"application/json",
        b"application/msgpack",
        b"application/rtf",
        b"application/toml",
        b"application/vnd.apple.mpegurl",
        b"application/vnd.ms-fontobject",
        b"application/wasm",
        b"application/x-javascript",
        b"application/x-mpegurl",
        b"application/x-ndjson",
        b"application/x-sh",
        b"application/x-web-app-manifest+json",
        b"application/xml",
        b"application/yaml",
        b"font/otf",
        b"font/ttf",
        b"image/bmp",
        b"image/svg+xml",
        b"image/vnd.microsoft.icon",
        b"image/x-icon",
    ];
    let begins = |start: &[u8]| essence.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let ends = |suffix: &[u8]| {
        let start = essence.len().checked_sub(suffix.len());
        start.is_some_and(|start| essence[start..].eq_ignore_ascii_case(suffix))
    };
    match () {
        () if begins(b"text/") => !essence.eq_ignore_ascii_case(b"text/event-stream"),
        () if ends(b"+json") || ends(b"+xml") || ends(b"+yaml") || ends(b"+json-seq") => true,
        () => TYPES.iter().any(|known| essence.eq_ignore_ascii_case(known)),
    }
}

/// The compressed bytes are not those that a strong validator stands for (RFC 9110, section 8.8.3.3).
fn weaken_etag(fields: &mut Fields) {
    const NAME: &[u8] = b"ETag";
    let strong = fields.all_named(NAME).next().filter(|etag| etag.starts_with(b"\"")).map(<[u8]>::to_vec);
    if let Some(etag) = strong {
        fields.set(NAME, &[b"W/", &etag[..]].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By every coding, whatever gains by it.
    fn usual() -> Compression {
        Compression::by(ContentCoding::ALL)
    }

    /// A response that would be compressed.
    fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let mut response = ResponseHead { status: StatusCode::from_u16(status).expect("valid"), ..Default::default() };
        let usual = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "5000")];
        for (name, value) in usual {
            if !fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                response.fields.push(name.as_bytes(), value.as_bytes());
            }
        }
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            response.fields.push(name.as_bytes(), value.as_bytes());
        }
        let len = response.fields.get(FieldKind::ContentLength);
        response.body = len.map_or(BodyLength::Framed, |len| match std::str::from_utf8(len).expect("text").parse() {
            Ok(0) | Err(_) => BodyLength::Empty,
            Ok(len) => BodyLength::Sized(len),
        });
        response
    }

    fn request(method: &str, accepted: &str) -> RequestHead {
        RequestHead::of_test(method, "/", &[("host", "a"), ("accept-encoding", accepted)])
    }

    fn lines(response: &ResponseHead) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut lines: Vec<_> =
            response.fields.iter().map(|field| format!("{}: {}", text(field.name), text(field.value))).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_response_that_is_compressed_says_so() {
        let fields = [("ETag", "\"x\""), ("Vary", "Origin,cookie"), ("Accept-Ranges", "bytes"), ("X-Kept", "1")];
        let mut response = response(200, &fields);
        let coding = on_response(&usual(), &request("GET", "br, gzip"), true, &mut response);
        assert_eq!(coding, Some(ContentCoding::Brotli));
        assert_eq!(response.body, BodyLength::Framed);
        assert_eq!(
            lines(&response),
            [
                "Content-Encoding: br",
                "Content-Type: text/html; charset=utf-8",
                "ETag: W/\"x\"",
                "Vary: Origin, cookie, Accept-Encoding",
                "X-Kept: 1",
            ]
        );
    }

    #[test]
    fn head_and_304_say_what_the_answer_to_get_would_say() {
        let mut to_head = response(200, &[("ETag", "\"x\"")]);
        to_head.body = BodyLength::Empty;
        assert_eq!(on_response(&usual(), &request("HEAD", "gzip"), true, &mut to_head), None);
        let mut to_get = response(200, &[("ETag", "\"x\"")]);
        assert_eq!(on_response(&usual(), &request("GET", "gzip"), true, &mut to_get), Some(ContentCoding::Gzip));
        assert_eq!((lines(&to_head), to_head.body), (lines(&to_get), BodyLength::Empty));

        let fields = [("Content-Type", ""), ("Content-Length", ""), ("ETag", "\"x\"")];
        let mut unchanged = response(304, &fields);
        unchanged.body = BodyLength::Empty;
        assert_eq!(on_response(&usual(), &request("GET", "gzip"), true, &mut unchanged), None);
        assert_eq!(lines(&unchanged), ["ETag: W/\"x\"", "Vary: Accept-Encoding"]);

        let mut small = response(200, &[("Content-Length", "1023")]);
        small.body = BodyLength::Empty;
        let before = lines(&small);
        assert_eq!(on_response(&usual(), &request("HEAD", "gzip"), true, &mut small), None);
        assert_eq!(lines(&small), before);
    }

    #[test]
    fn a_client_that_takes_nothing_gets_the_response_as_it_is_and_caches_are_told() {
        for (accepted, has_memory) in [("", true), ("deflate", true), ("gzip", false)] {
            let mut response = response(200, &[("ETag", "\"x\"")]);
            assert_eq!(on_response(&usual(), &request("GET", accepted), has_memory, &mut response), None);
            assert_eq!(response.body, BodyLength::Sized(5000));
            assert_eq!(
                lines(&response),
                [
                    "Content-Length: 5000",
                    "Content-Type: text/html; charset=utf-8",
                    "ETag: \"x\"",
                    "Vary: Accept-Encoding"
                ]
            );
        }
    }

    #[test]
    fn what_cannot_be_compressed_or_is_not_worth_it_stays_as_it_is() {
        for (status, fields) in [
            (200, &[("Content-Type", "image/png")][..]),
            (200, &[("Content-Type", "application/octet-stream")]),
            (200, &[("Content-Type", "application/grpc")]),
            (200, &[("Content-Type", "application/grpc-web+proto")]),
            (200, &[("Content-Type", "Text/Event-Stream; charset=utf-8")]),
            (200, &[("Content-Type", "application/zip")]),
            (200, &[("Content-Type", "font/woff2")]),
            (200, &[("Content-Type", "")]),
            (200, &[("Content-Length", "1023")]),
            (200, &[("Content-Length", "0")]),
            (200, &[("Content-Encoding", "gzip")]),
            (200, &[("Content-Encoding", "identity"), ("Content-Encoding", "br")]),
            (200, &[("Cache-Control", "public, No-Transform")]),
            (200, &[("Content-Range", "bytes 0-4999/9000")]),
            (206, &[("Content-Range", "bytes 0-4999/9000")]),
            (206, &[("Content-Type", "text/plain")]),
            (204, &[]),
            (205, &[]),
            (101, &[]),
            (200, &[("Repr-Digest", "sha-256=:x:")]),
            (200, &[("Content-MD5", "x")]),
            (200, &[("Digest", "sha-256=x")]),
            (200, &[("content-digest", "sha-256=:x:")]),
        ] {
            let mut response = response(status, fields);
            let before = (lines(&response), response.body);
            let coding = on_response(&usual(), &request("GET", "zstd, br, gzip"), true, &mut response);
            assert_eq!((coding, lines(&response), response.body), (None, before.0, before.1), "{status} {fields:?}");
        }
    }

    #[test]
    fn what_becomes_smaller_is_compressed() {
        for (status, fields) in [
            (200, &[("Content-Type", "application/json")][..]),
            (200, &[("Content-Type", "application/activity+JSON; profile=x")]),
            (200, &[("Content-Type", "image/svg+xml")]),
            (200, &[("Content-Type", "application/atom+xml")]),
            (200, &[("Content-Type", "application/openapi+yaml")]),
            (200, &[("Content-Type", "application/geo+json-seq")]),
            (200, &[("Content-Type", "Application/Wasm")]),
            (200, &[("Content-Type", "TEXT/css")]),
            (200, &[("Content-Length", "1024")]),
            (200, &[("Content-Length", "")]),
            (200, &[("Content-Encoding", "identity")]),
            (200, &[("Cache-Control", "max-age=60, public")]),
            (404, &[]),
            (500, &[]),
        ] {
            let mut response = response(status, fields);
            let coding = on_response(&usual(), &request("GET", "zstd"), true, &mut response);
            assert_eq!(coding, Some(ContentCoding::Zstd), "{status} {fields:?}");
            let codings: Vec<_> = response.fields.all_named(b"content-encoding").collect();
            assert_eq!(codings, [b"zstd"], "{status} {fields:?}");
        }
    }

    #[test]
    fn a_route_may_name_types_and_a_length() {
        let types = |types: &[&str]| types.iter().map(|one| Box::from(*one)).collect::<Box<[Box<str>]>>();
        let except = Compression { types: CompressedTypes::Worthwhile { except: types(&["text/html"]) }, ..usual() };
        let only = Compression { types: CompressedTypes::Only(types(&["text/html", "image/png"])), ..usual() };
        let small = Compression { len_min: 100, ..usual() };
        for (compression, fields, is_compressed) in [
            (&except, &[][..], false),
            (&except, &[("Content-Type", "text/css")], true),
            (&except, &[("Content-Type", "image/png")], false),
            (&only, &[], true),
            (&only, &[("Content-Type", "Image/PNG")], true),
            (&only, &[("Content-Type", "text/css")], false),
            (&small, &[("Content-Length", "100")], true),
            (&small, &[("Content-Length", "99")], false),
        ] {
            let mut response = response(200, fields);
            let coding = on_response(compression, &request("GET", "gzip"), true, &mut response);
            assert_eq!(coding.is_some(), is_compressed, "{compression} {fields:?}");
        }
    }

    #[test]
    fn a_validator_that_is_weak_stays_as_it_is() {
        let mut response = response(200, &[("ETag", "W/\"x\"")]);
        on_response(&usual(), &request("GET", "gzip"), true, &mut response);
        assert_eq!(response.fields.all_named(b"etag").collect::<Vec<_>>(), [b"W/\"x\""]);
    }

    #[test]
    fn a_vary_that_says_it_already_stays() {
        for vary in ["*", "Origin, accept-encoding"] {
            let mut response = response(200, &[("Vary", vary)]);
            on_response(&usual(), &request("GET", "gzip"), true, &mut response);
            assert_eq!(response.fields.all_named(b"vary").collect::<Vec<_>>(), [vary.as_bytes()]);
        }
    }
}
