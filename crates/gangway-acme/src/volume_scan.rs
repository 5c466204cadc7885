//! Reads the certificates of public CAs on the volume, and the changes since the last look.

use std::collections::HashMap;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, codes};

use crate::order_history::{self, OrderHistory, OrderHistoryError};
use crate::storage::{Storage, StorageCause, StorageError};
use crate::stored_certificate::{self, StoredCertificate, StoredCertificateError};

/// Reads files that are new or have changed.
#[derive(Debug)]
pub(crate) struct VolumeScan<S> {
    storage: S,
    /// The version of each file that was read, by key.
    versions: HashMap<String, u64>,
    /// Findings about files that were set aside or are of a later version, by key.
    damages: HashMap<String, Diagnostic>,
}

/// The files that had changed, by the name of the certificate.
#[derive(Debug, Default)]
pub(crate) struct ScannedFiles {
    pub(crate) certificates: Vec<(Box<str>, StoredCertificate)>,
    pub(crate) histories: Vec<(Box<str>, OrderHistory)>,
}

impl<S: Storage> VolumeScan<S> {
    pub(crate) fn new(storage: S) -> Self {
        Self { storage, versions: HashMap::new(), damages: HashMap::new() }
    }

    /// Reads the files that have changed. A file that cannot be read does not stop the others.
    pub(crate) async fn changes(&mut self) -> Result<ScannedFiles, StorageError> {
        let mut changes = ScannedFiles::default();
        for prefix in [stored_certificate::FOLDER, order_history::FOLDER] {
            for stored in self.storage.list(prefix).await? {
                if self.versions.get(&stored.key) == Some(&stored.version) {
                    continue;
                }
                match self.storage.get(&stored.key).await {
                    Ok(Some(value)) => {
                        if self.read(&stored.key, &String::from_utf8_lossy(&value), &mut changes).await {
                            self.versions.insert(stored.key, stored.version);
                        }
                    }
                    Ok(None) => {}
                    // The next look reads the file again; the others are read all the same.
                    Err(error) => {
                        tracing::warn!(%error, "failed to read a file of the volume");
                        self.damages.insert(stored.key.clone(), unreadable(&stored.key, &error));
                    }
                }
            }
        }
        Ok(changes)
    }

    pub(crate) fn damages(&self) -> impl Iterator<Item = &Diagnostic> + Clone {
        self.damages.values()
    }

    /// Reads one file. Returns whether it can be skipped until it changes.
    async fn read(&mut self, key: &str, text: &str, changes: &mut ScannedFiles) -> bool {
        let damage = if key.starts_with(stored_certificate::FOLDER) {
            match StoredCertificate::read(text) {
                Ok(stored) => {
                    // The file is named after one of the names in its certificate.
                    let name = stored.bundle.names.iter().find(|name| stored_certificate::key_for(name) == key);
                    changes.certificates.push((name.unwrap_or(&stored.bundle.names[0]).clone(), stored));
                    None
                }
                Err(error @ StoredCertificateError::Newer(_)) => Some((error.to_string(), false)),
                Err(error) => Some((error.to_string(), true)),
            }
        } else {
            match OrderHistory::read(text) {
                Ok(history) => {
                    changes.histories.push(history);
                    None
                }
                Err(error @ OrderHistoryError::Newer(_)) => Some((error.to_string(), false)),
                Err(error) => Some((error.to_string(), true)),
            }
        };
        let Some((error, is_damaged)) = damage else {
            self.damages.remove(key);
            return true;
        };
        let is_aside = is_damaged && self.set_aside(key).await;
        self.damages.insert(key.to_owned(), damaged(key, &error, is_aside));
        !is_damaged
    }

    async fn set_aside(&self, key: &str) -> bool {
        // An instance that is writing the file has the lease; its file will be whole in a moment.
        let stem = key.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or(key, |(stem, _)| stem);
        let Ok(Some(lease)) = self.storage.lock(&format!("certificate-{stem}")).await else { return false };
        match self.storage.set_aside(key, &lease).await {
            Ok(aside) => {
                tracing::error!(file = key, %aside, "set a damaged file aside");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "failed to set a damaged file aside");
                false
            }
        }
    }
}

/// Writes a certificate that could not be written at first.
pub(crate) async fn save<S: Storage>(storage: &S, name: &str, text: String) -> Result<(), StorageError> {
    let key = stored_certificate::key_for(name);
    for _ in 0..10 {
        if let Some(lease) = storage.lock(&format!("certificate-{}", crate::storage::safe_name(name))).await? {
            return storage.put(&key, text.into_bytes(), &lease).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(StorageError { act: "write", key: key.into(), cause: StorageCause::LeaseLost })
}

fn damaged(key: &str, error: &str, is_aside: bool) -> Diagnostic {
    Diagnostic::warning(
        codes::CERTIFICATE_DAMAGED,
        Place::Name(key.into()),
        format!("`{key}` on the volume cannot be used: {error}"),
    )
    .with_help(if is_aside {
        "nothing; remove the file that was set aside once you have seen it"
    } else {
        "move the file away, or run the version of gangway that wrote it"
    })
    .with_effect(if is_aside {
        "set aside; another certificate is ordered if one is needed"
    } else {
        "it is left as it is and not used"
    })
}

fn unreadable(key: &str, error: &StorageError) -> Diagnostic {
    Diagnostic::error(codes::VOLUME_UNUSABLE, Place::Name(key.into()), format!("failed to {error}"))
        .with_help(error.help())
        .with_effect("it is not used, and looked at again")
}
