//! Which heads of responses are read, and how.

use super::*;

const GET: RequestFacts = RequestFacts { is_head: false, asked_upgrade: false };
const HEAD: RequestFacts = RequestFacts { is_head: true, asked_upgrade: false };
const UPGRADE: RequestFacts = RequestFacts { is_head: false, asked_upgrade: true };

fn parsed_for(facts: RequestFacts, head: &str) -> Result<ResponseHead, &'static str> {
    let mut parsed = ResponseHead::default();
    let len = ResponseParser::default().parse(head.as_bytes(), facts, &mut parsed)?;
    assert_eq!(len, Some(head.len()), "the whole head: {head:?}");
    Ok(parsed)
}

fn parsed(head: &str) -> ResponseHead {
    parsed_for(GET, head).expect("in order")
}

fn error(head: &str) -> Option<&'static str> {
    let mut parsed = ResponseHead::default();
    ResponseParser::default().parse(head.as_bytes(), GET, &mut parsed).err()
}

fn lines(head: &ResponseHead) -> String {
    let mut lines = Vec::new();
    head.fields.write_lines(&mut lines);
    String::from_utf8(lines).expect("text")
}

/// The framing of a response with these fields, and what is passed on of them.
fn with_fields(fields: &str) -> (BodyLength, bool, String) {
    let head = parsed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    (head.body, head.keep_alive, lines(&head))
}

#[test]
fn a_head_is_filled() {
    let head = parsed("HTTP/1.1 418 I'm a teapot\r\nServer:app \r\nX-A: 1\r\nx-a:\r\nContent-Length: 12\r\n\r\n");
    assert_eq!((head.status.as_u16(), head.version), (418, Version::HTTP_11));
    assert_eq!(head.reason_phrase, b"I'm a teapot");
    assert_eq!(lines(&head), "Server:app \r\nX-A: 1\r\nx-a:\r\nContent-Length: 12\r\n");
    assert_eq!(head.fields.all_named(b"x-a").collect::<Vec<_>>(), [&b"1"[..], b""]);
    assert_eq!((head.body, head.keep_alive), (BodyLength::Sized(12), true));
}

#[test]
fn one_parser_parses_one_head_after_the_other() {
    let (mut parser, mut head) = (ResponseParser::default(), ResponseHead::default());
    let first = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close, x\r\nKeep-Alive: timeout=5\r\n\r\n";
    let second = b"HTTP/1.0 299\nFolded: a\n b\n\n";
    let both = [&first[..], second].concat();
    assert_eq!(parser.parse(&both, GET, &mut head), Ok(Some(first.len())));
    assert_eq!((head.status.as_u16(), head.body), (103, BodyLength::Empty));
    assert_eq!((&*lines(&head), parser.keep_alive_timeout()), ("Link: x\r\n", Some(5)));
    parser.reset();
    assert_eq!(parser.parse(&both[first.len()..], GET, &mut head), Ok(Some(second.len())));
    assert_eq!((head.status.as_u16(), head.body, head.keep_alive), (299, BodyLength::UntilClose, false));
    assert_eq!((&*lines(&head), head.reason_phrase.len()), ("Folded: a b\r\n", 0));
    assert_eq!(parser.keep_alive_timeout(), None);
    parser.reset();
    assert_eq!(parser.parse(first, GET, &mut head), Ok(Some(first.len())));
    assert_eq!((&*lines(&head), head.version), ("Link: x\r\n", Version::HTTP_11));
}

#[test]
fn what_came_of_a_head_is_safe_to_look_at() {
    let (mut parser, mut head) = (ResponseParser::default(), ResponseHead::default());
    let whole = b"\r\nHTTP/1.1 201 Created\r\nX: y\r\nZ: a\n b\r\n\r\n";
    assert_eq!(parser.parse(b"", GET, &mut head), Ok(None));
    for len in 1..whole.len() {
        assert_eq!(parser.parse(&whole[..len], GET, &mut head), Ok(None), "{len}");
        assert_eq!(head.fields.iter().count(), 0);
    }
    assert_eq!(parser.parse(whole, GET, &mut head), Ok(Some(whole.len())));
    assert_eq!(lines(&head), "X: y\r\nZ: a b\r\n");
}

#[test]
fn odd_forms_of_real_applications_pass_in_the_usual_form() {
    for (sent, passed) in [
        ("HTTP/1.1 200 OK\nX: y\nZ: a\n\n", "X: y\r\nZ: a\r\n"),
        ("HTTP/1.1 200\r\nX: y\r\n\r\n", "X: y\r\n"),
        ("HTTP/1.1 200 \r\nX: y\r\n\r\n", "X: y\r\n"),
        ("\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n", "X: y\r\n"),
        ("HTTP/1.1 200 OK\r\nA: 1\r\nX: a,\r\n\tb\r\n  \r\n  c \r\nZ:\r\n z\r\n\r\n", "A: 1\r\nX: a, b c\r\nZ: z\r\n"),
        ("HTTP/1.1 200 OK\r\nX \t: y\r\n\r\n", "X: y\r\n"),
        ("HTTP/1.1 200 \u{d6}K\r\nX: \u{e4}\ty\r\n\r\n", "X: \u{e4}\ty\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\n", "Content-Length: 5\r\n"),
        ("HTTP/1.1 200 OK\r\nA: 1\r\nConnection: x,\n a\r\nX: 2\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\n\n", ""),
    ] {
        assert_eq!(lines(&parsed(sent)), passed, "{sent:?}");
    }
    assert_eq!(parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding:\n chunked\n\n").body, BodyLength::Framed);
    assert_eq!(parsed("HTTP/1.1 999 x\r\n\r\n").status.as_u16(), 999);
    let large = format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("Set-Cookie: {}\r\n", "x".repeat(4000)).repeat(12));
    assert_eq!(parsed(&large).fields.len(), 12);
}

#[test]
fn what_is_no_head_is_refused() {
    for head in [
        "220 mail.example.org ESMTP\r\n",
        "\0\0\x12\x04\0\0\0\0\0",
        "HTTP/2",
        "http/1.1 200 OK\r\n\r\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 \r\n\r\n",
        "HTTP/1.1 two OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\r\n : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX(: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX:\x0ca\r\n\r\n",
        "HTTP/1.1 200 OK\nX:\x0ca\n\n",
        "HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n",
        "HTTP/1.1 200 OK\nX: \x7f\n\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n \0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert!(error(head).is_some(), "{head:?}");
    }
    let with_fields = |fields: &str| error(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    assert_eq!(with_fields(&"X: y\r\n".repeat(256)), None);
    assert_eq!(with_fields(&"X: y\r\n".repeat(257)), Some(TOO_MANY_FIELDS));
    assert_eq!(with_fields(&"X: y\n".repeat(257)), Some(TOO_MANY_FIELDS));
    assert_eq!(with_fields(&format!("X: {}\r\n", "y".repeat(65_000))), None);
    assert_eq!(with_fields(&format!("X: {}\r\n", "y".repeat(66_000))), Some(HEAD_TOO_LARGE));
    assert_eq!(error(&format!("HTTP/1.1 200 {}", "y".repeat(66_000))), Some(HEAD_TOO_LARGE));
    assert_eq!(with_fields(&format!("Connection: {}\r\n", "y,".repeat(65))), Some("Connection lists too much"));
}

#[test]
fn a_length_is_said_once() {
    let five =
        |fields: &str| assert_eq!(with_fields(fields), (BodyLength::Sized(5), true, "Content-Length: 5\r\n".into()));
    five("Content-Length: 5\r\n");
    five("Content-Length: 5\r\nContent-Length: 5\r\n");
    five("Content-Length: 5, 5\r\n");
    five("Content-Length: 5,5\r\nContent-Length: 5\r\n");
    five("Content-Length: 5\r\nContent-Length: 5, 5\r\n");
    five("Content-Length: 5\nContent-Length: 5\n");
    five("Content-Length: 5,\n 5\n");
    for fields in ["5\r\nContent-Length: 6", "5, 6", "5,", ",5", "+5", "-5", "5 5", "0x5", "", "9223372036854775808"] {
        assert!(error(&format!("HTTP/1.1 200 OK\r\nContent-Length: {fields}\r\n\r\n")).is_some(), "{fields:?}");
    }
    assert_eq!(with_fields("Content-Length: 0\r\n"), (BodyLength::Empty, true, "Content-Length: 0\r\n".into()));
}

#[test]
fn chunks_are_the_only_coding() {
    let chunked = "Transfer-Encoding: Chunked\r\n";
    assert_eq!(with_fields(chunked), (BodyLength::Framed, true, String::new()));
    for coding in ["chunked, chunked", "gzip, chunked", "gzip", "identity", "", "chunked;x", "\"chunked\"", "xchunked"]
    {
        assert!(error(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n")).is_some(), "{coding:?}");
    }
    assert!(error(&format!("HTTP/1.1 200 OK\r\n{chunked}{chunked}\r\n")).is_some());
    // Chunks win over a length, and nothing further is read from who sends both, or what its version lacks.
    for fields in [format!("{chunked}Content-Length: 5\r\n"), format!("Content-Length: 5, 5\r\n{chunked}")] {
        assert_eq!(with_fields(&fields), (BodyLength::Framed, false, String::new()), "{fields:?}");
    }
    let old = parsed(&format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{chunked}\r\n"));
    assert_eq!((old.body, old.keep_alive), (BodyLength::Framed, false));
}

#[test]
fn a_response_without_a_body_has_none() {
    let framing = |facts, head: &str| {
        let head = parsed_for(facts, head).expect("in order");
        (head.body, head.keep_alive, lines(&head))
    };
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let kept = || (BodyLength::Empty, true, length.to_owned());
    let none = |keep_alive| (BodyLength::Empty, keep_alive, String::new());
    assert_eq!(framing(HEAD, &format!("HTTP/1.1 200 OK\r\n{length}\r\n")), kept());
    assert_eq!(framing(HEAD, &format!("HTTP/1.1 200 OK\r\n{chunked}\r\n")), none(true));
    assert_eq!(framing(HEAD, "HTTP/1.1 200 OK\r\n\r\n"), none(true));
    assert_eq!(framing(GET, &format!("HTTP/1.1 304 Not Modified\r\n{length}\r\n")), kept());
    assert_eq!(framing(GET, "HTTP/1.1 304 Not Modified\r\n\r\n"), none(true));
    assert_eq!(framing(GET, &format!("HTTP/1.1 304 Not Modified\r\n{chunked}\r\n")), none(false));
    assert_eq!(framing(GET, "HTTP/1.1 204 No Content\r\n\r\n"), none(true));
    assert_eq!(framing(GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), none(true));
    assert_eq!(framing(GET, &format!("HTTP/1.1 204 No Content\r\n{length}\r\n")), none(false));
    assert_eq!(framing(GET, &format!("HTTP/1.1 204 No Content\r\n{chunked}\r\n")), none(false));
    assert_eq!(framing(GET, "HTTP/1.1 100 Continue\r\n\r\n"), none(true));
    assert_eq!(framing(GET, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n").0, BodyLength::Empty);
    assert_eq!(framing(GET, "HTTP/1.1 200 OK\r\n\r\n"), (BodyLength::UntilClose, false, String::new()));
}

#[test]
fn a_switch_keeps_what_tells_of_it() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, x\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Accept: x=\r\nX: y\r\nContent-Length: 0\r\n\r\n";
    let head = parsed_for(UPGRADE, head).expect("in order");
    assert_eq!(lines(&head), "Upgrade: websocket\r\nSec-WebSocket-Accept: x=\r\n");
    assert_eq!(head.body, BodyLength::Empty);
}

#[test]
fn fields_between_us_and_the_application_stay_there() {
    let between = "Connection: keep-alive, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
                   Te: x\r\nTrailer: x\r\nUpgrade: h2\r\nServer: app\r\n";
    assert_eq!(with_fields(between).2, "Server: app\r\n");
    let meant = "Content-Type: a\r\nSet-Cookie: b\r\nContent-Length: 3\r\n";
    let listed = "Connection: content-type, set-cookie, content-length, transfer-encoding\r\n";
    assert_eq!(with_fields(&format!("{listed}{meant}")), (BodyLength::Sized(3), true, meant.to_owned()));
    let challenge = "Proxy-Authenticate: NTLM\r\n";
    assert_eq!(with_fields(challenge).2, challenge, "who forwards looks at it first");
}

#[test]
fn an_application_that_closes_says_so() {
    let keeps = |version: &str, connection: &str| {
        parsed(&format!("{version} 200 OK\r\nContent-Length: 1\r\nConnection: {connection}\r\n\r\n")).keep_alive
    };
    assert!(keeps("HTTP/1.1", "x") && keeps("HTTP/1.0", "Keep-Alive"));
    assert!(!keeps("HTTP/1.1", "close") && !keeps("HTTP/1.0", "x") && !keeps("HTTP/1.1", "keep-alive, Close"));
    let timeout = |value: &str| {
        let mut parser = ResponseParser::default();
        let head = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\n\r\n");
        parser.parse(head.as_bytes(), GET, &mut ResponseHead::default()).expect("in order");
        parser.keep_alive_timeout()
    };
    assert_eq!(timeout("timeout=3, max=100"), Some(3));
    assert_eq!(timeout("max=5, Timeout = 60"), Some(60));
    assert_eq!(timeout("timeout=0\r\nKeep-Alive: timeout=9"), Some(0));
    assert_eq!((timeout("timeout"), timeout("timeout=x"), timeout("max=5")), (None, None, None));
}
