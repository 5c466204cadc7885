//! Compose files in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use gangway_compose::{FileAccess, Input};

/// Files by their path without dots. The current folder is `/home/shop`.
#[derive(Debug, Default)]
pub struct MemoryFiles(BTreeMap<PathBuf, Vec<u8>>);

impl MemoryFiles {
    /// The given files, each with its text.
    pub fn new<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let bytes = |(path, text): (&str, &str)| (without_dots(Path::new(path)), text.as_bytes().to_vec());
        Self(files.into_iter().map(bytes).collect())
    }

    /// The same with another file.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(without_dots(Path::new(path)), bytes.into());
        self
    }
}

impl FileAccess for MemoryFiles {
    fn read(&self, input: &Input, len_max: u64) -> io::Result<Vec<u8>> {
        let Input::Path(path) = input else { return Err(io::ErrorKind::Unsupported.into()) };
        let bytes = self.0.get(&without_dots(path)).ok_or(io::ErrorKind::NotFound)?;
        let len = usize::try_from(len_max).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[..len].to_vec())
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let path = without_dots(path);
        self.0.keys().any(|file| file.starts_with(&path)).then(|| Path::new("/home/shop").join(path))
    }
}

fn without_dots(path: &Path) -> PathBuf {
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
