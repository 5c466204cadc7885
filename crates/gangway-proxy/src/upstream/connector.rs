//! Connections to endpoints: kept, opened, and taken back.

use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::downstream::connection::ClientConnection;
use crate::limits::Limits;
use crate::overload::open_connections::{OpenConnection, OpenConnections};
use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::coarse_clock::CoarseClock;
use crate::upstream::dedicated::ConnectionOwner;
use crate::upstream::http1::stream::Http1Stream;
use crate::upstream::http2::connection::Http2Slot;
use crate::upstream::http2::stream::Http2Stream;
use crate::upstream::opener::{OpenedConnection, Opener, first_stream};
use crate::upstream::own_connections::OwnConnections;
use crate::upstream::pool::Pool;
use crate::upstream::stream::{Home, UpstreamStream};
use crate::upstream::tls::UpstreamTls;
use crate::upstream::tls_configs::HttpOffer;
use crate::upstream::transport::{EndpointProtocol, EndpointTransport};

/// How often kept connections are looked at.
const SWEEP_PAUSE: Duration = Duration::from_millis(250);

/// The connections to endpoints of one worker thread.
#[derive(Debug)]
pub(crate) struct Connector {
    settings: ConnectorSettings,
    clock: CoarseClock,
    pool: Mutex<Pool>,
}

/// What the threads have in common.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorSettings {
    /// Counts the connections of all threads.
    pub(crate) open: OpenConnections,
    pub(crate) opener: Opener,
    /// How long a client connection may be idle. The connections that belong to it are kept as long.
    pub(crate) client_idle: Duration,
    /// How many threads share what is allowed to be kept.
    pub(crate) threads: NonZeroU32,
}

impl ConnectorSettings {
    pub(crate) fn new(limits: &Limits, open: OpenConnections) -> Self {
        Self { open, opener: Opener::default(), client_idle: limits.idle, threads: NonZeroU32::MIN }
    }

    /// These, with what the PEM of users gives, and for so many threads.
    pub(crate) fn with(self, tls: UpstreamTls, threads: usize) -> Self {
        let threads = u32::try_from(threads).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        Self { opener: Opener { tls, ..self.opener }, threads, ..self }
    }
}

/// The properties that a request asks of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionNeed<'c> {
    pub(crate) owner: ConnectionOwner,
    /// The client connection that the request came by: it keeps the connections that belong to it.
    pub(crate) client: Option<&'c Arc<ClientConnection>>,
    /// Whether the connection is to be switched to another protocol, which only HTTP/1.1 can.
    pub(crate) is_upgrade: bool,
    /// Whether the request may be sent again if the connection turns out to be closed.
    pub(crate) is_repeatable: bool,
    pub(crate) connect_timeout: Duration,
}

impl Connector {
    /// Begins to keep connections. Called within the runtime of the thread.
    pub(crate) fn new(settings: &ConnectorSettings) -> Arc<Self> {
        let (settings, clock) = (settings.clone(), CoarseClock::new());
        let connector = Arc::new(Self { settings, clock, pool: Mutex::default() });
        tokio::spawn(sweep(Arc::downgrade(&connector)));
        connector
    }

    /// A kept connection that can take the request at once. Never waits.
    pub(crate) fn checkout(&self, endpoint: &ActiveEndpoint, need: &ConnectionNeed<'_>) -> Option<UpstreamStream> {
        let (state, transport) = (&endpoint.state, &endpoint.transport);
        match need.owner {
            ConnectionOwner::Request => None,
            ConnectionOwner::Client(key) => {
                let own = own_connections(need, key)?;
                let idle_timeout = transport.idle_at_most(state.idle_timeout_of_own(self.settings.client_idle));
                let is_wanted = |stream: &Http1Stream| stream.transport() == transport;
                let stream = own.take(state.id(), idle_timeout, is_wanted)?;
                Some(UpstreamStream::Http1(stream, Home::Client(Arc::downgrade(&own))))
            }
            ConnectionOwner::Shared => {
                let mut pool = self.pool();
                if may_speak_http2(transport, need)
                    && let Some(slot) = pool.begin_http2(state, transport)
                {
                    return Some(http2_stream(slot));
                }
                if !need.is_repeatable && !state.is_trusted_to_keep_connections() {
                    return None;
                }
                let stream = pool.take_http1(state, transport, self.clock.millis())?;
                Some(UpstreamStream::Http1(stream, Home::Shared))
            }
        }
    }

    /// Opens a connection within the time that `need` gives for it: name, TCP, TLS, preface of HTTP/2.
    pub(crate) async fn connect(
        &self,
        endpoint: &ActiveEndpoint,
        need: &ConnectionNeed<'_>,
    ) -> Result<UpstreamStream, UpstreamError> {
        // On the heap, so that the futures of requests, which mostly find a kept connection, stay small.
        match tokio::time::timeout(need.connect_timeout, Box::pin(self.open(endpoint, need))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(UpstreamError::new(UpstreamErrorKind::ConnectTimeout, "no connection in time")),
        }
    }

    /// Takes a connection back whose response has been read to its end, and keeps it if it can carry another request.
    /// Any other connection just closes.
    pub(crate) fn release(&self, stream: UpstreamStream) {
        match stream {
            UpstreamStream::Http1(mut stream, home) => {
                if !stream.is_reusable() {
                    return;
                }
                stream.recycle();
                match home {
                    Home::Shared => self.pool().park_http1(stream, self.clock.millis(), self.settings.threads),
                    Home::Client(own) => {
                        if let Some(own) = own.upgrade() {
                            own.park(stream);
                        }
                    }
                    Home::Nowhere => {}
                }
            }
            // The connection goes on with its other streams.
            UpstreamStream::Http2(_) => {}
        }
    }

    async fn open(
        &self,
        endpoint: &ActiveEndpoint,
        need: &ConnectionNeed<'_>,
    ) -> Result<UpstreamStream, UpstreamError> {
        let (state, transport) = (&endpoint.state, &endpoint.transport);
        let may_speak_http2 = may_speak_http2(transport, need) && !self.pool().prefers_http1(state, transport);
        if !may_speak_http2 {
            return self.open_fresh(endpoint, need, HttpOffer::Http1).await;
        }
        if need.owner != ConnectionOwner::Shared {
            return self.open_fresh(endpoint, need, HttpOffer::Http2OrHttp1).await;
        }
        let opening = self.pool().opening(state);
        let turn = opening.lock().await;
        // The task that had the turn before may have opened one.
        if let Some(slot) = self.pool().begin_http2(state, transport) {
            return Ok(http2_stream(slot));
        }
        if self.pool().prefers_http1(state, transport) {
            drop(turn);
            return self.open_fresh(endpoint, need, HttpOffer::Http1).await;
        }
        self.open_fresh(endpoint, need, HttpOffer::Http2OrHttp1).await
    }

    async fn open_fresh(
        &self,
        endpoint: &ActiveEndpoint,
        need: &ConnectionNeed<'_>,
        offer: HttpOffer,
    ) -> Result<UpstreamStream, UpstreamError> {
        let open = self.open_connection()?;
        let (state, transport) = (&endpoint.state, &endpoint.transport);
        match self.settings.opener.open(endpoint, offer, &self.clock, open).await? {
            OpenedConnection::Http1(stream) => {
                if offer == HttpOffer::Http2OrHttp1 {
                    self.pool().note_prefers_http1(state, transport);
                }
                Ok(UpstreamStream::Http1(stream, home(need)))
            }
            OpenedConnection::Http2(connection) => {
                if need.owner == ConnectionOwner::Shared {
                    self.pool().add_http2(state, Arc::clone(&connection));
                }
                Ok(http2_stream(first_stream(&connection)?))
            }
        }
    }

    /// A place for one more connection. If there is none, the idle ones of this thread give up theirs.
    fn open_connection(&self) -> Result<OpenConnection, UpstreamError> {
        let begin = || self.settings.open.begin();
        let open = begin().or_else(|| {
            self.pool().close_idle();
            begin()
        });
        open.ok_or_else(|| UpstreamError::new(UpstreamErrorKind::Exhausted, "too many connections are open"))
    }

    /// Held only between two polls, and by other threads only where several share a runtime.
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock()
    }
}

/// Looks at kept connections, and moves the clock, until the connector is gone.
async fn sweep(connector: Weak<Connector>) {
    let mut pause = tokio::time::interval(SWEEP_PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let Some(connector) = connector.upgrade() else { return };
        connector.clock.set();
        connector.pool().sweep(connector.clock.millis());
    }
}

/// Whether the request may go over HTTP/2, as far as our side is concerned.
fn may_speak_http2(transport: &EndpointTransport, need: &ConnectionNeed<'_>) -> bool {
    match transport.protocol {
        EndpointProtocol::Plain => false,
        EndpointProtocol::H2c => !need.is_upgrade,
        // Credentials of connections do not work over HTTP/2.
        EndpointProtocol::Tls(_) => {
            transport.settings.offers_http2 && !need.is_upgrade && need.owner == ConnectionOwner::Shared
        }
    }
}

fn http2_stream(slot: Http2Slot) -> UpstreamStream {
    UpstreamStream::Http2(Box::new(Http2Stream::new(slot)))
}

/// Where a connection that is opened for a request goes afterwards.
fn home(need: &ConnectionNeed<'_>) -> Home {
    match need.owner {
        ConnectionOwner::Shared => Home::Shared,
        ConnectionOwner::Client(key) => {
            own_connections(need, key).map_or(Home::Nowhere, |own| Home::Client(Arc::downgrade(&own)))
        }
        ConnectionOwner::Request => Home::Nowhere,
    }
}

fn own_connections(need: &ConnectionNeed<'_>, key: u64) -> Option<Arc<OwnConnections>> {
    need.client?.dedicated.of_owner(key)
}

#[cfg(test)]
mod http2_tests;
#[cfg(test)]
mod tests;
