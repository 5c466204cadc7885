//! The CAs that are trusted for the certificates of https upstreams.
//!
//! The image has no certificate store, so Mozilla's roots are compiled in; the roots of the system, if there are any,
//! are trusted too.

use rustls::RootCertStore;

/// All roots. Reads the system's files, so it may block.
pub(crate) fn store() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
