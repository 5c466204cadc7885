//! The CAs that are trusted for the certificates of https upstreams.
//!
//! The image has no certificate store, so Mozilla's roots are compiled in; the roots of the system, if there are any,
//! are trusted too. Pingora wants a file, and panics if it cannot read it, so it gets one in memory.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;

/// The path of a PEM file with all roots; none if the system cannot hold files in memory.
pub(crate) fn file() -> Option<String> {
    static ROOTS: OnceLock<Option<File>> = OnceLock::new();
    let file = ROOTS.get_or_init(|| match write() {
        Ok(file) => Some(file),
        Err(error) => {
            tracing::warn!(%error, "failed to set up the roots for https upstreams; the system's are used");
            None
        }
    });
    file.as_ref().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn write() -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("upstream-roots", rustix::fs::MemfdFlags::CLOEXEC)?);
    let system = rustls_native_certs::load_native_certs().certs;
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().chain(&system);
    let mut pem = String::new();
    for certificate in roots {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    file.write_all(pem.as_bytes())?;
    Ok(file)
}

/// All roots, in the form of rustls. Reads the system's files, so it may block.
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) fn store() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
