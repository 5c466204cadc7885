//! The files that transports name: the roots that applications are trusted by, and the certificates that they are shown.
//!
//! They are read every two seconds rather than watched, as bind mounts lose notifications. What a file held stays in force
//! while it cannot be used. Where it never held anything good, nothing is sent to the applications that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::hash::Hasher as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{Compiled, Digest, PemSource, Route, TransportSettings};
use gangway_proxy::{EndpointTls, EndpointTlsError, EndpointTlsSet};
use gangway_publish::{Publisher, Reader};

use crate::finding_log::FindingLog;
use crate::pem_file;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// More than any installation needs.
const SETTINGS_MAX: usize = 1024;

/// The written ends of what the task knows.
pub(super) struct EndpointTlsOutputs {
    pub(super) set: Publisher<EndpointTlsSet>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// Follows the files that routes need, for ever.
pub(super) async fn follow(mut compiled: Reader<Compiled>, mut outputs: EndpointTlsOutputs) -> Infallible {
    let (mut files, mut log) = (TransportFiles::default(), FindingLog::default());
    loop {
        let wanted = wanted(&compiled.load());
        let looked = tokio::task::spawn_blocking(move || {
            let is_changed = files.look(wanted);
            (files, is_changed)
        });
        match looked.await {
            Ok((next, is_changed)) => {
                files = next;
                if is_changed {
                    outputs.set.publish(files.set());
                }
                let findings = files.findings();
                if log.tell(&findings) {
                    outputs.findings.publish(findings);
                }
            }
            // A panic would be a bug; what is published stays in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the files for TLS with applications");
                return std::future::pending().await;
            }
        }
        // A file that a new route needs is read at once.
        if let Ok(Err(_gone)) = tokio::time::timeout(LOOK_EVERY, compiled.changed()).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The settings of endpoints that need PEM.
fn wanted(compiled: &Compiled) -> BTreeSet<Arc<TransportSettings>> {
    let endpoints = |route: &Route| {
        let pages = route.page_services.iter().flat_map(|(_, endpoints)| endpoints);
        let all = route.upstream.endpoints.iter().chain(route.auth_services.iter().flatten()).chain(pages);
        all.map(|endpoint| &endpoint.transport).filter(|settings| settings.needs_pem()).cloned().collect::<Vec<_>>()
    };
    compiled.table.routes().iter().flat_map(|route| endpoints(route)).collect()
}

/// What is known of the files of each of the settings.
#[derive(Default)]
struct TransportFiles(BTreeMap<Arc<TransportSettings>, Known>);

/// What is known of the files of some settings.
#[derive(Default)]
struct Known {
    /// Of what was read last; none before the first look.
    digest: Option<u64>,
    good: Option<Arc<EndpointTls>>,
    trouble: Option<EndpointTlsError>,
}

impl TransportFiles {
    /// Reads the files of these settings and forgets others. Returns whether anything has changed.
    fn look(&mut self, wanted: BTreeSet<Arc<TransportSettings>>) -> bool {
        let before = self.0.len();
        self.0.retain(|settings, _| wanted.contains(settings));
        let mut is_changed = before != self.0.len();
        for (position, settings) in wanted.into_iter().enumerate() {
            let known = self.0.entry(Arc::clone(&settings)).or_default();
            let contents = if position < SETTINGS_MAX { contents(&settings) } else { BTreeMap::new() };
            let digest = Some(digest(&contents));
            if known.digest != digest {
                known.digest = digest;
                known.take_in(&settings, &contents);
                is_changed = true;
            }
        }
        is_changed
    }

    fn set(&self) -> EndpointTlsSet {
        let gives = |known: &Known| match (&known.good, &known.trouble) {
            (Some(good), _) => Ok(Arc::clone(good)),
            (None, Some(trouble)) => Err(trouble.to_string().into()),
            (None, None) => Err("nothing was read".into()),
        };
        EndpointTlsSet::new(self.0.iter().map(|(settings, known)| (Arc::clone(settings), gives(known))).collect())
    }

    /// What is wrong, each thing once.
    fn findings(&self) -> Vec<Diagnostic> {
        let troubled = self.0.values().filter_map(|known| Some((known.trouble.as_ref()?, known.good.is_some())));
        let mut told = BTreeSet::new();
        let new = troubled.filter(|(trouble, is_kept)| told.insert((trouble.to_string(), *is_kept)));
        new.map(|(trouble, is_kept)| {
            let place = trouble.path.clone().map_or(Place::Configuration, Place::Name);
            Diagnostic::error(codes::ENDPOINT_TLS, place, trouble.to_string())
                .with_help("put PEM there that Gangway can read, with all certificates or the key that belong to it")
                .with_effect(match is_kept {
                    true => "what it held before stays in force",
                    false => "nothing is sent to applications that need it: their requests get 502",
                })
        })
        .collect()
    }
}

impl Known {
    fn take_in(&mut self, settings: &TransportSettings, contents: &BTreeMap<&str, io::Result<Vec<u8>>>) {
        let read = |path: &str| match contents.get(path) {
            Some(Ok(bytes)) => Ok(bytes.clone()),
            Some(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Err(io::Error::other("too many files are named for applications")),
        };
        match EndpointTls::new(settings, &read) {
            Ok(good) => *self = Self { good: Some(Arc::new(good)), trouble: None, ..*self },
            Err(trouble) => self.trouble = Some(trouble),
        }
    }
}

/// The files that some settings name.
fn contents(settings: &TransportSettings) -> BTreeMap<&str, io::Result<Vec<u8>>> {
    let shown = settings.certificates.iter().flat_map(|one| [&one.chain, &one.key]);
    let paths = settings.roots.iter().chain(shown).filter_map(|source| match source {
        PemSource::File(path) => Some(&**path),
        PemSource::Text(_) => None,
    });
    paths.map(|path| (path, pem_file::read(path))).collect()
}

fn digest(contents: &BTreeMap<&str, io::Result<Vec<u8>>>) -> u64 {
    let mut digest = Digest::default();
    for (path, content) in contents {
        digest.write(path.as_bytes());
        match content {
            Ok(bytes) => {
                digest.write(&[0]);
                digest.write(&bytes.len().to_be_bytes());
                digest.write(bytes);
            }
            Err(error) => {
                digest.write(&[1]);
                digest.write(error.to_string().as_bytes());
            }
        }
    }
    digest.finish()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;

    use gangway_model::ClientCertificate;
    use gangway_testkit::app::self_signed_pem;

    use super::*;

    fn put(path: &Path, text: &str) {
        File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("ours");
    }

    fn source(path: &Path) -> PemSource {
        PemSource::File(path.to_str().expect("text").into())
    }

    fn state(files: &TransportFiles) -> (Vec<bool>, Vec<String>) {
        let good = files.0.values().map(|known| known.good.is_some()).collect();
        (good, files.findings().iter().map(|found| format!("{} {}", found.message, found.effect)).collect())
    }

    #[test]
    fn what_a_file_held_stays_in_force_while_it_cannot_be_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("root.pem");
        let settings = TransportSettings { roots: [source(&path)].into(), ..TransportSettings::default() };
        let wanted = BTreeSet::from([Arc::new(settings)]);
        let mut files = TransportFiles::default();
        assert!(files.look(wanted.clone()) && !files.look(wanted.clone()));
        let (good, findings) = state(&files);
        assert!(
            good == [false] && findings[0].contains("cannot be read") && findings[0].contains("502"),
            "{findings:?}"
        );
        put(&path, &self_signed_pem(&["app.example"]).0);
        assert!(files.look(wanted.clone()) && !files.look(wanted.clone()));
        assert_eq!(state(&files), (vec![true], Vec::new()));
        for broken in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            put(&path, broken);
            assert!(files.look(wanted.clone()));
            let (good, findings) = state(&files);
            assert!(good == [true] && findings[0].contains("stays in force"), "{broken}: {findings:?}");
        }
        assert!(files.look(BTreeSet::new()), "nobody needs it");
        assert_eq!(state(&files), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_certificate_and_its_key_change_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let [chain, key] = ["me.pem", "me.key"].map(|name| folder.path().join(name));
        let certificates = [ClientCertificate { chain: source(&chain), key: source(&key) }].into();
        let wanted = BTreeSet::from([Arc::new(TransportSettings { certificates, ..TransportSettings::unverified() })]);
        let ((old_chain, old_key), (new_chain, new_key)) =
            (self_signed_pem(&["app.example"]), self_signed_pem(&["app.example"]));
        put(&chain, &old_chain);
        put(&key, &old_key);
        let mut files = TransportFiles::default();
        assert!(files.look(wanted.clone()) && state(&files) == (vec![true], Vec::new()));
        let before = files.0.values().next().and_then(|known| known.good.clone()).expect("it is good");
        put(&chain, &new_chain);
        assert!(files.look(wanted.clone()));
        let (_, findings) = state(&files);
        assert!(findings[0].contains("is not the key of the certificate"), "{findings:?}");
        let meanwhile = files.0.values().next().and_then(|known| known.good.clone()).expect("it is good");
        assert!(Arc::ptr_eq(&before, &meanwhile));
        put(&key, &new_key);
        assert!(files.look(wanted) && state(&files) == (vec![true], Vec::new()));
        assert!(!files.findings().iter().any(|found| found.message.contains("BEGIN")));
    }

    #[test]
    fn what_is_written_out_needs_no_file_and_is_never_shown() {
        let (chain, _) = self_signed_pem(&["app.example"]);
        let settings = |text: &str| TransportSettings {
            roots: [PemSource::Text(text.into())].into(),
            ..TransportSettings::default()
        };
        let mut files = TransportFiles::default();
        assert!(files.look(BTreeSet::from([Arc::new(settings(&chain))])) && state(&files).0 == [true]);
        files.look(BTreeSet::from([Arc::new(settings("-----BEGIN PRIVATE KEY-----\nSECRET"))]));
        let (good, findings) = state(&files);
        assert!(good == [false] && findings.len() == 1 && !findings[0].contains("SECRET"), "{findings:?}");
    }
}
