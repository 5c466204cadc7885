//! Follows the config file while Gangway runs: its routes and shared definitions are put in force whenever it changes, unless it is broken.
//!
//! The file is polled, because no notification of the system arrives through every kind of mount, and because
//! another file may take its name at any time. A change counts once two reads in a row agree: a writer leaves half of
//! the file there for a moment, and half of a list of routes is a list of routes.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, FilePosition, Place, Severity, Span, codes};
use gangway_model::secret::{is_secret_key, is_secret_name, masked_value};
use gangway_publish::Publisher;
use gangway_watcher::DockerEnvironment;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::file::{ConfigReadError, parse, read};
use super::listeners::{WantedListeners, listeners};
use super::oidc_table::OidcTable;
use super::raw::{ProcessLayer, RawSettings};
use super::schema::{FLAGS, Flag};
use super::serve_settings::{ServeSettings, undefined_defaults};
use super::user_table::UserTable;
use super::value::{Layer, SettingMessage};

/// The interval between two looks at the file. A user who saves the file looks at the result a second later.
const PERIOD: Duration = Duration::from_millis(500);

/// The time between two reads that must agree.
const SETTLE: Duration = Duration::from_millis(150);

/// A file that still changes after this many reads is judged as it is.
const SETTLE_READS_MAX: usize = 20;

/// The effect of a file that cannot be used.
const LAST_STAYS: &str = "the last settings stay in force";

/// A config file to follow, with the settings that were in force when Gangway started.
#[derive(Clone, Debug)]
pub(crate) struct ConfigReload {
    path: PathBuf,
    process: ProcessLayer,
    started_with: Layer,
    settings: ServeSettings,
    docker: DockerEnvironment,
    /// Whether its tables of listeners count. In Traefik's place they do not.
    has_listeners: bool,
}

impl ConfigReload {
    /// None without a config file, and for one that cannot be read twice, such as a pipe.
    pub(crate) fn new(
        process: &ProcessLayer,
        raw: &RawSettings,
        settings: &ServeSettings,
        docker: &DockerEnvironment,
    ) -> Option<Self> {
        let path = raw.config_file.clone().filter(|path| path.is_file())?;
        let (started_with, settings, docker) = (raw.layer.clone(), settings.clone(), docker.clone());
        let has_listeners = settings.traefik.is_none();
        Some(Self { path, process: process.clone(), started_with, settings, docker, has_listeners })
    }
}

/// The state of the global settings, as `gangway status` shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigStatus {
    /// Whether the routes of the config file are in force as it is now.
    pub(crate) in_force: bool,
    /// Diagnostics about the file, flags and variables.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// What the config file says, as far as it is in force as soon as it is saved.
pub(crate) struct ConfigOutputs {
    pub(crate) settings: Publisher<gangway_model::Settings>,
    pub(crate) users: Publisher<Vec<UserTable>>,
    pub(crate) oidc: Publisher<Vec<OidcTable>>,
    pub(crate) listeners: Publisher<WantedListeners>,
    pub(crate) status: Publisher<ConfigStatus>,
}

/// Puts the tables of the file in force whenever it changes, and publishes what is wrong with it. Looks at the file
/// at once when `look` is notified.
pub(crate) async fn follow(config: ConfigReload, look: Arc<Notify>, outputs: ConfigOutputs) -> Infallible {
    let ConfigOutputs { mut settings, mut users, mut oidc, mut listeners, mut status } = outputs;
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (current, current_users, current_oidc) = (settings.reader(), users.reader(), oidc.reader());
    let current_listeners = listeners.reader();
    let mut judged: Option<FileContent> = None;
    let mut diagnostics_in_force = status.reader().load().diagnostics.clone();
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = look.notified() => {}
        }
        let content = look_at(&config.path).await;
        if judged.as_ref() == Some(&content) {
            continue;
        }
        let content = settled(&config.path, content).await;
        // A full disk, or a slow writer, leaves an empty file. A user who wants no routes can write a comment.
        let is_emptied = matches!(&content, FileContent::Text(text) if text.trim().is_empty());
        let has_tables = {
            let current = current.load();
            // That of `--page` is in no file.
            current.file_routes.iter().any(|route| matches!(route.place, Place::ConfigFile { .. }))
                || !current.middlewares.is_empty()
                || !current_users.load().is_empty()
                || !current_oidc.load().is_empty()
                || !current_listeners.load().tables.is_empty()
        };
        let result = if is_emptied && has_tables {
            Err(vec![ConfigReadError::Emptied.diagnostic(&config.path, LAST_STAYS)])
        } else {
            config.evaluate(&content)
        };
        match result {
            Ok(UsableFile { settings: mut new, users: new_users, oidc: new_oidc, listeners: wanted, diagnostics }) => {
                if *current_oidc.load() != new_oidc {
                    tracing::info!(providers = new_oidc.len(), "the OpenID providers in the config file are in force");
                    oidc.publish(new_oidc);
                }
                if *current_users.load() != new_users {
                    tracing::info!(lists = new_users.len(), "the lists of users in the config file are in force");
                    users.publish(new_users);
                }
                if let Some(wanted) = wanted.filter(|wanted| *current_listeners.load() != *wanted) {
                    listeners.publish(wanted);
                }
                // What is bound is known to those who bind.
                new.own_listeners = current.load().own_listeners.clone();
                if *current.load() != new {
                    let (routes, middlewares) = (new.file_routes.len(), new.middlewares.len());
                    tracing::info!(routes, middlewares, "the config file is in force");
                    settings.publish(new);
                }
                diagnostics_in_force.clone_from(&diagnostics);
                status.publish(ConfigStatus { in_force: true, diagnostics });
            }
            Err(broken) => {
                let diagnostics = broken.into_iter().chain(diagnostics_in_force.iter().cloned()).collect();
                status.publish(ConfigStatus { in_force: false, diagnostics });
            }
        }
        judged = Some(content);
    }
}

/// The result of reading the file once.
#[derive(Clone, Debug, Eq, PartialEq)]
enum FileContent {
    Text(String),
    Unreadable(Box<Diagnostic>),
}

async fn look_at(path: &Path) -> FileContent {
    let owned = path.to_owned();
    let result = tokio::task::spawn_blocking(move || read(&owned)).await;
    let result = result.unwrap_or_else(|error| Err(ConfigReadError::Io(std::io::Error::other(error))));
    match result {
        Ok(text) => FileContent::Text(text),
        Err(error) => FileContent::Unreadable(Box::new(error.diagnostic(path, LAST_STAYS))),
    }
}

/// Reads the file again until two reads agree.
async fn settled(path: &Path, mut content: FileContent) -> FileContent {
    for _ in 0..SETTLE_READS_MAX {
        sleep(SETTLE).await;
        let again = look_at(path).await;
        if again == content {
            break;
        }
        content = again;
    }
    content
}

/// A file that can be put in force.
struct UsableFile {
    settings: gangway_model::Settings,
    users: Vec<UserTable>,
    oidc: Vec<OidcTable>,
    /// None where the file does not say which there are.
    listeners: Option<WantedListeners>,
    diagnostics: Vec<Diagnostic>,
}

impl ConfigReload {
    fn evaluate(&self, content: &FileContent) -> Result<UsableFile, Vec<Diagnostic>> {
        let text = match content {
            FileContent::Text(text) => text,
            FileContent::Unreadable(diagnostic) => return Err(vec![(**diagnostic).clone()]),
        };
        let raw = self.process.over(parse(&self.path.display().to_string(), text, LAST_STAYS)?);
        let (settings, errors) = ServeSettings::parse(&raw, &self.docker);
        let mut diagnostics: Vec<Diagnostic> = errors.iter().map(|error| error.diagnostic(LAST_STAYS)).collect();
        if settings.is_none() {
            return Err(diagnostics);
        }
        // Routes use what the process was started with, and after a restart what the file says now.
        let mut undefined = undefined_defaults(&self.started_with, &raw.middlewares);
        if undefined.is_empty() {
            undefined = undefined_defaults(&raw.layer, &raw.middlewares);
        }
        if !undefined.is_empty() {
            diagnostics.extend(undefined.iter().map(|error| error.diagnostic(LAST_STAYS)));
            return Err(diagnostics);
        }
        diagnostics.extend(self.restart_needed(&raw));
        let listeners = if self.has_listeners { Some(self.listeners(&raw)?) } else { None };
        let settings = self.settings.for_model(raw.routes, raw.middlewares);
        Ok(UsableFile { settings, users: raw.users, oidc: raw.oidc, listeners, diagnostics })
    }

    /// The listeners by the tables as they are now, beside the flags that the process was started with.
    fn listeners(&self, raw: &RawSettings) -> Result<WantedListeners, Vec<Diagnostic>> {
        let tables = raw.listeners.clone();
        let asked =
            RawSettings { layer: self.started_with.clone(), listeners: tables.clone(), ..RawSettings::default() };
        let (listeners, errors) = listeners(&asked);
        if errors.is_empty() {
            return Ok(WantedListeners { listeners, tables });
        }
        Err(errors.iter().map(|error| error.diagnostic(LAST_STAYS)).collect())
    }

    /// A warning for each setting that changed: only tables are read while Gangway runs.
    fn restart_needed(&self, raw: &RawSettings) -> Vec<Diagnostic> {
        let texts = |layer: &Layer, flag| layer.get(flag).iter().map(|value| value.text.clone()).collect::<Vec<_>>();
        let mut found = Vec::new();
        for flag in FLAGS {
            let before = texts(&self.started_with, flag);
            if before == texts(&raw.layer, flag) {
                continue;
            }
            let message = SettingMessage {
                message: format!("`{}` changed in the config file and needs a restart", flag.name),
                note: "not in force yet".into(),
                help: "restart Gangway when it suits you".into(),
                effect: match before.as_slice() {
                    [] => format!("until then `{}` stays as if it were not given", flag.name),
                    // What was given before stands nowhere else in the finding, so nobody could tell that it is secret.
                    _ if is_secret_key(flag.name) || is_secret_name(flag.name) => {
                        format!("until then `{}` stays as it was", flag.name)
                    }
                    before => {
                        let before: Vec<String> = before.iter().map(|value| masked_value(value)).collect();
                        format!("until then `{}` stays `{}`", flag.name, before.join(", "))
                    }
                },
            };
            found.push(match raw.layer.get(flag).first() {
                Some(value) => value.diagnostic(flag, codes::RESTART_NEEDED, Severity::Warning, message),
                None => self.removed(flag, message),
            });
        }
        found
    }

    /// The diagnostic about a setting that is no longer in the file, and so has no line there.
    fn removed(&self, flag: &Flag, message: SettingMessage) -> Diagnostic {
        let at = FilePosition { file: self.path.display().to_string().into(), line: 1, column: 1 };
        Diagnostic {
            code: codes::RESTART_NEEDED,
            severity: Severity::Warning,
            message: message.message,
            place: Place::ConfigFile { key: Some(flag.name.into()), at },
            text: String::new(),
            span: Span::default(),
            note: String::new(),
            help: message.help,
            effect: message.effect,
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::OwnListeners;
    use gangway_proxy::ListenerSettings;
    use gangway_publish::{Reader, channel};

    use super::*;
    use crate::settings::schema::{CONFIG, DEFAULT_USE, EXPOSE, HTTP};
    use crate::settings::value::SettingValue;

    const FIRST: &str = "domain = \"a.test\"\n[routes.one]\nupstream = \"http://192.0.2.1\"\n";

    struct Fixture {
        folder: tempfile::TempDir,
        look: Arc<Notify>,
        settings: Reader<gangway_model::Settings>,
        users: Reader<Vec<UserTable>>,
        oidc: Reader<Vec<OidcTable>>,
        listeners: Reader<WantedListeners>,
        status: Reader<ConfigStatus>,
    }

    fn put(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        std::io::Write::write_all(&mut std::fs::File::create(&beside).expect("a file"), text.as_bytes())
            .expect("a file");
        std::fs::rename(beside, path).expect("a file");
    }

    fn started(text: &str, flags: Layer) -> Fixture {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gangway.toml");
        put(&path, text);
        let mut flags = flags;
        flags.set(&CONFIG, vec![SettingValue::flag(path.display().to_string())]);
        let process = ProcessLayer::new(flags, Layer::default());
        let raw = process.read().expect("a good file");
        let docker = DockerEnvironment::default();
        let settings = ServeSettings::parse(&raw, &docker).0.expect("good settings");
        let config = ConfigReload::new(&process, &raw, &settings, &docker).expect("a file");
        let own_listeners = OwnListeners { admin: "127.0.0.1:8420".parse().ok(), ..OwnListeners::default() };
        let (users_tx, users) = channel(raw.users);
        let (oidc_tx, oidc) = channel(raw.oidc);
        let settings = gangway_model::Settings { own_listeners, ..settings.for_model(raw.routes, raw.middlewares) };
        let (settings_tx, settings) = channel(settings);
        let (listeners_tx, listeners) = channel(WantedListeners::default());
        let (status_tx, status) = channel(ConfigStatus { in_force: true, diagnostics: Vec::new() });
        let look = Arc::new(Notify::new());
        let outputs = ConfigOutputs {
            settings: settings_tx,
            users: users_tx,
            oidc: oidc_tx,
            listeners: listeners_tx,
            status: status_tx,
        };
        tokio::spawn(follow(config, Arc::clone(&look), outputs));
        Fixture { folder, look, settings, users, oidc, listeners, status }
    }

    impl Fixture {
        fn put(&self, text: &str) {
            put(&self.folder.path().join("gangway.toml"), text);
            self.look.notify_one();
        }

        /// The next findings: codes, and the keys they are about.
        async fn judged(&mut self) -> Vec<(u16, String)> {
            self.status.changed().await.expect("it is followed for ever");
            let held = self.status.load();
            held.diagnostics
                .iter()
                .map(|found| (found.code.0, found.place.subject().unwrap_or_default().to_owned()))
                .collect()
        }

        fn routes(&self) -> Vec<String> {
            self.settings.load().file_routes.iter().map(|route| route.name.to_string()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn routes_follow_and_a_broken_file_leaves_the_last_ones() {
        let mut running = started(FIRST, Layer::default());
        assert_eq!(running.judged().await, []);
        running.put(&format!("{FIRST}[routes.two]\nupstream = \"http://192.0.2.2\"\n"));
        assert_eq!(running.judged().await, []);
        assert_eq!(running.routes(), ["one", "two"]);
        assert!(
            running.settings.load().own_listeners.admin.is_some(),
            "the file does not decide where Gangway listens"
        );
        running.put(&FIRST[..FIRST.len() - 4]);
        assert_eq!(running.judged().await[0].0, 904);
        assert!(!running.status.load().in_force);
        assert_eq!(running.routes(), ["one", "two"]);
        std::fs::remove_file(running.folder.path().join("gangway.toml")).expect("a file");
        assert_eq!(running.judged().await[0].0, 903);
        assert_eq!(running.routes(), ["one", "two"]);
        running.put(FIRST);
        assert_eq!(running.judged().await, []);
        assert_eq!(running.routes(), ["one"]);
        running.put("\n");
        assert_eq!(running.judged().await[0].0, 903);
        assert_eq!(running.routes(), ["one"]);
        running.put("# no routes\n");
        assert_eq!(running.judged().await, [(906, "domain".into())]);
        assert!(running.routes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn definitions_follow_and_one_that_every_route_uses_stays_when_it_is_taken_out() {
        const LAN: &str = "[middlewares.lan-only]\nallow = \"lan\"\n";
        let flags = Layer::from_iter([(&DEFAULT_USE, vec![SettingValue::flag("lan-only")])]);
        let mut running = started(LAN, flags);
        assert_eq!(running.judged().await, []);
        let definitions = |running: &Fixture| {
            let settings = running.settings.load();
            let names = settings.middlewares.iter().map(|table| format!("{} {}", table.name, table.keys[0].1));
            names.collect::<Vec<_>>()
        };
        running.put(&format!("{LAN}[middlewares.more]\ndeny = \"192.0.2.1\"\n"));
        assert_eq!(running.judged().await, []);
        assert_eq!(definitions(&running), ["lan-only lan", "more 192.0.2.1"]);
        running.put("[middlewares.lan-ony]\nallow = \"lan\"\n");
        assert_eq!(running.judged().await, [(902, "--default-use".into())]);
        assert_eq!(definitions(&running), ["lan-only lan", "more 192.0.2.1"]);
        running.put("\n");
        assert_eq!(running.judged().await[0].0, 903);
        running.put("[middlewares.lan-only]\nallow = \"192.0.2.0/24\"\n");
        assert_eq!(running.judged().await, []);
        assert_eq!(definitions(&running), ["lan-only 192.0.2.0/24"]);
        assert_eq!(running.settings.load().default_use, [Box::from("lan-only")]);
    }

    #[tokio::test(start_paused = true)]
    async fn lists_of_users_follow_and_a_broken_file_leaves_the_last_ones() {
        let mut running = started("[users.friends]\nann = \"x\"\n", Layer::default());
        assert_eq!(running.judged().await, []);
        let lists = |running: &Fixture| {
            let tables = running.users.load();
            tables.iter().map(|table| format!("{} {}", table.name, table.users.len())).collect::<Vec<_>>()
        };
        running.put("[users.friends]\nann = \"x\"\n\"b.ob\" = \"y\"\n[users.kids]\n");
        assert_eq!(running.judged().await, []);
        assert_eq!(lists(&running), ["friends 2", "kids 0"]);
        running.put("[users.friends]\nann = ");
        assert_eq!(running.judged().await[0].0, 904);
        running.put("\n");
        assert_eq!(running.judged().await[0].0, 903);
        assert_eq!(lists(&running), ["friends 2", "kids 0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn openid_providers_follow_and_a_broken_file_leaves_the_last_ones() {
        let mut running = started("[oidc.home]\nissuer = \"https://id.test\"\n", Layer::default());
        assert_eq!(running.judged().await, []);
        let names =
            |running: &Fixture| running.oidc.load().iter().map(|table| table.name.to_string()).collect::<Vec<_>>();
        running.put("[oidc.home]\nissuer = \"https://id.test\"\n[oidc.work]\n");
        assert_eq!(running.judged().await, []);
        assert_eq!(names(&running), ["home", "work"]);
        running.put("[oidc.home]\nissuer = ");
        assert_eq!(running.judged().await[0].0, 904);
        running.put("\n");
        assert_eq!(running.judged().await[0].0, 903);
        assert_eq!(names(&running), ["home", "work"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_meanwhile_is_told_without_its_secrets() {
        let mut running = started("acme-ca = \"https://u:hunter2@ca.test/dir?apikey=sekret1\"\n", Layer::default());
        assert_eq!(running.judged().await, []);
        running.put("# none\n");
        assert_eq!(running.judged().await, [(906, "acme-ca".into())]);
        let effect = running.status.load().diagnostics[0].effect.clone();
        assert!(effect.contains("ca.test") && !effect.contains("hunter2") && !effect.contains("sekret1"), "{effect}");
    }

    #[tokio::test(start_paused = true)]
    async fn listeners_follow_beside_the_flags_of_the_start() {
        let flags = Layer::from_iter([(&HTTP, vec![SettingValue::flag(":8080")])]);
        let mut running = started("https = \":8443\"\n", flags);
        assert_eq!(running.judged().await, []);
        let asked = |running: &Fixture| {
            let wanted = running.listeners.load();
            let shown = |one: &ListenerSettings| format!("{} {}", one.name, one.addresses[0]);
            wanted.listeners.iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(asked(&running), ["http [::]:8080", "https [::]:8443"]);
        let edge = "[listeners.edge]\naddress = \":9443\"\nprotocol = \"tls\"\n";
        running.put(&format!("https = \":7443\"\n{edge}"));
        assert_eq!(running.judged().await, [(906, "https".into())]);
        assert_eq!(asked(&running), ["http [::]:8080", "https [::]:8443", "edge [::]:9443"]);
        // Free by the file, and taken by what the process was started with.
        let taken = edge.replace("9443", "8443");
        running.put(&format!("https = \":7443\"\n{taken}"));
        assert_eq!(running.judged().await[0].0, 902);
        assert_eq!(asked(&running).len(), 3);
        running.put("https = \":8443\"\n");
        assert_eq!(running.judged().await, []);
        assert_eq!(asked(&running), ["http [::]:8080", "https [::]:8443"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_every_route_uses_changes_with_a_restart_and_never_to_what_is_not_there() {
        let lan = "[middlewares.lan-only]\nallow = \"lan\"\n";
        let mut running = started(&format!("default-use = \"lan-only\"\n{lan}"), Layer::default());
        assert_eq!(running.judged().await, []);
        running.put(&format!("default-use = \"other\"\n{lan}"));
        assert_eq!(running.judged().await, [(902, "default-use".into())]);
        running.put(&format!("default-use = \"other\"\n{lan}[middlewares.other]\nallow = \"lan\"\n"));
        assert_eq!(running.judged().await, [(906, "default-use".into())]);
        assert_eq!(running.settings.load().default_use, [Box::from("lan-only")]);
    }

    #[tokio::test(start_paused = true)]
    async fn other_settings_need_a_restart_unless_a_flag_overrules_them() {
        let flags = Layer::from_iter([(&EXPOSE, vec![SettingValue::flag("all")])]);
        let mut running = started(FIRST, flags);
        assert_eq!(running.judged().await, []);
        running.put("domain = \"b.test\"\nexpose = \"labelled\"\nlog-level = \"debug\"\n");
        assert_eq!(running.judged().await, [(906, "domain".into()), (906, "log-level".into())]);
        assert_eq!((running.routes(), &*running.settings.load().domain), (vec![], "a.test"));
        running.put("log-level = \"loud\"\n[routes.x]\n");
        let found = running.judged().await;
        assert_eq!(found[0], (902, "log-level".into()));
        assert!(running.routes().is_empty(), "a file is used as a whole or not at all");
        running.put("[routes.x]\n");
        assert_eq!(running.judged().await, [(906, "domain".into())]);
        assert_eq!(running.routes(), ["x"]);
    }
}
