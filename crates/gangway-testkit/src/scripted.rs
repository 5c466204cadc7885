//! An upstream that knows its connections: a function answers each request, given its place on its connection.
//!
//! It is as strict as an application may be: what is no request where one must begin is answered with 400, as
//! applications answer it, and kept.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::raw::Raw;

/// One request, and its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The number of the request on its connection, from 0.
    pub turn: usize,
    /// Request line and fields, without the blank line.
    pub head: String,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Asked {
    /// The value of a field. Empty if it is absent.
    pub fn field(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }
}

/// The bytes of an answer with these fields, and the length of its body.
pub fn reply(status: &str, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The upstream ends when this is dropped.
pub struct Scripted {
    /// The address that it listens on.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    strays: Mutex<Vec<String>>,
    ended: Mutex<Vec<usize>>,
}

impl Scripted {
    /// Starts on a free port of loopback. The function gives the bytes of each answer.
    pub async fn answering(script: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> io::Result<Self> {
        Self::answering_at(TcpListener::bind("127.0.0.1:0").await?, script)
    }

    /// The same on a listener of the test's choice.
    pub fn answering_at(
        listener: TcpListener,
        script: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (address, seen, script) = (listener.local_addr()?, Arc::<Seen>::default(), Arc::new(script));
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&noted));
                tokio::spawn(async move {
                    let _ = serve(stream, connection, &*script, &seen).await;
                    locked(&seen.ended).push(connection);
                });
                connection += 1;
            }
        });
        Ok(Self { address, seen, task })
    }

    /// All requests so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.seen.asked).clone()
    }

    /// The bytes that were read as the beginning of a request, and are none.
    pub fn strays(&self) -> Vec<String> {
        locked(&self.seen.strays).clone()
    }

    /// The connections that the client has ended.
    pub fn ended(&self) -> Vec<usize> {
        locked(&self.seen.ended).clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    stream: TcpStream,
    connection: usize,
    script: &(impl Fn(&Asked) -> Vec<u8> + ?Sized),
    seen: &Seen,
) -> io::Result<()> {
    let mut raw = Raw::over(Box::new(stream));
    for turn in 0.. {
        let Some(head) = raw.until(b"\r\n\r\n").await? else { break };
        let head = String::from_utf8_lossy(&head).into_owned();
        if !head.lines().next().is_some_and(|line| line.ends_with(" HTTP/1.1") && line.starts_with(char::is_alphabetic))
        {
            locked(&seen.strays).push(head);
            raw.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nstray").await?;
            continue;
        }
        let mut asked = Asked { connection, turn, head, body: Vec::new() };
        if asked.field("transfer-encoding").eq_ignore_ascii_case("chunked") {
            raw.chunks(&mut asked.body, &mut Vec::new()).await?;
        } else if let Ok(len) = asked.field("content-length").parse() {
            asked.body = raw.bytes(len).await?;
        }
        let answer = script(&asked);
        locked(&seen.asked).push(asked);
        raw.send(answer).await?;
    }
    Ok(())
}
