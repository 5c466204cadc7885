//! An application that each request directs by its header fields, and that tells what it saw.
//!
//! | field, after the prefix | effect |
//! |---|---|
//! | `status` | the status of the answer |
//! | `set` | one more field of it, `Name: value`; may come several times |
//! | `type` | its media type; `-` for none |
//! | `size` | as many bytes more in its body |
//! | `drop` | the first so many of such requests are dropped without an answer |
//!
//! Beyond that `/slow<ms>` waits, `/sick` and `/well` say what `/health` answers, `/_last` tells of the last request, and
//! `/_count` of how many there were. The two leave out paths with an underscore.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::App;
use super::exchange::{Asked, Exchange};

/// What it keeps from one request to the next.
#[derive(Debug)]
pub(super) struct Directed {
    /// What the names of the fields begin with, before a hyphen.
    prefix: Box<str>,
    dropped: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    last: Value,
}

impl Directed {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), dropped: AtomicU64::new(0), seen: Mutex::default() }
    }

    /// Notes a request that came, so that `/_last` and `/_count` tell of it.
    pub(super) fn note(&self, asked: &Asked, name: &str, body_len: u64) -> Value {
        let told = json!({
            "app": name,
            "local": asked.local,
            "method": asked.method,
            "target": asked.target,
            "version": asked.version,
            "headers": asked.headers,
            "body_len": body_len,
        });
        // What asks for the health of the container does not name itself.
        let is_health_check = asked.path() == "/health" && asked.header("user-agent").is_none();
        if !asked.path().contains('_') && !is_health_check {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.count += 1;
            seen.last = told.clone();
        }
        told
    }

    fn wishes<'a>(&self, asked: &'a Asked, what: &str) -> impl Iterator<Item = &'a str> {
        let name = format!("{}-{what}", self.prefix);
        asked.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(&name)).map(|(_, value)| value.as_str())
    }

    fn wish<T: std::str::FromStr>(&self, asked: &Asked, what: &str) -> Option<T> {
        self.wishes(asked, what).next()?.parse().ok()
    }

    pub(super) async fn answer(&self, asked: &Asked, exchange: &mut Exchange<'_>, app: &App) -> io::Result<()> {
        let mut body_len = 0;
        while let Some(part) = exchange.body().await? {
            body_len += part.len() as u64;
        }
        let mut told = self.note(asked, &app.name, body_len);
        if let Some(most) = self.wish::<u64>(asked, "drop")
            && self.dropped.fetch_add(1, Ordering::SeqCst) < most
        {
            return Err(exchange.cut());
        }
        let path = asked.path();
        if let Some(ms) = path.strip_prefix("/slow").and_then(|ms| ms.parse().ok()) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        match path {
            "/sick" => app.set_healthy(false),
            "/well" => app.set_healthy(true),
            "/_last" | "/_count" => {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                told = if path == "/_last" { seen.last.clone() } else { json!(seen.count) };
            }
            _ => {}
        }
        let is_sick = path.starts_with("/health") && !app.healthy.load(Ordering::SeqCst);
        let status = self.wish(asked, "status").unwrap_or(if is_sick { 503 } else { 200 });
        let mut sent = vec![("x-app".to_owned(), app.name.clone())];
        let kind = self.wishes(asked, "type").next().unwrap_or("application/json");
        sent.extend((kind != "-").then(|| ("content-type".to_owned(), kind.to_owned())));
        let set = self.wishes(asked, "set").filter_map(|field| field.split_once(':'));
        sent.extend(set.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        if let Some(told) = told.as_object_mut() {
            told.insert("sent".to_owned(), json!(sent));
        }
        let mut body = told.to_string();
        body.extend(std::iter::repeat_n(' ', self.wish(asked, "size").unwrap_or(0)));
        let fields: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (&**name, &**value)).collect();
        exchange.head(status, &fields, Some(body.len() as u64))?;
        exchange.send(body.as_bytes()).await?;
        exchange.finish(&[]).await
    }
}
