//! A relay between a client and an engine's socket, which records the requests.
//!
//! Requests that the list does not allow are answered with 403 and written down as well, so that a test
//! can both enforce a list and show which paths were used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};

/// One request line as the relay saw it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path without version prefix and query.
    pub path: String,
    /// Whether the relay passed it on.
    pub allowed: bool,
}

/// A relay to an engine that passes only reads of certain paths.
#[derive(Debug)]
pub struct Relay {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Listens on `socket` and asks the engine at `engine`; `allow` gets the path without its version prefix.
    pub fn start(socket: &Path, engine: &Path, allow: fn(&str) -> bool) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, engine) = (Arc::clone(&seen), engine.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(stream, engine.clone(), Arc::clone(&log), allow));
            }
        });
        Ok(Self { seen, task })
    }

    /// All requests so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder of the lock panics").clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request a connection, by `Connection: close`: enough for a log, and the streamed answer of the
/// engine needs no understanding.
async fn relay(
    stream: UnixStream,
    engine: PathBuf,
    log: Arc<Mutex<Vec<Seen>>>,
    allow: fn(&str) -> bool,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let from = head.len();
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
        if head[from..].trim().is_empty() {
            break;
        }
    }
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let path = without_version(target.split('?').next().unwrap_or_default()).to_owned();
    let allowed = matches!(method.as_str(), "GET" | "HEAD") && allow(&path);
    log.lock().expect("no holder of the lock panics").push(Seen { method, path, allowed });
    if !allowed {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        return stream.shutdown().await;
    }
    let mut upstream = UnixStream::connect(engine).await?;
    for line in head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")) {
        if line.is_empty() {
            upstream.write_all(b"Connection: close\r\n").await?;
        }
        upstream.write_all(line.as_bytes()).await?;
        upstream.write_all(b"\r\n").await?;
    }
    let buffered = stream.buffer().to_vec();
    upstream.write_all(&buffered).await?;
    let mut stream = stream.into_inner();
    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
    Ok(())
}

fn without_version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else { return path };
    match rest.split_once('/') {
        Some((version, _)) if version.starts_with("1.") => &rest[version.len()..],
        _ => path,
    }
}

/// The reads that the product promises to get along with, beside its version prefix.
pub fn promised(path: &str) -> bool {
    matches!(
        path,
        "/_ping" | "/version" | "/containers/json" | "/events" | "/networks" | "/services" | "/tasks" | "/nodes"
    ) || path
        .strip_prefix("/containers/")
        .and_then(|rest| rest.strip_suffix("/json"))
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Sends a GET to an engine's socket without any library. Returns status and body.
pub async fn ask(socket: &Path, path: &str) -> io::Result<(u16, String)> {
    tell(socket, "GET", path, "").await
}

/// Like [`ask`], with another method and a JSON body.
pub async fn tell(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket).await?;
    let fields = format!("host: engine\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    stream.write_all(format!("{method} {path} HTTP/1.0\r\n{fields}\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default().to_owned();
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_promised_reads_are_promised() {
        for path in ["/_ping", "/containers/json", "/containers/0a1b/json", "/events"] {
            assert!(promised(without_version(&format!("/v1.41{path}"))), "{path}");
        }
        for path in [
            "/containers/0a1b/archive",
            "/containers/web/json",
            "/containers//json",
            "/images/json",
            "/info",
            "/exec/1/json",
        ] {
            assert!(!promised(path), "{path}");
        }
    }
}
