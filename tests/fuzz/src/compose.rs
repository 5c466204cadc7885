//! Any set of compose files: no panic, every place lies inside its file, and the work is bounded.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use gangway_compose::{ComposeSnapshot, Environment, FileAccess, Input, Loader, service_sets};
use gangway_model::{Settings, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = Files::from_text(text);
    let mut loader = Loader::new(&files);
    let mut environment = Environment::default();
    environment.set("SET", "value");
    let environment = loader.environment_with_file(&environment, Path::new(".env")).unwrap_or(environment);
    let inputs: Vec<Input> = files.0.keys().filter(|path| is_compose_file(path)).cloned().map(Input::Path).collect();
    let project = loader.project(&inputs, environment.clone()).expect("each of the files exists");
    let mut found = loader.take_diagnostics();
    let sets = service_sets(&project, &environment);
    let snapshots = sets.iter().map(|set| ComposeSnapshot::of_services(&project, set));
    for compose in snapshots.chain([ComposeSnapshot::new(&project)]) {
        let compiled = compile(&compose.snapshot, &Settings::default());
        if let Some(start) = loader.start() {
            found.extend(
                compiled
                    .diagnostics
                    .iter()
                    .filter_map(|diagnostic| compose.locate(loader.sources(), diagnostic, &start)),
            );
        }
    }
    for diagnostic in &found {
        let at = &diagnostic.span;
        assert!(loader.sources().text(at.file).get(at.start..at.end).is_some(), "outside of its file: {diagnostic:?}");
    }
});

/// Files in memory. A line `#@ name` begins a file; the text before the first one is `compose.yaml`.
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    fn from_text(text: &str) -> Self {
        let mut files = BTreeMap::new();
        let mut name = PathBuf::from("compose.yaml");
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("#@ ") {
                Some(next) => name = normalized(Path::new(next.trim_end())),
                None => *files.entry(name.clone()).or_insert_with(String::new) += line,
            }
        }
        Self(files)
    }
}

impl FileAccess for Files {
    fn read(&self, input: &Input, _len_max: u64) -> io::Result<Vec<u8>> {
        let text = match input {
            Input::Path(path) => self.0.get(&normalized(path)),
            Input::Stdin => None,
        };
        text.map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let path = normalized(path);
        self.0.keys().any(|file| file.starts_with(&path)).then(|| Path::new("/project").join(path))
    }
}

/// The files that are loaded by themselves, and not only because another one names them.
fn is_compose_file(path: &Path) -> bool {
    path.parent() == Some(Path::new("")) && path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// A path without dots.
fn normalized(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => drop(result.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    result
}
