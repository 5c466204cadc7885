//! Refreshes what is kept and was given out stale (RFC 5861, section 3), on behalf of no client.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::timeout;

use crate::cache::recorder::Recorder;
use crate::cache::run::{CacheRun, Verdict};
use crate::downstream::connection::ClientConnection;
use crate::exchange::state::Exchange;
use crate::exchange::worker::Worker;
use crate::message::fields::Fields;
use crate::pages::lookup::has_rule;
use crate::panic_guard::guarded;
use crate::request::upstream_request;
use crate::serving_table::ActiveRoute;
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;
use crate::upstream::choice;
use crate::upstream::connector::Connector;
use crate::upstream::stream::UpstreamStream;
use crate::upstream::subrequest::{Subrequest, skip_what_has_come};

/// How long a refreshment may take in all. Until then nobody else refreshes the same.
const REFRESH_TIME: Duration = Duration::from_secs(60);

/// A request of ours for what a client has asked for.
struct Refreshment {
    connector: Arc<Connector>,
    active: Arc<ActiveRoute>,
    /// The endpoint, by its position in the route.
    position: usize,
    target: String,
    fields: Fields,
    run: CacheRun,
}

/// Asks an endpoint in the background. What cannot be sent is not refreshed, and the next client tries again.
pub(super) fn begin(worker: &Worker, connection: &Arc<ClientConnection>, exchange: &mut Exchange, run: CacheRun) {
    if let Ok(Some(refreshment)) = guarded(|| prepare(worker, connection, exchange, run)) {
        tokio::spawn(async move {
            let _ = timeout(REFRESH_TIME, refreshment.run()).await;
        });
    }
}

fn prepare(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    mut run: CacheRun,
) -> Option<Refreshment> {
    let Exchange { head, context, upstream_fields, .. } = exchange;
    let routing = context.routing()?;
    let active = Arc::clone(&routing.routed.active);
    let choice = choice::choose(&active, head, connection, &context.attempt, routing.admission.origin.client)?;
    let (position, endpoint) = (choice.position, choice.endpoint);
    let settings = &worker.shared.settings;
    let target =
        upstream_request::prepare(head, routing, connection, endpoint, head.version, settings, upstream_fields);
    let target = target.ok()?.into_owned();
    let mut fields = upstream_fields.clone();
    run.change_upstream_fields(&mut fields);
    let connector = Arc::clone(&worker.connector);
    Some(Refreshment { connector, active, position, target, fields, run })
}

impl Refreshment {
    async fn run(mut self) {
        let Some(endpoint) = self.active.ready.get(self.position) else { return };
        let _under_way = endpoint.state.begin();
        let connect_time = self.active.route.timeouts.connect;
        let asked = Subrequest {
            connector: &self.connector,
            endpoint,
            method: Method::GET,
            target: &self.target,
            fields: &self.fields,
            body: &[],
            connect_time,
        };
        let Ok((mut stream, head)) = asked.send().await else { return };
        let has_page = has_rule(&self.active, head.status.as_u16());
        match self.run.on_response(&head, has_page) {
            Verdict::Relay(Some(recorder)) => {
                if record(&mut stream, recorder).await {
                    self.connector.release(stream);
                }
            }
            Verdict::Relay(None) | Verdict::Replace(_) => {
                skip_what_has_come(&mut stream).await;
                self.connector.release(stream);
            }
        }
    }
}

/// Keeps a body. Returns whether all of it came and there was room.
async fn record(stream: &mut UpstreamStream, mut recorder: Box<Recorder>) -> bool {
    loop {
        let taken = poll_fn(|cx| {
            stream.poll_body(cx, ReadWidth::Narrow).map_ok(|frame| match frame {
                BodyFrame::Data(data) => Some((data.len(), recorder.push(data))),
                BodyFrame::End => None,
            })
        });
        match taken.await {
            Ok(Some((len, true))) => stream.consume(len),
            Ok(Some((_, false))) | Err(_) => return false,
            Ok(None) if stream.response_trailers().is_some() => return true,
            Ok(None) => {
                recorder.finish();
                return true;
            }
        }
    }
}
