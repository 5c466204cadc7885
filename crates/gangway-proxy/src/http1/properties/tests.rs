//! The properties, over any bytes.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Parts of requests and responses, in order and not.
fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "POST /a?b=c HTTP/1.1\r\n", "GET http://a/x HTTP/1.0\r\n", "OPTIONS http://a HTTP/1.1\r\n",
            "Host: a\r\n", "Host: a\r\n\r\n", "Host: a\r\n\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n",
            "\r\n", "hello", "5\r\nhello\r\n", "0\r\n\r\n", "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", "X: y\r\n",
            "Upgrade: websocket\r\nConnection: upgrade\r\n", "Expect: 100-continue\r\n", "Connection: x, close\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        4 => prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\n", "HTTP/1.1 101 x\r\n", "HTTP/1.1 304 \r\n", "HTTP/1.1 204 \r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "Content-Length: 5, 5\r\n", "X: y\n", "X:\r\n", " folded\r\n",
            "\n", "X: y\n\tz\n", "X: y\r\n z\r\n", "Content-Length: 0\r\n", "Keep-Alive: timeout=5\r\n", "Date: x\r\n", "Connection: keep-alive\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(vec![
            "\n", "\r", " ", "X : y\r\n", " folded\r\n", "GET / HTTP/0.9\r\n", "Host:\r\n", "Expect: x\r\n", "\0",
            "CONNECT a:1 HTTP/1.1\r\n", "GET /\u{e4}`?\"<b> HTTP/1.1\r\n", "5 \r\nhello\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => (0..9000_usize).prop_map(|len| vec![b'x'; len]),
        1 => (0..120_usize).prop_map(|count| b"X-Field: 0123456789\r\n".repeat(count)),
        1 => (0..34_000_usize).prop_map(|len| [b"X: ", &vec![b'y'; len][..], b"\r\n"].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn at(places: &[Index], len: usize) -> Vec<usize> {
    places.iter().map(|place| place.index(len + 1)).collect()
}

fn facts() -> impl Strategy<Value = RequestFacts> {
    any::<(bool, bool)>().prop_map(|(is_head, asked_upgrade)| RequestFacts { is_head, asked_upgrade })
}

#[test]
fn requests_in_order_are_read_as_such() {
    for (requests, count) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2?x=`{}|^\\[]' HTTP/1.0\r\nhost:a\r\n\r\n", 2),
        ("GET HTTP://a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n000\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{e4}\tb\r\nEmpty:\r\nY:\t\r\n\r\n", 1),
        ("M!#$%&'*+-.^_`|~ /x HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("\r\nGET /a`b HTTP/1.1\r\nHost: a\r\n\r\n", 1),
    ] {
        assert_eq!(check_requests(requests.as_bytes(), &[]), count, "{requests:?}");
    }
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Field: y\r\n".repeat(99));
    assert_eq!(check_requests(many.as_bytes(), &[]), 1);
    let chunks = "1;0123456789\r\nx\r\n".repeat(500);
    let body = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    assert_eq!(check_requests(body.as_bytes(), &[]), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_read_as_sent(
        parts in prop::collection::vec(part(), 1..12),
        places in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let bytes = parts.concat();
        check_requests(&bytes, &at(&places, bytes.len()));
    }

    #[test]
    fn responses_are_read_as_sent(
        parts in prop::collection::vec(part(), 0..10),
        first in prop::sample::select(vec!["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 304\n", "HTTP/1.1 100 \r\n", ""]),
        facts in facts(),
        places in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let bytes = [first.as_bytes(), &parts.concat()].concat();
        check_responses(&bytes, facts, &at(&places, bytes.len()));
    }

    #[test]
    fn one_byte_at_a_time_is_the_same(parts in prop::collection::vec(part(), 1..5), facts in facts()) {
        let mut bytes = parts.concat();
        bytes.truncate(500);
        let places: Vec<usize> = (0..bytes.len()).collect();
        check_requests(&bytes, &places);
        check_responses(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat(), facts, &places);
    }

    #[test]
    fn every_target_and_field_reaches_the_application(
        target in "(/|http://a)[!-~\u{80}-\u{ff}]{0,12}",
        host in "a|A\\.b:[0-9]{0,5}|\\[::1\\]|[a-z0-9._-]{1,8}",
        name in "[!-~]{1,6}",
        value in "[\t -~\u{80}-\u{ff}]{0,12}",
        options in "(close|keep-alive|[!-~]{1,4})(, ?[!-~]{0,4}){0,3}",
        len in "[0-9]{1,3}|[0-9]{17,20}",
    ) {
        check_requests(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{name}: {value}\r\nConnection: {options}\r\n\r\n").as_bytes(), &[]);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        check_requests(&[head.as_bytes(), &[b'x'; 1000]].concat(), &[]);
    }

    #[test]
    fn every_status_and_field_reaches_the_client(
        status in "HTTP/1\\.[01] [0-9]{3}( [\t -~\u{80}-\u{ff}]{0,8})?",
        name in "[!-~]{1,6}",
        value in "[\t -~\u{80}-\u{ff}\r\n]{0,12}",
        ends in "\r?\n",
        len in "[0-9]{1,3}(, ?[0-9]{1,3})?|[0-9]{17,20}",
        facts in facts(),
    ) {
        check_responses(format!("{status}{ends}{name}: {value}{ends}Content-Length: {len}{ends}{ends}body").as_bytes(), facts, &[]);
        check_responses(format!("{status}{ends}{name}: {value}{ends}{ends}body").as_bytes(), facts, &[]);
    }

    #[test]
    fn chunks_are_read_as_written(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        trailers in prop::collection::vec(("x-[a-z]{1,8}", "[ -~]{0,20}"), 0..4),
        places in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut fields = Fields::default();
        for (name, value) in &trailers {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        check_chunks(&pieces, &fields, &at(&places, 2000));
    }
}
