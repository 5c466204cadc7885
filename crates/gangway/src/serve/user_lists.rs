//! The lists of users in `auth/` on the volume and in `[users.<name>]` tables of the config file, which `auth.basic` names
//! as `@<name>`. A name that stands in both places means neither, and routes that name it are closed.
//!
//! A name that is a whole path means that file: so Traefik's labels name them.
//!
//! The folder is read every two seconds rather than watched, as bind mounts lose notifications. A list that cannot be read
//! stays as it was; one whose file is gone is dropped one look later, since the file may be being replaced. Then routes
//! that name it are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{BasicUser, Compiled, LoginMethod, Middleware};
use gangway_proxy::UserLists;
use gangway_publish::{Publisher, Reader};

use crate::finding_log::FindingLog;
use crate::settings::UserTable;

/// The folder's name on the volume.
const FOLDER: &str = "auth";

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// More lists, and longer ones, than any installation needs.
const FILES_MAX: usize = 256;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Lines of one file that are complained about.
const LINES_MAX: usize = 5;

const CLOSED: &str = "routes that name it are closed: they answer 503 to everybody";

/// The written ends of what the task knows.
pub(super) struct UserListOutputs {
    pub(super) lists: Publisher<UserLists>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// Follows the folder, for ever.
pub(super) async fn follow(
    data: PathBuf,
    tables: Reader<Vec<UserTable>>,
    mut compiled: Reader<Compiled>,
    mut outputs: UserListOutputs,
) -> Infallible {
    let mut folder = UserListFolder::new(data.join(FOLDER));
    let mut log = FindingLog::default();
    let mut published = BTreeMap::new();
    loop {
        let files = named(&compiled.load()).into_iter().filter(|name| is_path(name)).take(FILES_MAX).collect();
        let looked = tokio::task::spawn_blocking(move || {
            folder.look(&files);
            folder
        });
        match looked.await {
            Ok(next) => {
                folder = next;
                let of_file = ListsOfFile::of(&tables.load());
                let lists = of_file.beside(&folder.lists);
                if lists != published {
                    published.clone_from(&lists);
                    outputs.lists.publish(UserLists::new(lists));
                }
                let named = named(&compiled.load()).into_iter().filter(|name| !of_file.lists.contains_key(name));
                let mut findings = folder.findings(&named.collect());
                findings.extend(of_file.findings(&folder.lists));
                if log.tell(&findings) {
                    outputs.findings.publish(findings);
                }
            }
            // A panic would be a bug; the published lists stay in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the lists of users");
                return std::future::pending().await;
            }
        }
        // A file that a new route names is read at once.
        if let Ok(Err(_gone)) = tokio::time::timeout(LOOK_EVERY, compiled.changed()).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The lists that routes name.
fn named(compiled: &Compiled) -> BTreeSet<Box<str>> {
    let middlewares = compiled.table.routes().iter().flat_map(|route| &route.middlewares);
    let lists = middlewares.filter_map(Middleware::authentication).filter_map(|login| match &login.method {
        LoginMethod::Basic(basic) => Some(&basic.lists),
        LoginMethod::Forward(_) | LoginMethod::Oidc(_) => None,
    });
    lists.flatten().cloned().collect()
}

/// The lists of the config file.
struct ListsOfFile {
    lists: BTreeMap<Box<str>, Vec<BasicUser>>,
    /// Where each list stands.
    places: BTreeMap<Box<str>, Place>,
    wrong: Vec<Diagnostic>,
}

impl ListsOfFile {
    fn of(tables: &[UserTable]) -> Self {
        let (mut lists, mut places, mut wrong) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for table in tables {
            let (users, found) = table.parse();
            lists.insert(table.name.clone(), users);
            places.insert(table.name.clone(), table.place.clone());
            wrong.extend(found);
        }
        Self { lists, places, wrong }
    }

    /// These and those of the volume, without names that stand in both places: nobody can tell which was meant.
    fn beside(&self, volume: &BTreeMap<Box<str>, Vec<BasicUser>>) -> BTreeMap<Box<str>, Vec<BasicUser>> {
        let of_volume = volume.iter().filter(|(name, _)| !self.lists.contains_key(*name));
        let of_file = self.lists.iter().filter(|(name, _)| !volume.contains_key(*name));
        of_volume.chain(of_file).map(|(name, users)| (name.clone(), users.clone())).collect()
    }

    fn findings(&self, volume: &BTreeMap<Box<str>, Vec<BasicUser>>) -> Vec<Diagnostic> {
        let twice = self.places.iter().filter(|(name, _)| volume.contains_key(*name));
        let twice = twice.map(|(name, place)| {
            let message =
                format!("the list of users `{name}` stands in the config file and in `{FOLDER}/` on the volume");
            Diagnostic::error(codes::USER_LIST, place.clone(), message)
                .with_help("give one of them another name, or remove it")
                .with_effect(CLOSED)
        });
        self.wrong.iter().cloned().chain(twice).collect()
    }
}

/// The state of the folder at the last look.
#[derive(Debug)]
struct UserListFolder {
    path: PathBuf,
    lists: BTreeMap<Box<str>, Vec<BasicUser>>,
    /// Lists without a file at the last look.
    absent: BTreeSet<Box<str>>,
    /// What is wrong, by the name of the file.
    troubled: BTreeMap<Box<str>, Vec<String>>,
    /// Why the folder cannot be read.
    unreadable: Option<io::Error>,
}

impl UserListFolder {
    fn new(path: PathBuf) -> Self {
        Self { path, lists: BTreeMap::new(), absent: BTreeSet::new(), troubled: BTreeMap::new(), unreadable: None }
    }

    /// Reads every file, and those with these paths. Returns whether a list has changed.
    fn look(&mut self, files: &BTreeSet<Box<str>>) -> bool {
        let elsewhere = files.iter().filter(|path| Path::new(&***path).is_file());
        let elsewhere = elsewhere.map(|path| (path.clone(), read_file(Path::new(&**path))));
        let read = match read(&self.path) {
            Ok(mut read) => {
                read.extend(elsewhere);
                read
            }
            Err(error) => {
                // Nothing is known of any list, so all stay.
                self.unreadable = Some(error);
                return false;
            }
        };
        let before = self.lists.clone();
        self.unreadable = None;
        self.troubled.clear();
        let gone: Vec<Box<str>> = self.lists.keys().filter(|name| !read.contains_key(*name)).cloned().collect();
        for name in &gone {
            if self.absent.contains(name) {
                self.lists.remove(name);
            }
        }
        self.absent = gone.into_iter().collect();
        for (name, text) in read {
            match text {
                Ok(text) => {
                    let (users, wrong) = parse(&text);
                    self.lists.insert(name.clone(), users);
                    if !wrong.is_empty() {
                        self.troubled.insert(name, wrong);
                    }
                }
                Err(error) => drop(self.troubled.insert(name, vec![format!("it cannot be read: {error}")])),
            }
        }
        before != self.lists
    }

    /// Findings about files, and about lists that are named and not there.
    fn findings(&self, named: &BTreeSet<Box<str>>) -> Vec<Diagnostic> {
        let about =
            |name: &str, message: String| Diagnostic::error(codes::USER_LIST, Place::Name(shown(name).into()), message);
        let wrong = self.troubled.iter().flat_map(|(name, wrong)| wrong.iter().map(move |wrong| (name, wrong)));
        let wrong = wrong.map(|(name, wrong)| {
            about(name, format!("the list of users `{}`: {wrong}", shown(name)))
                .with_help("write `user:hash` on each line, as `gangway hash --user` prints it")
                .with_effect(match self.lists.contains_key(name) {
                    true => "the other users of the list are let in",
                    false => CLOSED,
                })
        });
        let missing = named.iter().filter(|name| !self.lists.contains_key(*name) && !self.troubled.contains_key(*name));
        let missing = missing.map(|name| {
            about(name, format!("there is no list of users `{name}` for `auth.basic`"))
                .with_help(match is_path(name) {
                    true => format!("put lines of `user:hash` into `{name}`, where Gangway can read it"),
                    false => format!("put lines of `user:hash` into `{FOLDER}/{name}` on the volume"),
                })
                .with_effect(CLOSED)
        });
        let unreadable = self.unreadable.as_ref().map(|error| {
            about("", format!("the folder `{FOLDER}/` of lists of users cannot be read: {error}"))
                .with_help(format!("let Gangway read `{FOLDER}/` on the volume"))
                .with_effect("lists that were read before stay as they were")
        });
        unreadable.into_iter().chain(wrong).chain(missing).collect()
    }
}

/// Whether the name of a list is the path of its file.
fn is_path(name: &str) -> bool {
    name.starts_with('/')
}

/// A list for people: where its file is.
fn shown(name: &str) -> String {
    if is_path(name) { name.to_owned() } else { format!("{FOLDER}/{name}") }
}

/// The files of the folder by name. A folder that is not there has none.
fn read(folder: &Path) -> io::Result<BTreeMap<Box<str>, io::Result<String>>> {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
    let names: BTreeSet<String> = names.filter(|name| !name.starts_with('.') && !name.ends_with('~')).collect();
    let files = names.into_iter().take(FILES_MAX).filter(|name| folder.join(name).is_file());
    Ok(files.map(|name| (name.as_str().into(), read_file(&folder.join(&name)))).collect())
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// The users of a file in the form of htpasswd, and what is wrong with other lines. Hashes are never repeated.
fn parse(text: &str) -> (Vec<BasicUser>, Vec<String>) {
    let mut users: Vec<BasicUser> = Vec::new();
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match BasicUser::parse(line) {
            Ok(user) if users.iter().any(|other| other.name == user.name) => {
                wrong.push(format!("line {}: the user stands there twice, and the first one counts", number + 1));
            }
            Ok(user) => users.push(user),
            Err(finding) => wrong.push(format!("line {}: {}, {}", number + 1, finding.message, finding.note)),
        }
    }
    let more = wrong.len().saturating_sub(LINES_MAX);
    wrong.truncate(LINES_MAX);
    if more > 0 {
        wrong.push(format!("{more} more lines are wrong"));
    }
    (users, wrong)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn put(path: &Path, text: &[u8]) {
        File::create(path).and_then(|mut file| file.write_all(text)).expect("ours");
    }

    const ANN: &str = "ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=";

    #[test]
    fn a_list_is_followed_and_dropped_once_its_file_is_really_gone() {
        let data = tempfile::tempdir().expect("a folder");
        let (path, friends) = (data.path().join(FOLDER), data.path().join(FOLDER).join("friends"));
        let named = BTreeSet::from(["friends".into()]);
        let mut folder = UserListFolder::new(path.clone());
        assert!(!folder.look(&BTreeSet::new()));
        let findings = folder.findings(&named);
        assert_eq!((findings.len(), findings[0].code), (1, codes::USER_LIST));
        assert!(findings[0].help.contains("`auth/friends`") && findings[0].effect.contains("closed"));
        fs::create_dir(&path).expect("ours");
        put(&friends, format!("# friends\n\n{ANN}\r\nbroken\n{ANN}\n").as_bytes());
        put(&path.join(".friends.swp"), ANN.as_bytes());
        assert!(folder.look(&BTreeSet::new()) && !folder.look(&BTreeSet::new()));
        assert_eq!(folder.lists.keys().map(|name| &**name).collect::<Vec<_>>(), ["friends"]);
        assert_eq!(folder.lists["friends"].len(), 1);
        let findings = folder.findings(&named);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].message.contains("line 4") && findings[1].message.contains("line 5"));
        fs::remove_file(&friends).expect("ours");
        assert!(!folder.look(&BTreeSet::new()) && folder.lists.contains_key("friends"), "it may be being replaced");
        assert!(folder.look(&BTreeSet::new()) && folder.lists.is_empty());
    }

    #[test]
    fn a_file_elsewhere_is_followed_by_its_path() {
        let (data, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let path: Box<str> = elsewhere.path().join("users").to_str().expect("text").into();
        let named = BTreeSet::from([path.clone()]);
        let mut folder = UserListFolder::new(data.path().join(FOLDER));
        assert!(!folder.look(&named));
        let findings = folder.findings(&named);
        assert!(findings.len() == 1 && findings[0].help.contains(&*path), "{findings:?}");
        put(Path::new(&*path), ANN.as_bytes());
        assert!(folder.look(&named) && folder.findings(&named).is_empty());
        assert_eq!(folder.lists[&path].len(), 1);
        fs::remove_file(&*path).expect("ours");
        assert!(!folder.look(&named) && folder.look(&named) && folder.lists.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_the_list_as_it_was() {
        let data = tempfile::tempdir().expect("a folder");
        let friends = data.path().join("friends");
        let mut folder = UserListFolder::new(data.path().into());
        put(&friends, ANN.as_bytes());
        assert!(folder.look(&BTreeSet::new()));
        put(&friends, &[0xFF, 0xFE]);
        assert!(!folder.look(&BTreeSet::new()) && folder.lists["friends"].len() == 1);
        assert_eq!(folder.findings(&BTreeSet::new()).len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_read_leaves_all_lists_as_they_were() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join(FOLDER);
        let mut folder = UserListFolder::new(path.clone());
        fs::create_dir(&path).expect("ours");
        put(&path.join("friends"), ANN.as_bytes());
        assert!(folder.look(&BTreeSet::new()));
        fs::rename(&path, data.path().join("elsewhere")).expect("ours");
        put(&path, b"not a folder");
        for _ in 0..3 {
            assert!(!folder.look(&BTreeSet::new()) && folder.lists.contains_key("friends"));
        }
        let findings = folder.findings(&BTreeSet::from(["friends".into()]));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].effect.contains("stay"));
        fs::remove_file(&path).expect("ours");
        assert!(!folder.look(&BTreeSet::new()) && folder.look(&BTreeSet::new()), "it is gone");
        assert!(folder.findings(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn a_name_that_stands_on_the_volume_and_in_the_file_means_neither() {
        let hash: Box<str> = ANN.split_once(':').expect("a user").1.into();
        let table = |name: &str| UserTable {
            name: name.into(),
            users: vec![("bob".into(), hash.clone(), Place::Configuration)],
            place: Place::Configuration,
        };
        let of_file = ListsOfFile::of(&[table("friends"), table("kids")]);
        let ann = vec![BasicUser::parse(ANN).expect("valid")];
        let volume = BTreeMap::from([("friends".into(), ann.clone()), ("parents".into(), ann)]);
        assert_eq!(of_file.beside(&volume).keys().map(|name| &**name).collect::<Vec<_>>(), ["kids", "parents"]);
        let found = of_file.findings(&volume);
        assert!(found.len() == 1 && found[0].message.contains("`friends`") && found[0].effect == CLOSED, "{found:?}");
        assert_eq!(of_file.beside(&BTreeMap::new()).len(), 2);
        assert!(of_file.findings(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn no_hash_is_in_a_finding() {
        let (users, wrong) = parse("ann:$2y$05$secretsecret\nbob:hunter2\n");
        assert!(users.is_empty() && wrong.len() == 2);
        assert!(
            !format!("{wrong:?}").contains("secretsecret") && !format!("{wrong:?}").contains("hunter2"),
            "{wrong:?}"
        );
    }
}
