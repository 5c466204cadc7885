//! Properties of parsers and writers that hold for any bytes. Tests and fuzz targets check them.

#[cfg(test)]
mod tests;

use http::Version;

use crate::http1::chunked::ChunkedDecoder;
use crate::http1::encoder::{
    CHUNK_END, ResponseFraming, write_chunk_size, write_last_chunk, write_request_head, write_response_head,
};
use crate::http1::http_date::DateText;
use crate::http1::request_parser::{HeadBounds, RequestParser};
use crate::http1::response_parser::{RequestFacts, ResponseParser};
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::{HEAD_TOO_LARGE, ResponseHead, TOO_MANY_FIELDS};
use crate::stream::upstream_request::UpstreamRequest;

/// Wider than any head that is written from one within the usual bounds.
const WIDE: HeadBounds = HeadBounds { bytes: 1 << 20, fields: 1000, target: 1 << 18 };
const USUAL: HeadBounds = HeadBounds { bytes: 32 * 1024, fields: 100, target: 8 * 1024 };

/// A message that was read from some bytes, as far as they go.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Read<H> {
    head: H,
    body: Vec<u8>,
    /// Lines of trailers.
    trailers: Vec<u8>,
    /// The bytes that belong to the message.
    len: usize,
    has_ended: bool,
}

/// The parts of a head that can be compared.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Summary {
    start: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    lines: Vec<u8>,
    facts: String,
    body: BodyLength,
}

/// How many requests the bytes hold. However they are cut, they are read alike, and the application reads each as
/// it was read.
pub(crate) fn check_requests(bytes: &[u8], places: &[usize]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    loop {
        let whole = read_request(rest, &[]);
        assert_eq!(whole, read_request(rest, places), "cut at {places:?}: {:?}", text(rest));
        let Ok(Some((head, read))) = whole else { return count };
        count += 1;
        check_request_upstream(&head.0, &read);
        if !read.has_ended || read.len == 0 {
            return count;
        }
        rest = &rest[read.len..];
    }
}

/// How many responses the bytes hold. However they are cut, they are read alike, and the client reads each as it
/// was read.
pub(crate) fn check_responses(bytes: &[u8], facts: RequestFacts, places: &[usize]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    loop {
        let whole = read_response(rest, facts, &[]);
        assert_eq!(whole, read_response(rest, facts, places), "cut at {places:?}: {:?}", text(rest));
        let Ok(Some((head, read))) = whole else { return count };
        count += 1;
        check_as_httparse_reads(rest, &head.0);
        for version in [Version::HTTP_11, Version::HTTP_10] {
            check_response_downstream(&head.0, &read, facts, version);
        }
        if !read.has_ended || read.len == 0 || read.head.body == BodyLength::UntilClose {
            return count;
        }
        rest = &rest[read.len..];
    }
}

/// A body that was written in these pieces is read as it was, however the bytes are cut.
#[cfg(test)]
pub(crate) fn check_chunks(pieces: &[Vec<u8>], trailers: &Fields, places: &[usize]) {
    let mut written = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        write_chunk_size(piece.len(), &mut written);
        written.extend_from_slice(piece);
        written.extend_from_slice(CHUNK_END);
    }
    write_last_chunk(Some(trailers), &mut written);
    let len = written.len();
    written.extend_from_slice(b"GET");
    let body = read_body(BodyLength::Framed, ChunkedDecoder::for_responses(), &written, places).expect("in order");
    assert_eq!((body.0, body.2, body.3), (pieces.concat(), len, true));
    assert_eq!(as_httparse_reads_chunks(&written), Ok(Some((pieces.concat(), len))));
}

/// So that heads can be compared as a part of a result.
#[derive(Clone, Debug)]
struct Uncompared<T>(T);

impl<T> PartialEq for Uncompared<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

type ReadRequest = Option<(Uncompared<RequestHead>, Read<Summary>)>;
type ReadResponse = Option<(Uncompared<ResponseHead>, Read<Summary>)>;

fn read_request(bytes: &[u8], places: &[usize]) -> Result<ReadRequest, String> {
    let (mut parser, mut head) = (RequestParser::new(USUAL), RequestHead::default());
    let mut len = None;
    for end in ends(bytes.len(), places) {
        len = parser.parse(&bytes[..end], &mut head).map_err(|rejection| rejection.to_string())?;
        if len.is_some() {
            break;
        }
        assert_eq!(head.fields.iter().count(), 0, "a head that has not ended has no fields");
    }
    let Some(len) = len else { return Ok(None) };
    let places: Vec<usize> = places.iter().filter_map(|place| place.checked_sub(len)).collect();
    let body = read_body(head.body, ChunkedDecoder::for_requests(), &bytes[len..], &places)?;
    let read =
        Read { head: request_summary(&head), body: body.0, trailers: body.1, len: len + body.2, has_ended: body.3 };
    Ok(Some((Uncompared(head), read)))
}

fn read_response(bytes: &[u8], facts: RequestFacts, places: &[usize]) -> Result<ReadResponse, String> {
    let (mut parser, mut head) = (ResponseParser::default(), ResponseHead::default());
    let mut len = None;
    for end in ends(bytes.len(), places) {
        len = parser.parse(&bytes[..end], facts, &mut head)?;
        if len.is_some() {
            break;
        }
        assert_eq!(head.fields.iter().count(), 0, "a head that has not ended has no fields");
    }
    let Some(len) = len else { return Ok(None) };
    let places: Vec<usize> = places.iter().filter_map(|place| place.checked_sub(len)).collect();
    let body = read_body(head.body, ChunkedDecoder::for_responses(), &bytes[len..], &places)?;
    let read =
        Read { head: response_summary(&head), body: body.0, trailers: body.1, len: len + body.2, has_ended: body.3 };
    Ok(Some((Uncompared(head), read)))
}

/// The body and its trailers, how many bytes belong to it, and whether it has ended.
fn read_body(
    length: BodyLength,
    mut decoder: ChunkedDecoder,
    bytes: &[u8],
    places: &[usize],
) -> Result<(Vec<u8>, Vec<u8>, usize, bool), String> {
    match length {
        BodyLength::Empty => Ok((Vec::new(), Vec::new(), 0, true)),
        BodyLength::Sized(len) => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let taken = len.min(bytes.len());
            Ok((bytes[..taken].to_vec(), Vec::new(), taken, taken == len))
        }
        BodyLength::UntilClose => Ok((bytes.to_vec(), Vec::new(), bytes.len(), true)),
        BodyLength::Framed => {
            let (mut data, mut trailers, mut at) = (Vec::new(), Vec::new(), 0);
            for end in ends(bytes.len(), places) {
                loop {
                    let decoded = decoder.decode(&bytes[at..end])?;
                    assert!(decoded.data.is_empty() || decoded.data.end == decoded.consumed);
                    data.extend_from_slice(&bytes[at..end][decoded.data.clone()]);
                    at += decoded.consumed;
                    if decoded.data.is_empty() {
                        assert!(at == end || decoder.has_ended());
                        break;
                    }
                }
            }
            if let Some(fields) = decoder.trailers() {
                fields.write_lines(&mut trailers);
            }
            Ok((data, trailers, at, decoder.has_ended()))
        }
    }
}

/// The places at which bytes are cut, in order, and their end.
fn ends(len: usize, places: &[usize]) -> Vec<usize> {
    let mut ends: Vec<usize> = places.iter().copied().filter(|place| *place < len).collect();
    ends.push(len);
    ends.sort_unstable();
    ends
}

fn request_summary(head: &RequestHead) -> Summary {
    Summary {
        start: format!("{} {}", head.method, head.target),
        fields: pairs(&head.fields),
        lines: lines(&head.fields),
        facts: format!("{:?} {} {} {:?}", head.version, head.keep_alive, head.expects_continue, head.upgrade),
        body: head.body,
    }
}

fn response_summary(head: &ResponseHead) -> Summary {
    Summary {
        start: format!("{} {:?}", head.status.as_u16(), text(&head.reason_phrase)),
        fields: pairs(&head.fields),
        lines: lines(&head.fields),
        facts: format!("{:?} {}", head.version, head.keep_alive),
        body: head.body,
    }
}

fn pairs(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn lines(fields: &Fields) -> Vec<u8> {
    let mut lines = Vec::new();
    fields.write_lines(&mut lines);
    lines
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The body in the framing that was announced.
fn write_body(is_chunked: bool, read: &Read<Summary>, trailers: Option<&Fields>, out: &mut Vec<u8>) {
    if !is_chunked {
        out.extend_from_slice(&read.body);
        return;
    }
    for piece in read.body.chunks(7) {
        write_chunk_size(piece.len(), out);
        out.extend_from_slice(piece);
        out.extend_from_slice(CHUNK_END);
    }
    if read.has_ended {
        write_last_chunk(trailers, out);
    }
}

/// The request that is written for an endpoint is the one that was read, for our parser and for another one.
fn check_request_upstream(head: &RequestHead, read: &Read<Summary>) {
    let mut fields = Fields::default();
    fields.extend_from(&head.fields, |field| !field.kind.is_for_one_hop());
    let request = UpstreamRequest {
        method: &head.method,
        target: &head.target,
        fields: &fields,
        body: head.body,
        is_upgrade: false,
        is_last: false,
    };
    let mut written = Vec::new();
    write_request_head(&request, &mut written);
    let head_len = written.len();
    write_body(head.body == BodyLength::Framed, read, None, &mut written);
    let shown = text(&written);

    let (mut parser, mut again) = (RequestParser::new(WIDE), RequestHead::default());
    assert_eq!(parser.parse(&written, &mut again), Ok(Some(head_len)), "{shown}");
    assert_eq!((&again.method, &again.target, again.body), (&head.method, &head.target, head.body), "{shown}");
    let as_sent = |fields: &Fields| {
        let decides = |kind| matches!(kind, FieldKind::ContentLength | FieldKind::TransferEncoding);
        let kept = fields.iter().filter(|field| !decides(field.kind));
        kept.map(|field| (field.name.to_vec(), field.value.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(as_sent(&again.fields), as_sent(&fields), "{shown}");
    let body = read_body(again.body, ChunkedDecoder::for_requests(), &written[head_len..], &[]).expect("in order");
    assert_eq!((&body.0, body.3), (&read.body, read.has_ended), "{shown}");

    let mut space = [httparse::EMPTY_HEADER; 200];
    let mut parsed = httparse::Request::new(&mut space);
    assert_eq!(parsed.parse(&written), Ok(httparse::Status::Complete(head_len)), "{shown}");
    assert_eq!(
        (parsed.method, parsed.path, parsed.version),
        (Some(head.method.as_str()), Some(&*head.target), Some(1))
    );
    let theirs: Vec<_> =
        parsed.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
    assert_eq!(theirs, pairs(&again.fields), "{shown}");
    check_framing(parsed.headers, &written[head_len..], read, head.body, &shown);
}

/// The response that is written for a client is the one that was read, for our parser and for another one.
fn check_response_downstream(head: &ResponseHead, read: &Read<Summary>, facts: RequestFacts, version: Version) {
    let date = DateText::of(std::time::SystemTime::UNIX_EPOCH);
    let framing = ResponseFraming::new(version, facts.is_head, head.body, true, Some(date));
    let mut written = Vec::new();
    write_response_head(head, &framing, &mut written);
    let head_len = written.len();
    write_body(framing.chunked, read, None, &mut written);
    let shown = text(&written);

    let (mut parser, mut again) = (ResponseParser::default(), ResponseHead::default());
    match parser.parse(&written, facts, &mut again) {
        // The lines that are added, and those written anew, can make it too large.
        Err(HEAD_TOO_LARGE | TOO_MANY_FIELDS) => return,
        result => assert_eq!(result, Ok(Some(head_len)), "{shown}"),
    }
    let expected = match head.body {
        BodyLength::Framed | BodyLength::UntilClose if framing.chunked => BodyLength::Framed,
        BodyLength::Framed | BodyLength::UntilClose => BodyLength::UntilClose,
        BodyLength::Empty | BodyLength::Sized(_) => head.body,
    };
    assert_eq!((again.status, again.body), (head.status, expected), "{shown}");
    if !head.status.is_informational() {
        assert_eq!(again.keep_alive, framing.keep_alive, "{shown}");
    }
    let as_sent = |fields: &Fields| {
        let ours = |kind| matches!(kind, FieldKind::ContentLength | FieldKind::Date);
        let kept = fields.iter().filter(|field| !ours(field.kind));
        kept.map(|field| (field.name.to_vec(), field.value.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(as_sent(&again.fields), as_sent(&head.fields), "{shown}");

    let mut space = [httparse::EMPTY_HEADER; 300];
    let mut parsed = httparse::Response::new(&mut space);
    assert_eq!(parsed.parse(&written), Ok(httparse::Status::Complete(head_len)), "{shown}");
    assert_eq!((parsed.code, parsed.version), (Some(head.status.as_u16()), Some(1)), "{shown}");
    if expected != BodyLength::UntilClose && !facts.is_head && head.body != BodyLength::Empty {
        check_framing(parsed.headers, &written[head_len..], read, head.body, &shown);
    }
}

/// The fields of another parser give the same body.
fn check_framing(fields: &[httparse::Header<'_>], body: &[u8], read: &Read<Summary>, length: BodyLength, shown: &str) {
    let values = |name: &str| {
        let named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value).collect::<Vec<_>>()
    };
    match (&values("content-length")[..], &values("transfer-encoding")[..], length) {
        ([], [], BodyLength::Empty) => {}
        ([value], [], BodyLength::Empty) => assert!(value.iter().all(|digit| *digit == b'0'), "{shown}"),
        ([value], [], BodyLength::Sized(len)) => {
            let text = std::str::from_utf8(value).expect("digits");
            assert_eq!(text.parse(), Ok(len), "{shown}");
        }
        ([], [coding], BodyLength::Framed | BodyLength::UntilClose) => {
            assert_eq!(*coding, b"chunked", "{shown}");
            let theirs = as_httparse_reads_chunks(body).expect("in order");
            assert_eq!(theirs.is_some(), read.has_ended, "{shown}");
            if let Some((data, len)) = theirs {
                assert_eq!((&data, len), (&read.body, body.len()), "{shown}");
            }
        }
        (lengths, codings, length) => panic!("{lengths:?} and {codings:?} for {length:?}: {shown}"),
    }
}

/// A response that another parser reads too has the fields that it finds, but for those that were removed.
fn check_as_httparse_reads(bytes: &[u8], head: &ResponseHead) {
    let mut space = [httparse::EMPTY_HEADER; 300];
    let mut parsed = httparse::Response::new(&mut space);
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    let Ok(httparse::Status::Complete(_)) = config.parse_response(&mut parsed, bytes) else { return };
    assert_eq!(parsed.code, Some(head.status.as_u16()));
    let unfolded = |value: &[u8]| {
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let mut theirs = parsed.headers.iter();
    for field in head.fields.iter().filter(|field| field.kind != FieldKind::ContentLength) {
        let is_it = |their: &&httparse::Header<'_>| {
            their.name.as_bytes() == field.name && unfolded(their.value) == unfolded(field.value)
        };
        assert!(theirs.by_ref().find(is_it).is_some(), "{:?}: {:?}", text(field.name), text(bytes));
    }
}

/// The data of a chunked body and its length, once the body has ended.
pub(crate) fn as_httparse_reads_chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, httparse::Error> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let read = httparse::parse_chunk_size(&bytes[at..]).map_err(|_| httparse::Error::Token)?;
        let httparse::Status::Complete((len, size)) = read else { return Ok(None) };
        at += len;
        if size == 0 {
            let mut space = [httparse::EMPTY_HEADER; 300];
            let ended = httparse::parse_headers(&bytes[at..], &mut space)?;
            let httparse::Status::Complete((len, _)) = ended else { return Ok(None) };
            return Ok(Some((data, at + len)));
        }
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).ok_or(httparse::Error::Token)?;
        let Some(chunk) = bytes.get(at..end) else { return Ok(None) };
        data.extend_from_slice(chunk);
        match bytes.get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => at = end + 2,
            Some(_) => return Err(httparse::Error::NewLine),
        }
    }
}
