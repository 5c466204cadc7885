//! The state of one load: the files that were read, and the diagnostics about them.

use std::path::{Path, PathBuf};

use gangway_diagnostic::codes::FILE_UNREADABLE;

use crate::dotenv::{self, Assignment};
use crate::environment::Environment;
use crate::file_access::{FILES_MAX, FileAccess, FileError, Input, is_same_file, read_text};
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::{FileId, FileSpan, SourceMap};

/// The files that were read, and the diagnostics about them.
pub(crate) struct LoadSession<'f> {
    pub(crate) files: &'f dyn FileAccess,
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Vec<SourceDiagnostic>,
}

impl<'f> LoadSession<'f> {
    pub(crate) fn new(files: &'f dyn FileAccess) -> Self {
        Self { files, sources: SourceMap::default(), diagnostics: Vec::new() }
    }

    /// Reads a file and keeps its text.
    pub(crate) fn open(&mut self, input: &Input) -> Result<FileId, FileError> {
        if self.sources.len() >= FILES_MAX {
            return Err(FileError::TooMany);
        }
        let text = read_text(self.files, input)?;
        Ok(self.sources.add(input.name(), text))
    }

    /// The assignments of a `.env` file, an `env_file` or a `label_file`. Lines that are none become diagnostics.
    pub(crate) fn assignments(
        &mut self,
        path: PathBuf,
        environment: &Environment,
    ) -> Result<Vec<Assignment>, FileError> {
        let id = self.open(&Input::Path(path))?;
        let (assignments, bad) = dotenv::parse(id, self.sources.text(id), environment);
        let sources = &self.sources;
        self.diagnostics.extend(bad.into_iter().map(|range| bad_line(sources, FileSpan::new(id, range))));
        Ok(assignments)
    }

    /// The variables of an environment, and below them those of a `.env` file.
    pub(crate) fn environment_with_file(
        &mut self,
        environment: &Environment,
        path: PathBuf,
    ) -> Result<Environment, FileError> {
        let assignments = self.assignments(path, environment)?;
        let mut result = environment.clone();
        // The later of two lines wins, and the given environment wins over both.
        for assignment in assignments.iter().rev() {
            if let Some(value) = &assignment.value {
                result.set_default(assignment.key.as_str(), value.as_str());
            }
        }
        Ok(result)
    }

    /// Whether two paths lead to the same file, as far as that can be known.
    pub(crate) fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        is_same_file(self.files, one, other)
    }
}

fn bad_line(sources: &SourceMap, span: FileSpan) -> SourceDiagnostic {
    SourceDiagnostic::error(sources, FILE_UNREADABLE, span, "this line is no `KEY=value`")
        .with_help("write one `KEY=value` a line, and close quotes; `#` begins a comment")
        .with_effect("compose starts nothing with this file; the line was left out here")
}
