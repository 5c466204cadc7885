//! The files that `tls` of the file provider names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gangway_diagnostic::{Diagnostic, codes, printable};
use gangway_model::{DynamicKey, tls_options_client_ca};

/// Certificates and authorities that lie in files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsFiles {
    /// `tls.certificates`, and the default one among them.
    pub pairs: Vec<TlsFilePair>,
    /// `tls.stores.default.defaultCertificate`.
    pub default: Option<TlsFilePair>,
    /// `clientAuth.caFiles` of each of `tls.options`, by the name under which routes ask for them.
    pub client_cas: BTreeMap<Box<str>, Vec<PathBuf>>,
    /// What cannot be used.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file with a chain and the file with its key, by absolute paths.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFilePair {
    /// The chain, in PEM.
    pub certificate: Box<str>,
    /// The key, in PEM.
    pub key: Box<str>,
}

/// One certificate as it is written: its file and that of its key, each with its key in the file.
#[derive(Default)]
struct Written<'k> {
    certificate: Option<&'k DynamicKey>,
    key: Option<&'k DynamicKey>,
}

impl TlsFiles {
    /// The files that the keys of all files name. `folder` is where relative paths begin.
    pub fn of(keys: &[DynamicKey], folder: &Path) -> Self {
        let mut files = Self::default();
        let mut certificates: BTreeMap<(&str, Box<str>), Written<'_>> = BTreeMap::new();
        let mut default = Written::default();
        for key in keys {
            let lower: Vec<String> = key.path.iter().map(|segment| segment.to_ascii_lowercase()).collect();
            let written = match lower.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                // Two files may each have a first certificate.
                ["tls", "certificates", item, _] => {
                    let file = key.place.position().map_or("", |at| &*at.file);
                    certificates.entry((file, (*item).into())).or_default()
                }
                ["tls", "stores", "default", "defaultcertificate", _] => &mut default,
                ["tls", "options", _, "clientauth", "cafiles", ..] => {
                    files.authorities(key, folder);
                    continue;
                }
                _ => continue,
            };
            match lower.last().map(String::as_str) {
                Some("certfile") => written.certificate = Some(key),
                Some("keyfile") => written.key = Some(key),
                _ => {}
            }
        }
        files.default = files.pair(&default, folder);
        let pairs: Vec<TlsFilePair> = certificates.values().filter_map(|written| files.pair(written, folder)).collect();
        files.pairs = pairs.into_iter().chain(files.default.clone()).collect();
        files
    }

    fn authorities(&mut self, key: &DynamicKey, folder: &Path) {
        let Some(options) = key.path.get(2) else { return };
        let texts = key.value.split(',').map(str::trim).filter(|text| !text.is_empty());
        // What is written in the place of a path is a file that is not there, and closes the routes.
        let files = texts.map(|text| folder.join(text));
        self.client_cas.entry(tls_options_client_ca(options)).or_default().extend(files);
    }

    fn pair(&mut self, written: &Written<'_>, folder: &Path) -> Option<TlsFilePair> {
        let place = written.certificate.or(written.key)?.place.clone();
        let path = |key: Option<&DynamicKey>| {
            let text = key?.value.trim();
            let is_path = !text.is_empty() && !text.contains("-----BEGIN");
            is_path.then(|| folder.join(text).display().to_string().into_boxed_str())
        };
        let pair = path(written.certificate).zip(path(written.key));
        if pair.is_none() {
            let name = written.certificate.map_or("", |key| &*key.value);
            let about = if name.contains("-----BEGIN") || name.is_empty() { "" } else { name };
            let message = format!("the certificate `{}` has no file for itself or for its key", printable(about));
            self.diagnostics.push(
                Diagnostic::warning(codes::TRAEFIK_VALUE_UNUSABLE, place, message)
                    .with_help("name a file at `certFile` and one at `keyFile`; what stands there itself is not read")
                    .with_effect("the certificate is not used; others are got for its names"),
            );
        }
        pair.map(|(certificate, key)| TlsFilePair { certificate, key })
    }
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::Place;

    use super::*;

    fn keys(texts: &[(&str, &str)]) -> Vec<DynamicKey> {
        let key = |(path, value): &(&str, &str)| DynamicKey {
            path: path.split('/').map(Into::into).collect(),
            value: (*value).into(),
            place: Place::Configuration,
        };
        texts.iter().map(key).collect()
    }

    #[test]
    fn certificates_the_default_one_and_authorities_are_found() {
        let keys = keys(&[
            ("tls/certificates/[0]/certFile", "/certs/a.crt"),
            ("tls/certificates/[0]/keyFile", "/certs/a.key"),
            ("tls/certificates/[0]/stores/[0]", "default"),
            ("tls/certificates/[1]/certFile", "b.crt"),
            ("tls/stores/default/defaultCertificate/certFile", "d.crt"),
            ("tls/stores/default/defaultCertificate/keyFile", "/certs/d.key"),
            ("tls/options/mtls/clientAuth/caFiles/[0]", "/certs/ca.pem"),
            ("tls/options/mtls/clientAuth/caFiles/[1]", "/certs/other.pem"),
            ("http/routers/x/rule", "Host(`x`)"),
        ]);
        let files = TlsFiles::of(&keys, Path::new("/etc/traefik"));
        let shown: Vec<String> = files.pairs.iter().map(|pair| format!("{} {}", pair.certificate, pair.key)).collect();
        assert_eq!(shown, ["/certs/a.crt /certs/a.key", "/etc/traefik/d.crt /certs/d.key"]);
        assert_eq!(files.default, files.pairs.last().cloned());
        assert_eq!(files.client_cas["mtls@file"], [PathBuf::from("/certs/ca.pem"), PathBuf::from("/certs/other.pem")]);
        assert!(files.diagnostics.len() == 1 && files.diagnostics[0].message.contains("`b.crt`"));
    }

    #[test]
    fn a_key_that_stands_in_the_place_of_its_path_is_not_shown() {
        let keys = keys(&[
            ("tls/certificates/[0]/certFile", "-----BEGIN CERTIFICATE-----"),
            ("tls/certificates/[0]/keyFile", "-----BEGIN PRIVATE KEY-----\nSECRET"),
        ]);
        let files = TlsFiles::of(&keys, Path::new("/"));
        assert!(files.pairs.is_empty() && files.diagnostics.len() == 1);
        assert!(!format!("{:?}", files.diagnostics).contains("SECRET"));
    }
}
