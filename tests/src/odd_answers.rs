//! The odd answers that the three are compared by.

use gangway_testkit::recording::{AfterAnswer, AnswerMoment, WrittenAnswer};

/// What an endpoint answers, and to what.
#[derive(Clone, Debug)]
pub struct OddAnswer {
    /// The odd part, as it is shown.
    pub title: String,
    /// The method of the request.
    pub method: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Further fields of the request.
    pub fields: &'static str,
    /// The answer.
    pub answer: WrittenAnswer,
}

/// An answer that is cut after each of its bytes.
#[derive(Clone, Debug)]
pub struct CutAnswer {
    /// The sample, as it is shown.
    pub title: &'static str,
    /// All bytes of the sample.
    pub bytes: &'static str,
    /// How the endpoint ends it.
    pub after: AfterAnswer,
}

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn closing(bytes: impl Into<Vec<u8>>) -> WrittenAnswer {
    WrittenAnswer { bytes: bytes.into(), moment: AnswerMoment::WholeRequest, after: AfterAnswer::Closes }
}

fn odd(title: &str, bytes: impl Into<Vec<u8>>) -> OddAnswer {
    OddAnswer { title: title.to_owned(), method: "GET", version: "HTTP/1.1", fields: "", answer: closing(bytes) }
}

/// All odd answers.
pub fn all() -> Vec<OddAnswer> {
    let mut all = Vec::new();
    for (fields, body) in FRAMINGS {
        let title = format!("{} + {body}", fields.trim_end());
        all.push(odd(&title, format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")));
    }
    for (fields, body) in &FRAMINGS[..4] {
        let title = format!("{} + {body}", fields.trim_end());
        let bytes = |version: &str| format!("{version} 200 OK\r\n{fields}\r\n{body}");
        all.push(odd(&format!("HTTP/1.0, {title}"), bytes("HTTP/1.0")));
        all.push(OddAnswer { version: "HTTP/1.0", ..odd(&format!("to HTTP/1.0, {title}"), bytes("HTTP/1.1")) });
        all.push(OddAnswer { method: "HEAD", ..odd(&format!("to HEAD, {title}"), bytes("HTTP/1.1")) });
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        all.push(OddAnswer { method: "HEAD", ..odd(&format!("to HEAD, {}", fields.trim_end()), head) });
    }
    for line in LINES {
        all.push(odd(line, format!("{line}\r\nContent-Length: 2\r\n\r\nok")));
    }
    for fields in FIELDS {
        all.push(odd(fields.trim_end(), format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")));
    }
    for (title, bytes) in WHOLE {
        all.push(odd(title, *bytes));
    }
    for (title, fields) in [
        ("150 fields", "X: y\r\n".repeat(150)),
        ("a field of 3,000 bytes", format!("X: {}\r\n", "y".repeat(3000))),
        ("a field of 20,000 bytes", format!("X: {}\r\n", "y".repeat(20_000))),
        ("a field of 100,000 bytes", format!("X: {}\r\n", "y".repeat(100_000))),
    ] {
        all.push(odd(title, format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")));
    }
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 199 X\r\n\r\n",
        "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 103 X\r\n\r\n",
        "HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n",
    ] {
        let title = interim.trim_end();
        all.push(odd(&format!("{title}, then 200"), format!("{interim}{last}")));
        all.push(OddAnswer {
            version: "HTTP/1.0",
            ..odd(&format!("to HTTP/1.0, {title}, then 200"), format!("{interim}{last}"))
        });
    }
    all.push(odd("100 and nothing more", "HTTP/1.1 100 Continue\r\n\r\n"));
    for chunks in CHUNKS {
        all.push(odd(
            &format!("chunks {chunks}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        ));
    }
    for status in [204, 304, 205] {
        for (fields, body) in
            [("", ""), ("Content-Length: 5\r\n", "hello"), ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n")]
        {
            all.push(odd(
                &format!("{status}, {} + {body}", fields.trim_end()),
                format!("HTTP/1.1 {status} X\r\n{fields}\r\n{body}"),
            ));
        }
    }
    for fields in [
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
    ] {
        let bytes = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\nbytes");
        all.push(odd(&format!("101 that nobody asked for, {}", fields.trim_end()), bytes.clone()));
        all.push(OddAnswer { fields: UPGRADE, ..odd(&format!("101 to a WebSocket, {}", fields.trim_end()), bytes) });
    }
    all.push(OddAnswer { fields: UPGRADE, ..odd("200 to a WebSocket", last) });
    for status in [401, 413, 200] {
        let answer = WrittenAnswer {
            bytes: format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok").into_bytes(),
            moment: AnswerMoment::RequestHead,
            after: AfterAnswer::Stays,
        };
        all.push(OddAnswer { method: "POST", answer, ..odd(&format!("{status} before the body is read"), "") });
    }
    all
}

/// Answers that are cut after each byte.
pub fn cut() -> Vec<CutAnswer> {
    let samples = [
        ("Content-Length", "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello"),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x\r\nyou\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
    ];
    let ends = [AfterAnswer::Closes, AfterAnswer::Resets];
    samples.into_iter().flat_map(|(title, bytes)| ends.map(|after| CutAnswer { title, bytes, after })).collect()
}

const FRAMINGS: &[(&str, &str)] = &[
    ("Content-Length: 5\r\n", "hello"),
    ("", "hello"),
    ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
    ("Content-Length: 5, 5\r\n", "hello"),
    ("Content-Length: +5\r\n", "hello"),
    ("Content-Length: -5\r\n", "hello"),
    ("Content-Length: 0x5\r\n", "hello"),
    ("Content-Length: 5a\r\n", "hello"),
    ("Content-Length:\r\n", "hello"),
    ("Content-Length: 99999999999999999999\r\n", "hello"),
    ("Content-Length: 05\r\n", "hello"),
    ("Transfer-Encoding: chunked, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: identity\r\n", "hello"),
    ("Transfer-Encoding: gzip\r\n", "hello"),
    ("Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: xchunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding : chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Content-Length : 5\r\n", "hello"),
    ("Connection: close\r\nContent-Length: 5\r\n", "hello"),
    ("Content-Length: 5\r\n", "hello and more"),
];

const LINES: &[&str] = &[
    "HTTP/1.1 200",
    "HTTP/1.1 200 ",
    "HTTP/1.1 200 A Long Reason",
    "HTTP/1.1 200 ä",
    "HTTP/1.2 200 OK",
    "HTTP/0.9 200 OK",
    "HTTP/2.0 200 OK",
    "http/1.1 200 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 000 OK",
    "HTTP/1.1 600 OK",
    "HTTP/1.1 999 OK",
    "HTTP/1.1 abc OK",
    "HTTP/1.1",
    "ICY 200 OK",
    " HTTP/1.1 200 OK",
    "HTTP/1.1 426 Upgrade Required",
    "HTTP/1.1 451 X",
    "HTTP/1.1 520 X",
];

const FIELDS: &[&str] = &[
    "X:\r\n",
    "X : y\r\n",
    " X: y\r\n",
    "X: a\r\n b\r\n",
    "X\r\n",
    ": y\r\n",
    "X y: z\r\n",
    "X(: y\r\n",
    "X_Y: z\r\n",
    "X: a\0b\r\n",
    "X: a\x01b\r\n",
    "X: a\rb\r\n",
    "X: ä\r\n",
    "Xä: y\r\n",
    "Connection: X-Inner\r\nX-Inner: 1\r\n",
    "Connection: Content-Length\r\n",
    "Connection: Set-Cookie\r\nSet-Cookie: a=b\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade\r\n",
    "Keep-Alive: timeout=5\r\n",
    "Proxy-Authenticate: Basic\r\n",
    "Trailer: X-Sum\r\n",
    "Content-Type: text/event-stream\r\n",
    "X-Accel-Redirect: /x\r\n",
    "X-Accel-Buffering: no\r\n",
    "Status: 500\r\n",
    ":status: 500\r\n",
];

const WHOLE: &[(&str, &str)] = &[
    ("LF only", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    ("an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("HTTP/0.9: no head", "<html>no head</html>"),
    ("a head without its end", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
    ("nothing", ""),
    ("SSH", "SSH-2.0-OpenSSH_9\r\n"),
    ("two answers", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("no fields", "HTTP/1.1 200 OK\r\n\r\n"),
];

const CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "05\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhellox\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\nhello",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n",
    "5\r\nhello\r\n0\r\n",
    "5\r\nhel",
    "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
    "5\r\nhello\r\n0\r\nX y\r\n\r\n",
    "5;a=\"b\r\nhello\r\n0\r\n\r\n",
    "-1\r\nhello\r\n0\r\n\r\n",
    "hello",
];
