//! The answers to open challenges of CAs.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

/// The challenges that are open at one moment.
#[derive(Clone, Debug, Default)]
pub struct Challenges {
    /// Certificates by the name that the CA will ask for in its handshake.
    pub tls: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// Answers on plain HTTP by token.
    pub http: HashMap<Box<str>, HttpChallenge>,
}

/// An open HTTP-01 challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpChallenge {
    /// The host that the CA sends its request to, a normal name.
    pub host: Box<str>,
    /// The whole body of the answer.
    pub key_authorization: Box<str>,
}
