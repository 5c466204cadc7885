//! Certificates that people put into `certs/` on the volume.
//!
//! The folder is read every two seconds rather than watched: bind mounts and network file systems lose
//! notifications, and a look costs a few system calls. The content of a file stays in use until the file is really
//! gone, even if the file is damaged meanwhile.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_publish::{Publisher, Reader};
use gangway_tls::{Bundle, BundleError, ClientCas, Origin};

use crate::access::{Denied, denied};
use crate::client_ca::ClientCaFolder;
use crate::named_files::{NamedFiles, NamedPair};
use gangway_acme::date;
use gangway_acme::storage::restrict;

/// The folder's name on the volume.
pub(crate) const FOLDER: &str = "certs";

/// The subfolder of client CAs, which [`ClientCaFolder`] reads.
const CLIENTS: &str = "clients";

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A file that changed more recently than this may change again without a visible difference: time stamps are
/// coarse.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Deeper than any tool nests; it also ends a circle of links.
const DEPTH_MAX: usize = 4;
const FILES_MAX: usize = 10_000;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Certificates from one look that are logged one by one; the rest are only counted.
const TOLD_MAX: usize = 20;

/// The content of the folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertsFolderView {
    pub(crate) bundles: Vec<Arc<Bundle>>,
    pub(crate) client_cas: Arc<ClientCas>,
    pub(crate) findings: Vec<Diagnostic>,
}

/// Follows the folder and the files that are named, for ever.
pub(crate) async fn follow(
    data: PathBuf,
    named: Option<Reader<NamedFiles>>,
    mut views: Publisher<CertsFolderView>,
) -> Infallible {
    let mut folder = CertsFolder::new(data);
    loop {
        let now_named = named.as_ref().map(Reader::load_full);
        let looked = tokio::task::spawn_blocking(move || {
            let none = NamedFiles::default();
            let view = folder.look(now_named.as_deref().map_or(&none, |named| named));
            (folder, view)
        });
        match looked.await {
            Ok((next, view)) => {
                folder = next;
                if let Some(view) = view {
                    views.publish(view);
                }
            }
            // A panic would be a bug; the published view stays in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the folder of certificates");
                return std::future::pending().await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The change of one file at a look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FileChange {
    None,
    /// The file holds a new certificate, which is in use from now on.
    TakenUp,
}

/// Logs the certificates that were taken up, so that the operator who put a file there sees that it is used.
fn tell_taken_up(bundles: &[Arc<Bundle>]) {
    for bundle in bundles.iter().take(TOLD_MAX) {
        let Origin::Folder(file) = &bundle.origin else { continue };
        let until = date(bundle.not_after);
        tracing::info!(%file, names = %bundle.names.join(" "), %until, "took up a certificate");
    }
    if bundles.len() > TOLD_MAX {
        tracing::info!(more = bundles.len() - TOLD_MAX, "took up further certificates");
    }
}

/// The state of the folder at the last look.
#[derive(Debug)]
pub(crate) struct CertsFolder {
    data: PathBuf,
    /// The state of each certificate file, by its path relative to the volume.
    held: BTreeMap<Box<str>, FileState>,
    /// Findings about the folder at the last look. They are reported if two looks agree: the operator may still be
    /// copying files.
    odd: Vec<Diagnostic>,
    clients: ClientCaFolder,
    /// The view that was last published.
    view: Option<CertsFolderView>,
}

/// The state of one certificate file.
#[derive(Debug, Default)]
struct FileState {
    /// The stamps of the files when they were read. `None` if the files may have changed since without a visible
    /// difference.
    looks: Option<FileStamps>,
    bundle: Option<Arc<Bundle>>,
    trouble: Option<FileProblem>,
    /// Failed reads in a row; a pair that is being replaced is readable at the next look.
    failures: u32,
    /// Looks in a row without the file; a file that is being replaced is back at the next look.
    absences: u32,
    /// The path of its key, if all users can read it.
    open: Option<Box<str>>,
}

/// The visible properties of the files of a bundle.
type FileStamps = Vec<Option<FileStamp>>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// The change time, which moves with each write, rename and change of rights, and cannot be set back.
    changed: (i64, i64),
}

/// A certificate file and the files that may hold its key, the likeliest first.
#[derive(Debug, Eq, PartialEq)]
struct CertificateFile {
    certificate: Box<str>,
    keys: Vec<Box<str>>,
}

#[derive(Debug)]
struct FileProblem {
    message: String,
    help: Cow<'static, str>,
}

impl CertsFolder {
    pub(crate) fn new(data: PathBuf) -> Self {
        Self { data, held: BTreeMap::new(), odd: Vec::new(), clients: ClientCaFolder::default(), view: None }
    }

    /// Looks at every file and reads those that changed. Returns the view if it has changed.
    pub(crate) fn look(&mut self, named: &NamedFiles) -> Option<CertsFolderView> {
        let FolderListing { files, unreadable } = self.list();
        let is_complete = unreadable.is_empty();
        let (of_folder, strays) = sources(&files);
        // Their paths are absolute, and sort before those of the volume.
        let sources: Vec<CertificateFile> = of_names(&named.pairs).into_iter().chain(of_folder).collect();
        let mut taken_up = Vec::new();
        for source in &sources {
            let held = self.held.entry(source.certificate.clone()).or_default();
            if held.update(&self.data, source) == FileChange::TakenUp {
                taken_up.extend(held.bundle.clone());
            }
        }
        tell_taken_up(&taken_up);
        for (path, held) in &mut self.held {
            let is_there = sources.binary_search_by(|source| source.certificate.cmp(path)).is_ok();
            held.absences = if is_there || !is_complete { 0 } else { held.absences + 1 };
        }
        self.held.retain(|_, held| held.absences < 2);

        let odd: Vec<_> = unreadable.into_iter().chain(strays).collect();
        let told = odd.iter().filter(|finding| self.odd.contains(finding)).cloned();
        let unusable = self.held.iter().filter_map(|(path, held)| held.unusable(path));
        let open = self.held.values().filter_map(|held| held.open.as_deref().map(open_to_all));
        let damaged = self.clients.look(&self.data.join(FOLDER).join(CLIENTS), &named.client_cas);
        let view = CertsFolderView {
            findings: unusable.chain(open).chain(told).chain(damaged).collect(),
            client_cas: self.clients.usable(),
            bundles: self.held.values().filter_map(|held| held.bundle.clone()).collect(),
        };
        self.odd = odd;
        if self.view.as_ref().is_some_and(|before| before.is_same_as(&view)) {
            return None;
        }
        self.view = Some(view.clone());
        Some(view)
    }

    fn list(&self) -> FolderListing {
        let mut listing = FolderListing::default();
        let mut folders = vec![(FOLDER.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = fs::read_dir(self.data.join(&folder)).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let entries = match entries {
                Ok(entries) => entries,
                // If the whole folder is gone, the volume is more likely unmounted than emptied on purpose.
                Err(error) if error.kind() == io::ErrorKind::NotFound && (depth > 0 || self.held.is_empty()) => {
                    continue;
                }
                Err(error) => {
                    listing.unreadable.push(cannot_list(&self.data, &folder, &error));
                    continue;
                }
            };
            for entry in entries {
                let Ok(name) = entry.file_name().into_string() else { continue };
                // Hidden files are link targets of Kubernetes or unfinished files of a tool.
                if name.starts_with('.') {
                    continue;
                }
                let path = format!("{folder}/{name}");
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                match fs::metadata(self.data.join(&path)) {
                    Ok(metadata) if metadata.is_dir() && (depth == DEPTH_MAX || depth == 0 && name == CLIENTS) => {}
                    Ok(metadata) if metadata.is_dir() => folders.push((path, depth + 1)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link => {}
                    // A dangling link counts as there: its target may come back.
                    _ if listing.files.len() < FILES_MAX => listing.files.push(path.into()),
                    _ => {}
                }
            }
        }
        listing.files.sort_unstable();
        listing
    }
}

/// The files below the folder.
#[derive(Debug, Default)]
struct FolderListing {
    /// Paths relative to the volume, sorted.
    files: Vec<Box<str>>,
    unreadable: Vec<Diagnostic>,
}

impl CertsFolderView {
    fn is_same_as(&self, other: &Self) -> bool {
        self.findings == other.findings
            && Arc::ptr_eq(&self.client_cas, &other.client_cas)
            && self.bundles.len() == other.bundles.len()
            && self.bundles.iter().zip(&other.bundles).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

impl FileState {
    /// Reads the source again if it may have changed.
    fn update(&mut self, data: &Path, source: &CertificateFile) -> FileChange {
        let mut change = FileChange::None;
        if self.looks.as_ref() == Some(&looks(data, source)) && self.failures != 1 {
            return change;
        }
        let before = looks(data, source);
        match read(data, source) {
            Ok((bundle, key)) => {
                self.open = (!is_named(key) && is_open_to_all(data, key)).then(|| key.into());
                (self.trouble, self.failures) = (None, 0);
                if !self.bundle.as_ref().is_some_and(|held| held.is_same_as(&bundle)) {
                    self.bundle = Some(Arc::new(bundle));
                    change = FileChange::TakenUp;
                }
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                self.failures = self.failures.saturating_add(1);
            }
        }
        let after = looks(data, source);
        let is_settled = before == after && after.iter().flatten().all(FileStamp::is_settled);
        self.looks = is_settled.then_some(after);
        change
    }

    fn unusable(&self, path: &str) -> Option<Diagnostic> {
        let trouble = self.trouble.as_ref().filter(|_| self.failures > 1)?;
        let effect = match &self.bundle {
            Some(_) => "what the file held before stays in use",
            None => "it is not used",
        };
        Some(
            Diagnostic::error(codes::CERTIFICATE_FILE_UNUSABLE, Place::Name(path.into()), trouble.message.as_str())
                .with_help(&*trouble.help)
                .with_effect(effect),
        )
    }
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn is_settled(&self) -> bool {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(self.changed.0.max(0) as u64);
        // A time in the future proves nothing, and without this check the file would be read at every look.
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED_AFTER)
    }
}

fn looks(data: &Path, source: &CertificateFile) -> FileStamps {
    std::iter::once(&source.certificate).chain(&source.keys).map(|path| FileStamp::of(&data.join(&**path))).collect()
}

/// Whether a file lies outside of the volume and belongs to someone else.
fn is_named(path: &str) -> bool {
    path.starts_with('/')
}

/// The files that are named, by their paths, each certificate once.
fn of_names(pairs: &[NamedPair]) -> Vec<CertificateFile> {
    let keys: BTreeMap<&str, &str> = pairs.iter().rev().map(|pair| (&*pair.certificate, &*pair.key)).collect();
    let named = keys.into_iter().filter(|(certificate, key)| is_named(certificate) && is_named(key));
    named
        .map(|(certificate, key)| CertificateFile { certificate: certificate.into(), keys: vec![key.into()] })
        .collect()
}

/// Finds the certificate files with the candidates for their keys, and findings about files that cannot be used.
fn sources(files: &[Box<str>]) -> (Vec<CertificateFile>, Vec<Diagnostic>) {
    let is_there = |path: &str| files.binary_search_by(|file| (**file).cmp(path)).is_ok();
    let (mut sources, mut strays) = (Vec::new(), Vec::new());
    for file in files {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let Some((stem, extension)) = name.rsplit_once('.') else { continue };
        let beside = |name: String| format!("{folder}/{name}").into_boxed_str();
        let has = |name: String| is_there(&beside(name));
        match extension {
            "crt" => sources.push(CertificateFile {
                certificate: file.clone(),
                keys: vec![beside(format!("{stem}.key")), file.clone()],
            }),
            // The key of a neighbouring certificate, as mkcert and certbot name it.
            "pem" if stem.strip_suffix("-key").is_some_and(|stem| has(format!("{stem}.pem"))) => {}
            // certbot's folder: `fullchain.pem` and the key hold all that is needed.
            "pem" if matches!(stem, "privkey" | "cert" | "chain") && has("fullchain.pem".into()) => {}
            // A separate chain, which the certificate's own file contains as well.
            "pem" if has(format!("{stem}.crt")) => {}
            "pem" => {
                let mut keys = vec![file.clone(), beside(format!("{stem}.key")), beside(format!("{stem}-key.pem"))];
                if stem == "fullchain" {
                    keys.push(beside("privkey.pem".into()));
                }
                sources.push(CertificateFile { certificate: file.clone(), keys });
            }
            "key" if !has(format!("{stem}.crt")) && !has(format!("{stem}.pem")) => strays.push(lonely_key(file, stem)),
            "cer" | "cert" | "der" | "p12" | "pfx" | "jks" | "p7b" => strays.push(unknown_kind(file)),
            _ => {}
        }
    }
    (sources, strays)
}

/// Reads a bundle and returns it with the file that holds its key.
fn read<'a>(data: &Path, source: &'a CertificateFile) -> Result<(Bundle, &'a str), FileProblem> {
    let certificate = read_file(data, &source.certificate)?;
    let mut last = None;
    for path in &source.keys {
        let is_beside = *path != source.certificate;
        if is_beside && fs::symlink_metadata(data.join(&**path)).is_err() {
            continue;
        }
        let key = if is_beside { read_file(data, path)? } else { certificate.clone() };
        match Bundle::from_pem(&certificate, &key, Origin::Folder(source.certificate.clone())) {
            Ok(bundle) => return Ok((bundle, path)),
            Err(BundleError::NoKey) => last = last.or(Some(BundleError::NoKey)),
            Err(error) => return Err(explain(source, &error)),
        }
    }
    Err(explain(source, &last.unwrap_or(BundleError::NoKey)))
}

fn read_file(data: &Path, path: &str) -> Result<Vec<u8>, FileProblem> {
    let mut text = Vec::new();
    let read = fs::File::open(data.join(path)).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text));
    match read {
        Ok(read) if read as u64 > FILE_BYTES_MAX => Err(FileProblem {
            message: format!("`{path}` is larger than 1 MiB"),
            help: "put a certificate there, with its chain".into(),
        }),
        Ok(_) => Ok(text),
        Err(error) => Err(match denied(&data.join(path), &error) {
            Some(Denied { why, help }) => {
                FileProblem { message: format!("cannot read `{path}`: {error}: {why}"), help: help.into() }
            }
            None => FileProblem {
                message: format!("cannot read `{path}`: {error}"),
                help: match error.kind() {
                    io::ErrorKind::NotFound => {
                        "make what the link leads to visible inside gangway's container as well, or copy the file"
                    }
                    _ => "look at the volume and the kernel's log",
                }
                .into(),
            },
        }),
    }
}

fn explain(source: &CertificateFile, error: &BundleError) -> FileProblem {
    let help = match error {
        BundleError::BadPem(_) | BundleError::BadCertificate(_) => "copy the file again; it should be PEM text",
        BundleError::NoCertificate => "put the certificate into the file, then its chain, as PEM text",
        BundleError::NoName => "order a certificate with the host as subjectAltName; the common name is not enough",
        BundleError::NoKey => "put the key beside it under the same name with `.key`, or into the same file",
        BundleError::EncryptedKey => "take the passphrase off: `openssl pkey -in old.key -out new.key`",
        BundleError::UnusableKey(_) => "use RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519",
        BundleError::KeyOfAnother => "put the certificate and the key of the same order there",
    };
    let path = &source.certificate;
    FileProblem { message: format!("`{path}` cannot be used: {error}"), help: help.into() }
}

/// Takes the right to read a key from other users, and returns whether they still have it.
///
/// The group keeps its right: sharing a key with a mail server that way is common and meant.
fn is_open_to_all(data: &Path, key: &str) -> bool {
    let path = data.join(key);
    let is_open = || fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & 0o007 != 0);
    // The target of a link belongs to another program, so its rights stay.
    let is_ours = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    if is_open() && is_ours && restrict(&path, 0o770).is_ok() && !is_open() {
        tracing::warn!(file = key, "took from everybody the right to read a private key");
    }
    is_open()
}

fn open_to_all(key: &str) -> Diagnostic {
    Diagnostic::warning(
        codes::CERTIFICATE_KEY_READABLE,
        Place::Name(key.into()),
        format!("every user of the machine can read the private key `{key}`"),
    )
    .with_help("take the right away: `chmod 600`")
    .with_effect("it is used all the same")
}

fn lonely_key(path: &str, stem: &str) -> Diagnostic {
    Diagnostic::warning(
        codes::CERTIFICATE_FILE_UNUSABLE,
        Place::Name(path.into()),
        format!("there is no certificate beside the key `{path}`"),
    )
    .with_help(format!("put the certificate there as `{stem}.crt`"))
    .with_effect("it is not used")
}

fn unknown_kind(path: &str) -> Diagnostic {
    Diagnostic::warning(
        codes::CERTIFICATE_FILE_UNKNOWN,
        Place::Name(path.into()),
        format!("`{path}` is of a kind that is not read"),
    )
    .with_help("convert it to PEM text in a `.crt` and a `.key` file, or one `.pem` file with both")
    .with_effect("it is not used")
}

fn cannot_list(data: &Path, folder: &str, error: &io::Error) -> Diagnostic {
    let help = denied(&data.join(folder), error).map(|denied| format!("{}: {}", denied.why, denied.help));
    let help = help.unwrap_or_else(|| "look whether the volume is mounted, and at the kernel's log".to_owned());
    Diagnostic::error(
        codes::CERTIFICATE_FOLDER_UNREADABLE,
        Place::Name(folder.into()),
        format!("cannot list the folder `{folder}`: {error}"),
    )
    .with_help(help)
    .with_effect("what it held before stays in use")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use gangway_diagnostic::Code;

    use super::*;

    struct Volume {
        root: tempfile::TempDir,
        folder: CertsFolder,
    }

    struct Pair {
        certificate: String,
        key: String,
    }

    fn pair(name: &str) -> Pair {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate =
            rcgen::CertificateParams::new([name.to_owned()]).expect("a name").self_signed(&key).expect("signs");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    impl Volume {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a folder");
            fs::create_dir(root.path().join(FOLDER)).expect("is ours");
            let folder = CertsFolder::new(root.path().to_owned());
            Self { root, folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(FOLDER).join(name)
        }

        /// Writes a file that is old enough to count as settled.
        fn put(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("has one")).expect("is ours");
            let mut file = fs::File::create(&path).expect("is ours");
            file.write_all(text.as_bytes()).expect("has room");
            file.set_permissions(fs::Permissions::from_mode(0o600)).expect("is ours");
        }

        fn put_pair(&self, stem: &str, pair: &Pair) {
            self.put(&format!("{stem}.crt"), &pair.certificate);
            self.put(&format!("{stem}.key"), &pair.key);
        }

        /// The view after as many looks as a settled state may need.
        fn view(&mut self) -> CertsFolderView {
            for _ in 0..3 {
                self.folder.look(&NamedFiles::default());
            }
            self.folder.view.clone().expect("something was published")
        }

        fn names(&mut self) -> Vec<String> {
            let mut names: Vec<_> =
                self.view().bundles.iter().flat_map(|bundle| &bundle.names).map(ToString::to_string).collect();
            names.sort();
            names
        }

        fn findings(&mut self) -> Vec<(Code, String)> {
            self.view()
                .findings
                .iter()
                .map(|finding| (finding.code, finding.place.subject().unwrap().to_owned()))
                .collect()
        }
    }

    #[test]
    fn every_way_to_lay_files_down_is_read() {
        let mut volume = Volume::new();
        volume.put_pair("pair", &pair("pair.test"));
        let both = pair("both.test");
        volume.put("both.pem", &format!("{}{}", both.key, both.certificate));
        volume.put("both-in.crt", &format!("{}{}", both.certificate, both.key));
        let mkcert = pair("mkcert.test");
        volume.put("mkcert.test.pem", &mkcert.certificate);
        volume.put("mkcert.test-key.pem", &mkcert.key);
        let certbot = pair("certbot.test");
        for name in ["fullchain.pem", "cert.pem", "chain.pem"] {
            volume.put(&format!("live/certbot.test/{name}"), &certbot.certificate);
        }
        volume.put("live/certbot.test/privkey.pem", &certbot.key);
        let ca = gangway_tls::InternalCa::make(
            &gangway_tls::Scope::default(),
            gangway_tls::UnixTime::from_seconds(1_700_000_000),
        )
        .expect("makes a CA");
        volume.put("clients/ca.pem", ca.root_pem());
        volume.put(".hidden.crt", "not ours");
        volume.put("README", "not ours");
        assert_eq!(volume.names(), ["both.test", "both.test", "certbot.test", "mkcert.test", "pair.test"]);
        assert_eq!(volume.findings(), []);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_costs_only_itself() {
        let mut volume = Volume::new();
        let good = pair("good.test");
        volume.put_pair("good", &good);
        volume.put("lonely.crt", &good.certificate);
        volume.put("mixed.crt", &good.certificate);
        volume.put("mixed.key", &pair("good.test").key);
        volume.put("empty.pem", "");
        volume.put("cut.pem", &format!("{}{}", good.key, &good.certificate[..200]));
        volume.put("orphan.key", &good.key);
        volume.put("windows.p12", "binary");
        fs::File::create(volume.path("big.pem")).and_then(|file| file.set_len(2 << 20)).expect("is ours");
        symlink("nowhere", volume.path("dangling.crt")).expect("is ours");
        assert_eq!(volume.names(), ["good.test"]);
        let mut found = volume.findings();
        found.sort();
        let unusable = ["big.pem", "cut.pem", "dangling.crt", "empty.pem", "lonely.crt", "mixed.crt", "orphan.key"];
        let mut expected: Vec<_> =
            unusable.iter().map(|name| (codes::CERTIFICATE_FILE_UNUSABLE, format!("certs/{name}"))).collect();
        expected.push((codes::CERTIFICATE_FILE_UNKNOWN, "certs/windows.p12".into()));
        assert_eq!(found, expected);
        assert!(volume.view().findings.iter().all(|finding| !finding.help.is_empty() && !finding.effect.is_empty()));
    }

    #[test]
    fn a_renewed_pair_replaces_the_old_one_and_leaves_the_others_alone() {
        let mut volume = Volume::new();
        volume.put_pair("a", &pair("a.test"));
        volume.put_pair("b", &pair("b.test"));
        let before = volume.view();
        volume.put_pair("a", &pair("a.test"));
        let after = volume.view();
        assert!(!Arc::ptr_eq(&before.bundles[0], &after.bundles[0]));
        assert!(Arc::ptr_eq(&before.bundles[1], &after.bundles[1]));
        assert!(volume.folder.look(&NamedFiles::default()).is_none(), "nothing changed since");
    }

    #[test]
    fn a_half_written_pair_costs_nothing_and_is_told_only_if_it_stays() {
        let mut volume = Volume::new();
        let (old, new) = (pair("a.test"), pair("a.test"));
        volume.put_pair("a", &old);
        let before = volume.view();
        volume.put("a.crt", &new.certificate);
        assert!(volume.folder.look(&NamedFiles::default()).is_none(), "the key may come at any moment");
        volume.put("a.key", &new.key[..40]);
        volume.put("a.key", &new.key);
        let after = volume.folder.look(&NamedFiles::default()).expect("the new pair");
        assert!(!Arc::ptr_eq(&before.bundles[0], &after.bundles[0]) && after.findings.is_empty());
        volume.put("a.crt", "half");
        assert!(volume.folder.look(&NamedFiles::default()).is_none());
        let told = volume.folder.look(&NamedFiles::default()).expect("it stays broken");
        assert_eq!(told.findings.len(), 1);
        assert!(Arc::ptr_eq(&after.bundles[0], &told.bundles[0]), "the last good one stays");
    }

    #[test]
    fn a_file_is_forgotten_when_it_is_really_gone() {
        let mut volume = Volume::new();
        volume.put_pair("a", &pair("a.test"));
        volume.put_pair("b", &pair("b.test"));
        assert_eq!(volume.names().len(), 2);
        fs::remove_file(volume.path("a.key")).expect("is there");
        assert_eq!(volume.names(), ["a.test", "b.test"], "its certificate is still there");
        fs::remove_file(volume.path("a.crt")).expect("is there");
        volume.folder.look(&NamedFiles::default());
        assert_eq!(volume.folder.held.len(), 2, "it may be back at once");
        assert_eq!(volume.names(), ["b.test"]);
    }

    #[test]
    fn a_folder_that_vanishes_takes_nothing_with_it() {
        let mut volume = Volume::new();
        volume.put_pair("a", &pair("a.test"));
        assert_eq!(volume.names(), ["a.test"]);
        let (folder, away) = (volume.root.path().join(FOLDER), volume.root.path().join("away"));
        fs::rename(&folder, &away).expect("is ours");
        assert_eq!(volume.names(), ["a.test"]);
        assert_eq!(volume.findings(), [(codes::CERTIFICATE_FOLDER_UNREADABLE, FOLDER.into())]);
        fs::rename(&away, &folder).expect("is ours");
        assert_eq!(volume.findings(), []);
    }

    #[test]
    fn links_are_followed_when_they_are_swapped_as_kubernetes_does() {
        let mut volume = Volume::new();
        let (old, new) = (pair("a.test"), pair("a.test"));
        for (version, pair) in [("..v1", &old), ("..v2", &new)] {
            volume.put(&format!("secret/{version}/tls.crt"), &pair.certificate);
            volume.put(&format!("secret/{version}/tls.key"), &pair.key);
        }
        symlink("..v1", volume.path("secret/..data")).expect("is ours");
        symlink("..data/tls.crt", volume.path("secret/tls.crt")).expect("is ours");
        symlink("..data/tls.key", volume.path("secret/tls.key")).expect("is ours");
        let before = volume.view();
        assert_eq!(before.bundles.len(), 1);
        symlink("..v2", volume.path("secret/..tmp")).expect("is ours");
        fs::rename(volume.path("secret/..tmp"), volume.path("secret/..data")).expect("is ours");
        let after = volume.view();
        assert_ne!(before.bundles[0].serial, after.bundles[0].serial);
        fs::remove_dir_all(volume.path("secret/..v2")).expect("is ours");
        let broken = volume.view();
        assert!(Arc::ptr_eq(&after.bundles[0], &broken.bundles[0]), "a target that is away is not a file removed");
        assert_eq!(broken.findings.len(), 1);
    }

    #[test]
    fn a_change_within_the_same_tick_of_the_clock_is_seen() {
        let mut volume = Volume::new();
        let (old, new) = (pair("a.test"), pair("b.test"));
        volume.put_pair("a", &old);
        assert_eq!(volume.names(), ["a.test"]);
        assert!(volume.folder.held["certs/a.crt"].looks.is_none(), "it is too young to be known by its looks");
        // The same size and the same time stamp.
        let key = volume.path("a.key");
        let times = fs::metadata(&key).expect("is there").modified().expect("has one");
        volume.put_pair("a", &new);
        fs::File::options().write(true).open(&key).and_then(|file| file.set_modified(times)).expect("is ours");
        assert_eq!(volume.names(), ["b.test"]);
    }

    #[test]
    fn everybody_loses_the_right_to_read_a_key_but_the_group_keeps_it() {
        let mut volume = Volume::new();
        volume.put_pair("a", &pair("a.test"));
        fs::set_permissions(volume.path("a.key"), fs::Permissions::from_mode(0o644)).expect("is ours");
        fs::set_permissions(volume.path("a.crt"), fs::Permissions::from_mode(0o644)).expect("is ours");
        assert_eq!(volume.findings(), []);
        let mode = |name| fs::metadata(volume.path(name)).expect("is there").mode() & 0o777;
        assert_eq!((mode("a.key"), mode("a.crt")), (0o640, 0o644));
    }

    #[test]
    fn a_key_behind_a_link_is_left_as_it_is_and_told() {
        let mut volume = Volume::new();
        let outside = pair("a.test");
        volume.put("../other/k", &outside.key);
        fs::set_permissions(volume.path("../other/k"), fs::Permissions::from_mode(0o644)).expect("is ours");
        volume.put("a.crt", &outside.certificate);
        symlink("../other/k", volume.path("a.key")).expect("is ours");
        assert_eq!(volume.findings(), [(codes::CERTIFICATE_KEY_READABLE, "certs/a.key".into())]);
        assert_eq!(fs::metadata(volume.path("a.key")).expect("is there").mode() & 0o777, 0o644);
        assert_eq!(volume.names(), ["a.test"]);
    }

    #[test]
    fn what_is_taken_up_is_told_once() {
        let volume = Volume::new();
        volume.put_pair("a", &pair("a.test"));
        let source = CertificateFile { certificate: "certs/a.crt".into(), keys: vec!["certs/a.key".into()] };
        let data = volume.folder.data.clone();
        let mut held = FileState::default();
        assert_eq!(held.update(&data, &source), FileChange::TakenUp);
        held.looks = None;
        assert_eq!(held.update(&data, &source), FileChange::None, "it is the same");
        volume.put_pair("a", &pair("a.test"));
        held.looks = None;
        assert_eq!(held.update(&data, &source), FileChange::TakenUp);
    }

    #[test]
    fn a_circle_of_links_has_an_end() {
        let mut volume = Volume::new();
        volume.put_pair("a", &pair("a.test"));
        symlink(".", volume.path("loop")).expect("is ours");
        assert!(volume.names().iter().all(|name| name == "a.test"));
    }

    #[test]
    fn files_that_are_named_are_used_and_left_as_they_are() {
        let mut volume = Volume::new();
        let elsewhere = tempfile::tempdir().expect("a folder");
        let path = |name: &str| elsewhere.path().join(name);
        let put = |name: &str, text: &str| {
            let mut file = fs::File::create(path(name)).expect("is ours");
            file.write_all(text.as_bytes()).expect("has room");
            file.set_permissions(fs::Permissions::from_mode(0o644)).expect("is ours");
        };
        let Pair { certificate, key } = pair("named.example.org");
        put("c.pem", &certificate);
        put("k.pem", &key);
        let text = |name: &str| path(name).display().to_string().into_boxed_str();
        let pairs = vec![NamedPair { certificate: text("c.pem"), key: text("k.pem") }];
        let named = NamedFiles { pairs, ..NamedFiles::default() };
        let view = volume.folder.look(&named).expect("a certificate");
        assert_eq!(view.bundles[0].names, ["named.example.org".into()]);
        assert!(view.findings.is_empty(), "{:?}", view.findings);
        assert_eq!(fs::metadata(path("k.pem")).expect("is ours").permissions().mode() & 0o777, 0o644);
        put("c.pem", "half");
        let look = |volume: &mut Volume, named: &NamedFiles| volume.folder.look(named);
        look(&mut volume, &named);
        let told = look(&mut volume, &named).expect("it is broken");
        assert!(told.bundles.len() == 1 && told.findings[0].effect.contains("stays in use"), "{told:?}");
        look(&mut volume, &NamedFiles::default());
        let gone = look(&mut volume, &NamedFiles::default()).expect("it is no longer named");
        assert!(gone.bundles.is_empty());
    }
}
