//! How connections to an endpoint are made and kept, where a user says so.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

/// How connections to an endpoint are made and kept. Endpoints with equal settings can share what is made of them.
///
/// Everything but the times and numbers is about TLS, and means nothing to an endpoint that is spoken to in clear.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TransportSettings {
    /// Whether the certificate of the endpoint is checked: signed by a root that is trusted, and for the name.
    pub verify: bool,
    /// The name that the handshake announces and that the certificate must be for; none for the endpoint's own host.
    pub server_name: Option<Box<str>>,
    /// The only roots that are trusted; empty for the usual ones.
    pub roots: Box<[PemSource]>,
    /// Shown to an endpoint that asks for one: the first whose key the endpoint can check.
    pub certificates: Box<[ClientCertificate]>,
    /// Whether a handshake offers HTTP/2.
    pub offers_http2: bool,
    /// An idle connection is not kept longer than this; none leaves it to what is seen of the endpoint.
    pub idle_timeout: Option<Duration>,
    /// Idle connections to one endpoint that are kept at most; none where only bounds of our own count.
    pub idle_max: Option<u32>,
}

/// A certificate of ours, and its key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientCertificate {
    /// The certificate, and the chain behind it.
    pub chain: PemSource,
    /// Its private key.
    pub key: PemSource,
}

/// Where PEM is (RFC 7468).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PemSource {
    /// In this file.
    File(Box<str>),
    /// This is it. It may be a key, so it is never shown.
    Text(Box<str>),
}

impl TransportSettings {
    /// These, without a check of the certificate.
    pub fn unverified() -> Self {
        Self { verify: false, ..Self::default() }
    }

    /// Whether a handshake needs more than is compiled in: nothing may be sent to the endpoint before it is read.
    pub fn needs_pem(&self) -> bool {
        self.verify && !self.roots.is_empty() || !self.certificates.is_empty()
    }
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            verify: true,
            server_name: None,
            roots: Box::default(),
            certificates: Box::default(),
            offers_http2: true,
            idle_timeout: None,
            idle_max: None,
        }
    }
}

impl PemSource {
    /// PEM itself, or the path of the file that it is in.
    pub fn new(text: &str) -> Self {
        if text.contains("-----BEGIN") { Self::Text(text.into()) } else { Self::File(text.into()) }
    }
}

impl Debug for PemSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Text(_) => f.write_str("Text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_written_out_is_never_shown() {
        let text = PemSource::new("-----BEGIN PRIVATE KEY-----\nSECRET");
        let certificate = ClientCertificate { chain: PemSource::new("/certs/a.pem"), key: text };
        let settings = TransportSettings { certificates: [certificate].into(), ..TransportSettings::default() };
        let shown = format!("{settings:?}");
        assert!(shown.contains("/certs/a.pem") && !shown.contains("SECRET"), "{shown}");
    }

    #[test]
    fn roots_matter_to_a_check_alone_and_a_certificate_of_ours_always() {
        let roots = Box::from([PemSource::new("/ca.pem")]);
        let checked = TransportSettings { roots, ..TransportSettings::default() };
        assert!(checked.needs_pem() && !TransportSettings::default().needs_pem());
        let unchecked = TransportSettings { verify: false, ..checked };
        assert!(!unchecked.needs_pem());
        let pem = || PemSource::new("/a.pem");
        let certificates = [ClientCertificate { chain: pem(), key: pem() }].into();
        assert!(TransportSettings { certificates, ..unchecked }.needs_pem());
    }
}
