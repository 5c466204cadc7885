//! Follows the files of Traefik's file provider while Gangway runs.
//!
//! They are polled like our own config file, for the same reasons: no notification of the system arrives through every
//! kind of mount, and another file may take a name at any time. A change counts once two reads in a row agree. A file
//! that is broken keeps what it gave before.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use gangway_certs::{NamedFiles, NamedPair};
use gangway_diagnostic::Diagnostic;
use gangway_model::{DynamicKey, Settings, TraefikSettings};
use gangway_publish::{Publisher, Reader};
use gangway_traefik::{DynamicFiles, DynamicFolder, FileProvider, TlsFiles};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::finding_log::FindingLog;

/// The interval between two looks. A user who saves a file looks at the result a second later.
const PERIOD: Duration = Duration::from_millis(500);

/// The time between two reads that must agree.
const SETTLE: Duration = Duration::from_millis(150);

/// Files that still change after this many reads are judged as they are.
const SETTLE_READS_MAX: usize = 20;

/// The files of a file provider, as they were read last.
#[derive(Clone, Debug)]
pub(crate) struct FollowedFiles {
    provider: FileProvider,
    folder: DynamicFolder,
    files: DynamicFiles,
}

/// What the files give.
pub(crate) struct FileOutputs {
    /// The settings of the model, with what the files say.
    pub(crate) settings: Publisher<Settings>,
    /// The files that they name in turn.
    pub(crate) named: Publisher<NamedFiles>,
    /// What is wrong with them.
    pub(crate) findings: Publisher<Vec<Diagnostic>>,
}

impl FollowedFiles {
    /// Reads the files for the first time.
    pub(crate) fn read(provider: &FileProvider) -> Self {
        let folder = DynamicFolder::read(provider);
        let files = DynamicFiles::default().updated(&folder, &variable);
        Self { provider: provider.clone(), folder, files }
    }

    /// What they say to the dialect.
    pub(crate) fn keys(&self) -> Vec<DynamicKey> {
        self.files.keys()
    }

    /// The files with certificates and authorities that they name.
    pub(crate) fn tls(&self) -> TlsFiles {
        // Traefik takes a relative path from the folder that it runs in.
        let folder = std::env::current_dir().unwrap_or_else(|_| Path::new("/").into());
        TlsFiles::of(&self.files.keys(), &folder)
    }

    /// The same, for the keeper of certificates.
    pub(crate) fn named_files(&self) -> NamedFiles {
        let TlsFiles { pairs, client_cas, .. } = self.tls();
        let pairs = pairs.into_iter().map(|pair| NamedPair { certificate: pair.certificate, key: pair.key });
        NamedFiles { pairs: pairs.collect(), client_cas: BTreeMap::from_iter(client_cas) }
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.files.diagnostics().iter().cloned().chain(self.tls().diagnostics).collect()
    }

    /// Looks at the files, and waits until they no longer change. Returns whether they have changed.
    async fn look(&mut self) -> bool {
        let mut folder = read(&self.provider).await;
        if folder == self.folder {
            return false;
        }
        for _ in 0..SETTLE_READS_MAX {
            sleep(SETTLE).await;
            let again = read(&self.provider).await;
            if again == folder {
                break;
            }
            folder = again;
        }
        let is_changed = folder != self.folder;
        self.files = self.files.updated(&folder, &variable);
        self.folder = folder;
        is_changed
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn read(provider: &FileProvider) -> DynamicFolder {
    let owned = provider.clone();
    let reading = tokio::task::spawn_blocking(move || DynamicFolder::read(&owned)).await;
    // Only a panic, which would be a bug, ends a reading.
    reading.unwrap_or_else(|_| DynamicFolder::read(&FileProvider::default()))
}

/// Publishes the settings of the model with what the files say, whenever either changes, for ever. Where files are not
/// to be watched, they stay as they were read at the start.
pub(crate) async fn follow(
    mut followed: FollowedFiles,
    mut settings: Reader<Settings>,
    mut outputs: FileOutputs,
) -> Infallible {
    let mut log = FindingLog::default();
    let mut tell = |findings: Vec<Diagnostic>, output: &mut Publisher<Vec<Diagnostic>>| {
        if log.tell(&findings) {
            output.publish(findings);
        }
    };
    tell(followed.findings(), &mut outputs.findings);
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_over = false;
    loop {
        tokio::select! {
            _ = period.tick(), if followed.provider.watch => {
                if !followed.look().await {
                    continue;
                }
                tell(followed.findings(), &mut outputs.findings);
                let named = followed.named_files();
                if *outputs.named.reader().load() != named {
                    outputs.named.publish(named);
                }
            }
            changed = settings.changed(), if !is_over => is_over = changed.is_err(),
            // Neither the files nor the settings change any more.
            else => return std::future::pending().await,
        }
        let new = with_files(&settings.load(), followed.keys());
        if *outputs.settings.reader().load() != new {
            tracing::info!(
                keys = new.traefik.as_ref().map_or(0, |it| it.dynamic.len()),
                "the files of the file provider are in force"
            );
            outputs.settings.publish(new);
        }
    }
}

fn with_files(settings: &Settings, dynamic: Vec<DynamicKey>) -> Settings {
    let traefik = settings.traefik.clone().map(|traefik| TraefikSettings { dynamic, ..traefik });
    Settings { traefik, ..settings.clone() }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use gangway_diagnostic::codes;
    use gangway_publish::channel;

    use super::*;

    /// Another file takes the name, as editors and tools do it.
    fn put(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        std::fs::File::create(&beside).and_then(|mut file| file.write_all(text.as_bytes())).expect("ours");
        std::fs::rename(beside, path).expect("ours");
    }

    struct Following {
        folder: tempfile::TempDir,
        base: Publisher<Settings>,
        settings: Reader<Settings>,
        named: Reader<NamedFiles>,
        findings: Reader<Vec<Diagnostic>>,
    }

    impl Following {
        fn start(text: &str, provider: impl Fn(&Path) -> FileProvider) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            put(&folder.path().join("dynamic.yml"), text);
            let followed = FollowedFiles::read(&provider(folder.path()));
            let traefik = TraefikSettings { dynamic: followed.keys(), ..TraefikSettings::default() };
            let first = Settings { traefik: Some(traefik), ..Settings::default() };
            let ((base, base_reader), (settings_tx, settings)) = (channel(first.clone()), channel(first));
            let (named_tx, named) = channel(followed.named_files());
            let (findings_tx, findings) = channel(Vec::new());
            let outputs = FileOutputs { settings: settings_tx, named: named_tx, findings: findings_tx };
            tokio::spawn(follow(followed, base_reader, outputs));
            Self { folder, base, settings, named, findings }
        }

        fn put(&self, text: &str) {
            put(&self.folder.path().join("dynamic.yml"), text);
        }

        fn keys(&self) -> Vec<String> {
            let settings = self.settings.load_full();
            let keys = settings.traefik.iter().flat_map(|traefik| &traefik.dynamic);
            keys.map(|key| format!("{}={}", key.path.join("/"), key.value)).collect()
        }
    }

    fn of_directory(folder: &Path) -> FileProvider {
        FileProvider { directory: Some(folder.to_owned()), ..FileProvider::default() }
    }

    fn of_file(folder: &Path) -> FileProvider {
        FileProvider { filename: Some(folder.join("dynamic.yml")), ..FileProvider::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_in_force_and_a_broken_one_keeps_what_it_gave() {
        for provider in [of_directory, of_file] {
            let mut following = Following::start("a: 1\n", provider);
            assert_eq!(following.keys(), ["a=1"]);
            following.put("a: 2\n");
            following.settings.changed().await.expect("lives");
            assert_eq!(following.keys(), ["a=2"]);
            following.put("a: [\n");
            following.findings.changed().await.expect("lives");
            let found = following.findings.load_full();
            assert_eq!(found.iter().map(|found| found.code).collect::<Vec<_>>(), [codes::TRAEFIK_FILE_BROKEN]);
            assert_eq!(following.keys(), ["a=2"]);
            following.put("tls: {certificates: [{certFile: /c.pem, keyFile: /k.pem}]}\n");
            following.settings.changed().await.expect("lives");
            assert!(following.findings.load().is_empty(), "it is whole again");
            assert_eq!(following.named.load().pairs[0].key, "/k.pem".into());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_settings_keep_what_the_files_say() {
        let mut following = Following::start("a: 1\n", of_file);
        following.put("a: 2\n");
        following.settings.changed().await.expect("lives");
        let base = following.base.reader().load().clone();
        following.base.publish(Settings { domain: "home.test".into(), ..base });
        following.settings.changed().await.expect("lives");
        assert_eq!((&*following.settings.load().domain, following.keys()), ("home.test", vec!["a=2".to_owned()]));
    }
}
