//! TLS towards endpoints.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use gangway_model::TransportSettings;
use gangway_publish::Reader;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, InvalidMessage};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::endpoint_tls::{EndpointTls, EndpointTlsSet};
use crate::upstream::key_verifier::KeyVerifier;
use crate::upstream::roots;
use crate::upstream::tls_configs::{Configs, HttpOffer};

/// The settings of TLS towards endpoints. Clones share them, and with them the sessions that can be resumed.
#[derive(Clone)]
pub(crate) struct UpstreamTls {
    /// Made at the first handshake that needs them, since they are read from files.
    checked: Arc<OnceCell<Configs>>,
    key_only: Arc<OnceLock<Configs>>,
    /// Those of endpoints for which users name PEM.
    of_users: Reader<EndpointTlsSet>,
}

impl UpstreamTls {
    pub(crate) fn new(of_users: Reader<EndpointTlsSet>) -> Self {
        Self { checked: Arc::default(), key_only: Arc::default(), of_users }
    }

    /// Trusts only these roots.
    #[cfg(test)]
    pub(crate) fn trusting(roots: rustls::RootCertStore) -> Self {
        Self { checked: Arc::new(OnceCell::new_with(Some(Configs::checked(roots)))), ..Self::default() }
    }

    /// Makes a handshake. The caller limits the time.
    pub(crate) async fn handshake(
        &self,
        tcp: TcpStream,
        name: &ServerName<'static>,
        settings: &TransportSettings,
        offer: HttpOffer,
    ) -> Result<TlsStream<TcpStream>, UpstreamError> {
        let offer = if settings.offers_http2 { offer } else { HttpOffer::Http1 };
        let config = match (settings.needs_pem(), settings.verify) {
            (true, _) => self.of_users(settings).await?.0.of(offer),
            (false, true) => self.checked().await?.of(offer),
            (false, false) => self.key_only.get_or_init(|| Configs::new(Arc::new(KeyVerifier::new()))).of(offer),
        };
        let connector = TlsConnector::from(config);
        connector.connect(name.clone(), tcp).await.map_err(|error| tls_error(&error))
    }

    async fn checked(&self) -> Result<&Configs, UpstreamError> {
        let roots = || async { tokio::task::spawn_blocking(|| Configs::checked(roots::store())).await };
        let checked = self.checked.get_or_try_init(roots).await;
        checked.map_err(|_| UpstreamError::new(UpstreamErrorKind::Tls, "the roots for certificates cannot be read"))
    }

    /// Waits for what the PEM of the settings gives, as long as nothing is known of it.
    async fn of_users(&self, settings: &TransportSettings) -> Result<Arc<EndpointTls>, UpstreamError> {
        let mut sets = self.of_users.clone();
        loop {
            match sets.load().get(settings) {
                Some(Ok(tls)) => return Ok(Arc::clone(tls)),
                Some(Err(why)) => return Err(UpstreamError::new(UpstreamErrorKind::TlsUnset, why.to_string())),
                None => {}
            }
            let gone = |_| UpstreamError::new(UpstreamErrorKind::TlsUnset, "nobody reads its files");
            sets.changed().await.map_err(gone)?;
        }
    }
}

/// Knows no PEM of users.
impl Default for UpstreamTls {
    fn default() -> Self {
        Self::new(gangway_publish::channel(EndpointTlsSet::default()).1)
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamTls")
    }
}

fn tls_error(error: &io::Error) -> UpstreamError {
    let kind = error.get_ref().and_then(|inner| inner.downcast_ref()).map_or(UpstreamErrorKind::Tls, kind_of);
    UpstreamError::new(kind, format!("the TLS handshake failed: {error}"))
}

fn kind_of(error: &rustls::Error) -> UpstreamErrorKind {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            UpstreamErrorKind::TlsUntrusted
        }
        // The alerts that servers send, and our own error if a server chooses parameters that were not offered.
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        )
        | rustls::Error::PeerIncompatible(_) => UpstreamErrorKind::TlsNothingInCommon,
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload
            | InvalidMessage::MessageTooShort,
        ) => UpstreamErrorKind::TlsNotSpoken,
        // The enum is not exhaustive.
        _ => UpstreamErrorKind::Tls,
    }
}

#[cfg(test)]
pub(crate) mod tests;
