//! Exports certificates for other software, such as a mail server, to folders below the volume only.
//!
//! Software that reads the folder may also write to it, and may run in a container that is not trusted. So every
//! folder on the way is opened without following links, and each file is renamed into place in the folder that was
//! opened, wherever its path leads by then.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_tls::{Bundle, CertificateResolver, Origin};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::WantedExport;
use gangway_acme::storage::safe_name;

/// Gangway's own folders, to which no label may export.
const OURS: [&str; 8] = ["acme", "ca", "certs", "hosts", "import", "locks", "secret", "tickets"];

/// The exports that were written, and those that failed.
#[derive(Debug)]
pub(crate) struct Exports {
    data: PathBuf,
    /// The bundle that was last written.
    written: BTreeMap<WantedExport, Arc<Bundle>>,
    failed: BTreeMap<WantedExport, Diagnostic>,
}

/// The exports that must be written.
#[derive(Debug)]
pub(crate) struct DueExports {
    data: PathBuf,
    bundles: Vec<(WantedExport, Arc<Bundle>)>,
}

/// The result of each export.
pub(crate) type ExportResults = Vec<(WantedExport, Arc<Bundle>, Result<(), String>)>;

impl Exports {
    pub(crate) fn new(data: &Path) -> Self {
        Self { data: data.to_owned(), written: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// The exports whose bundle has changed or could not be written before. Placeholders are not exported: no other
    /// program can use them.
    pub(crate) fn due(&mut self, wanted: &BTreeSet<WantedExport>, certificates: &CertificateResolver) -> DueExports {
        self.written.retain(|export, _| wanted.contains(export));
        self.failed.retain(|export, _| wanted.contains(export));
        let bundle = |export: &WantedExport| {
            let bundle = certificates.find(&export.name).filter(|bundle| bundle.origin != Origin::Placeholder)?;
            let is_news = !self.written.get(export).is_some_and(|written| Arc::ptr_eq(written, &bundle));
            is_news.then(|| (export.clone(), bundle))
        };
        DueExports { data: self.data.clone(), bundles: wanted.iter().filter_map(bundle).collect() }
    }

    pub(crate) fn note(&mut self, outcome: ExportResults) {
        for (export, bundle, written) in outcome {
            match written {
                Ok(()) => {
                    tracing::info!(folder = &*export.folder, name = &*export.name, "exported a certificate");
                    self.failed.remove(&export);
                    self.written.insert(export, bundle);
                }
                Err(error) => {
                    let finding = failed(&export, &error);
                    self.failed.insert(export, finding);
                }
            }
        }
    }

    pub(crate) fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.failed.values()
    }
}

impl DueExports {
    pub(crate) fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    /// Writes the exports. It blocks, so call it on a thread of its own.
    pub(crate) fn write(self) -> ExportResults {
        let Self { data, bundles } = self;
        let write = |(export, bundle): (WantedExport, Arc<Bundle>)| {
            let written = write(&data, &export, &bundle).map_err(|error| error.to_string());
            (export, bundle, written)
        };
        bundles.into_iter().map(write).collect()
    }
}

/// Writes the key first: a reader that meets a new chain finds its key. A reader that needs both at once has the
/// third file.
fn write(data: &Path, export: &WantedExport, bundle: &Bundle) -> io::Result<()> {
    let folder = open_folder(data, &export.folder)?;
    let (chain, key) = (bundle.chain_pem(), bundle.key_pem());
    let name = safe_name(&export.name);
    for (extension, text) in [("key", key.clone()), ("crt", chain.clone()), ("pem", key + &chain)] {
        write_file(&folder, &format!("{name}.{extension}"), text.as_bytes())?;
    }
    Ok(rustix::fs::fsync(&folder)?)
}

/// Opens the folder one component at a time, makes missing ones, and never follows a link.
fn open_folder(data: &Path, folder: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut open = rustix::fs::open(data, flags, Mode::empty())?;
    for (depth, part) in folder.split('/').enumerate() {
        let is_ours = depth == 0 && OURS.iter().any(|ours| part.eq_ignore_ascii_case(ours));
        if part.is_empty() || part.starts_with('.') || is_ours {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a folder to export to"));
        }
        match rustix::fs::mkdirat(&open, part, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        open = rustix::fs::openat(&open, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(open)
}

fn write_file(folder: &OwnedFd, name: &str, text: &[u8]) -> io::Result<()> {
    if holds(folder, name, text) {
        return Ok(());
    }
    let beside = format!(".{name}.unfinished");
    // The file is left over from a crash, or another program made it.
    let _ = rustix::fs::unlinkat(folder, &*beside, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, &*beside, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = std::fs::File::from(file);
    let written = file.write_all(text).and_then(|()| file.sync_all());
    let written = written.and_then(|()| Ok(rustix::fs::renameat(folder, &*beside, folder, name)?));
    if written.is_err() {
        let _ = rustix::fs::unlinkat(folder, &*beside, AtFlags::empty());
    }
    written
}

/// Whether the file has the right content already, so that programs that watch it are not woken without need.
fn holds(folder: &OwnedFd, name: &str, text: &[u8]) -> bool {
    // Without NONBLOCK a pipe of this name would block us for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(folder, name, flags, Mode::empty()) else { return false };
    let mut there = Vec::new();
    let read = std::fs::File::from(file).take(text.len() as u64 + 1).read_to_end(&mut there);
    read.is_ok() && there == text
}

fn failed(export: &WantedExport, error: &str) -> Diagnostic {
    let WantedExport { folder, name } = export;
    Diagnostic::error(
        codes::CERTIFICATE_EXPORT_FAILED,
        Place::Name(format!("{folder}/{name}").into()),
        format!("the certificate for `{name}` could not be written to `{folder}` on the volume: {error}"),
    )
    .with_help("look at the folder: it must be Gangway's to write to, and no part of its path may be a link")
    .with_effect("what was written there before stays; it is tried again")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use gangway_publish::channel;
    use gangway_tls::Store;

    use gangway_tls::UnixTime;

    use super::*;

    fn bundle(name: &str) -> Arc<Bundle> {
        let ca = gangway_tls::InternalCa::make(&gangway_tls::Scope::default(), UnixTime::from_seconds(1_700_000_000))
            .expect("makes a CA");
        Arc::new(ca.issue(name, UnixTime::from_seconds(1_700_000_000)).expect("signs"))
    }

    fn export(folder: &str) -> WantedExport {
        WantedExport { folder: folder.into(), name: "a.test".into() }
    }

    fn turn(exports: &mut Exports, wanted: &WantedExport, bundle: &Arc<Bundle>) -> usize {
        let (_store, stores) = channel(Store::new([Arc::clone(bundle)], UnixTime::from_seconds(1_700_000_000)));
        let due = exports.due(&BTreeSet::from([wanted.clone()]), &CertificateResolver::of_store(stores));
        let count = due.bundles.len();
        exports.note(due.write());
        count
    }

    #[test]
    fn a_certificate_is_written_for_us_alone_and_again_only_when_it_changes() {
        let data = tempfile::tempdir().expect("a folder");
        let mut exports = Exports::new(data.path());
        let (wanted, first, second) = (export("mail/certs"), bundle("a.test"), bundle("a.test"));
        assert_eq!((turn(&mut exports, &wanted, &first), turn(&mut exports, &wanted, &first)), (1, 0));
        let path = |name: &str| data.path().join("mail/certs").join(name);
        let read = |name: &str| fs::read_to_string(path(name)).expect("is there");
        assert_eq!((read("a.test.crt"), read("a.test.key")), (first.chain_pem(), first.key_pem()));
        let mode = |path: PathBuf| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode(path("a.test.key")), mode(path("a.test.pem")), mode(path(""))), (0o600, 0o600, 0o700));
        let before = fs::metadata(path("a.test.pem")).and_then(|file| file.modified()).expect("has one");
        assert_eq!(turn(&mut Exports::new(data.path()), &wanted, &first), 1, "a restart looks again");
        assert_eq!(fs::metadata(path("a.test.pem")).and_then(|file| file.modified()).expect("has one"), before);
        assert_eq!(turn(&mut exports, &wanted, &second), 1);
        assert_eq!(read("a.test.pem"), second.key_pem() + &second.chain_pem());
        assert_eq!(fs::read_dir(path("")).expect("is there").count(), 3, "nothing is left over");
        assert!(exports.findings().next().is_none());
    }

    #[test]
    fn nothing_is_written_outside_the_volume_or_over_what_is_ours() {
        let data = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("a folder");
        let root = data.path().join("volume");
        fs::create_dir_all(root.join("ca")).expect("is ours");
        fs::create_dir_all(root.join("mail")).expect("is ours");
        symlink(outside.path(), root.join("out")).expect("is ours");
        symlink("../ca", root.join("mail/in")).expect("is ours");
        let mut exports = Exports::new(&root);
        for folder in
            ["../x", "..", "/etc", "", "a/../../x", "ca", "Certs", "acme/names", ".hidden", "out", "mail/in", "out/x"]
        {
            turn(&mut exports, &export(folder), &bundle("a.test"));
            let finding = exports.findings().next().expect("is told");
            assert_eq!(finding.code, codes::CERTIFICATE_EXPORT_FAILED, "{folder}");
        }
        let count = |path: &Path| fs::read_dir(path).expect("is there").count();
        assert_eq!((count(outside.path()), count(&root.join("ca")), count(data.path())), (0, 0, 1));
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_written_through() {
        let data = tempfile::tempdir().expect("a folder");
        let target = data.path().join("precious");
        fs::File::create(&target).and_then(|mut file| file.write_all(b"precious")).expect("is ours");
        fs::create_dir(data.path().join("mail")).expect("is ours");
        for name in ["a.test.key", ".a.test.crt.unfinished"] {
            symlink(&target, data.path().join("mail").join(name)).expect("is ours");
        }
        let bundle = bundle("a.test");
        turn(&mut Exports::new(data.path()), &export("mail"), &bundle);
        assert_eq!(fs::read_to_string(&target).expect("is there"), "precious");
        assert_eq!(fs::read_to_string(data.path().join("mail/a.test.key")).expect("is there"), bundle.key_pem());
    }
}
