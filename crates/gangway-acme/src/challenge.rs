//! Answers to the challenges of CAs, in force while a CA may validate them.

use std::sync::Arc;

use gangway_publish::Publisher;
use gangway_tls::{Challenges, HttpChallenge};
use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::failure::{Failure, FailureKind};

/// Puts answers in force by publishing them.
#[derive(Clone, Debug)]
pub(crate) struct Solver(Arc<Mutex<Publisher<Arc<Challenges>>>>);

/// An answer in force until this is dropped.
#[derive(Debug)]
pub(crate) struct Presented {
    solver: Solver,
    key: PresentedKey,
}

#[derive(Debug)]
enum PresentedKey {
    Token(Box<str>),
    Name(Box<str>),
}

impl Solver {
    pub(crate) fn new(challenges: Publisher<Arc<Challenges>>) -> Self {
        Self(Arc::new(Mutex::new(challenges)))
    }

    /// Puts an answer in force for HTTP-01, on plain HTTP.
    pub(crate) fn present_http(&self, host: &str, token: &str, key_authorization: &str) -> Result<Presented, Failure> {
        // The token becomes part of a path and of our answer.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if token.is_empty() || token.len() > 256 || !token.bytes().all(is_plain) {
            return Err(Failure::new(FailureKind::Confused, "the CA's token is not base64url"));
        }
        let challenge = HttpChallenge { host: host.into(), key_authorization: key_authorization.into() };
        self.change(|challenges| drop(challenges.http.insert(token.into(), challenge)));
        Ok(Presented { solver: self.clone(), key: PresentedKey::Token(token.into()) })
    }

    /// Puts an answer in force for TLS-ALPN-01, in handshakes for `name`, which is a host or an address.
    pub(crate) fn present_tls(&self, name: &str, digest: &[u8]) -> Result<Presented, Failure> {
        let failed = |error: String| Failure::new(FailureKind::Confused, format!("failed to make an answer: {error}"));
        let certificate = certificate(name, digest).map_err(|error| failed(error.to_string()))?;
        let sni: Box<str> = name.parse().map_or_else(|_| name.into(), reverse_name);
        self.change(|challenges| drop(challenges.tls.insert(sni.clone(), Arc::new(certificate))));
        Ok(Presented { solver: self.clone(), key: PresentedKey::Name(sni) })
    }

    fn change(&self, change: impl FnOnce(&mut Challenges)) {
        let mut publisher = self.0.lock();
        let mut challenges = Arc::clone(&**publisher.reader().load_full());
        change(Arc::make_mut(&mut challenges));
        publisher.publish(challenges);
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        self.solver.change(|challenges| match &self.key {
            PresentedKey::Token(token) => drop(challenges.http.remove(token)),
            PresentedKey::Name(name) => drop(challenges.tls.remove(name)),
        });
    }
}

fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))?;
    // The certificate is not checked against the key: rustls's parser refuses the extension, which is critical.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// The server name that a CA sends for an address (RFC 8738), since SNI cannot carry addresses.
fn reverse_name(address: std::net::IpAddr) -> Box<str> {
    match address {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa").into()
        }
        std::net::IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).chain(["ip6.arpa".into()]).collect::<String>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_publish::{Reader, channel};

    use super::*;

    fn solver() -> (Solver, Reader<Arc<Challenges>>) {
        let (publisher, reader) = channel(Arc::default());
        (Solver::new(publisher), reader)
    }

    #[test]
    fn an_answer_is_in_force_until_it_is_dropped() {
        let (solver, challenges) = solver();
        let http = solver.present_http("a.test", "to-ken_1", "to-ken_1.thumb").expect("presents");
        let tls = solver.present_tls("b.test", &[7; 32]).expect("presents");
        let now = challenges.load_full();
        assert_eq!(&*now.http["to-ken_1"].key_authorization, "to-ken_1.thumb");
        assert!(now.tls.contains_key("b.test"));
        drop(http);
        assert!(challenges.load().http.is_empty() && !challenges.load().tls.is_empty());
        drop(tls);
        assert!(challenges.load().tls.is_empty());
    }

    #[test]
    fn a_token_that_is_none_is_not_served() {
        let (solver, challenges) = solver();
        for token in ["", "../x", "a b", "a/b", "é"] {
            assert!(solver.present_http("a.test", token, "x").is_err(), "{token}");
        }
        assert!(challenges.load().http.is_empty());
    }

    #[test]
    fn an_address_is_asked_for_backwards() {
        let reverse = |text: &str| reverse_name(text.parse().expect("an address"));
        assert_eq!(&*reverse("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert!(
            reverse("2001:db8::1").starts_with("1.0.0.0.0.0")
                && reverse("2001:db8::1").ends_with("8.b.d.0.1.0.0.2.ip6.arpa")
        );
    }

    #[test]
    fn the_certificate_carries_the_digest() {
        let key = certificate("a.test", &[7; 32]).expect("makes one");
        let (_, parsed) = x509_parser::parse_x509_certificate(&key.cert[0]).expect("a certificate");
        let extension =
            parsed.extensions().iter().find(|ext| ext.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").expect("has it");
        assert!(extension.critical && extension.value.ends_with(&[7; 32]));
    }
}
