//! Which heads of requests are read, and how.

use super::*;

const BOUNDS: HeadBounds = HeadBounds { bytes: 32 * 1024, fields: 100, target: 8 * 1024 };

fn parsed(head: &str) -> Result<RequestHead, Rejection> {
    let mut parsed = RequestHead::default();
    let len = RequestParser::new(BOUNDS).parse(head.as_bytes(), &mut parsed)?;
    assert_eq!(len, Some(head.len()), "the whole head: {head:?}");
    Ok(parsed)
}

fn body(head: &str) -> Result<BodyLength, &'static str> {
    parsed(head).map(|head| head.body).map_err(|rejection| rejection.detail)
}

fn target(head: &str) -> String {
    parsed(head).expect("in order").target
}

fn status(head: &str) -> u16 {
    let mut parsed = RequestHead::default();
    let result = RequestParser::new(BOUNDS).parse(head.as_bytes(), &mut parsed);
    result.map_or_else(|rejection| rejection.reason.status(), |_| 200)
}

fn lines(head: &RequestHead) -> String {
    let mut lines = Vec::new();
    head.fields.write_lines(&mut lines);
    String::from_utf8(lines).expect("text")
}

fn with_fields(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn a_head_is_filled() {
    let head = "\r\nPOST /a?b HTTP/1.1\r\nhost:\ta:80 \r\nX:y\r\nEmpty:\r\nContent-Length: 12\r\n\r\n";
    let head = parsed(head).expect("in order");
    assert_eq!((head.method.as_str(), &*head.target, head.version), ("POST", "/a?b", Version::HTTP_11));
    assert_eq!(lines(&head), "host:\ta:80 \r\nX:y\r\nEmpty:\r\nContent-Length: 12\r\n");
    assert_eq!(head.fields.get(FieldKind::Host), Some(&b"a:80"[..]));
    assert_eq!(head.fields.get_named(b"x"), Some(&b"y"[..]));
    assert_eq!(head.fields.get_named(b"empty"), Some(&b""[..]));
    assert_eq!((head.body, head.keep_alive, head.upgrade), (BodyLength::Sized(12), true, None));
}

#[test]
fn one_parser_parses_one_head_after_the_other() {
    let (mut parser, mut head) = (RequestParser::new(BOUNDS), RequestHead::default());
    let first = b"GET http://a/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parser.parse(first, &mut head), Ok(Some(first.len())));
    assert!(!head.keep_alive && head.expects_continue && head.body == BodyLength::Framed);
    parser.reset();
    let second = b"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n";
    assert_eq!(parser.parse(&[&second[..], first].concat(), &mut head), Ok(Some(second.len())));
    assert_eq!((head.method.as_str(), &*head.target, &*lines(&head)), ("OPTIONS", "*", "Host: b\r\n"));
    assert!(head.keep_alive && !head.expects_continue && head.body == BodyLength::Empty);
}

#[test]
fn what_came_of_a_head_is_safe_to_look_at() {
    let (mut parser, mut head) = (RequestParser::new(BOUNDS), RequestHead::default());
    let whole = b"PUT /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    assert!(parser.is_between_requests(b"\r\n"));
    assert_eq!(parser.parse(b"", &mut head), Ok(None));
    for len in 1..whole.len() {
        assert_eq!(parser.parse(&whole[..len], &mut head), Ok(None));
        assert_eq!(head.fields.iter().count(), 0);
        assert!(!parser.is_between_requests(&whole[..len]));
    }
    assert_eq!((head.method.as_str(), &*head.target), ("PUT", "/x"), "for the log of a head that never ends");
    assert!(parser.parse(&[&whole[..whole.len() - 2], b"X : y\r\n"].concat(), &mut head).is_err());
    assert_eq!((head.method.as_str(), &*head.target, head.fields.len()), ("PUT", "/x", 0));
}

#[test]
fn what_is_in_order_passes_with_its_framing() {
    let none = Ok(BodyLength::Empty);
    assert_eq!(body("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), none);
    assert_eq!(body("\r\nGET /%2F//x?a=b HTTP/1.0\r\nhost:A.example:8080\r\n\r\n"), none);
    assert_eq!(body("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"), Ok(BodyLength::Sized(12)));
    assert_eq!(body("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), none);
    assert_eq!(body("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\t\r\n\r\n"), Ok(BodyLength::Framed));
    assert_eq!(body("GET http://a:80/x HTTP/1.1\r\nHost: \ta:80 \r\n\r\n"), none);
    assert_eq!(body("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), none);
    assert_eq!(body(&with_fields("X: \u{e4}\tb\r\nEmpty:\r\nExpect: 100-Continue\r\n")), none);
    assert_eq!(body(&with_fields("Connection: keep-alive, TE\r\nTE: trailers\r\n")), none);
}

#[test]
fn an_absolute_target_becomes_a_path() {
    let asked = |target_sent: &str| target(&format!("{target_sent} HTTP/1.1\r\nHost: a:80\r\n\r\n"));
    assert_eq!(asked("GET HTTP://A:80/x?y"), "/x?y");
    assert_eq!(asked("GET https://a:80"), "/");
    assert_eq!(asked("GET http://a:80?y=http://b/"), "/?y=http://b/");
    assert_eq!(asked("GET http://a:80//b/x"), "//b/x");
    assert_eq!(asked("OPTIONS http://a:80"), "*");
    assert_eq!(asked("OPTIONS http://a:80/"), "/");
    assert_eq!(asked("OPTIONS *"), "*");
    assert_eq!(asked("GET //a:80/x"), "//a:80/x");
    assert_eq!(asked("GET /http://b/"), "/http://b/");
}

#[test]
fn what_a_uri_may_not_hold_goes_on_encoded() {
    for (sent, passed) in [
        ("/\u{e4}?\u{20ac}=\u{e4}", "/%C3%A4?%E2%82%AC=%C3%A4"),
        ("/db?key=\"a\"", "/db?key=%22a%22"),
        ("/q?query={job=\"x\"}", "/q?query={job=%22x%22}"),
        ("/a`b?c`d", "/a%60b?c`d"),
        ("/<a>?<b>", "/%3Ca%3E?%3Cb%3E"),
        ("/a\"b[]{}|\\^'?c[]{}|\\^'?", "/a\"b[]{}|\\^'?c[]{}|\\^'?"),
        ("/%zz%", "/%zz%"),
        ("/?", "/?"),
        ("http://a/\u{e4}", "/%C3%A4"),
    ] {
        assert_eq!(target(&format!("GET {sent} HTTP/1.1\r\nHost: a\r\n\r\n")), passed, "{sent}");
    }
    let latin1 = b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut head = RequestHead::default();
    assert_eq!(RequestParser::new(BOUNDS).parse(latin1, &mut head), Ok(Some(latin1.len())));
    assert_eq!(head.target, "/caf%E9");
}

#[test]
fn who_may_go_on_says_so() {
    let keeps = |version: &str, fields: &str| {
        parsed(&format!("GET / {version}\r\nHost: a\r\n{fields}\r\n")).expect("in order").keep_alive
    };
    assert!(keeps("HTTP/1.1", "") && keeps("HTTP/1.1", "Connection: keep-alive, x\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: x,CLOSE\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: close\r\nConnection: keep-alive\r\n"));
    assert!(!keeps("HTTP/1.0", "") && keeps("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("HTTP/1.0", "Connection: Keep-Alive, close\r\n"));
}

#[test]
fn a_continue_is_expected_only_before_a_body() {
    let expects = |version: &str, fields: &str| {
        let head = format!("PUT / {version}\r\nHost: a\r\nExpect: 100-Continue\r\n{fields}\r\n");
        parsed(&head).expect("in order").expects_continue
    };
    assert!(expects("HTTP/1.1", "Content-Length: 5\r\n") && expects("HTTP/1.1", "Transfer-Encoding: chunked\r\n"));
    assert!(!expects("HTTP/1.1", "") && !expects("HTTP/1.1", "Content-Length: 0\r\n"));
    assert!(!expects("HTTP/1.0", "Content-Length: 5\r\n"));
    let old = parsed("PUT / HTTP/1.0\r\nHost: a\r\nExpect: wonders\r\nX: y\r\n\r\n").expect("in order");
    assert_eq!(lines(&old), "Host: a\r\nX: y\r\n", "an application would take it for one of HTTP/1.1");
}

#[test]
fn only_a_plain_request_for_one_protocol_is_an_upgrade() {
    let asked = |request: &str, fields: &str| {
        parsed(&format!("{request}\r\nHost: a\r\n{fields}\r\n")).expect("in order").upgrade
    };
    let upgrade = |fields: &str| asked("GET / HTTP/1.1", fields);
    assert_eq!(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"), Some(Upgrade::WebSocket));
    assert_eq!(upgrade("Upgrade: websocket\r\n"), None, "nobody says that it is for us");
    assert_eq!(upgrade("Connection: upgrade\r\n"), None);
    assert_eq!(upgrade("Connection: upgrade\r\nUpgrade: DERP\r\n"), Some(Upgrade::Named));
    assert_eq!(upgrade("Connection: upgrade\r\nUpgrade: TLS/1.0\r\n"), Some(Upgrade::Named));
    for unclear in ["websocket, h2c", "h2c,websocket", "", "/1", "a/", "a/b/c", "a b", "\"a\"", "\u{e4}"] {
        assert_eq!(upgrade(&format!("Connection: upgrade\r\nUpgrade: {unclear}\r\n")), None, "{unclear:?}");
    }
    for two in ["websocket\r\nUpgrade: h2c", "h2c\r\nUpgrade: websocket", "websocket\r\nUpgrade: websocket"] {
        assert_eq!(upgrade(&format!("Connection: upgrade\r\nUpgrade: {two}\r\n")), None, "{two:?}");
    }
    let websocket = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(asked("GET / HTTP/1.0", websocket), None);
    assert_eq!(asked("POST / HTTP/1.1", websocket), None);
    assert_eq!(upgrade(&format!("Content-Length: 1\r\n{websocket}")), None);
    assert_eq!(upgrade(&format!("Transfer-Encoding: chunked\r\n{websocket}")), None);
    assert_eq!(upgrade(&format!("Content-Length: 0\r\n{websocket}")), Some(Upgrade::WebSocket));
    let named = "Connection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n";
    assert_eq!(asked("POST / HTTP/1.1", named), Some(Upgrade::Named));
    assert_eq!(asked("POST / HTTP/1.1", &format!("{named}Content-Length: 3\r\n")), None);
}

#[test]
fn fields_that_connection_lists_are_removed_unless_they_speak_for_the_client() {
    let left = |connection: &str, fields: &str| {
        let head = parsed(&with_fields(&format!("{fields}Connection: {connection}\r\n"))).expect("in order");
        lines(&head).replace("Host: a\r\n", "").replace(&format!("Connection: {connection}\r\n"), "")
    };
    assert_eq!(left("close, X-Inner", "x-inner: 1\r\nX-Outer: 2\r\nX-INNER: 3\r\n"), "X-Outer: 2\r\n");
    assert_eq!(left("cookie,authorization", "Cookie: a\r\nAuthorization: b\r\n"), "");
    let kept = "X-Real-IP: 1\r\nX-Forwarded-Port: 2\r\nUpgrade: x\r\nTE: trailers\r\n";
    assert_eq!(left("x-real-ip, x-forwarded-port, upgrade, te", kept), kept);
    assert_eq!(left("keep-alive", "Keep-Alive: x\r\n"), "Keep-Alive: x\r\n", "who forwards removes it");
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
        "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e4}\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /<#> HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://\u{e4}/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a# HTTP/1.1\r\nHost: a#\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET //a:80\r/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS *? HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS  HTTP/1.1\r\nHost: a\r\n\r\n",
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
    assert_eq!(body(&with_fields("X: a\r\n folded\r\n")), Err("a folded field"));
    assert_eq!(body(&with_fields("X : a\r\n")), Err("a field name is no token, or has a space before its colon"));
    assert_eq!(body("GET /\r\n"), Err("no HTTP version: HTTP/0.9 is not served"));
    assert_eq!(body("GET a HTTP/1.1\r\n"), Err("the target is neither a path nor an http URL"));
    assert_eq!(body("GET #a HTTP/1.1\r\n"), Err("the target has a byte that must be encoded, or a fragment"));
    assert_eq!(body("GET / x HTTP/1.1\r\n"), Err("the HTTP version is not 1.0 or 1.1"));
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
