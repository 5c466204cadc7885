//! Client CAs: the authorities that verify clients' certificates, from `certs/clients/` on the volume.
//!
//! Protection must not outlast its file: unlike our own certificates, a CA file that is damaged or gone is dropped.
//! It is dropped one look later, since the operator may be replacing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_tls::{ClientCa, ClientCas};

/// More authorities than any installation needs.
const FILES_MAX: usize = 256;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The state of the folder at the last look.
#[derive(Debug, Default)]
pub(crate) struct ClientCaFolder {
    usable: Arc<ClientCas>,
    /// The problems at the last look, by name.
    troubled: BTreeMap<Box<str>, String>,
}

impl ClientCaFolder {
    /// Reads every file, and returns findings about those that were also unusable at the last look.
    ///
    /// `named` are files outside of the folder; such a name takes precedence over a file of the folder.
    pub(crate) fn look(&mut self, folder: &Path, named: &BTreeMap<Box<str>, Vec<PathBuf>>) -> Vec<Diagnostic> {
        let mut read = read(folder);
        read.extend(named.iter().map(|(name, files)| (name.clone(), read_named(files))));
        let mut usable = ClientCas::new();
        let mut troubled = BTreeMap::new();
        let mut findings = Vec::new();
        for (name, outcome) in read {
            match outcome {
                Ok(fresh) => {
                    // Keep the same object if the content is the same, so that sessions can be resumed.
                    let known = self.usable.get(&name).filter(|known| known.is_same_as(&fresh));
                    usable.insert(name, known.map_or_else(|| Arc::new(fresh), Arc::clone));
                }
                Err(error) => drop(troubled.insert(name, error)),
            }
        }
        // A file that was usable and has vanished is looked for once more.
        for name in self.usable.keys().filter(|name| !usable.contains_key(*name)) {
            troubled.entry(name.clone()).or_default();
        }
        for (name, error) in &troubled {
            let was_troubled = self.troubled.contains_key(name);
            match self.usable.get(name).filter(|_| !was_troubled) {
                Some(known) => drop(usable.insert(name.clone(), Arc::clone(known))),
                None if error.is_empty() || !was_troubled => {}
                None => findings.push(damaged(name, error)),
            }
        }
        let is_same = usable.len() == self.usable.len()
            && usable.iter().zip(self.usable.iter()).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1));
        if !is_same {
            self.usable = Arc::new(usable);
        }
        self.troubled = troubled;
        findings
    }

    pub(crate) fn usable(&self) -> Arc<ClientCas> {
        Arc::clone(&self.usable)
    }
}

/// The finding about a file of client CAs that a route asks for, if it is not there.
pub(crate) fn missing(name: &str, usable: &ClientCas, findings: &[Diagnostic]) -> Option<Diagnostic> {
    let subject = subject(name);
    // A damaged file has a finding already.
    let is_told = findings.iter().any(|finding| finding.place.subject() == Some(&*subject));
    (!usable.contains_key(name) && !is_told).then(|| {
        Diagnostic::error(
            codes::CLIENT_CA_UNUSABLE,
            Place::Name(subject),
            format!("there is no CA file `{name}` for `client-ca`"),
        )
        .with_help(format!("put the authorities' certificates into `certs/clients/{name}.pem` on the volume"))
        .with_effect(EFFECT)
    })
}

const EFFECT: &str = "routes that ask for it are closed: they answer 503 to everybody";

fn subject(name: &str) -> Box<str> {
    format!("certs/clients/{name}").into()
}

fn damaged(name: &str, error: &str) -> Diagnostic {
    Diagnostic::error(
        codes::CLIENT_CA_UNUSABLE,
        Place::Name(subject(name)),
        format!("`certs/clients/{name}` cannot be used: {error}"),
    )
    .with_help("put certificates of authorities there, in PEM form")
    .with_effect(EFFECT)
}

/// Reads the authorities by name. Both `family.crt` and `family.pem` belong to `family`: an added file adds an
/// authority.
fn read(folder: &Path) -> BTreeMap<Box<str>, Result<ClientCa, String>> {
    let mut texts: BTreeMap<Box<str>, io::Result<Vec<u8>>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let paths: BTreeSet<_> = entries.flatten().map(|entry| entry.path()).take(FILES_MAX).collect();
    for path in paths {
        let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else { continue };
        let (stem, extension) = (stem.to_string_lossy(), extension.to_string_lossy());
        if stem.starts_with('.') || !matches!(&*extension, "pem" | "crt") {
            continue;
        }
        let text = read_file(&path);
        let joined = match (texts.remove(&*stem), text) {
            (Some(Ok(before)), Ok(text)) => Ok([before, text].concat()),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, text) => text,
        };
        texts.insert(stem.into(), joined);
    }
    let client_ca = |text: io::Result<Vec<u8>>| {
        let text = text.map_err(|error| error.to_string())?;
        ClientCa::from_pem(&text).map_err(|error| error.to_string())
    };
    texts.into_iter().map(|(name, text)| (name, client_ca(text))).collect()
}

/// Reads the authorities of all files together: one that cannot be read would refuse clients that are to be let in.
fn read_named(files: &[PathBuf]) -> Result<ClientCa, String> {
    let mut text = Vec::new();
    for file in files {
        let read = read_file(file).map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
        text.extend(read);
        text.push(b'\n');
    }
    ClientCa::from_pem(&text).map_err(|error| error.to_string())
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn authority() -> String {
        gangway_tls::InternalCa::make(
            &gangway_tls::Scope::default(),
            gangway_tls::UnixTime::from_seconds(1_700_000_000),
        )
        .expect("makes a CA")
        .root_pem()
        .into()
    }

    fn put(path: &Path, text: &str) {
        File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("is ours");
    }

    #[test]
    fn a_file_is_used_while_it_is_whole_and_given_up_when_it_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("family.pem");
        let mut clients = ClientCaFolder::default();
        assert!(clients.look(folder.path(), &BTreeMap::new()).is_empty() && clients.usable().is_empty());
        put(&path, &authority());
        assert!(clients.look(folder.path(), &BTreeMap::new()).is_empty());
        let first = Arc::clone(&clients.usable()["family"]);
        clients.look(folder.path(), &BTreeMap::new());
        assert!(Arc::ptr_eq(&first, &clients.usable()["family"]), "nothing changed");
        put(&path, "half");
        assert!(
            clients.look(folder.path(), &BTreeMap::new()).is_empty() && clients.usable().contains_key("family"),
            "it may be whole in a moment"
        );
        let findings = clients.look(folder.path(), &BTreeMap::new());
        assert_eq!((findings.len(), findings[0].code), (1, codes::CLIENT_CA_UNUSABLE));
        assert!(clients.usable().is_empty(), "what protects does not outlast its file");
        put(&path, &authority());
        assert!(clients.look(folder.path(), &BTreeMap::new()).is_empty());
        assert!(!clients.usable()["family"].is_same_as(&first));
        fs::remove_file(&path).expect("is ours");
        clients.look(folder.path(), &BTreeMap::new());
        clients.look(folder.path(), &BTreeMap::new());
        assert!(clients.usable().is_empty());
        let missing = missing("family", &clients.usable(), &[]).expect("is told");
        assert!(missing.help.contains("certs/clients/family.pem") && missing.effect.contains("closed"));
    }

    #[test]
    fn two_files_of_one_name_are_one_and_others_are_none() {
        let folder = tempfile::tempdir().expect("a folder");
        put(&folder.path().join("family.pem"), &authority());
        put(&folder.path().join("family.crt"), &authority());
        put(&folder.path().join("family.key"), "secret");
        put(&folder.path().join(".hidden.pem"), &authority());
        let mut clients = ClientCaFolder::default();
        clients.look(folder.path(), &BTreeMap::new());
        assert_eq!(clients.usable().keys().map(|name| &**name).collect::<Vec<_>>(), ["family"]);
        let one = ClientCaFolder::default().look(folder.path(), &BTreeMap::new());
        assert!(one.is_empty());
    }
}
