//! A certificate of nobody's, for upstreams that speak https.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A fresh self-signed certificate for these names and its key, both as PEM.
pub fn self_signed_pem(names: &[&str]) -> (String, String) {
    let made = made(names);
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A server's configuration with a fresh self-signed certificate for these names, and its certificate as PEM.
pub fn self_signed(names: &[&str], alpn: &[&str]) -> (Arc<ServerConfig>, String) {
    let made = made(names);
    let pem = made.cert.pem();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has its own default versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a key made with its certificate fits it");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (Arc::new(config), pem)
}

fn made(names: &[&str]) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    rcgen::generate_simple_self_signed(names).expect("the names are valid")
}
