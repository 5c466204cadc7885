//! What Gangway's own HTTP clients have in common: whom they trust, how they connect, and how they say why a request failed.
//!
//! They talk to CAs, OpenID providers, CrowdSec engines and collectors of OpenTelemetry. Deadlines and bounds of answers are for each client to choose.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Files in which systems keep the roots that their administrators added.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// There is no certificate in the text that is to have some.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no certificate in it")]
pub struct NoCertificate;

/// Mozilla's roots, and those of the system. An image has no files of its own, so the former are compiled in. Reads files, so
/// it may block.
pub fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    for path in SYSTEM_ROOTS {
        if let Ok(text) = std::fs::read(path) {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
            break;
        }
    }
    roots
}

/// Mozilla's roots, those of the system, and those that the user has given in PEM, if any.
///
/// # Errors
///
/// The user's text has no certificate.
pub fn roots_with(pem: Option<&str>) -> Result<RootCertStore, NoCertificate> {
    let mut roots = usual_roots();
    if let Some(pem) = pem {
        let added: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
        if roots.add_parsable_certificates(added).0 == 0 {
            return Err(NoCertificate);
        }
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3 without a certificate of the client.
pub fn tls_config(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// TCP below TLS, with a deadline for each connection.
pub fn tcp_connector(deadline: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(deadline));
    connector
}

/// The innermost cause, which names the problem; the outer ones say `client error` three times.
pub fn innermost_cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The text of a small file, such as a key.
///
/// # Errors
///
/// In words, and never with what the file holds: it cannot be read, is larger than `max` bytes, or is something from which
/// reading may take for ever, such as a pipe.
pub async fn read_small_file(file: &Path, max: u64) -> Result<String, String> {
    let metadata = tokio::fs::metadata(file).await.map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > max {
        return Err("it is not a small file".to_owned());
    }
    tokio::fs::read_to_string(file).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_small_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        assert!(read_small_file(&file, 3).await.is_err_and(|why| why.contains("No such file")));
        std::fs::File::create(&file).and_then(|file| file.set_len(3)).expect("ours");
        assert_eq!(read_small_file(&file, 3).await.as_deref(), Ok("\0\0\0"));
        let refused = Err("it is not a small file".to_owned());
        assert_eq!(read_small_file(&file, 2).await, refused);
        assert_eq!(read_small_file(folder.path(), u64::MAX).await, refused);
    }

    #[test]
    fn roots_that_are_none_are_refused_and_the_usual_ones_are_there() {
        assert_eq!(roots_with(Some("nonsense")).err(), Some(NoCertificate));
        assert!(roots_with(None).is_ok_and(|roots| roots.len() > 50));
    }

    #[test]
    fn the_innermost_cause_is_told() {
        let inner = std::io::Error::other("no route to host");
        let outer = std::io::Error::other(std::io::Error::other(inner));
        assert_eq!(innermost_cause(&outer), "no route to host");
    }
}
