//! An HTTP/1 endpoint that keeps every message that it got, and answers each with the bytes of its case.
//!
//! A request says by its field `X-Case` which case it belongs to, so that many cases can be under way at once and
//! share connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wait::eventually;
use crate::wire_message::{MessageKind, ReadMessage, WireMessage, read_message};

/// The field that names the case of a request.
pub const CASE_FIELD: &str = "X-Case";

/// The answer to cases for which none is written.
const DEFAULT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A test that waits longer is stuck. The bound does not measure anything.
const STUCK: Duration = Duration::from_secs(20);

/// The answer of a case, to the byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrittenAnswer {
    /// All bytes of it.
    pub bytes: Vec<u8>,
    /// When it is sent.
    pub moment: AnswerMoment,
    /// What follows it.
    pub after: AfterAnswer,
}

/// When an answer is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerMoment {
    /// Once the whole request has arrived.
    WholeRequest,
    /// Once the head of the request has arrived.
    RequestHead,
}

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterAnswer {
    /// It is kept for the next request.
    Stays,
    /// It is closed in order.
    Closes,
    /// It is reset.
    Resets,
}

/// Such an endpoint. Ends when it is dropped.
#[derive(Debug)]
pub struct RecordingEndpoint {
    /// The address that it listens on.
    pub address: SocketAddr,
    cases: Arc<Mutex<HashMap<String, RecordedCase>>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct RecordedCase {
    answer: Option<WrittenAnswer>,
    messages: Vec<WireMessage>,
    /// Messages that began and have not ended.
    under_way: usize,
}

impl RecordingEndpoint {
    /// Starts on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cases: Arc<Mutex<HashMap<String, RecordedCase>>> = Arc::default();
        let shared = Arc::clone(&cases);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let cases = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    // A connection that breaks has been recorded as far as it came.
                    let _ = serve(stream, &cases).await;
                });
            }
        });
        Ok(Self { address, cases, task })
    }

    /// Answers a case with these bytes.
    pub fn answer(&self, case: &str, answer: WrittenAnswer) {
        lock(&self.cases).entry(case.to_owned()).or_default().answer = Some(answer);
    }

    /// Waits until no message of the case is under way; takes all of them.
    pub async fn taken(&self, case: &str) -> Vec<WireMessage> {
        eventually(&format!("the messages of {case} have ended"), STUCK, async || {
            lock(&self.cases).get(case).is_none_or(|recorded| recorded.under_way == 0).then_some(())
        })
        .await;
        lock(&self.cases).get_mut(case).map(|recorded| std::mem::take(&mut recorded.messages)).unwrap_or_default()
    }
}

impl Drop for RecordingEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(cases: &Mutex<HashMap<String, RecordedCase>>) -> MutexGuard<'_, HashMap<String, RecordedCase>> {
    cases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message that has begun; it is kept as far as it came, whatever becomes of the connection.
struct MessageUnderWay<'c> {
    cases: &'c Mutex<HashMap<String, RecordedCase>>,
    case: String,
    message: WireMessage,
}

impl<'c> MessageUnderWay<'c> {
    fn begin(cases: &'c Mutex<HashMap<String, RecordedCase>>, message: WireMessage) -> Self {
        let case = message.field(CASE_FIELD).to_owned();
        lock(cases).entry(case.clone()).or_default().under_way += 1;
        Self { cases, case, message }
    }

    fn answer(&self) -> Option<WrittenAnswer> {
        lock(self.cases).get(&self.case).and_then(|recorded| recorded.answer.clone())
    }
}

impl Drop for MessageUnderWay<'_> {
    fn drop(&mut self) {
        let mut cases = lock(self.cases);
        let recorded = cases.entry(std::mem::take(&mut self.case)).or_default();
        recorded.under_way -= 1;
        recorded.messages.push(std::mem::take(&mut self.message));
    }
}

/// Serves one connection until it ends.
async fn serve(mut stream: TcpStream, cases: &Mutex<HashMap<String, RecordedCase>>) -> io::Result<()> {
    let mut ahead = Vec::new();
    loop {
        let mut under_way: Option<MessageUnderWay<'_>> = None;
        let mut answered = false;
        let used = loop {
            let read = read_message(&ahead, MessageKind::Request, false);
            let (message, used) = match read {
                ReadMessage::Unfinished(message) => (message, None),
                ReadMessage::Broken(message) => {
                    drop(MessageUnderWay::begin(cases, message));
                    return Ok(());
                }
                ReadMessage::Whole(message, used) => (Some(message), Some(used)),
            };
            if let Some(message) = message {
                match &mut under_way {
                    Some(under_way) => under_way.message = message,
                    None => under_way = Some(MessageUnderWay::begin(cases, message)),
                }
            }
            let early = under_way.as_ref().and_then(MessageUnderWay::answer);
            if let Some(answer) = early.filter(|answer| answer.moment == AnswerMoment::RequestHead && !answered) {
                answered = true;
                write(&mut stream, &answer).await?;
                match answer.after {
                    AfterAnswer::Stays => {}
                    AfterAnswer::Closes | AfterAnswer::Resets => return Ok(()),
                }
            }
            if let Some(used) = used {
                break used;
            }
            if stream.read_buf(&mut ahead).await? == 0 {
                return Ok(());
            }
        };
        ahead.drain(..used);
        let Some(mut under_way) = under_way else { return Ok(()) };
        let answer = under_way.answer().unwrap_or_else(|| {
            let body_len = if under_way.message.line.starts_with("HEAD ") { 2 } else { 0 };
            let bytes = DEFAULT[..DEFAULT.len() - body_len].to_vec();
            WrittenAnswer { bytes, moment: AnswerMoment::WholeRequest, after: AfterAnswer::Stays }
        });
        let is_tunnel = answer.bytes.starts_with(b"HTTP/1.1 101");
        if !is_tunnel {
            // Recorded before it is answered: a client that has the answer finds the message.
            drop(under_way);
            if !answered {
                write(&mut stream, &answer).await?;
            }
        } else {
            write(&mut stream, &answer).await?;
            under_way.message.body.append(&mut ahead);
            while stream.read_buf(&mut under_way.message.body).await? > 0 {}
            return Ok(());
        }
        match answer.after {
            AfterAnswer::Stays => {}
            AfterAnswer::Closes | AfterAnswer::Resets => return Ok(()),
        }
    }
}

async fn write(stream: &mut TcpStream, answer: &WrittenAnswer) -> io::Result<()> {
    stream.write_all(&answer.bytes).await?;
    match answer.after {
        AfterAnswer::Stays => Ok(()),
        AfterAnswer::Closes => stream.shutdown().await,
        AfterAnswer::Resets => stream.set_zero_linger(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;

    #[tokio::test]
    async fn messages_are_kept_by_their_case_and_answered_as_it_says() {
        let endpoint = RecordingEndpoint::start().await.expect("a free port");
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
        endpoint.answer("two", WrittenAnswer { bytes, moment: AnswerMoment::WholeRequest, after: AfterAnswer::Closes });
        let mut raw = Raw::connect(endpoint.address).await.expect("it listens");
        assert_eq!(raw.ask("GET /1 HTTP/1.1\r\nX-Case: one\r\n\r\n").await.expect("answered").text(), "ok");
        let second = "POST /2 HTTP/1.1\r\nx-case: two\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(raw.ask(second).await.expect("answered").status, 204);
        assert!(raw.is_closed().await.expect("an end"));
        let [first, second] = ["one", "two"].map(|case| endpoint.taken(case));
        assert_eq!(first.await[0].line, "GET /1 HTTP/1.1");
        assert_eq!(second.await[0].body, b"abc");
        let mut raw = Raw::connect(endpoint.address).await.expect("it listens");
        raw.send("POST /3 HTTP/1.1\r\nX-Case: three\r\nContent-Length: 3\r\n\r\na").await.expect("sent");
        raw.end().await.expect("ended");
        assert!(raw.is_closed().await.expect("an end"));
        let third = endpoint.taken("three").await;
        assert!(!third[0].is_whole && third[0].body == b"a");
    }
}
