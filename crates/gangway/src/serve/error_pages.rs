//! The pages in `errors/` on the volume, which `errors` names.
//!
//! The folder is looked at every two seconds rather than watched, as bind mounts lose notifications; only files that have
//! changed are read. What cannot be read stays as it was, and a file that is gone is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{Compiled, ErrorPages, ErrorRule, Middleware, PAGES_FOLDER, PageSource};
use gangway_proxy::PageLibrary;
use gangway_publish::{Publisher, Reader};

use crate::finding_log::FindingLog;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// More than any installation needs: entries of all folders, bytes of all pages, and folders in folders.
const ENTRIES_MAX: usize = 4096;
const BYTES_MAX: usize = 16 << 20;
const DEPTH_MAX: usize = 4;

const STAYS: &str = "errors are shown as they come";

/// The written ends of what the task knows.
pub(super) struct ErrorPageOutputs {
    pub(super) pages: Publisher<PageLibrary>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// Follows the folder, for ever.
pub(super) async fn follow(data: PathBuf, compiled: Reader<Compiled>, mut outputs: ErrorPageOutputs) -> Infallible {
    let mut folder = PageFolder::new(data.join(PAGES_FOLDER));
    let mut log = FindingLog::default();
    let mut judged = None;
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let is_changed = folder.look();
            (folder, is_changed)
        });
        match looked.await {
            Ok((next, is_changed)) => {
                folder = next;
                if is_changed {
                    outputs.pages.publish(folder.pages.clone());
                }
                // Many routes have many rules, which change seldom.
                let generation = Some(compiled.generation());
                if is_changed || folder.is_troubled_anew || judged != generation {
                    judged = generation;
                    let findings = folder.findings(&rules(&compiled.load()));
                    if log.tell(&findings) {
                        outputs.findings.publish(findings);
                    }
                }
            }
            // A panic would be a bug; the published pages stay in force.
            Err(error) => {
                tracing::error!(%error, "stopped following the pages for errors");
                return std::future::pending().await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The rules of all routes, each once, by how they are written.
fn rules(compiled: &Compiled) -> BTreeMap<String, ErrorRule> {
    let middlewares = compiled.table.routes().iter().flat_map(|route| &route.middlewares);
    let pages: Vec<&Arc<ErrorPages>> = middlewares.filter_map(Middleware::error_pages).collect();
    pages.into_iter().flat_map(|pages| &pages.rules).map(|rule| (rule.to_string(), rule.clone())).collect()
}

/// By what a change of a file is recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), len: metadata.len() }
    }
}

/// The state of the folder at the last look.
#[derive(Debug)]
struct PageFolder {
    path: PathBuf,
    pages: PageLibrary,
    /// The pages that are in memory.
    stamps: BTreeMap<String, Stamp>,
    /// What is wrong, by path.
    troubled: BTreeMap<String, String>,
    is_troubled_anew: bool,
}

impl PageFolder {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            pages: PageLibrary::default(),
            stamps: BTreeMap::new(),
            troubled: BTreeMap::new(),
            is_troubled_anew: false,
        }
    }

    /// Reads what has changed. Returns whether a page has.
    fn look(&mut self) -> bool {
        let troubled = std::mem::take(&mut self.troubled);
        let is_changed = match self.files() {
            Ok(files) => self.take_in(files),
            // Nothing is known of any page, so all stay.
            Err(error) => {
                self.troubled.insert(String::new(), format!("it cannot be read: {error}"));
                false
            }
        };
        self.is_troubled_anew = troubled != self.troubled;
        is_changed
    }

    fn take_in(&mut self, files: BTreeMap<String, (PathBuf, Stamp)>) -> bool {
        let before = self.stamps.clone();
        self.stamps.retain(|path, _| files.contains_key(path));
        let mut bytes = 0;
        for (path, (file, stamp)) in files {
            let len = usize::try_from(stamp.len).unwrap_or(usize::MAX);
            if len > PageLibrary::PAGE_BYTES_MAX {
                self.stamps.remove(&path);
                self.troubled.insert(path, "it is larger than 256 KiB".to_owned());
                continue;
            }
            bytes += len;
            if bytes > BYTES_MAX {
                self.stamps.remove(&path);
                self.troubled.insert(path, "all pages before it have 16 MiB".to_owned());
                continue;
            }
            if self.stamps.get(&path) == Some(&stamp) {
                continue;
            }
            match read(&file) {
                Ok(content) => {
                    self.pages.put(&path, content);
                    self.stamps.insert(path, stamp);
                }
                Err(error) => drop(self.troubled.insert(path, format!("it cannot be read: {error}"))),
            }
        }
        let stamps = &self.stamps;
        self.pages.retain(|path| stamps.contains_key(path));
        before != self.stamps
    }

    /// The files that may be pages, by their paths below the folder. A folder that is not there has none.
    fn files(&mut self) -> io::Result<BTreeMap<String, (PathBuf, Stamp)>> {
        let root = match self.path.canonicalize() {
            Ok(root) => root,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let (mut files, mut entries) = (BTreeMap::new(), 0);
        let mut folders = vec![(String::new(), root.clone(), 1)];
        while let Some((below, folder, depth)) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let Ok(name) = entry?.file_name().into_string() else { continue };
                entries += 1;
                if entries > ENTRIES_MAX {
                    return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} entries")));
                }
                if name.starts_with('.') || name.ends_with('~') {
                    continue;
                }
                let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
                match place(&folder.join(&name), &root) {
                    Ok((real, metadata)) if metadata.is_dir() => {
                        if depth < DEPTH_MAX {
                            folders.push((path, real, depth + 1));
                        }
                    }
                    Ok((real, metadata)) if metadata.is_file() && PageLibrary::is_page(&name) => {
                        files.insert(path, (real, Stamp::of(&metadata)));
                    }
                    Ok(_) => {}
                    Err(error) => drop(self.troubled.insert(path, error.to_string())),
                }
            }
        }
        Ok(files)
    }

    /// Findings about files, and about pages that are named and not there.
    fn findings(&self, rules: &BTreeMap<String, ErrorRule>) -> Vec<Diagnostic> {
        let about = |path: &str, message: String| {
            Diagnostic::warning(
                codes::ERROR_PAGE_MISSING,
                Place::Name(format!("{PAGES_FOLDER}/{path}").into()),
                message,
            )
            .with_effect(STAYS)
        };
        let wrong = self.troubled.iter().map(|(path, wrong)| {
            about(path, format!("the page `{PAGES_FOLDER}/{path}` cannot be used: {wrong}"))
                .with_help(format!("put a page of at most 256 KiB there that is in `{PAGES_FOLDER}/` itself"))
        });
        let named: BTreeSet<(String, &str)> = rules.values().filter_map(|rule| self.missing(rule)).collect();
        let missing = named.iter().map(|(path, help)| {
            about(path, format!("there is no page at `{PAGES_FOLDER}/{path}`"))
                .with_help(format!("put {help} there, on the volume"))
        });
        wrong.chain(missing).collect()
    }

    /// The path of a rule at which there is no page for any of its statuses, and what could be there.
    fn missing(&self, rule: &ErrorRule) -> Option<(String, &'static str)> {
        let mut statuses = rule.statuses.iter().flat_map(|(first, last)| *first..=*last);
        let (path, is_there, help) = match &rule.source {
            PageSource::File(path) => {
                (path, statuses.any(|status| self.pages.has_file(&path.of(status))), "a page such as `404.html`")
            }
            PageSource::Folder(path) => (
                path,
                statuses.any(|status| self.pages.has_page(&path.of(status), status)),
                "a page such as `404.html`, `5xx.html` or `index.html`",
            ),
            PageSource::Service { .. } | PageSource::Answer { .. } => return None,
        };
        (!is_there).then(|| (path.to_string(), help))
    }
}

/// The real place of an entry. One that leads out of the folder is none.
fn place(path: &Path, root: &Path) -> io::Result<(PathBuf, Metadata)> {
    let real = path.canonicalize()?;
    if !real.starts_with(root) {
        return Err(io::Error::other("it is a link out of the folder"));
    }
    let metadata = fs::metadata(&real)?;
    Ok((real, metadata))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (mut content, max) = (Vec::new(), PageLibrary::PAGE_BYTES_MAX);
    File::open(path)?.take(max as u64 + 1).read_to_end(&mut content)?;
    if content.len() > max {
        return Err(io::Error::other("it grows"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(path: &Path, content: &[u8]) {
        File::create(path).and_then(|mut file| file.write_all(content)).expect("ours");
    }

    #[test]
    fn pages_are_followed_and_what_is_no_page_or_leads_out_is_left() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join(PAGES_FOLDER);
        let mut folder = PageFolder::new(path.clone());
        assert!(!folder.look() && folder.troubled.is_empty());
        fs::create_dir_all(path.join("shop/a/b/c")).expect("ours");
        put(&path.join("404.html"), b"one");
        put(&path.join("shop/5xx.json"), b"{}");
        put(&path.join("shop/a/b/404.html"), b"deep");
        put(&path.join("shop/a/b/c/404.html"), b"too deep");
        put(&path.join("style.css"), b"no page");
        put(&path.join(".404.html.swp"), b"no page");
        put(&path.join("large.html"), &vec![b'x'; PageLibrary::PAGE_BYTES_MAX + 1]);
        put(&data.path().join("secret.html"), b"secret");
        symlink(data.path().join("secret.html"), path.join("500.html")).expect("ours");
        symlink(data.path(), path.join("out")).expect("ours");
        symlink("404.html", path.join("410.html")).expect("ours");
        symlink(path.join("shop/a"), path.join("linked")).expect("ours");
        assert!(folder.look() && !folder.look() && !folder.is_troubled_anew);
        for (page, is_there) in [
            ("404.html", true),
            ("410.html", true),
            ("shop/5xx.json", true),
            ("shop/a/b/404.html", true),
            ("shop/a/b/c/404.html", false),
            ("500.html", false),
            ("linked/b/404.html", true),
            ("out/secret.html", false),
            ("large.html", false),
        ] {
            assert_eq!(folder.pages.has_file(page), is_there, "{page}");
        }
        let troubled: Vec<&str> = folder.troubled.keys().map(|path| &**path).collect();
        assert_eq!(troubled, ["500.html", "large.html", "out"]);
        put(&path.join("404.html"), b"another");
        assert!(folder.look());
        fs::remove_file(path.join("shop/5xx.json")).expect("ours");
        assert!(folder.look() && !folder.pages.has_file("shop/5xx.json"));
    }

    #[test]
    fn a_folder_that_cannot_be_read_leaves_all_pages_as_they_were() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join(PAGES_FOLDER);
        fs::create_dir(&path).expect("ours");
        put(&path.join("404.html"), b"one");
        let mut folder = PageFolder::new(path.clone());
        assert!(folder.look());
        fs::rename(&path, data.path().join("elsewhere")).expect("ours");
        put(&path, b"not a folder");
        assert!(!folder.look() && folder.is_troubled_anew && folder.pages.has_file("404.html"));
        assert_eq!(folder.findings(&BTreeMap::new()).len(), 1);
    }

    #[test]
    fn pages_that_are_named_and_not_there_are_findings() {
        let label = |value: &str| {
            let labels = [("gangway.host", "a.test"), ("gangway.errors", value)];
            let labels = labels.map(|(key, value)| (key.into(), value.into())).into();
            let container = gangway_model::Container { labels, ..gangway_model::Container::named("a") };
            let container = container.reached_at("edge", [172, 20, 0, 3].into(), 8080);
            let snapshot = gangway_model::Snapshot { containers: vec![container], ..Default::default() };
            rules(&gangway_model::compile(&snapshot, &gangway_model::Settings::default()))
        };
        let mut folder = PageFolder::new("none".into());
        folder.pages.put("404.html", b"x".to_vec());
        folder.pages.put("shop/5xx.html", b"x".to_vec());
        let rules =
            label("404 -> errors/{status}.html; 410 -> errors/{status}.html; 500 -> errors/shop/; 501 -> errors/none/");
        let findings = folder.findings(&rules);
        let said: Vec<&str> = findings.iter().map(|finding| &*finding.message).collect();
        assert_eq!(said, ["there is no page at `errors/none`", "there is no page at `errors/{status}.html`"]);
        assert!(findings.iter().all(|finding| finding.code == codes::ERROR_PAGE_MISSING && finding.effect == STAYS));
    }
}
