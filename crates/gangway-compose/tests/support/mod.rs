//! Compose files in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use gangway_compose::{FileAccess, Input};

/// Files by their path without dots. The current folder is `/home/shop`.
#[derive(Debug)]
pub(crate) struct MemoryFiles(BTreeMap<PathBuf, Vec<u8>>);

impl MemoryFiles {
    /// The given files, each with its bytes.
    pub(crate) fn new<P: AsRef<Path>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        Self(files.into_iter().map(|(path, bytes)| (without_dots(path.as_ref()), bytes.into())).collect())
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
