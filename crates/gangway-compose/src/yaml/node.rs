//! The tree that a YAML text becomes.

use std::ops::Range;

use crate::source_map::{FileId, FileSpan};
use crate::spanned_text::SpannedText;

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) file: FileId,
    /// The bytes that were written for it.
    pub(crate) range: Range<usize>,
    pub(crate) tag: Option<MergeTag>,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    Scalar(SpannedText),
    List(Vec<Node>),
    /// In the order written. Keys are unique.
    Map(Vec<(SpannedText, Node)>),
}

/// A tag of compose's own, which says how files are merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MergeTag {
    /// `!reset`: as if it had never been set.
    Reset,
    /// `!override`: this instead of what was there.
    Override,
}

/// An error of the YAML syntax, or of a bound.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) help: String,
    /// The bytes of the text that are wrong.
    pub(crate) range: Range<usize>,
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.as_str() == key).map(|(_, node)| node)
    }

    /// The entries of a mapping. Every other node has none.
    pub(crate) fn entries(&self) -> &[(SpannedText, Self)] {
        if let NodeKind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// The items of a list. Every other node has none.
    pub(crate) fn items(&self) -> &[Self] {
        if let NodeKind::List(items) = &self.kind { items } else { &[] }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&SpannedText> {
        if let NodeKind::Scalar(text) = &self.kind { Some(text) } else { None }
    }

    pub(crate) fn span(&self) -> FileSpan {
        FileSpan::new(self.file, self.range.clone())
    }

    /// Whether this is a scalar with the given text.
    pub(crate) fn is_scalar(&self, expected: &str) -> bool {
        self.text().is_some_and(|text| text.as_str() == expected)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }
}
