//! HTTP/1 messages as they are on the wire: read out of bytes, and compared up to what HTTP does not distinguish.
//!
//! Bytes are kept as Latin-1 text, one character a byte, so that nothing is lost and everything can be printed.

/// One request or answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WireMessage {
    /// The first line, without its end.
    pub line: String,
    /// Names and values in order, names as sent.
    pub fields: Vec<(String, String)>,
    /// The body without its framing; behind a 101, what was tunnelled.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Whether it came to the end that its framing promised.
    pub is_whole: bool,
}

/// What some bytes are the beginning of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReadMessage {
    /// A message that goes on; what is known of it, once its head is there.
    Unfinished(Option<WireMessage>),
    /// A whole message, and how many bytes it takes.
    Whole(WireMessage, usize),
    /// A message whose framing breaks; what came before the break.
    Broken(WireMessage),
}

/// The kind of message that is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageKind {
    /// A request.
    Request,
    /// An answer to any method but HEAD.
    Answer,
    /// An answer to HEAD: without a body, whatever its fields say.
    AnswerToHead,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BodyFraming {
    Nothing,
    Sized(usize),
    Chunked,
    UntilClosed,
}

/// Bytes as text, one character a byte.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The bytes of such a text.
///
/// # Panics
///
/// Panics where a character is no byte.
pub fn latin1_bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).expect("Latin-1")).collect()
}

impl WireMessage {
    /// Every value of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect()
    }

    /// The first value of a field. Empty if the field is absent.
    pub fn field(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The status of an answer. Zero if the first line has none.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// The same message in the form in which it is compared: names in lower case, fields by their names. The order of
    /// fields of one name is kept, for it has a meaning.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        for fields in [&mut self.fields, &mut self.trailers] {
            for (name, _) in fields.iter_mut() {
                name.make_ascii_lowercase();
            }
            fields.sort_by(|one, other| one.0.cmp(&other.0));
        }
        self
    }

    fn framing(&self, kind: MessageKind) -> BodyFraming {
        let is_chunked = self.all("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked"));
        let len = self.all("content-length").first().and_then(|len| len.parse().ok());
        let status = self.status();
        match kind {
            MessageKind::AnswerToHead => BodyFraming::Nothing,
            MessageKind::Answer if status < 200 || matches!(status, 204 | 304) => BodyFraming::Nothing,
            MessageKind::Request | MessageKind::Answer if is_chunked => BodyFraming::Chunked,
            MessageKind::Request => BodyFraming::Sized(len.unwrap_or_default()),
            MessageKind::Answer => len.map_or(BodyFraming::UntilClosed, BodyFraming::Sized),
        }
    }
}

/// Reads the first message of some bytes. `is_end` says that no more bytes will come.
pub fn read_message(bytes: &[u8], kind: MessageKind, is_end: bool) -> ReadMessage {
    let Some(head_len) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return ReadMessage::Unfinished(None);
    };
    let head = latin1(&bytes[..head_len - 4]);
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let mut message = WireMessage { line, fields: lines.map(field).collect(), ..WireMessage::default() };
    let rest = &bytes[head_len..];
    match message.framing(kind) {
        BodyFraming::Nothing => whole(message, head_len),
        BodyFraming::Sized(len) if rest.len() >= len => {
            message.body = rest[..len].to_vec();
            whole(message, head_len + len)
        }
        BodyFraming::UntilClosed if is_end => {
            message.body = rest.to_vec();
            whole(message, bytes.len())
        }
        BodyFraming::Sized(_) | BodyFraming::UntilClosed => {
            message.body = rest.to_vec();
            ReadMessage::Unfinished(Some(message))
        }
        BodyFraming::Chunked => match chunks(rest, &mut message) {
            Chunks::Whole(len) => whole(message, head_len + len),
            Chunks::Unfinished => ReadMessage::Unfinished(Some(message)),
            Chunks::Broken => ReadMessage::Broken(message),
        },
    }
}

/// Reads all answers of a connection that has ended. `is_first_to_head` says that the first request was a HEAD.
pub fn read_answers(mut bytes: &[u8], is_first_to_head: bool) -> Vec<WireMessage> {
    let mut all: Vec<WireMessage> = Vec::new();
    while !bytes.is_empty() {
        let is_to_head = is_first_to_head && all.iter().all(|answer| answer.status() < 200);
        let kind = if is_to_head { MessageKind::AnswerToHead } else { MessageKind::Answer };
        let used = match read_message(bytes, kind, true) {
            ReadMessage::Whole(message, used) => {
                all.push(message);
                used
            }
            ReadMessage::Unfinished(message) => {
                let line = latin1(bytes.split(|byte| *byte == b'\r').next().unwrap_or_default());
                all.push(message.unwrap_or(WireMessage { line, ..WireMessage::default() }));
                bytes.len()
            }
            ReadMessage::Broken(message) => {
                all.push(message);
                bytes.len()
            }
        };
        bytes = &bytes[used..];
    }
    all
}

fn whole(mut message: WireMessage, len: usize) -> ReadMessage {
    message.is_whole = true;
    ReadMessage::Whole(message, len)
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

enum Chunks {
    Whole(usize),
    Unfinished,
    Broken,
}

fn chunks(bytes: &[u8], message: &mut WireMessage) -> Chunks {
    let line_at = |from: usize| {
        let len = bytes[from..].windows(2).position(|window| window == b"\r\n")?;
        Some((latin1(&bytes[from..from + len]), from + len + 2))
    };
    let mut at = 0;
    loop {
        let Some((line, next)) = line_at(at) else { return Chunks::Unfinished };
        let Ok(size) = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16) else {
            return Chunks::Broken;
        };
        at = next;
        if size == 0 {
            break;
        }
        let there = bytes.len() - at;
        message.body.extend_from_slice(&bytes[at..at + size.min(there)]);
        if there < size + 2 {
            return Chunks::Unfinished;
        }
        if &bytes[at + size..at + size + 2] != b"\r\n" {
            return Chunks::Broken;
        }
        at += size + 2;
    }
    loop {
        let Some((line, next)) = line_at(at) else { return Chunks::Unfinished };
        at = next;
        if line.is_empty() {
            return Chunks::Whole(at);
        }
        message.trailers.push(field(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_one_after_the_other() {
        let bytes =
            b"POST / HTTP/1.1\r\nB: 2\r\na: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: x\r\n\r\nrest";
        let ReadMessage::Whole(message, used) = read_message(bytes, MessageKind::Request, false) else {
            panic!("it is whole");
        };
        assert_eq!((&bytes[used..], &*message.body), (&b"rest"[..], &b"hi"[..]));
        assert_eq!(message.trailers, [("T".to_owned(), "x".to_owned())]);
        let names: Vec<String> = message.normalised().fields.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "transfer-encoding"]);
        let broken = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiGET";
        assert!(matches!(read_message(broken, MessageKind::Request, false), ReadMessage::Broken(_)));
    }

    #[test]
    fn answers_are_read_to_the_end_of_their_connection() {
        let bytes =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok";
        let answers = read_answers(bytes, true);
        let told: Vec<_> = answers.iter().map(|answer| (answer.status(), &*answer.body, answer.is_whole)).collect();
        assert_eq!(told, [(100, &b""[..], true), (200, b"", true), (200, b"ok", true)]);
        let cut = read_answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false);
        assert!(!cut[0].is_whole && cut[0].body == b"ok");
    }
}
