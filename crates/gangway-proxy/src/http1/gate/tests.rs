//! What a gate releases, whatever comes and however it is cut.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::reply::reason::Reason;

/// What came through for a client that sends `slices`, each answer being out at once.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Through {
    released: Vec<u8>,
    refused: Option<Rejection>,
}

/// Reads into room for so many bytes at a time.
fn through(slices: &[&[u8]], room: usize) -> Through {
    let mut gate = Gate::new(&Limits::default());
    let mut released = Vec::new();
    for slice in slices {
        let passed = match gate.inspect(slice) {
            Ok(passed) => passed,
            Err(rejection) => return Through { released, refused: Some(rejection) },
        };
        released.extend_from_slice(&slice[..passed]);
        loop {
            if let Some(rejection) = gate.take_rejection() {
                assert_eq!(taken(&mut gate, room), STAND_IN);
                assert_eq!(gate.inspect(b"GET / HTTP/1.1\r\n"), Ok(0), "nothing is read after a refusal");
                return Through { released, refused: Some(rejection) };
            }
            let ready = taken(&mut gate, room);
            released.extend_from_slice(&ready);
            let held = gate.kept.len();
            if let Err(rejection) = gate.request_finished() {
                return Through { released, refused: Some(rejection) };
            }
            if ready.is_empty() && gate.kept.len() == held && gate.ready_len() == 0 && gate.rejection.is_none() {
                break;
            }
        }
    }
    Through { released, refused: None }
}

fn taken(gate: &mut Gate, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut space = vec![0; room];
    loop {
        let mut buf = ReadBuf::new(&mut space);
        if gate.take_ready(&mut buf) == 0 {
            return all;
        }
        all.extend_from_slice(buf.filled());
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_whole_request_passes_in_place() {
    for request in [
        GET,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut gate = Gate::new(&Limits::default());
        assert_eq!(gate.inspect(request), Ok(request.len()));
        assert!(gate.take_released_head() && gate.take_rejection().is_none());
        assert_eq!((gate.kept.capacity(), gate.ready.capacity()), (0, 0), "nothing was copied");
        assert_eq!(gate.awaiting(), Awaiting::Nothing);
    }
}

#[test]
fn a_head_is_released_whole() {
    let mut gate = Gate::new(&Limits::default());
    for at in 0..GET.len() - 1 {
        assert_eq!(gate.inspect(&GET[at..at + 1]), Ok(0));
        assert_eq!((gate.ready_len(), gate.awaiting()), (0, Awaiting::RestOfHead));
    }
    assert_eq!(gate.inspect(&GET[GET.len() - 1..]), Ok(0));
    assert_eq!(taken(&mut gate, 7), GET);
}

#[test]
fn a_request_sent_ahead_waits_for_the_answer_and_the_rest_of_it_stays_with_the_client() {
    let mut gate = Gate::new(&Limits::default());
    assert_eq!(gate.inspect(&[GET, b"GET /2"].concat()), Ok(GET.len()));
    assert!(gate.is_holding() && gate.has_kept());
    gate.request_finished().expect("in order");
    assert!(!gate.is_holding());
    assert_eq!(gate.awaiting(), Awaiting::RestOfHead);
    assert_eq!(gate.inspect(b" HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(0));
    assert_eq!(taken(&mut gate, 64), b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn who_drains_a_body_never_takes_the_next_request_for_it() {
    let mut gate = Gate::new(&Limits::default());
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    gate.inspect(&post[..20]).expect("in order");
    gate.inspect(&[&post[20..], b"0123456789", GET].concat()).expect("in order");
    // The answer is out early; the body was not read yet.
    let mut space = [0; 20];
    let mut buf = ReadBuf::new(&mut space);
    gate.take_ready(&mut buf);
    gate.request_finished().expect("in order");
    assert_eq!(&[buf.filled(), &taken(&mut gate, 64)].concat(), &[&post[..], b"0123456789"].concat());
    gate.request_finished().expect("in order");
    assert_eq!(taken(&mut gate, 64), GET);
}

#[test]
fn an_empty_line_after_a_request_begins_no_other_one() {
    let mut gate = Gate::new(&Limits::default());
    gate.inspect(GET).expect("in order");
    gate.request_finished().expect("in order");
    gate.inspect(b"\r\n").expect("in order");
    assert_eq!(gate.awaiting(), Awaiting::NextRequest);
    gate.inspect(GET).expect("in order");
    assert_eq!(taken(&mut gate, 64), [b"\r\n", GET].concat());
}

#[test]
fn bytes_pass_unseen_only_after_an_upgrade_that_was_asked_for() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut gate = Gate::new(&Limits::default());
    assert_eq!(gate.inspect(&[&upgrade[..], b"early"].concat()), Ok(upgrade.len()));
    gate.upgraded().expect("in order");
    assert_eq!(taken(&mut gate, 64), b"early");
    assert_eq!(gate.inspect(b"\0\x01\n\n"), Ok(4));

    let mut gate = Gate::new(&Limits::default());
    gate.inspect(upgrade).expect("in order");
    gate.request_finished().expect("in order");
    assert_eq!(gate.inspect(b"\x81\x05hello"), Ok(0), "the answer was no 101, so this is a malformed head");
    assert!(gate.take_rejection().is_some());

    let mut gate = Gate::new(&Limits::default());
    gate.inspect(GET).expect("in order");
    gate.upgraded().expect("in order");
    assert_eq!(gate.inspect(b"tunnelled?"), Ok(0));
}

#[test]
fn a_body_that_breaks_its_framing_ends_the_request() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut gate = Gate::new(&Limits::default());
    assert_eq!(gate.inspect(&[&head[..], b"\r\n"].concat()), Ok(0), "refused like a bad head");
    assert_eq!(taken(&mut gate, 64), STAND_IN);
    let whole = through(&[&[&head[..], b"\r\n", GET].concat()], 64);
    assert_eq!(whole.refused.map(|rejection| rejection.reason), Some(Reason::BadRequest));
    assert_eq!(whole.released, b"", "nothing of it was seen by the parser");
    let cut = through(&[head, b"\r\n", GET], 64);
    assert_eq!((cut.refused, &cut.released[..]), (whole.refused, &head[..]));
}

#[test]
fn a_client_that_never_stops_costs_no_more_than_a_head() {
    let mut gate = Gate::new(&Limits::default());
    let mut kept_max = 0;
    for _ in 0..10_000 {
        let _ = gate.inspect(b"X-Field: 0123456789abcdef\r\n");
        kept_max = kept_max.max(gate.kept.len());
        taken(&mut gate, 64);
    }
    assert!(kept_max < Limits::default().head_bytes, "{kept_max}");
    assert!(gate.kept.is_empty(), "refused, and nothing is kept any more");
}

/// Prints what a head costs beside the parser behind the gate; with `--release -- --nocapture` it means
/// something.
#[test]
fn what_a_head_costs() {
    const ROUNDS: u32 = 20_000;
    let browser = "GET /static/app.9f8e7d6c.js?v=20260101 HTTP/1.1\r\nHost: shop.example.org\r\nConnection: keep-alive\r\n\
        sec-ch-ua: \"Chromium\";v=\"126\", \"Not-A.Brand\";v=\"8\"\r\nsec-ch-ua-mobile: ?0\r\nUser-Agent: Mozilla/5.0 (X11; \
        Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\nAccept: */*\r\n\
        Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\nReferer: \
        https://shop.example.org/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
        Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n";
    for (who, head) in [("least", GET), ("browser", browser.as_bytes())] {
        let mut gate = Gate::new(&Limits::default());
        let since = tokio::time::Instant::now();
        for _ in 0..ROUNDS {
            assert_eq!(gate.inspect(std::hint::black_box(head)), Ok(head.len()));
            gate.take_released_head();
            gate.request_finished().expect("in order");
        }
        let by_gate = since.elapsed() / ROUNDS;
        let since = tokio::time::Instant::now();
        for _ in 0..ROUNDS {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let parsed = httparse::Request::new(&mut fields).parse(std::hint::black_box(head));
            assert_eq!(parsed, Ok(httparse::Status::Complete(head.len())));
        }
        let by_httparse = since.elapsed() / ROUNDS;
        println!("{who}, {} bytes: the gate {by_gate:?}, httparse {by_httparse:?}", head.len());
    }
}

/// Parts of requests, in order and not.
pub(super) fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "POST /a?b=c HTTP/1.1\r\n", "GET http://a/x HTTP/1.0\r\n", "Host: a\r\n", "Host: a\r\n\r\n",
            "Host: a\r\n\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "\r\n", "hello", "5\r\nhello\r\n",
            "0\r\n\r\n", "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", "X: y\r\n", "Upgrade: websocket\r\nConnection: upgrade\r\n",
            "Expect: 100-continue\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec![
            "\n", "\r", " ", "X : y\r\n", " folded\r\n", "GET / HTTP/0.9\r\n", "Host:\r\n", "Expect: x\r\n", "\0", "CONNECT a:1 HTTP/1.1\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => (0..9000_usize).prop_map(|len| vec![b'x'; len]),
        1 => (0..120_usize).prop_map(|count| b"X-Field: 0123456789\r\n".repeat(count)),
        1 => (0..34_000_usize).prop_map(|len| [b"X: ", &vec![b'y'; len][..], b"\r\n"].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn cut<'b>(bytes: &'b [u8], places: &[Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let mut from = 0;
    places.iter().map(|to| &bytes[std::mem::replace(&mut from, *to)..*to]).filter(|slice| !slice.is_empty()).collect()
}

/// Reads one request from the front of `bytes` as another parser does; its length, or none where it
/// does not take it.
fn as_httparse_reads(bytes: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(mut at) = request.parse(bytes).ok()? else { return None };
    let field = |name: &str| request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    if let Some(len) = field("content-length") {
        return Some(at + std::str::from_utf8(len.value).ok()?.parse::<usize>().ok()?);
    }
    if field("transfer-encoding").is_none() {
        return Some(at);
    }
    loop {
        let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(&bytes[at..]).ok()? else {
            return None;
        };
        at += start;
        if size == 0 {
            let mut trailers = [httparse::EMPTY_HEADER; 128];
            let httparse::Status::Complete((len, _)) = httparse::parse_headers(&bytes[at..], &mut trailers).ok()?
            else {
                return None;
            };
            return Some(at + len);
        }
        at += usize::try_from(size).ok()?;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn how_bytes_are_cut_and_read_changes_nothing(
        parts in prop::collection::vec(part(), 1..10),
        places in prop::collection::vec(any::<Index>(), 0..8),
        room in 1..200_usize,
    ) {
        let bytes = parts.concat();
        let (whole, pieces) = (through(&[&bytes], 4096), through(&cut(&bytes, &places), room));
        prop_assert_eq!(whole.refused, pieces.refused);
        // Where a body breaks, its beginning may have passed, or the head was not released yet.
        if whole.refused.is_none() {
            prop_assert_eq!(whole.released, pieces.released);
        } else {
            prop_assert!(bytes.starts_with(&whole.released) && bytes.starts_with(&pieces.released));
        }
    }

    #[test]
    fn one_byte_at_a_time_is_the_same(parts in prop::collection::vec(part(), 1..5)) {
        let bytes = parts.concat();
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(through(&[&bytes], 4096).refused, through(&singles, 1).refused);
    }

    #[test]
    fn another_parser_reads_the_same_requests(parts in prop::collection::vec(part(), 1..10)) {
        let through = through(&[&parts.concat()], 4096);
        let mut rest = &through.released[..];
        while let Some(len) = as_httparse_reads(rest) {
            if len > rest.len() {
                return Ok(());
            }
            rest = &rest[len..];
        }
        // What is left is the beginning of a body, or nothing: never a head that it does not understand.
        let unread = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        let head = memchr::memmem::find(unread, b"\r\n\r\n").map(|end| &unread[..end + 4]);
        prop_assert!(
            head.is_none_or(|head| matches!(
                httparse::Request::new(&mut [httparse::EMPTY_HEADER; 128]).parse(head), Ok(httparse::Status::Complete(_))
            )),
            "{:?}", rest.escape_ascii().to_string()
        );
    }
}
