//! The files that were read, and where in them a byte stands.
//!
//! Everything found later points into these, so they are kept whole until the report is written.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Larger files are not compose files. It bounds what one `check` reads into memory, whatever it is
/// pointed at.
pub(super) const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// Files that may be drawn in by `include`, `extends`, `env_file` and `label_file` together.
pub(super) const FILES_MAX: usize = 256;

/// One of [`Files`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct FileId(usize);

/// A byte range of one file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Spot {
    pub(super) file: FileId,
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
}

impl Spot {
    pub(super) fn new(file: FileId, range: Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end.max(range.start) }
    }
}

/// A line and column as people count them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Position {
    /// 1-based.
    pub(super) line: usize,
    /// 1-based, in characters.
    pub(super) column: usize,
}

/// All files of one `check`.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<File>);

#[derive(Debug)]
struct File {
    name: String,
    text: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl Files {
    /// Keeps a text under the name that the user knows it by.
    pub(super) fn add(&mut self, name: String, text: String) -> FileId {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.0.push(File { name, text, lines });
        FileId(self.0.len() - 1)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn text(&self, id: FileId) -> &str {
        &self.0[id.0].text
    }

    pub(super) fn name(&self, id: FileId) -> &str {
        &self.0[id.0].name
    }

    /// Line and column of a byte; one past the end where the byte is behind the text.
    pub(super) fn position(&self, id: FileId, byte: usize) -> Position {
        let file = &self.0[id.0];
        let byte = floor_boundary(&file.text, byte);
        let line = file.lines.partition_point(|start| *start <= byte);
        let column = file.text[file.lines[line - 1]..byte].chars().count() + 1;
        Position { line, column }
    }

    /// The line without its end, and the byte at which it begins. `line` is 1-based.
    pub(super) fn line(&self, id: FileId, line: usize) -> (&str, usize) {
        let file = &self.0[id.0];
        let start = file.lines[line - 1];
        let end = file.lines.get(line).copied().unwrap_or(file.text.len());
        (file.text[start..end].trim_end_matches(['\n', '\r']), start)
    }
}

/// The nearest character boundary at or before `byte`.
pub(super) fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// Where a text comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    Stdin,
    Path(PathBuf),
}

impl Origin {
    /// As it is shown.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".into(),
            Self::Path(path) => path.display().to_string(),
        }
    }

    /// The folder that relative paths start from. Empty means the current one.
    pub(super) fn folder(&self) -> PathBuf {
        match self {
            Self::Stdin => PathBuf::new(),
            Self::Path(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }

    /// Reads the whole text, without a byte order mark. Anything too long or not in UTF-8 is refused.
    pub(super) fn read(&self) -> Result<String, ReadError> {
        let bytes = match self {
            Self::Stdin => bounded(io::stdin().lock()),
            Self::Path(path) => std::fs::File::open(path).and_then(bounded),
        }
        .map_err(ReadError::Unreadable)?;
        if bytes.len() as u64 > FILE_LEN_MAX {
            return Err(ReadError::TooLong);
        }
        let text = String::from_utf8(bytes).map_err(|error| ReadError::NotUtf8(error.utf8_error().valid_up_to()))?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads well after `failed to read FILE: `.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{}", plain(.0))]
    Unreadable(io::Error),
    #[error("it is larger than {} MiB", FILE_LEN_MAX / 1024 / 1024)]
    TooLong,
    #[error("byte {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("more than {FILES_MAX} files are drawn in")]
    TooMany,
}

impl ReadError {
    /// Whether the file plainly does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The system's words without its number: `No such file or directory (os error 2)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let mut files = Files::default();
        let id = files.add("compose.yaml".into(), "a: b\r\n  ü: x\n".into());
        let at = |byte| {
            let position = files.position(id, byte);
            (position.line, position.column)
        };
        assert_eq!([at(0), at(3), at(6), at(8), at(10)], [(1, 1), (1, 4), (2, 1), (2, 3), (2, 4)]);
        assert_eq!(files.line(id, 1).0, "a: b");
        assert_eq!(files.line(id, 2).0, "  ü: x");
    }

    #[test]
    fn a_position_inside_a_character_or_behind_the_end_does_not_panic() {
        let mut files = Files::default();
        let id = files.add("compose.yaml".into(), "ü".into());
        assert_eq!(files.position(id, 1).column, 1);
        assert_eq!(files.position(id, 99).column, 2);
    }
}
