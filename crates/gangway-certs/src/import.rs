//! Imports certificates that other software has obtained and that are still valid, so that no name is ordered
//! twice.
//!
//! It reads Traefik's `acme.json`, Caddy's data folder, certbot's folder and acme-companion's volume, or more
//! exactly pairs of files that are named as in those, anywhere below the given folder. It never changes the files
//! that it reads. Accounts are not imported: their keys are mostly of a kind that gangway cannot use, so an order
//! never claims to replace an imported certificate.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gangway_tls::{Bundle, Origin, UnixTime};
use serde_json::Value;

use gangway_acme::storage::{FolderStorage, Storage, safe_name};
use gangway_acme::stored_certificate::{self, StoredCertificate};
use gangway_acme::{DirectoryUrl, date};

/// The folder on the volume that is searched for other software's files at the start.
pub(crate) const FOLDER: &str = "import";

const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 20_000;
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Together these bound the wait for another instance that writes the same file.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The name of the CA in its certificates, and its directory, which can then be asked when to renew.
const LETS_ENCRYPT: (&str, &str) = ("Let's Encrypt", "https://acme-v02.api.letsencrypt.org/directory");

/// One certificate that was found, and the outcome of its import.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// The file that held it.
    pub from: PathBuf,
    /// The names that it carries; empty if it could not be read.
    pub names: Vec<Box<str>>,
    /// The outcome of its import.
    pub outcome: ImportOutcome,
}

/// The outcome of the import of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ImportOutcome {
    /// The certificate is on the volume now, and valid until this time.
    Taken(UnixTime),
    /// The volume already has it, or one that is valid for longer.
    Known,
    /// The certificate cannot be used, for this reason.
    Skipped(String),
    /// The certificate could not be written. Reads well after "failed to".
    Failed(String),
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names.iter().map(|name| &**name).collect();
        let names = if names.is_empty() { "–".to_owned() } else { names.join(" ") };
        let from = self.from.display();
        match &self.outcome {
            ImportOutcome::Taken(until) => write!(f, "imported {names}, good until {} ({from})", date(*until)),
            ImportOutcome::Known => write!(f, "known    {names} ({from})"),
            ImportOutcome::Skipped(why) => write!(f, "skipped  {names}: {why} ({from})"),
            ImportOutcome::Failed(why) => write!(f, "failed   {names}: failed to {why} ({from})"),
        }
    }
}

/// Imports the certificates that are valid at `now` from the given files and folders into the volume `data`.
///
/// A running instance on the volume uses them within ten seconds.
pub async fn import(data: &Path, sources: &[PathBuf], now: UnixTime) -> Vec<Imported> {
    let sources = sources.to_vec();
    let found = tokio::task::spawn_blocking(move || find(&sources)).await.unwrap_or_default();
    let storage = FolderStorage::new(data);
    let mut imported = Vec::new();
    for FoundPair { from, pair } in found {
        let judged = pair.and_then(|(chain, key)| judge(&chain, &key, now).map(|bundle| (bundle, chain, key)));
        imported.push(match judged {
            Ok((bundle, chain, key)) => {
                let outcome = take(&storage, &bundle, (&chain, &key), None).await;
                Imported { from, names: bundle.names, outcome }
            }
            Err(UnusablePair { names, why }) => Imported { from, names, outcome: ImportOutcome::Skipped(why) },
        });
    }
    imported
}

/// A certificate of other software, to be imported at the start.
#[derive(Clone, Eq, PartialEq)]
pub struct AdoptedCertificate {
    /// The file that holds it.
    pub from: PathBuf,
    /// The chain, as PEM.
    pub chain: Box<str>,
    /// The key, as PEM.
    pub key: Box<str>,
    /// The directory of its CA, if that is known.
    pub directory: Option<DirectoryUrl>,
}

/// The key stays out of logs.
impl fmt::Debug for AdoptedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, directory, .. } = self;
        f.debug_struct("AdoptedCertificate").field("from", from).field("directory", directory).finish_non_exhaustive()
    }
}

/// Imports certificates that are valid at `now` into the volume `data`. One of a CA for tests is taken where such a CA
/// is the one that is asked.
pub(crate) async fn adopt(data: &Path, adopted: &[AdoptedCertificate], now: UnixTime) -> Vec<Imported> {
    let storage = FolderStorage::new(data);
    let mut imported = Vec::new();
    for AdoptedCertificate { from, chain, key, directory } in adopted {
        let is_public = directory.as_ref().is_none_or(|directory| directory.as_str() == LETS_ENCRYPT.1);
        let judged = if is_public { judge(chain, key, now) } else { judge_any(chain, key, now) };
        let (names, outcome) = match judged {
            Ok(bundle) => {
                let outcome = take(&storage, &bundle, (chain, key), directory.as_ref()).await;
                (bundle.names, outcome)
            }
            Err(UnusablePair { names, why }) => (names, ImportOutcome::Skipped(why)),
        };
        imported.push(Imported { from: from.clone(), names, outcome });
    }
    imported
}

/// A pair of certificate and key, both as PEM.
type Pair = (String, String);

#[derive(Debug)]
struct FoundPair {
    from: PathBuf,
    pair: Result<Pair, UnusablePair>,
}

#[derive(Debug, Eq, PartialEq)]
struct UnusablePair {
    names: Vec<Box<str>>,
    why: String,
}

fn useless(why: impl Into<String>) -> UnusablePair {
    UnusablePair { names: Vec::new(), why: why.into() }
}

/// Checks that the pair is valid for the names that it carries, and of no CA for tests.
fn judge(chain: &str, key: &str, now: UnixTime) -> Result<Bundle, UnusablePair> {
    let bundle = judge_any(chain, key, now)?;
    if bundle.issuer.contains("STAGING") || bundle.issuer.contains("Pebble") {
        let why = format!("`{}` is a CA for tests", bundle.issuer);
        return Err(UnusablePair { names: bundle.names, why });
    }
    Ok(bundle)
}

/// Checks that the pair is valid for the names that it carries, whichever CA it is of.
fn judge_any(chain: &str, key: &str, now: UnixTime) -> Result<Bundle, UnusablePair> {
    let bundle = Bundle::from_pem(chain.as_bytes(), key.as_bytes(), Origin::Acme);
    let bundle = bundle.map_err(|error| useless(error.to_string()))?;
    let is_of_itself = x509_parser::parse_x509_certificate(&bundle.key.cert[0])
        .is_ok_and(|(_, certificate)| certificate.subject() == certificate.issuer());
    let why = if is_of_itself {
        Some("it is signed by itself".to_owned())
    } else if now >= bundle.not_after {
        Some(format!("it has expired on {}", date(bundle.not_after)))
    } else if now < bundle.not_before {
        Some(format!("it is not valid before {}", date(bundle.not_before)))
    } else {
        None
    };
    match why {
        Some(why) => Err(UnusablePair { names: bundle.names, why }),
        None => Ok(bundle),
    }
}

/// Stores a bundle under each of its names, since each name is renewed separately.
async fn take(
    storage: &FolderStorage,
    bundle: &Bundle,
    (chain, key): (&str, &str),
    directory: Option<&DirectoryUrl>,
) -> ImportOutcome {
    let guessed = || if bundle.issuer.contains(LETS_ENCRYPT.0) { LETS_ENCRYPT.1 } else { "" };
    let directory = directory.cloned().unwrap_or_else(|| DirectoryUrl::from_volume(guessed()));
    let text = stored_certificate::write(chain, key, &directory, "");
    let mut outcome = ImportOutcome::Known;
    for name in &bundle.names {
        match put(storage, name, bundle, &text).await {
            Ok(true) => outcome = ImportOutcome::Taken(bundle.not_after),
            Ok(false) => {}
            Err(error) => return ImportOutcome::Failed(error),
        }
    }
    outcome
}

/// Writes the certificate unless the volume has a better one. Returns whether it was written.
async fn put(storage: &FolderStorage, name: &str, bundle: &Bundle, text: &str) -> Result<bool, String> {
    let key = stored_certificate::key_for(name);
    for _ in 0..LOCK_ATTEMPTS {
        let lease = storage.lock(&format!("certificate-{}", safe_name(name))).await;
        let Some(lease) = lease.map_err(|error| error.to_string())? else {
            tokio::time::sleep(LOCK_POLL).await;
            continue;
        };
        let there = storage.get(&key).await.map_err(|error| error.to_string())?;
        if let Some(there) = there {
            match StoredCertificate::read(&String::from_utf8_lossy(&there)) {
                Ok(held) if held.bundle.not_after < bundle.not_after => {}
                Ok(_) => return Ok(false),
                // A damaged file is set aside by the running gangway; a file of a later version is left alone.
                Err(error) => return Err(format!("replace `{key}`: {error}")),
            }
        }
        let written = storage.put(&key, text.as_bytes().to_vec(), &lease).await;
        return written.map(|()| true).map_err(|error| error.to_string());
    }
    Err(format!("write `{key}`: another instance is writing it"))
}

/// Finds all pairs, each certificate once.
fn find(sources: &[PathBuf]) -> Vec<FoundPair> {
    let mut found = Vec::new();
    for source in sources {
        if source.is_dir() {
            walk(source, &mut found);
        } else {
            let read = read(source).map_err(|error| useless(format!("it cannot be read: {error}")));
            match read.map(|text| traefik(&text)) {
                Ok(Some(pairs)) => found.extend(pairs.into_iter().map(|pair| FoundPair { from: source.clone(), pair })),
                Ok(None) => found.push(FoundPair {
                    from: source.clone(),
                    pair: Err(useless("it is neither Traefik's `acme.json` nor a folder")),
                }),
                Err(error) => found.push(FoundPair { from: source.clone(), pair: Err(error) }),
            }
        }
    }
    // acme-companion links the same certificate under each of its names.
    let mut seen = BTreeSet::new();
    found.retain(|found| found.pair.as_ref().map_or(true, |pair| seen.insert(pair.clone())));
    found
}

fn walk(root: &Path, found: &mut Vec<FoundPair>) {
    let mut folders = vec![(root.to_owned(), 0)];
    let mut files = 0;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            let pair = Err(useless("the folder cannot be listed"));
            found.push(FoundPair { from: folder, pair });
            continue;
        };
        let paths: BTreeSet<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        for path in &paths {
            files += 1;
            if files > FILES_MAX {
                return;
            }
            // Skip old certificates of certbot, test certificates of acme.sh and acme-companion, and hidden files.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                let is_left_out = name.starts_with('.') || name.starts_with("_test_") || name == "archive";
                if depth < DEPTH_MAX && !is_left_out {
                    folders.push((path.clone(), depth + 1));
                }
            } else if name == "default.crt" {
                // acme-companion's own certificate, for names that it does not know.
            } else if let Some(key) = key_beside(path, &name) {
                found.push(FoundPair { from: path.clone(), pair: pair(path, &key) });
            } else if name.ends_with(".json")
                && let Ok(text) = read(path)
                && let Some(pairs) = traefik(&text)
            {
                found.extend(pairs.into_iter().map(|pair| FoundPair { from: path.clone(), pair }));
            }
        }
    }
}

/// The key of a certificate: certbot's, acme-companion's, or Caddy's and acme-companion's links.
fn key_beside(path: &Path, name: &str) -> Option<PathBuf> {
    let is_there = |key: &PathBuf| fs::symlink_metadata(key).is_ok();
    match name {
        "fullchain.pem" => ["privkey.pem", "key.pem"].map(|key| path.with_file_name(key)).into_iter().find(is_there),
        _ if name.ends_with(".crt") => Some(path.with_extension("key")).filter(is_there),
        _ => None,
    }
}

fn pair(chain: &Path, key: &Path) -> Result<Pair, UnusablePair> {
    let read = |path: &Path| {
        read(path).map_err(|error| {
            let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
            useless(if is_link && error.kind() == std::io::ErrorKind::NotFound {
                "its link leads nowhere: give the whole folder, for certbot `/etc/letsencrypt` and not `live` alone"
                    .into()
            } else {
                format!("it cannot be read: {error}")
            })
        })
    };
    Ok((read(chain)?, read(key)?))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The pairs in Traefik's file, or `None` if the file is another one. Traefik writes it in place, so a file that
/// ends in the middle is one whose writing was interrupted.
///
/// Traefik 2 and 3 keep one account and its certificates for each resolver, Traefik 1.6 and 1.7 one of them at the
/// top, and before that the certificates were a part of the account, each in an object of its own.
fn traefik(text: &str) -> Option<Vec<Result<Pair, UnusablePair>>> {
    let file: Value = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) if text.contains("\"Certificates\"") || text.contains("\"DomainsCertificate\"") => {
            return Some(vec![Err(useless(format!("it is damaged: {error}")))]);
        }
        Err(_) => return None,
    };
    let top = file.as_object()?;
    let keepers = || std::iter::once(&file).chain(top.values());
    let list = |keeper| {
        let of = |pointer: &str| Value::pointer(keeper, pointer)?.as_array();
        of("/Certificates").or_else(|| of("/DomainsCertificate/Certs"))
    };
    let lists: Vec<&Vec<Value>> = keepers().filter_map(list).collect();
    let is_account = |keeper: &Value| {
        let has = |field: &str| keeper.get(field).is_some();
        has("Account") || has("DomainsCertificate") || has("Registration") && has("PrivateKey")
    };
    let is_known = !lists.is_empty() || keepers().any(is_account);
    is_known.then(|| lists.into_iter().flatten().map(traefik_pair).collect())
}

fn traefik_pair(entry: &Value) -> Result<Pair, UnusablePair> {
    let text = |pointers: [&str; 3]| {
        let encoded = pointers.iter().find_map(|pointer| entry.pointer(pointer)?.as_str())?;
        String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()
    };
    let main = ["/domain/main", "/Domain/Main", "/Domains/Main"].iter().find_map(|at| entry.pointer(at)?.as_str());
    let names = main.into_iter().map(Into::into).collect();
    let missing = || UnusablePair { names, why: "its certificate or key is damaged".into() };
    let certificate = text(["/certificate", "/Certificate", "/Certificate/Certificate"]);
    certificate.zip(text(["/key", "/Key", "/Certificate/PrivateKey"])).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);
    const DAY: Duration = Duration::from_hours(24);

    /// A CA that looks like a public one.
    struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

    impl Authority {
        fn new(name: &str) -> Self {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::OrganizationName, name);
            Self(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key")).expect("a CA"))
        }

        fn pair(&self, names: &[&str], from: UnixTime, until: UnixTime) -> Pair {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let mut params = rcgen::CertificateParams::new(names).expect("names");
            params.distinguished_name = rcgen::DistinguishedName::new();
            let time = |at: UnixTime| time::OffsetDateTime::from_unix_timestamp(at.seconds()).expect("a time");
            (params.not_before, params.not_after) = (time(from), time(until));
            let key = rcgen::KeyPair::generate().expect("a key");
            (params.signed_by(&key, &self.0).expect("signs").pem(), key.serialize_pem())
        }

        fn good(&self, name: &str) -> Pair {
            self.pair(&[name], NOW - 30 * DAY, NOW + 60 * DAY)
        }
    }

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("is ours");
        File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("is ours");
    }

    async fn imported(data: &Path, source: &Path) -> Vec<String> {
        let mut lines: Vec<String> = import(data, &[source.to_owned()], NOW)
            .await
            .iter()
            .map(|one| {
                let shown = one.to_string();
                shown.rsplit_once(" (").map_or(shown.clone(), |(line, _)| line.to_owned())
            })
            .collect();
        lines.sort();
        lines
    }

    fn kept(data: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(data.join(stored_certificate::FOLDER)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn good(name: &str) -> String {
        format!("imported {name}, good until {}", date(NOW + 60 * DAY))
    }

    #[tokio::test]
    async fn traefiks_file_is_read_and_each_name_has_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("Let's Encrypt");
        let entry = |main: &str, (chain, key): Pair| {
            serde_json::json!({"domain": {"main": main}, "Store": "default",
                "certificate": BASE64_STANDARD.encode(chain), "key": BASE64_STANDARD.encode(key)})
        };
        let both = authority.pair(&["a.example.org", "b.example.org"], NOW - 30 * DAY, NOW + 60 * DAY);
        let file = serde_json::json!({"le": {"Account": {"Email": "x"}, "Certificates": [
            entry("a.example.org", both),
            entry("old.example.org", authority.pair(&["old.example.org"], NOW - 90 * DAY, NOW - DAY)),
            {"domain": {"main": "broken.example.org"}, "certificate": "AAAA", "key": "?"},
        ]}, "empty": {"Account": null, "Certificates": null}});
        let (source, data) = (folder.path().join("acme.json"), folder.path().join("data"));
        put(&source, &file.to_string());
        let expected = [
            good("a.example.org b.example.org"),
            "skipped  broken.example.org: its certificate or key is damaged".into(),
            format!("skipped  old.example.org: it has expired on {}", date(NOW - DAY)),
        ];
        assert_eq!(imported(&data, &source).await, expected);
        assert_eq!(kept(&data), ["a.example.org.pem", "b.example.org.pem"]);
        let text = fs::read_to_string(data.join("acme/certificates/b.example.org.pem")).expect("is there");
        let held = StoredCertificate::read(&text).expect("reads it");
        assert_eq!((held.directory.as_str(), &*held.account), (LETS_ENCRYPT.1, ""), "nothing is said to replace it");
        assert_eq!(imported(&data, &source).await[0], "known    a.example.org b.example.org");
        put(&source, &file.to_string()[..200]);
        assert!(imported(&data, &source).await[0].contains("it is damaged"));
    }

    #[tokio::test]
    async fn what_is_adopted_keeps_its_authority_and_one_for_tests_is_taken_where_it_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let (public, pebble) = (Authority::new("Let's Encrypt"), Authority::new("Pebble Root"));
        let adopted = |(chain, key): Pair, directory: Option<&str>| AdoptedCertificate {
            from: "acme.json".into(),
            chain: chain.into(),
            key: key.into(),
            directory: directory.map(DirectoryUrl::from_volume),
        };
        let own = "https://ca.home.arpa/directory";
        let all = [
            adopted(public.pair(&["a.example.org", "*.a.example.org"], NOW - DAY, NOW + 60 * DAY), None),
            adopted(pebble.good("own.example.org"), Some(own)),
            adopted(pebble.good("test.example.org"), Some(LETS_ENCRYPT.1)),
        ];
        assert!(!format!("{all:?}").contains("PRIVATE"));
        let outcomes: Vec<String> =
            adopt(&data, &all, NOW).await.iter().map(|one| one.to_string().chars().take(8).collect()).collect();
        assert_eq!(outcomes, ["imported", "imported", "skipped "]);
        assert_eq!(
            kept(&data),
            ["own.example.org.pem", "wildcard_.a.example.org.pem", "a.example.org.pem"]
                .map(String::from)
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        let text = fs::read_to_string(data.join("acme/certificates/own.example.org.pem")).expect("is there");
        assert_eq!(StoredCertificate::read(&text).expect("reads it").directory.as_str(), own);
        assert!(adopt(&data, &all[..2], NOW).await.iter().all(|one| one.outcome == ImportOutcome::Known));
    }

    #[tokio::test]
    async fn files_of_traefik_1_are_read_in_both_of_their_forms() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("Let's Encrypt");
        let encoded = |(chain, key): Pair| (BASE64_STANDARD.encode(chain), BASE64_STANDARD.encode(key));
        let (chain, key) = encoded(authority.good("old.example.org"));
        let before_1_6 = serde_json::json!({"Email": "x@example.org", "Registration": {"uri": "https://ca.test/1"},
            "PrivateKey": "AAAA", "DomainsCertificate": {"Certs": [
                {"Domains": {"Main": "old.example.org", "SANs": null}, "Certificate": {"Domain": "old.example.org",
                    "CertURL": "https://ca.test/2", "PrivateKey": key, "Certificate": chain}},
                {"Domains": {"Main": "broken.example.org"}, "Certificate": null},
            ]}, "ChallengeCerts": {}});
        let (chain, key) = encoded(authority.good("new.example.org"));
        let since_1_6 = serde_json::json!({"Account": {"Email": "x@example.org", "PrivateKey": "AAAA"},
            "Certificates": [{"Domain": {"Main": "new.example.org", "SANs": null}, "Certificate": chain, "Key": key}],
            "HTTPChallenges": {}, "TLSChallenges": {}});
        let without = serde_json::json!({"Account": null, "Certificates": null});
        let (source, data) = (folder.path().join("acme.json"), folder.path().join("data"));
        let broken = "skipped  broken.example.org: its certificate or key is damaged".to_owned();
        let cases = [
            (before_1_6.clone(), vec![good("old.example.org"), broken]),
            (since_1_6, vec![good("new.example.org")]),
            (without, vec![]),
        ];
        for (file, expected) in cases {
            put(&source, &file.to_string());
            assert_eq!(imported(&data, &source).await, expected);
        }
        put(&source, &before_1_6.to_string()[..400]);
        assert!(imported(&data, &source).await[0].contains("it is damaged"));
        put(&source, r#"{"unrelated": {"Key": "AAAA"}}"#);
        assert!(imported(&data, &source).await[0].contains("neither Traefik's"));
    }

    #[tokio::test]
    async fn folders_of_caddy_certbot_and_acme_companion_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("Some CA");
        let write = |(chain, key): Pair, chain_file: &str, key_file: &str| {
            put(&folder.path().join(chain_file), &chain);
            put(&folder.path().join(key_file), &key);
        };
        let caddy = "caddy/certificates/acme-v02.api.letsencrypt.org-directory/c.example.org/c.example.org";
        write(authority.good("c.example.org"), &format!("{caddy}.crt"), &format!("{caddy}.key"));
        put(&folder.path().join(format!("{caddy}.json")), r#"{"sans":["c.example.org"]}"#);
        let archive = "letsencrypt/archive/d.example.org";
        write(
            authority.good("d.example.org"),
            &format!("{archive}/fullchain2.pem"),
            &format!("{archive}/privkey2.pem"),
        );
        let live = folder.path().join("letsencrypt/live/d.example.org");
        fs::create_dir_all(&live).expect("is ours");
        for (link, file) in [("fullchain.pem", "fullchain2.pem"), ("privkey.pem", "privkey2.pem")] {
            symlink(format!("../../archive/d.example.org/{file}"), live.join(link)).expect("is ours");
        }
        write(
            authority.good("e.example.org"),
            "companion/e.example.org/fullchain.pem",
            "companion/e.example.org/key.pem",
        );
        symlink("./e.example.org/fullchain.pem", folder.path().join("companion/e.example.org.crt")).expect("is ours");
        symlink("./e.example.org/key.pem", folder.path().join("companion/e.example.org.key")).expect("is ours");
        write(authority.good("default"), "companion/default.crt", "companion/default.key");
        write(authority.good("t.example.org"), "companion/_test_t/fullchain.pem", "companion/_test_t/key.pem");
        let data = folder.path().join("data");
        let expected = ["c.example.org", "d.example.org", "e.example.org"].map(good);
        assert_eq!(imported(&data, folder.path()).await, expected);
        fs::remove_dir_all(folder.path().join("letsencrypt/archive")).expect("is ours");
        let lines = imported(&data, &folder.path().join("letsencrypt/live")).await;
        assert!(lines[0].contains("`/etc/letsencrypt` and not `live` alone"), "{lines:?}");
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_skipped_and_what_is_newer_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, data) = (folder.path().join("from"), folder.path().join("data"));
        let (authority, staging) = (Authority::new("Some CA"), Authority::new("(STAGING) Let's Encrypt"));
        let write = |name: &str, (chain, key): &Pair| {
            put(&source.join(format!("{name}.crt")), chain);
            put(&source.join(format!("{name}.key")), key);
        };
        let key = rcgen::KeyPair::generate().expect("a key");
        let own = rcgen::CertificateParams::new(["self.example.org".to_owned()]).expect("a name");
        write("self", &(own.self_signed(&key).expect("signs").pem(), key.serialize_pem()));
        write("staging", &staging.good("staging.example.org"));
        write("mixed", &(authority.good("mixed.example.org").0, key.serialize_pem()));
        write("later", &authority.pair(&["later.example.org"], NOW + DAY, NOW + 60 * DAY));
        let lines = imported(&data, &source).await;
        assert!(lines.len() == 4 && lines.iter().all(|line| line.starts_with("skipped")), "{lines:?}");
        assert_eq!(kept(&data), Vec::<String>::new());
        fs::remove_dir_all(&source).expect("is ours");
        write("a", &authority.pair(&["a.example.org"], NOW - DAY, NOW + 89 * DAY));
        imported(&data, &source).await;
        let file = data.join("acme/certificates/a.example.org.pem");
        let before = fs::read_to_string(&file).expect("is there");
        write("a", &authority.good("a.example.org"));
        assert_eq!(imported(&data, &source).await, ["known    a.example.org"]);
        assert_eq!(fs::read_to_string(&file).expect("is there"), before);
        put(&file, "half");
        assert!(imported(&data, &source).await[0].starts_with("failed"));
        assert_eq!(
            fs::read_to_string(&file).expect("is there"),
            "half",
            "nothing is overwritten that was not understood"
        );
    }
}
