//! What it takes to read one file: where it stands, its variables, and where findings go.

use std::path::{Path, PathBuf};

use gangway_model::codes::FILE_UNREADABLE;

use super::dotenv;
use super::finding::Finding;
use super::source::{FILES_MAX, FileId, Files, Origin, ReadError, Spot};
use super::text::Text;
use super::variables::Environment;

/// The surroundings of one compose file.
pub(super) struct Reading<'a> {
    pub(super) files: &'a mut Files,
    pub(super) findings: &'a mut Vec<Finding>,
    pub(super) environment: &'a Environment,
    /// Relative paths start here.
    pub(super) folder: &'a Path,
}

impl Reading<'_> {
    /// The lines of an `env_file` or `label_file`. A name alone without a value is left out.
    pub(super) fn lines(&mut self, path: &Text) -> Result<Vec<(Text, Text)>, ReadError> {
        let (id, text) = open(self.files, &Origin::Path(self.folder.join(path.as_str())))?;
        let (lines, bad) = dotenv::parse(id, &text, self.environment);
        self.findings.extend(bad.into_iter().map(|range| bad_line(id, range)));
        Ok(lines.into_iter().filter_map(|line| Some((line.key, line.value?))).collect())
    }
}

/// Variables of an environment and below them those of a `.env` file, if there is one.
pub(super) fn with_env_file(
    files: &mut Files,
    findings: &mut Vec<Finding>,
    environment: &Environment,
    path: PathBuf,
) -> Result<Environment, ReadError> {
    let (id, text) = open(files, &Origin::Path(path))?;
    let (lines, bad) = dotenv::parse(id, &text, environment);
    findings.extend(bad.into_iter().map(|range| bad_line(id, range)));
    let mut result = environment.clone();
    // The later of two lines wins, the process over both.
    for line in lines.iter().rev() {
        if let Some(value) = &line.value {
            result.add(line.key.as_str(), value.as_str());
        }
    }
    Ok(result)
}

/// Reads a file and keeps it.
pub(super) fn open(files: &mut Files, origin: &Origin) -> Result<(FileId, String), ReadError> {
    if files.len() >= FILES_MAX {
        return Err(ReadError::TooMany);
    }
    let text = origin.read()?;
    Ok((files.add(origin.name(), text.clone()), text))
}

fn bad_line(file: FileId, range: std::ops::Range<usize>) -> Finding {
    Finding::error(FILE_UNREADABLE, Spot::new(file, range), "this line is no `KEY=value`")
        .help("write one `KEY=value` a line, and close quotes; `#` begins a comment")
        .effect("compose starts nothing with this file; the line was left out here")
}
