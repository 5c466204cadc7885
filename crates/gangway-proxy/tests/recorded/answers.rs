//! The answers of endpoints that are recorded: every framing, version, length, interim answer, chunk form and early
//! end that endpoints have been seen to send, or could.

use gangway_testkit::odd_parts::{answers, recorded};
use gangway_testkit::recording::{AfterAnswer, AnswerMoment, WrittenAnswer};

/// The bytes of one endpoint, and the request that gets them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AnswerCase {
    pub(crate) id: String,
    pub(crate) method: &'static str,
    pub(crate) answer: WrittenAnswer,
}

/// All cases, in the same order each time.
pub(crate) fn all() -> Vec<AnswerCase> {
    let mut corpus = Answers { cases: Vec::new(), family: "", number: 0 };
    corpus.written();
    corpus.heads();
    corpus.interim();
    corpus.statuses();
    corpus.chunks();
    corpus.ends();
    corpus.early();
    corpus.cases
}

struct Answers {
    cases: Vec<AnswerCase>,
    family: &'static str,
    number: usize,
}

impl Answers {
    fn begin(&mut self, family: &'static str) {
        self.family = family;
        self.number = 0;
    }

    fn add(&mut self, method: &'static str, bytes: impl Into<Vec<u8>>, moment: AnswerMoment, after: AfterAnswer) {
        self.number += 1;
        let id = format!("{}-{}", self.family, self.number);
        self.cases.push(AnswerCase { id, method, answer: WrittenAnswer { bytes: bytes.into(), moment, after } });
    }

    fn closing(&mut self, bytes: impl Into<Vec<u8>>) {
        self.add("GET", bytes, AnswerMoment::WholeRequest, AfterAnswer::Closes);
    }

    fn staying(&mut self, bytes: impl Into<Vec<u8>>) {
        self.add("GET", bytes, AnswerMoment::WholeRequest, AfterAnswer::Stays);
    }

    fn written(&mut self) {
        self.begin("framing");
        for (fields, body) in recorded(answers::FRAMINGS) {
            for line in ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK"] {
                self.closing(format!("{line}\r\n{fields}\r\n{body}"));
            }
            self.add(
                "HEAD",
                format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
                AnswerMoment::WholeRequest,
                AfterAnswer::Closes,
            );
        }
        for (fields, body) in [
            ("Content-Length: 5\r\n", "hello"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            ("Content-Length: 0\r\n", ""),
            ("Content-Length: 5\r\nConnection: close\r\n", "hello"),
        ] {
            self.staying(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"));
            self.add(
                "HEAD",
                format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
                AnswerMoment::WholeRequest,
                AfterAnswer::Stays,
            );
        }
        for behind in ["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"] {
            self.closing(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello{behind}"));
            self.closing(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{behind}"));
            self.add(
                "HEAD",
                format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{behind}"),
                AnswerMoment::WholeRequest,
                AfterAnswer::Closes,
            );
        }
    }

    fn heads(&mut self) {
        self.begin("head");
        for line in recorded(answers::LINES) {
            self.closing(format!("{line}\r\nContent-Length: 2\r\n\r\nok"));
        }
        for fields in recorded(answers::FIELDS) {
            self.closing(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"));
        }
        for head in [
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\n\r\n",
            "<html>no head</html>",
            "\r\n\r\n",
            "SSH-2.0-OpenSSH_9\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            self.closing(head);
        }
        for byte in [0_u8, 1, 7, 8, 0x0b, 0x1f, 0x7f, 0x80, 0xff] {
            let mut bytes = b"HTTP/1.1 200 OK\r\nX: a".to_vec();
            bytes.push(byte);
            bytes.extend(b"b\r\nContent-Length: 2\r\n\r\nok");
            self.closing(bytes);
        }
        for (count, len) in
            [(50, 10), (99, 10), (150, 10), (300, 10), (1, 8_000), (1, 30_000), (1, 60_000), (4, 15_000), (10, 10_000)]
        {
            let fields: String = (0..count).map(|number| format!("X-{number}: {}\r\n", "y".repeat(len))).collect();
            self.closing(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"));
        }
    }

    fn interim(&mut self) {
        self.begin("interim");
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for interim in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
            "HTTP/1.1 199 X\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 100\r\n\r\n",
            "HTTP/1.0 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nConnection: X-Inner\r\nX-Inner: 1\r\nSet-Cookie: a=b\r\n\r\n",
        ] {
            self.closing(format!("{interim}{last}"));
            self.staying(format!("{interim}{last}"));
            self.add("POST", format!("{interim}{last}"), AnswerMoment::WholeRequest, AfterAnswer::Stays);
            self.add(
                "HEAD",
                format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
                AnswerMoment::WholeRequest,
                AfterAnswer::Stays,
            );
            self.closing(interim);
        }
        for fields in [
            "",
            "Connection: upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            "Connection: upgrade\r\nUpgrade: h2c\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
        ] {
            self.closing(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\nbytes"));
        }
    }

    fn statuses(&mut self) {
        self.begin("status");
        for status in [
            200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402,
            403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 415, 416, 417, 418, 421, 422, 423, 425, 426, 428,
            429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 511, 520, 599,
        ] {
            self.staying(format!(
                "HTTP/1.1 {status} Some Reason\r\nContent-Length: {}\r\n\r\n{}",
                if matches!(status, 204 | 304) { 0 } else { 2 },
                if matches!(status, 204 | 304) { "" } else { "ok" }
            ));
        }
        for status in [204, 304, 205] {
            for (fields, body) in [
                ("", ""),
                ("Content-Length: 5\r\n", ""),
                ("Content-Length: 5\r\n", "hello"),
                ("Transfer-Encoding: chunked\r\n", ""),
                ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                ("ETag: \"x\"\r\n", ""),
            ] {
                self.closing(format!("HTTP/1.1 {status} X\r\n{fields}\r\n{body}"));
            }
        }
        for challenge in ["Basic realm=\"x\"", "NTLM", "Negotiate", "Bearer"] {
            self.staying(format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 2\r\n\r\nno"
            ));
        }
    }

    fn chunks(&mut self) {
        self.begin("chunk");
        for chunks in recorded(answers::CHUNKS) {
            self.closing(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        }
        for len in [1_usize, 1000, 20_000, 100_000] {
            let body = "b".repeat(len);
            self.staying(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{body}\r\n0\r\n\r\n"
            ));
            self.staying(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}"));
            self.closing(format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
        }
    }

    fn ends(&mut self) {
        self.begin("end");
        for bytes in [
            "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x\r\nyou\r\n0\r\nX-Sum: 1\r\n\r\n",
        ] {
            for len in 0..bytes.len() {
                self.closing(&bytes[..len]);
            }
        }
        for len in [0, 1, 20, 23, 24, 25] {
            self.closing(format!("HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{}", "x".repeat(len)));
        }
    }

    fn early(&mut self) {
        self.begin("early");
        for status in [200, 401, 413, 417, 503] {
            for after in [AfterAnswer::Stays, AfterAnswer::Closes] {
                let bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok");
                self.add("POST", bytes, AnswerMoment::RequestHead, after);
            }
        }
    }
}
