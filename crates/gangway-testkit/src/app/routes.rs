//! What the application does on which path.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::App;
use super::exchange::{Asked, Exchange};
use crate::sum::{Pattern, Sum};

pub(super) async fn answer(asked: &Asked, exchange: &mut Exchange<'_>, app: &Arc<App>) -> io::Result<()> {
    let under_way = UnderWay::of(app);
    let done = route(asked, exchange, app).await;
    drop(under_way);
    if done.is_ok() {
        app.served.fetch_add(1, Ordering::SeqCst);
    }
    done
}

async fn route(asked: &Asked, exchange: &mut Exchange<'_>, app: &App) -> io::Result<()> {
    if let Some(directed) = &app.directed {
        return directed.answer(asked, exchange, app).await;
    }
    if asked.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc")) {
        return trailers(exchange, "application/grpc").await;
    }
    let mut parts = asked.path().trim_start_matches('/').split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let number = second.and_then(|text| text.parse::<u64>().ok());
    match (first, number) {
        ("", _) => exchange.text(200, "text/plain", &format!("{} on {}\n", app.name, app.hostname)).await,
        ("upload", _) => upload(exchange).await,
        ("bytes", Some(len)) => bytes(exchange, asked, len).await,
        ("stream", _) => stream(exchange, asked).await,
        ("slow", Some(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            exchange.text(200, "text/plain", "slow\n").await
        }
        ("status", Some(code)) => {
            let code = u16::try_from(code).ok().filter(|code| (200..1000).contains(code)).unwrap_or(500);
            exchange.text(code, "text/plain", &format!("status {code}\n")).await
        }
        ("early", _) => exchange.text(413, "text/plain", "too much\n").await,
        ("cut", Some(len)) => cut(exchange, len).await,
        ("hints", _) => {
            exchange.hint(103, &[("link", "</style.css>; rel=preload; as=style")]).await?;
            exchange.text(200, "text/plain", "after hints\n").await
        }
        ("trailers", _) => trailers(exchange, "text/plain").await,
        ("health", _) => health(exchange, app, second).await,
        _ => echo(asked, exchange, app).await,
    }
}

async fn echo(asked: &Asked, exchange: &mut Exchange<'_>, app: &App) -> io::Result<()> {
    let sum = body_sum(exchange).await?;
    let told = json!({
        "app": app.name,
        "hostname": app.hostname,
        "method": asked.method,
        "target": asked.target,
        "version": asked.version,
        "headers": asked.headers,
        "body_len": sum.len(),
        "body_sum": sum.hex(),
        "peer": asked.peer,
    });
    exchange.text(200, "application/json", &format!("{told}\n")).await
}

async fn upload(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let sum = body_sum(exchange).await?;
    let told = json!({ "len": sum.len(), "sum": sum.hex() });
    exchange.text(200, "application/json", &format!("{told}\n")).await
}

async fn body_sum(exchange: &mut Exchange<'_>) -> io::Result<Sum> {
    let mut sum = Sum::default();
    while let Some(part) = exchange.body().await? {
        sum.add(&part);
    }
    Ok(sum)
}

async fn bytes(exchange: &mut Exchange<'_>, asked: &Asked, len: u64) -> io::Result<()> {
    let kind = asked.query("type").unwrap_or("application/octet-stream");
    let is_chunked = asked.query("chunked").is_some();
    let mut fields = vec![("content-type", kind)];
    fields.extend(asked.query("cache-control").map(|value| ("cache-control", value)));
    exchange.head(200, &fields, (!is_chunked).then_some(len))?;
    let (mut pattern, mut left) = (Pattern::default(), len);
    while left > 0 {
        let part = pattern.next(left);
        left -= part.len() as u64;
        exchange.send(part).await?;
    }
    exchange.finish(&[]).await
}

async fn stream(exchange: &mut Exchange<'_>, asked: &Asked) -> io::Result<()> {
    let every = asked.query("every").and_then(|text| text.parse().ok()).unwrap_or(100);
    let count = asked.query("count").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let kind = asked.query("type").unwrap_or("text/event-stream");
    exchange.head(200, &[("content-type", kind), ("cache-control", "no-cache")], None)?;
    let mut tick = tokio::time::interval(Duration::from_millis(every));
    // Events that are late come late, and not in a burst that proxies can pass on as one.
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0..count {
        tick.tick().await;
        exchange.send(format!("data: {number}\n\n").as_bytes()).await?;
    }
    exchange.finish(&[]).await
}

async fn cut(exchange: &mut Exchange<'_>, len: u64) -> io::Result<()> {
    exchange.head(200, &[("content-type", "application/octet-stream")], Some(len * 2))?;
    let (mut pattern, mut left) = (Pattern::default(), len);
    while left > 0 {
        let part = pattern.next(left);
        left -= part.len() as u64;
        exchange.send(part).await?;
    }
    Err(exchange.cut())
}

/// The body back as it arrives, then trailers: what a unary or a streaming gRPC call looks like.
async fn trailers(exchange: &mut Exchange<'_>, kind: &str) -> io::Result<()> {
    exchange.head(200, &[("content-type", kind), ("trailer", "grpc-status, x-sum")], None)?;
    let mut sum = Sum::default();
    while let Some(part) = exchange.body().await? {
        sum.add(&part);
        exchange.send(&part).await?;
    }
    exchange.finish(&[("grpc-status", "0"), ("x-sum", &sum.hex())]).await
}

async fn health(exchange: &mut Exchange<'_>, app: &App, change: Option<&str>) -> io::Result<()> {
    match change {
        Some("fail") => app.set_healthy(false),
        Some("ok") => app.set_healthy(true),
        _ => {}
    }
    let healthy = app.healthy.load(Ordering::SeqCst);
    if change.is_some() {
        return exchange.text(200, "text/plain", if healthy { "healthy\n" } else { "unhealthy\n" }).await;
    }
    exchange
        .text(if healthy { 200 } else { 503 }, "text/plain", if healthy { "healthy\n" } else { "unhealthy\n" })
        .await
}

/// Counts a request for as long as it is being answered, however the answer ends.
struct UnderWay(Arc<App>);

impl UnderWay {
    fn of(app: &Arc<App>) -> Self {
        app.under_way.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(app))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
