//! The config file while Gangway runs: what changed in it is put in force, and a broken one is not.
//!
//! The file is read again and again, since no notification of the system arrives through every kind of
//! mount, and it may be replaced by another one under its name at any time. A change counts once two
//! reads in a row agree: who writes a file in place leaves half of it there for a moment, and half of a
//! list of routes is a list of routes.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gangway_model::diagnostic::{FilePosition, Span};
use gangway_model::{Diagnostic, Place, Severity, codes};
use gangway_publish::Publisher;
use gangway_watcher::DockerEnvironment;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::file::{ReadError, parse, read};
use super::schema::FLAGS;
use super::{Fixed, Given, Layer, Layers, Settings, Wording};

/// How often the file is looked at. People who save a file look at the result a second later.
const PERIOD: Duration = Duration::from_millis(500);

/// Between two reads that must agree.
const SETTLE: Duration = Duration::from_millis(150);

/// A file that still changes after so many reads is judged as it is.
const SETTLE_READS_MAX: usize = 20;

/// What becomes of a file that cannot be used.
const LAST_STAYS: &str = "the last settings stay in force";

/// A config file and what was made of it when Gangway started.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    path: PathBuf,
    fixed: Fixed,
    started: Layer,
    settings: Settings,
    docker: DockerEnvironment,
}

impl Followed {
    /// None without a config file, or where it is none that can be read twice, such as a pipe.
    pub(crate) fn new(fixed: &Fixed, layers: &Layers, settings: &Settings, docker: &DockerEnvironment) -> Option<Self> {
        let path = layers.file.clone().filter(|path| path.is_file())?;
        let (started, settings) = (layers.given.clone(), settings.clone());
        Some(Self { path, fixed: fixed.clone(), started, settings, docker: docker.clone() })
    }
}

/// What was made of the config file as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// Whether its routes are in force.
    pub(crate) in_force: bool,
    /// About it, and about what flags and variables say.
    pub(crate) findings: Vec<Diagnostic>,
}

/// Puts the file's routes in force whenever it changes, for ever, and publishes what is wrong with it.
/// Looks at once when `look` is notified.
pub(crate) async fn follow(
    followed: Followed,
    look: Arc<Notify>,
    mut settings: Publisher<gangway_model::Settings>,
    mut judgement: Publisher<Judged>,
) -> Infallible {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let current = settings.reader();
    let mut judged: Option<Seen> = None;
    let mut standing = judgement.reader().load().findings.clone();
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = look.notified() => {}
        }
        let seen = look_at(&followed.path).await;
        if judged.as_ref() == Some(&seen) {
            continue;
        }
        let seen = settled(&followed.path, seen).await;
        // A disk that is full, or somebody who writes slowly, leaves an empty file; who wants no routes can say so.
        let is_emptied = matches!(&seen, Seen::Text(text) if text.trim().is_empty());
        let verdict = if is_emptied && !current.load().file_routes.is_empty() {
            Err(vec![ReadError::Emptied.diagnostic(&followed.path, LAST_STAYS)])
        } else {
            followed.judge(&seen)
        };
        match verdict {
            Ok(mut good) => {
                // No file says what is bound.
                good.settings.own_listeners = current.load().own_listeners.clone();
                if *current.load() != good.settings {
                    tracing::info!(routes = good.settings.file_routes.len(), "the config file is in force");
                    settings.publish(good.settings);
                }
                standing = good.findings.clone();
                judgement.publish(Judged { in_force: true, findings: good.findings });
            }
            Err(broken) => {
                let findings = broken.into_iter().chain(standing.iter().cloned()).collect();
                judgement.publish(Judged { in_force: false, findings });
            }
        }
        judged = Some(seen);
    }
}

/// What a look at the file gave.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Seen {
    Text(String),
    /// With the finding that says why not.
    Nothing(Box<Diagnostic>),
}

async fn look_at(path: &Path) -> Seen {
    let owned = path.to_owned();
    let result = tokio::task::spawn_blocking(move || read(&owned)).await;
    let result = result.unwrap_or_else(|error| Err(ReadError::Io(std::io::Error::other(error))));
    match result {
        Ok(text) => Seen::Text(text),
        Err(error) => Seen::Nothing(Box::new(error.diagnostic(path, LAST_STAYS))),
    }
}

async fn settled(path: &Path, mut seen: Seen) -> Seen {
    for _ in 0..SETTLE_READS_MAX {
        sleep(SETTLE).await;
        let again = look_at(path).await;
        if again == seen {
            break;
        }
        seen = again;
    }
    seen
}

/// A file that can be used.
struct Good {
    settings: gangway_model::Settings,
    findings: Vec<Diagnostic>,
}

impl Followed {
    fn judge(&self, seen: &Seen) -> Result<Good, Vec<Diagnostic>> {
        let text = match seen {
            Seen::Text(text) => text,
            Seen::Nothing(why) => return Err(vec![(**why).clone()]),
        };
        let layers = self.fixed.over(parse(&self.path.display().to_string(), text, LAST_STAYS)?);
        let mut findings = Vec::new();
        if Settings::new(&layers, &self.docker, LAST_STAYS, &mut findings).is_none() {
            return Err(findings);
        }
        findings.extend(self.changed(&layers));
        Ok(Good { settings: self.settings.for_model(layers.routes), findings })
    }

    /// Everything but routes is read at the start only.
    fn changed(&self, layers: &Layers) -> Vec<Diagnostic> {
        let texts = |layer: &Layer, name| {
            let given: &[Given] = layer.get(name).map_or(&[], Vec::as_slice);
            given.iter().map(|given| given.text.clone()).collect::<Vec<_>>()
        };
        let mut found = Vec::new();
        for flag in FLAGS {
            let before = texts(&self.started, flag.name);
            if before == texts(&layers.given, flag.name) {
                continue;
            }
            let wording = Wording {
                message: format!("`{}` changed in the config file and needs a restart", flag.name),
                note: "not in force yet".into(),
                help: "restart Gangway when it suits you".into(),
                effect: match before.as_slice() {
                    [] => format!("until then `{}` stays as if it were not given", flag.name),
                    before => format!("until then `{}` stays `{}`", flag.name, before.join(", ")),
                },
            };
            found.push(match layers.given.get(flag.name).and_then(|given| given.first()) {
                Some(given) => given.diagnostic(flag, codes::RESTART_NEEDED, Severity::Warning, wording),
                None => self.removed(flag.name, wording),
            });
        }
        found
    }

    fn removed(&self, key: &str, wording: Wording) -> Diagnostic {
        let file = FilePosition { file: self.path.display().to_string().into(), line: 1, column: 1 };
        Diagnostic {
            code: codes::RESTART_NEEDED,
            severity: Severity::Warning,
            message: wording.message,
            place: Place { label: key.into(), file: Some(file), ..Place::default() },
            text: String::new(),
            span: Span::default(),
            note: String::new(),
            help: wording.help,
            effect: wording.effect,
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::settings::OwnListeners;
    use gangway_publish::{Reader, channel};

    use super::*;

    const FIRST: &str = "domain = \"a.test\"\n[routes.one]\nupstream = \"http://192.0.2.1\"\n";

    struct Running {
        folder: tempfile::TempDir,
        look: Arc<Notify>,
        settings: Reader<gangway_model::Settings>,
        judged: Reader<Judged>,
    }

    fn put(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        std::io::Write::write_all(&mut std::fs::File::create(&beside).expect("a file"), text.as_bytes())
            .expect("a file");
        std::fs::rename(beside, path).expect("a file");
    }

    fn started(text: &str, flags: Layer) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gangway.toml");
        put(&path, text);
        let mut flags = flags;
        flags.insert("config", vec![Given::flag(path.display().to_string())]);
        let fixed = Fixed::new(flags, Layer::new());
        let layers = fixed.read(&mut Vec::new()).expect("a good file");
        let docker = DockerEnvironment::default();
        let settings = Settings::new(&layers, &docker, "nothing", &mut Vec::new()).expect("good settings");
        let followed = Followed::new(&fixed, &layers, &settings, &docker).expect("a file");
        let own_listeners = OwnListeners { admin: "127.0.0.1:8420".parse().ok(), ..OwnListeners::default() };
        let settings = gangway_model::Settings { own_listeners, ..settings.for_model(layers.routes) };
        let (settings_tx, settings) = channel(settings);
        let (judged_tx, judged) = channel(Judged { in_force: true, findings: Vec::new() });
        let look = Arc::new(Notify::new());
        tokio::spawn(follow(followed, Arc::clone(&look), settings_tx, judged_tx));
        Running { folder, look, settings, judged }
    }

    impl Running {
        fn put(&self, text: &str) {
            put(&self.folder.path().join("gangway.toml"), text);
            self.look.notify_one();
        }

        /// The next findings: codes, and the keys they are about.
        async fn judged(&mut self) -> Vec<(u16, String)> {
            self.judged.changed().await.expect("it is followed for ever");
            let held = self.judged.load();
            held.findings.iter().map(|found| (found.code.0, found.place.label.to_string())).collect()
        }

        fn routes(&self) -> Vec<String> {
            self.settings.load().file_routes.iter().map(|route| route.name.to_string()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn routes_follow_and_a_broken_file_leaves_the_last_ones() {
        let mut running = started(FIRST, Layer::new());
        assert_eq!(running.judged().await, []);
        running.put(&format!("{FIRST}[routes.two]\nupstream = \"http://192.0.2.2\"\n"));
        assert_eq!(running.judged().await, []);
        assert_eq!(running.routes(), ["one", "two"]);
        assert!(running.settings.load().own_listeners.admin.is_some(), "where we listen is no matter of the file");
        running.put(&FIRST[..FIRST.len() - 4]);
        assert_eq!(running.judged().await[0].0, 904);
        assert!(!running.judged.load().in_force);
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
    async fn other_settings_need_a_restart_unless_a_flag_overrules_them() {
        let flags = Layer::from([("expose", vec![Given::flag("all")])]);
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
