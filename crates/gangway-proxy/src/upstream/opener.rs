//! Opens connections to endpoints, for requests and for probes alike: name, TCP, TLS, preface of HTTP/2.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::overload::open_connections::OpenConnection;
use crate::serving_table::ActiveEndpoint;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::coarse_clock::CoarseClock;
use crate::upstream::dial::{AddressSource, dial};
use crate::upstream::http1::stream::Http1Stream;
use crate::upstream::http2::connection::{Http2Connection, Http2Slot};
use crate::upstream::socket::UpstreamSocket;
use crate::upstream::tls::UpstreamTls;
use crate::upstream::tls_configs::HttpOffer;
use crate::upstream::transport::EndpointProtocol;

/// The settings of new connections. Clones share the sessions of TLS that can be resumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opener {
    pub(crate) tls: UpstreamTls,
    pub(crate) resolver: AddressSource,
}

/// A connection on which no request has begun.
#[derive(Debug)]
pub(crate) enum OpenedConnection {
    Http1(Box<Http1Stream>),
    Http2(Arc<Http2Connection>),
}

impl Opener {
    /// Opens a TCP connection. The caller limits the time.
    pub(crate) async fn dial(&self, endpoint: &ActiveEndpoint) -> Result<TcpStream, UpstreamError> {
        dial(&self.resolver, endpoint).await
    }

    /// Opens a connection that speaks one of the versions of HTTP in `offer`. The caller limits the time.
    pub(crate) async fn open(
        &self,
        endpoint: &ActiveEndpoint,
        offer: HttpOffer,
        clock: &CoarseClock,
        open: OpenConnection,
    ) -> Result<OpenedConnection, UpstreamError> {
        let tcp = self.dial(endpoint).await?;
        let (state, transport) = (&endpoint.state, &endpoint.transport);
        let (socket, speaks_http2) = match (&transport.protocol, offer) {
            (EndpointProtocol::Plain, _) | (EndpointProtocol::H2c, HttpOffer::Http1) => {
                (UpstreamSocket::Plain(tcp), false)
            }
            (EndpointProtocol::H2c, HttpOffer::Http2OrHttp1) => (UpstreamSocket::Plain(tcp), true),
            (EndpointProtocol::Tls(name), offer) => {
                let stream = self.tls.handshake(tcp, name, &transport.settings, offer).await?;
                let speaks_http2 = has_chosen_http2(&stream);
                (UpstreamSocket::Tls(Box::new(stream)), speaks_http2)
            }
        };
        Ok(match speaks_http2 {
            true => OpenedConnection::Http2(Http2Connection::open(socket, transport, clock, open).await?),
            false => OpenedConnection::Http1(Box::new(Http1Stream::new(socket, state, transport, open))),
        })
    }
}

/// The first stream of a connection that was just opened.
pub(crate) fn first_stream(connection: &Arc<Http2Connection>) -> Result<Http2Slot, UpstreamError> {
    let takes_none = || UpstreamError::new(UpstreamErrorKind::Unprocessed, "the connection takes no request");
    connection.begin().ok_or_else(takes_none)
}

fn has_chosen_http2(tls: &TlsStream<TcpStream>) -> bool {
    tls.get_ref().1.alpn_protocol() == Some(b"h2")
}
