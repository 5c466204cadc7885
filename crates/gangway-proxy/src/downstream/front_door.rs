//! Serves a connection up to its first request: TLS handshake, certificate, version of HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gangway_model::{ClientPlace, Handshake, Judgement, ListenerProtocol, TlsVersion};
use gangway_publish::Generation;
use gangway_tls::{Demand, DemandAnswer, HandshakePolicy, UNRECOGNIZED_NAME_ALERT, normal_name};
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::access::geo_databases::PublishedGeography;
use crate::downstream::arrivals::Arriving;
use crate::downstream::byte_stream::ByteStream;
use crate::downstream::client_tls::ClientTls;
use crate::downstream::connection::{ClientConnection, canonical};
use crate::downstream::http1::serve::serve_http1;
use crate::downstream::http2::session::serve_http2;
use crate::downstream::listener_profile::ListenerProfile;
use crate::downstream::peeked_tcp::PeekedTcp;
use crate::downstream::proxy_header;
use crate::downstream::tls_policy::HandshakePolicies;
use crate::exchange::worker::Worker;
use crate::lifecycle::{Lifecycle, Phases, reached};
use crate::log::unclaimed_hosts::UnclaimedOutcome;
use crate::overload::address_account::{AddressAccount, CONNECTION_BYTES};
use crate::overload::idle_connections::IdleMark;
use crate::request::client_origin::is_from_local_network;
use crate::shared::Shared;
use crate::timer::within;

/// How long a handshake waits for a certificate. A container that has just started may be asked for before its
/// certificate was made.
const CERTIFICATE_WAIT: Duration = Duration::from_secs(3);

/// The first byte of a TLS connection (RFC 8446, section 5.1). No method begins with it.
const HANDSHAKE: u8 = 0x16;

/// What is known of a connection when it is accepted.
pub(crate) struct Accepted {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<ListenerProfile>,
    /// Whether the connection is idle, and how it is closed.
    pub(crate) mark: Arc<IdleMark>,
    /// What the clients of the address hold; none for addresses that speak for many clients.
    pub(crate) account: Option<Arc<AddressAccount>>,
}

/// A TLS stream, its server name, and the file of client CAs that the client's certificate was checked against.
type FinishedHandshake = (Box<TlsStream<PeekedTcp>>, Option<Box<str>>, Option<Box<str>>);

/// Why a handshake ended without a connection for requests.
enum HandshakeEnd {
    /// It was the check of a CA.
    Challenge,
    /// There is no certificate for the name; the client got an alert.
    UnknownName,
    /// Connections are closed, and the client had sent nothing.
    NotBegun,
}

/// Serves connections up to the point where a session reads requests.
pub(crate) struct FrontDoor {
    worker: Arc<Worker>,
    /// True once HTTP/2 clients are to go elsewhere.
    goaway: watch::Receiver<bool>,
    phases: Phases,
    /// Answers CAs that check a name by TLS-ALPN-01.
    challenge: Arc<ServerConfig>,
    protection: HandshakePolicies,
}

impl FrontDoor {
    pub(crate) fn new(worker: Arc<Worker>, goaway: watch::Receiver<bool>, phases: Phases) -> Self {
        let challenge = gangway_tls::challenge_config(worker.shared.certificates.store().clone());
        Self { worker, goaway, phases, challenge, protection: HandshakePolicies::default() }
    }

    /// Whether a client is banned, so that its connection is closed before anything is read of it.
    pub(crate) fn keeps_out(&self, client: IpAddr) -> bool {
        let Shared { bouncer: Some(bouncer), geography, .. } = &self.worker.shared else { return false };
        let geography = PublishedGeography(geography);
        match bouncer.judge_connection(&ClientPlace::new(client, &geography)) {
            Judgement::Banned { .. } => true,
            Judgement::Unknown | Judgement::Free | Judgement::Undecided(_) => false,
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, conn: PeekedTcp, accepted: Accepted, arriving: Arriving) {
        let peer = accepted.peer;
        if let Err(error) = self.serve_by_protocol(conn, accepted, arriving).await {
            tracing::debug!(%error, %peer, "a connection ended before its first request");
        }
    }

    async fn serve_by_protocol(&self, mut conn: PeekedTcp, accepted: Accepted, arriving: Arriving) -> io::Result<()> {
        let protocol = accepted.listener.protocol;
        let connection = self.connection(&conn, accepted)?;
        let is_tls = match protocol {
            ListenerProtocol::Plain => false,
            ListenerProtocol::Tls => true,
            ListenerProtocol::Detected => {
                let head = self.worker.shared.settings.limits.head_time;
                if !within(head, self.first_bytes(&mut conn)).await.ok_or(io::ErrorKind::TimedOut)?? {
                    return Ok(());
                }
                conn.ahead().first() == Some(&HANDSHAKE)
            }
        };
        if is_tls {
            return self.serve_tls(conn, connection, arriving).await;
        }
        // Plain HTTP has no handshake.
        drop(arriving);
        self.serve_plain(conn, connection).await
    }

    /// Waits until a client has sent something, or will send nothing any more. False if connections are closed before.
    ///
    /// Browsers connect ahead of requests that they never send. Such a connection is as idle as one between requests.
    async fn first_bytes(&self, conn: &mut PeekedTcp) -> io::Result<bool> {
        if !conn.ahead().is_empty() {
            return Ok(true);
        }
        tokio::select! {
            biased;
            read = conn.read_ahead() => return read.map(|_| true),
            () = async { reached(self.phases.clone(), Lifecycle::Closing).await } => {}
        }
        // The runtime may not have heard yet of what has come.
        match conn.has_unread() {
            true => conn.read_ahead().await.map(|_| true),
            false => Ok(false),
        }
    }

    /// The client for whom a proxy has connected: the one that it names in the header of the PROXY protocol, or the
    /// proxy itself. None if connections are closed before anything has come.
    ///
    /// # Errors
    ///
    /// No such header comes, or it does not come in time.
    pub(crate) async fn client_of(
        &self,
        conn: &mut PeekedTcp,
        proxy: SocketAddr,
        mark: &IdleMark,
    ) -> io::Result<Option<SocketAddr>> {
        let overload = &self.worker.shared.overload;
        let _memory = overload.memory.lease(CONNECTION_BYTES);
        overload.idle.begin(mark);
        let head = self.worker.shared.settings.limits.head_time;
        let named = within(head, async {
            match self.first_bytes(conn).await? {
                true => proxy_header::read(conn).await.map(Some),
                false => Ok(None),
            }
        });
        let named = named.await.ok_or(io::ErrorKind::TimedOut)??;
        Ok(named.map(|named| named.unwrap_or(proxy)))
    }

    async fn serve_plain(&self, mut conn: PeekedTcp, connection: ClientConnection) -> io::Result<()> {
        let head = self.worker.shared.settings.limits.head_time;
        let is_http2 = self.speaks_http2(&mut conn);
        let Some(is_http2) = within(head, is_http2).await.ok_or(io::ErrorKind::TimedOut)?? else { return Ok(()) };
        self.serve_requests(conn, Arc::new(connection), is_http2).await;
        Ok(())
    }

    /// Whether a client in clear begins with HTTP/2. None if connections are closed before it has sent anything.
    async fn speaks_http2(&self, conn: &mut PeekedTcp) -> io::Result<Option<bool>> {
        match self.first_bytes(conn).await? {
            true => conn.speaks_http2().await.map(Some),
            false => Ok(None),
        }
    }

    async fn serve_tls(&self, conn: PeekedTcp, mut connection: ClientConnection, arriving: Arriving) -> io::Result<()> {
        // On the heap, so that its state does not take room for as long as the connection lasts.
        let handshake = Box::pin(self.handshake(conn, &connection));
        let outcome = tokio::time::timeout(self.worker.shared.settings.limits.handshake_time, handshake).await;
        drop(arriving);
        let (tls, sni, client_ca) = match outcome {
            Ok(Ok(Ok(shaken))) => shaken,
            Ok(Ok(Err(HandshakeEnd::Challenge | HandshakeEnd::NotBegun))) => return Ok(()),
            Ok(Ok(Err(HandshakeEnd::UnknownName))) => return self.failed("unknown-name", Ok(())),
            Ok(Err(error)) => return self.failed("protocol", Err(error)),
            Err(_) => return self.failed("timeout", Err(io::ErrorKind::TimedOut.into())),
        };
        connection.secure = true;
        connection.sni = sni;
        connection.cipher = tls.get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite());
        connection.is_tls13 = tls.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        connection.client_ca = client_ca;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        self.serve_requests(ClientTls::new(tls), Arc::new(connection), http2).await;
        Ok(())
    }

    async fn serve_requests<T: ByteStream>(&self, io: T, connection: Arc<ClientConnection>, is_http2: bool) {
        if is_http2 {
            serve_http2(io, &self.worker, connection, self.goaway.clone(), self.phases.clone()).await;
        } else {
            serve_http1(io, &self.worker, &connection, self.phases.clone()).await;
        }
    }

    /// Reads the ClientHello, checks whether there is a certificate for its name, and finishes the handshake.
    async fn handshake(
        &self,
        mut conn: PeekedTcp,
        connection: &ClientConnection,
    ) -> io::Result<Result<FinishedHandshake, HandshakeEnd>> {
        if !self.first_bytes(&mut conn).await? {
            return Ok(Err(HandshakeEnd::NotBegun));
        }
        let mut start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), conn).await?;
        if gangway_tls::is_challenge(&start.client_hello()) {
            // The handshake itself is the answer; the connection carries nothing else.
            let mut answered = start.into_stream(Arc::clone(&self.challenge)).await?;
            let _ = answered.shutdown().await;
            return Ok(Err(HandshakeEnd::Challenge));
        }
        let sni = start.client_hello().server_name().map(|name| Box::from(normal_name(name)));
        // A client that waited in the queue of a socket unit may be here before the first table.
        self.worker.shared.first_table().await;
        let known = match &sni {
            Some(name) => self.has_certificate(name).await,
            None => self.worker.shared.settings.default_certificate.is_some(),
        };
        if !known {
            if let Some(config) = sni.as_deref().and_then(|name| self.without_certificate(name, connection)) {
                let tls = start.into_stream(config).await?;
                return Ok(Ok((Box::new(tls), sni, None)));
            }
            let _ = start.io.write_all(&UNRECOGNIZED_NAME_ALERT).await;
            let _ = start.io.shutdown().await;
            return Ok(Err(HandshakeEnd::UnknownName));
        }
        let protection =
            sni.as_deref().map(|name| self.protection.of(&self.worker.shared.tables, name)).unwrap_or_default();
        let (config, client_ca) = self.config_under(&protection);
        let tls = start.into_stream(config).await?;
        Ok(Ok((Box::new(tls), sni, client_ca)))
    }

    /// The TLS configuration for a name without a certificate. If no route claims the name and the client may see why, a
    /// page explains it, as by plain HTTP. Where unknown names are answered, the others get the default certificate: tunnels
    /// and clients that check none ask by any name, and routes without a host take requests for every one. All other clients
    /// get an alert, and so do clients that ask before the first table.
    fn without_certificate(&self, name: &str, connection: &ClientConnection) -> Option<Arc<ServerConfig>> {
        let tables = self.worker.shared.tables.load();
        if tables.generation() == Generation::INITIAL {
            return None;
        }
        let is_unclaimed = !tables.knows_host(name);
        let note = |outcome: UnclaimedOutcome| {
            self.worker.shared.metrics.unclaimed.with_label_values(&[outcome.token()]).inc();
            self.worker.shared.unclaimed.note(name, outcome);
        };
        if is_unclaimed && is_from_local_network(connection) {
            let config = self.worker.shared.tls.unclaimed(name, Instant::now().into_std());
            if config.is_some() {
                note(UnclaimedOutcome::Page);
                return config;
            }
        }
        if tables.answers_unknown(name) {
            return self.worker.shared.tls.of_default();
        }
        if is_unclaimed {
            note(UnclaimedOutcome::Alert);
        }
        None
    }

    /// The TLS configuration that a host demands, and the file of client CAs that it checks certificates against. If
    /// that file is missing, the handshake asks for no certificate: the client then gets the reply of a closed route,
    /// which explains more than a failed handshake.
    fn config_under(&self, protection: &Handshake) -> (Arc<ServerConfig>, Option<Box<str>>) {
        let is_tls13_only = protection.tls_min == TlsVersion::Tls13;
        let client_ca = protection.client_ca.as_deref();
        match self.worker.shared.tls.under(HandshakePolicy { is_tls13_only, client_ca }) {
            Some(config) => (config, protection.client_ca.clone()),
            None => {
                let config = self.worker.shared.tls.under(HandshakePolicy { is_tls13_only, client_ca: None });
                (config.expect("only a missing CA file is a reason for none"), None)
            }
        }
    }

    /// Whether there is a certificate for `name`. Waits for one if a route has that name.
    async fn has_certificate(&self, name: &str) -> bool {
        let has = || self.worker.shared.certificates.serves(name);
        if let Some(demand) = self.demand_for(name) {
            return self.has_on_demand(name, &demand).await;
        }
        if has() {
            return true;
        }
        let tables = self.worker.shared.tables.load();
        if !tables.knows_host(name) || tables.answers_unknown(name) {
            return false;
        }
        drop(tables);
        let mut store = self.worker.shared.certificates.store().clone();
        let arrives = async {
            // Checked again after subscribing: it may have come in between.
            while !has() {
                if store.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(CERTIFICATE_WAIT, arrives).await.unwrap_or(false)
    }

    /// The place to ask for a certificate for `name`, if one is issued on demand: no route names the host, a route
    /// takes it by a pattern, and no certificate is held that clients would accept.
    fn demand_for(&self, name: &str) -> Option<Arc<Demand>> {
        let certificates = &self.worker.shared.certificates;
        // Before the volume is read nothing is known of the certificates that are there.
        let is_read = certificates.store().load().generation() != Generation::INITIAL;
        let demand = certificates.demand().filter(|_| is_read && !certificates.serves_well(name))?;
        let tables = self.worker.shared.tables.load();
        (tables.knows_host(name) && !tables.names_host(name)).then(|| Arc::clone(demand))
    }

    /// Waits until it is decided about `name` and until its certificate is there, within bounds.
    async fn has_on_demand(&self, name: &str, demand: &Demand) -> bool {
        let (mut store, mut decisions) = (self.worker.shared.certificates.store().clone(), demand.decisions());
        let now = || Instant::now().into_std();
        let mut answer = demand.want(name, now());
        loop {
            // Checked after subscribing: it may have come in between.
            if self.worker.shared.certificates.serves_well(name) {
                return true;
            }
            let until = match answer {
                DemandAnswer::Wait(until) => Instant::from_std(until),
                DemandAnswer::Allowed => return self.worker.shared.certificates.serves(name),
                DemandAnswer::Refused => return false,
            };
            tokio::select! {
                Ok(_) = store.changed() => {}
                Ok(_) = decisions.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
            answer = demand.answer(name, now());
        }
    }

    fn connection(&self, conn: &PeekedTcp, accepted: Accepted) -> io::Result<ClientConnection> {
        let Accepted { peer, listener, mark, account } = accepted;
        let address = canonical(peer.ip());
        let mut connection = ClientConnection::new(peer, listener);
        let trusted = connection.trusted;
        connection.account = account;
        self.worker.shared.overload.idle.begin(&mark);
        connection.idle = Some(mark);
        connection.memory = Some(self.worker.shared.overload.memory.lease(CONNECTION_BYTES));
        let whereabouts = self.worker.shared.whereabouts.load();
        let local = || conn.local_ip().map(canonical);
        connection.is_anonymous = whereabouts.is_anonymous(address, local)?;
        if connection.is_anonymous && !trusted && whereabouts.is_gateway(address) {
            self.log_gateway(address);
        }
        Ok(connection)
    }

    /// Logs once that clients cannot be told apart.
    fn log_gateway(&self, address: IpAddr) {
        if self.worker.shared.gateway_seen.get().is_none() && self.worker.shared.gateway_seen.set(address).is_ok() {
            tracing::warn!(
                code = "G420",
                %address,
                "clients come with the address of a gateway, which is nobody's; `gangway status` tells what to do"
            );
        }
    }

    fn failed(&self, reason: &str, outcome: io::Result<()>) -> io::Result<()> {
        self.worker.shared.metrics.handshake_failures.with_label_values(&[reason]).inc();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::lifecycle::Lifecycle;
    use crate::samples;
    use crate::samples::SampleState;
    use crate::upstream::connector::Connector;

    fn front_door() -> FrontDoor {
        let shared = SampleState::new().shared;
        let connector = Connector::new(&shared.connector);
        let worker = Arc::new(Worker::new(shared, connector));
        FrontDoor::new(worker, watch::channel(false).1, watch::channel(Lifecycle::Serving).1)
    }

    #[tokio::test]
    async fn the_memory_of_a_connection_is_leased_while_it_is_open() {
        let front_door = front_door();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound");
        let conn = PeekedTcp::new(TcpStream::connect(at).expect("it listens"));
        let listener = samples::listener(false);
        let accepted = Accepted { peer: at, listener, mark: IdleMark::new(), account: None };
        let memory = front_door.worker.shared.overload.memory.clone();
        let connection = front_door.connection(&conn, accepted).expect("it is open");
        assert_eq!(memory.leased(), CONNECTION_BYTES);
        drop(connection);
        assert_eq!(memory.leased(), 0);
    }

    fn size_of_future<C, F>(_: &impl Fn(PeekedTcp, Accepted, C) -> F) -> usize {
        size_of::<F>()
    }

    #[tokio::test]
    async fn the_task_of_a_connection_is_small() {
        let front_door = front_door();
        let size = size_of_future(&|conn, accepted, arriving| front_door.serve(conn, accepted, arriving));
        assert!(size < 6 * 1024, "{size} bytes");
    }
}
