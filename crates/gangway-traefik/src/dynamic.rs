//! What the file provider reads.
//!
//! A file is a template first: `{{ env "X" }}` and what [`GoTemplate`] knows. What it gives is YAML or TOML, which
//! becomes flat keys with their places in the file as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gangway_diagnostic::{Diagnostic, FilePosition, Place, codes, printable};
use gangway_model::{DynamicKey, GoTemplate, Rendered, TemplateData, TemplateError};

use crate::config::FileProvider;
use crate::entry::{Entry, EntryValue};
use crate::file::{Form, SourceFile, read_file};
use crate::files_on_disk::{CONFIGURATION_LEN_MAX, read_text};

/// Folders inside each other that are looked into.
const DEPTH_MAX: usize = 16;

/// Files that are read of one folder; more are surely not meant.
const FILES_MAX: usize = 1000;

const LAST_STAYS: &str = "what the file gave before stays in force, and at the start nothing of it is";

/// The files of a file provider, with what each gave when it was last good.
///
/// Reading again keeps what a file gave before if it is broken now, and drops what a file gave that is gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DynamicFiles {
    good: BTreeMap<PathBuf, Vec<DynamicKey>>,
    diagnostics: Vec<Diagnostic>,
}

/// The texts of all files as they are on disk at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DynamicFolder {
    files: BTreeMap<PathBuf, Result<String, Unread>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Unread {
    why: String,
    help: &'static str,
    /// Whether it is a folder, of which files may be missing.
    is_folder: bool,
}

impl DynamicFolder {
    /// Reads the files that a provider names: all of `directory` that end in `.yml`, `.yaml` or `.toml`, also in folders
    /// below it, or `filename`. Errors are kept as values; two readings are equal if nothing has changed.
    pub fn read(provider: &FileProvider) -> Self {
        let mut folder = Self { files: BTreeMap::new() };
        match (&provider.directory, &provider.filename) {
            (Some(directory), _) => folder.walk(directory, DEPTH_MAX),
            (None, Some(file)) => folder.add(file),
            (None, None) => {}
        }
        folder
    }

    /// The paths of the files, and of folders that cannot be read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    fn walk(&mut self, directory: &Path, levels: usize) {
        let Some(levels) = levels.checked_sub(1) else { return };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let help = "check the path; in a container, the folder must be mounted";
                let unread = Unread { why: error.to_string(), help, is_folder: true };
                self.files.insert(directory.to_owned(), Err(unread));
                return;
            }
        };
        // A link to a folder is not followed, as by Traefik: it may lead to where it stands.
        let mut found: Vec<(PathBuf, bool)> = entries
            .filter_map(Result::ok)
            .map(|entry| (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir())))
            .collect();
        found.sort_unstable();
        for (path, is_folder) in found {
            if is_folder {
                self.walk(&path, levels);
            } else if self.files.len() < FILES_MAX && !path.is_dir() && Form::of(&path.to_string_lossy()).is_some() {
                self.add(&path);
            }
        }
    }

    fn add(&mut self, path: &Path) {
        let text = read_text(path, CONFIGURATION_LEN_MAX).map_err(|error| Unread {
            why: error.to_string(),
            help: error.help(),
            is_folder: false,
        });
        self.files.insert(path.to_owned(), text);
    }
}

impl DynamicFiles {
    /// What the files give now. A file that cannot be used gives what it gave in `self`.
    #[must_use]
    pub fn updated(&self, folder: &DynamicFolder, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut updated = Self::default();
        for (path, text) in &folder.files {
            let gave = self.good.get(path).is_some_and(|keys| !keys.is_empty());
            let read = match text {
                // A full disk, or a slow writer, leaves an empty file. A user who wants nothing can write a comment.
                Ok(text) if text.trim().is_empty() && gave => Err(Box::new(about(
                    path,
                    format!("`{}` is empty now", path.display()),
                    "write a comment into it if you want nothing of it, or remove it",
                ))),
                Ok(text) => keys(path, text, variable),
                Err(unread) => Err(Box::new(about(
                    path,
                    format!("`{}` cannot be read: {}", path.display(), unread.why),
                    unread.help,
                ))),
            };
            let is_folder = matches!(text, Err(Unread { is_folder: true, .. }));
            match read {
                Ok(keys) => _ = updated.good.insert(path.clone(), keys),
                Err(broken) => {
                    updated.diagnostics.push(*broken);
                    // A folder that cannot be read is not an empty one.
                    let kept =
                        self.good.iter().filter(|(good, _)| *good == path || is_folder && good.starts_with(path));
                    updated.good.extend(kept.map(|(path, keys)| (path.clone(), keys.clone())));
                }
            }
        }
        updated.diagnostics.extend(updated.again());
        updated
    }

    /// The keys of all files, by the paths of the files. What several files declare under one name is what the first of
    /// them says.
    pub fn keys(&self) -> Vec<DynamicKey> {
        let declared_in = self.declared_in();
        let keys = self.good.iter().flat_map(|(path, keys)| keys.iter().map(move |key| (path, key)));
        let is_first = |(path, key): &(&PathBuf, &DynamicKey)| {
            declared(key).is_none_or(|name| declared_in.get(&name).is_none_or(|first| first == path))
        };
        keys.filter(is_first).map(|(_, key)| key.clone()).collect()
    }

    /// The first file of each name.
    fn declared_in(&self) -> BTreeMap<Vec<String>, &PathBuf> {
        let mut first = BTreeMap::new();
        for (path, keys) in &self.good {
            for name in keys.iter().filter_map(declared) {
                first.entry(name).or_insert(path);
            }
        }
        first
    }

    /// What is declared again.
    fn again(&self) -> Vec<Diagnostic> {
        let first = self.declared_in();
        let mut told = BTreeSet::new();
        let mut again = Vec::new();
        for (path, keys) in &self.good {
            for key in keys {
                let Some(name) = declared(key).filter(|name| first.get(name).is_some_and(|first| *first != path))
                else {
                    continue;
                };
                if told.insert((path, name.clone())) {
                    let (place, written) = (key.place.clone(), key.path[..name.len()].join("."));
                    let message =
                        format!("`{}` is declared in `{}` already", printable(&written), first[&name].display());
                    let finding = Diagnostic::error(codes::TRAEFIK_NAME_TAKEN, place, message)
                        .with_help("give it another name, or write all of it into one file")
                        .with_effect("what this file says of it does nothing");
                    again.push(finding);
                }
            }
        }
        again
    }

    /// What is wrong with files.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// The way to the named thing that a key belongs to, in lower case, such as `http`, `routers`, `x`. None where it
/// belongs to a list or is for all, to which each file adds.
fn declared(key: &DynamicKey) -> Option<Vec<String>> {
    let way: Vec<String> = key.path.iter().take(3).map(|name| name.to_ascii_lowercase()).collect();
    match way.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["http" | "tcp" | "udp", _, _] | ["tls", "options" | "stores", _] => Some(way),
        _ => None,
    }
}

fn about(path: &Path, message: String, help: &str) -> Diagnostic {
    let at = FilePosition { file: path.display().to_string().into(), line: 1, column: 1 };
    Diagnostic::warning(codes::TRAEFIK_FILE_BROKEN, Place::ConfigFile { key: None, at }, message)
        .with_help(help)
        .with_effect(LAST_STAYS)
}

fn keys(
    path: &Path,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<DynamicKey>, Box<Diagnostic>> {
    let name = path.display().to_string();
    let form = Form::of(&name).ok_or_else(|| {
        let help = "name a file that ends in `.yml`, `.yaml` or `.toml`";
        Box::new(about(path, format!("`{name}` is neither YAML nor TOML"), help))
    })?;
    // A file without a template is read as it is, however long its lines are.
    let rendered: Option<Rendered> = match text.contains("{{") {
        true => {
            let template = GoTemplate::parse(text);
            let rendered =
                template.and_then(|template| template.render_with_origins(&TemplateData { container: None, variable }));
            Some(rendered.map_err(|error| Box::new(broken_template(&name, text, &error)))?)
        }
        false => None,
    };
    let origin = |byte: usize| rendered.as_ref().map_or(byte, |rendered| rendered.origin(byte));
    let given = rendered.as_ref().map_or(text, |rendered| &rendered.text);
    let source = SourceFile { name: &name, text: given, original: text, origin: &origin };
    let entries = read_file(&source, form, LAST_STAYS)?;
    Ok(entries.into_iter().map(key).collect())
}

fn key(entry: Entry) -> DynamicKey {
    let value = match entry.value {
        EntryValue::Text(text) => text,
        EntryValue::Null | EntryValue::EmptyMap | EntryValue::EmptyList => Box::default(),
    };
    DynamicKey { path: entry.path, value, place: entry.value_place }
}

fn broken_template(name: &str, text: &str, error: &TemplateError) -> Diagnostic {
    let offset = text.floor_char_boundary(error.offset);
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    let at = FilePosition {
        file: name.into(),
        line: number(before.matches('\n').count()),
        column: number(before[line_start..].chars().count()),
    };
    // The rest of the line may hold a secret; the action itself names one at most.
    let end = text.floor_char_boundary(error.span().end).min(line_start + line.len()).max(offset);
    let shown = &text[offset..end];
    let place = Place::ConfigFile { key: None, at };
    let diagnostic = Diagnostic::warning(codes::TRAEFIK_TEMPLATE_BROKEN, place, error.message.clone());
    let diagnostic = if shown.is_empty() { diagnostic } else { diagnostic.with_caret(shown, 0..shown.len(), "here") };
    diagnostic.with_help(error.help.clone()).with_effect(LAST_STAYS)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn put(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::File::create(path).expect("a file").write_all(text.as_bytes()).expect("a file");
    }

    fn variable(name: &str) -> Option<String> {
        (name == "DOMAIN").then(|| "home.test".to_owned())
    }

    fn shown(files: &DynamicFiles) -> Vec<String> {
        files
            .keys()
            .iter()
            .map(|key| {
                let line = key.place.position().map_or(0, |at| at.line);
                format!("{}={} {line}", key.path.join("/"), key.value)
            })
            .collect()
    }

    #[test]
    fn a_folder_is_read_with_what_is_below_it_and_templates_are_filled_in() {
        let folder = tempfile::tempdir().expect("a folder");
        put(
            &folder.path().join("b.yml"),
            "http:\n  routers:\n    a:\n      # {{/* no */}}\n      rule: Host(`a.{{ env \"DOMAIN\" }}`)\n      tls: {}\n",
        );
        put(
            &folder.path().join("sub/a.toml"),
            "[http.services.s.loadBalancer]\n[[http.services.s.loadBalancer.servers]]\nurl = \"http://x\"\n",
        );
        put(&folder.path().join("notes.txt"), "not: read");
        let provider = FileProvider { directory: Some(folder.path().into()), ..FileProvider::default() };
        let files = DynamicFiles::default().updated(&DynamicFolder::read(&provider), &variable);
        assert_eq!(files.diagnostics(), []);
        assert_eq!(
            shown(&files),
            [
                "http/routers/a/rule=Host(`a.home.test`) 5",
                "http/routers/a/tls= 6",
                "http/services/s/loadBalancer/servers/[0]/url=http://x 3",
            ]
        );
    }

    #[test]
    fn a_broken_file_keeps_what_it_gave_and_a_file_that_is_gone_gives_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("a.yml"), folder.path().join("b.yml"));
        put(&a, "a: 1\n");
        put(&b, "b: 1\n");
        let provider = FileProvider { directory: Some(folder.path().into()), ..FileProvider::default() };
        let read = |before: &DynamicFiles| before.updated(&DynamicFolder::read(&provider), &variable);
        let first = read(&DynamicFiles::default());
        assert_eq!(shown(&first), ["a=1 1", "b=1 1"]);
        for (broken, code) in [
            (" \n", codes::TRAEFIK_FILE_BROKEN),
            ("a: [", codes::TRAEFIK_FILE_BROKEN),
            ("a: {{ range . }}", codes::TRAEFIK_TEMPLATE_BROKEN),
            ("a: {{ nope }}", codes::TRAEFIK_TEMPLATE_BROKEN),
        ] {
            put(&a, broken);
            let second = read(&first);
            assert_eq!(shown(&second), ["a=1 1", "b=1 1"], "{broken}");
            assert_eq!(second.diagnostics().iter().map(|found| found.code).collect::<Vec<_>>(), [code], "{broken}");
        }
        std::fs::remove_file(&a).expect("a file");
        assert_eq!(shown(&read(&first)), ["b=1 1"]);
        drop(folder);
        let gone = read(&first);
        assert_eq!((shown(&gone).len(), gone.diagnostics().len()), (2, 1));
    }

    #[test]
    fn the_first_file_of_a_name_says_all_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        put(
            &folder.path().join("a.yml"),
            "http:\n  routers:\n    x:\n      rule: a\ntls:\n  certificates:\n    - certFile: a\n",
        );
        put(
            &folder.path().join("b.yml"),
            "http:\n  routers:\n    X:\n      middlewares: open\n      tls: {}\n    y:\n      rule: b\ntls:\n  certificates:\n    - certFile: b\n",
        );
        let provider = FileProvider { directory: Some(folder.path().into()), ..FileProvider::default() };
        let files = DynamicFiles::default().updated(&DynamicFolder::read(&provider), &variable);
        assert_eq!(
            shown(&files),
            [
                "http/routers/x/rule=a 4",
                "tls/certificates/[0]/certFile=a 7",
                "http/routers/y/rule=b 7",
                "tls/certificates/[0]/certFile=b 10"
            ]
        );
        let [again] = files.diagnostics() else { panic!("one finding: {:?}", files.diagnostics()) };
        assert_eq!((again.code, again.place.position().map(|at| at.line)), (codes::TRAEFIK_NAME_TAKEN, Some(4)));
        assert!(again.message.starts_with("`http.routers.X` is declared in"), "{}", again.message);
    }

    #[test]
    fn pipes_and_links_to_folders_hold_nothing_up() {
        let folder = tempfile::tempdir().expect("a folder");
        put(&folder.path().join("a.yml"), "a: 1\n");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).expect("a link");
        std::os::unix::fs::symlink("a.yml", folder.path().join("linked.yml")).expect("a link");
        let pipe = folder.path().join("pipe.yml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it can be run");
        assert!(made.success());
        let provider = FileProvider { directory: Some(folder.path().into()), ..FileProvider::default() };
        let files = DynamicFiles::default().updated(&DynamicFolder::read(&provider), &variable);
        assert_eq!(shown(&files), ["a=1 1", "a=1 1"]);
        let [pipe] = files.diagnostics() else { panic!("one finding: {:?}", files.diagnostics()) };
        assert!(pipe.message.ends_with("cannot be read: it is no regular file"), "{}", pipe.message);
    }

    #[test]
    fn one_file_is_read_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yml");
        put(&file, "a: 1\n");
        let provider = FileProvider { filename: Some(file.clone()), ..FileProvider::default() };
        let first = DynamicFiles::default().updated(&DynamicFolder::read(&provider), &variable);
        assert_eq!(shown(&first), ["a=1 1"]);
        std::fs::remove_file(&file).expect("a file");
        let second = first.updated(&DynamicFolder::read(&provider), &variable);
        assert_eq!((shown(&second).len(), second.diagnostics()[0].code), (1, codes::TRAEFIK_FILE_BROKEN));
    }
}
