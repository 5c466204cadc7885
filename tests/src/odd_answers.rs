//! The odd answers that the three are compared by.

use gangway_testkit::odd_parts::{answers, compared};
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

/// The framings that applications use, and both at once.
const USUAL: [(&str, &str); 4] = [
    ("Content-Length: 5\r\n", "hello"),
    ("", "hello"),
    ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "5\r\nhello\r\n0\r\n\r\n"),
];

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
    for (fields, body) in compared(answers::FRAMINGS) {
        let title = format!("{} + {body}", fields.trim_end());
        all.push(odd(&title, format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")));
    }
    for (fields, body) in USUAL {
        let title = format!("{} + {body}", fields.trim_end());
        let bytes = |version: &str| format!("{version} 200 OK\r\n{fields}\r\n{body}");
        all.push(odd(&format!("HTTP/1.0, {title}"), bytes("HTTP/1.0")));
        all.push(OddAnswer { version: "HTTP/1.0", ..odd(&format!("to HTTP/1.0, {title}"), bytes("HTTP/1.1")) });
        all.push(OddAnswer { method: "HEAD", ..odd(&format!("to HEAD, {title}"), bytes("HTTP/1.1")) });
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        all.push(OddAnswer { method: "HEAD", ..odd(&format!("to HEAD, {}", fields.trim_end()), head) });
    }
    for line in compared(answers::LINES) {
        all.push(odd(line, format!("{line}\r\nContent-Length: 2\r\n\r\nok")));
    }
    for fields in compared(answers::FIELDS) {
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
    for chunks in compared(answers::CHUNKS) {
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
