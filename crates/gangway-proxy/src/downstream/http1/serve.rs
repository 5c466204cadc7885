//! Serves the requests of one client connection over HTTP/1.

use std::pin::pin;
use std::sync::Arc;

use crate::downstream::byte_stream::ByteStream;
use crate::downstream::connection::ClientConnection;
use crate::downstream::http1::session::{Http1Session, NextRequest};
use crate::downstream::listener_profile::Leaving;
use crate::exchange::exchange_pool::PooledExchange;
use crate::exchange::serve::{reject, serve};
use crate::exchange::worker::Worker;
use crate::lifecycle::{Lifecycle, PhaseWait, Phases, reached};

/// Serves one request after the other until the connection ends.
pub(crate) async fn serve_http1<T: ByteStream>(
    io: T,
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    phases: Phases,
) {
    let shared = &worker.shared;
    let leaving = Leaving::new(Arc::clone(&shared.shutting_down), Arc::clone(&connection.listener));
    let closing = pin!(reached(phases.clone(), Lifecycle::Closing));
    let mut closing = PhaseWait::new(closing);
    let mut session = Http1Session::new(io, &shared.settings.limits, shared.overload.memory.clone(), leaving, phases);
    let mut exchange = PooledExchange::take();
    session.use_timer(std::mem::take(&mut exchange.client_timer));
    loop {
        if let Some(mark) = &connection.idle {
            shared.overload.idle.begin(mark);
        }
        let next = session.next_request(&mut exchange.head, &mut closing).await;
        if connection.idle.as_ref().is_some_and(|mark| !mark.end()) {
            break;
        }
        match next {
            NextRequest::Whole => serve(worker, connection, &mut exchange, &mut session).await,
            NextRequest::Rejected(rejection) => {
                reject(worker, connection, &mut exchange, &mut session, rejection).await;
            }
            NextRequest::Gone => break,
        }
        if !session.goes_on() {
            break;
        }
        if let Some(ended) = exchange.ended {
            session.begin_idle(ended);
        }
    }
    session.close().await;
    exchange.client_timer = session.into_timer();
}
