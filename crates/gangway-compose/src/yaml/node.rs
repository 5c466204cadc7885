//! The tree that a YAML text becomes.

use std::ops::Range;

use crate::source_map::{FileId, FileSpan};
use crate::spanned_text::SpannedText;

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its content.
    pub kind: NodeKind,
    /// The file that it was written in.
    pub file: FileId,
    /// The bytes that were written for it.
    pub range: Range<usize>,
    /// A tag of compose's own.
    pub tag: Option<MergeTag>,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, number or truth value, as a text.
    Scalar(SpannedText),
    /// Its items.
    List(Vec<Node>),
    /// In the order written. Keys are unique.
    Map(Vec<(SpannedText, Node)>),
}

/// A tag of compose's own, which says how files are merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MergeTag {
    /// `!reset`: as if it had never been set.
    Reset,
    /// `!override`: this instead of what was there.
    Override,
}

/// An error of the YAML syntax, or of a bound.
#[derive(Debug, Eq, PartialEq)]
pub struct YamlError {
    /// One clause, lower case, no full stop.
    pub message: String,
    /// Something to do.
    pub help: String,
    /// The bytes of the text that are wrong.
    pub range: Range<usize>,
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.as_str() == key).map(|(_, node)| node)
    }

    /// The entries of a mapping. Every other node has none.
    pub fn entries(&self) -> &[(SpannedText, Self)] {
        if let NodeKind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// The items of a list. Every other node has none.
    pub fn items(&self) -> &[Self] {
        if let NodeKind::List(items) = &self.kind { items } else { &[] }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&SpannedText> {
        if let NodeKind::Scalar(text) = &self.kind { Some(text) } else { None }
    }

    /// The bytes that were written for it, in their file.
    pub fn span(&self) -> FileSpan {
        FileSpan::new(self.file, self.range.clone())
    }

    /// Whether this is a scalar with the given text.
    pub fn is_scalar(&self, expected: &str) -> bool {
        self.text().is_some_and(|text| text.as_str() == expected)
    }

    /// Whether nothing was written.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }
}
