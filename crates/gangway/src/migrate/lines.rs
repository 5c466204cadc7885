//! Edits of a text by whole lines.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What becomes of the lines of one file. Lines are counted from 1.
#[derive(Debug, Default)]
pub(super) struct FileEdits {
    removed: BTreeSet<usize>,
    /// What stands before a line.
    inserted: BTreeMap<usize, Vec<String>>,
    /// Parts of lines that are replaced, by their bytes in the file.
    replaced: BTreeMap<usize, (usize, String)>,
}

impl FileEdits {
    pub(super) fn remove(&mut self, lines: Range<usize>) {
        self.removed.extend(lines);
    }

    /// Puts lines before a line, behind those that were put there before.
    pub(super) fn insert(&mut self, before: usize, lines: Vec<String>) {
        self.inserted.entry(before).or_default().extend(lines);
    }

    /// Replaces bytes within a line.
    pub(super) fn replace(&mut self, bytes: Range<usize>, text: String) {
        self.replaced.insert(bytes.start, (bytes.end, text));
    }

    /// The text after all of it.
    pub(super) fn applied(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut start = 0;
        let mut number = 0;
        for line in text.split_inclusive('\n') {
            number += 1;
            self.put(number, &mut result);
            if !self.removed.contains(&number) {
                let mut at = start;
                for (from, (to, new)) in self.replaced.range(start..start + line.len()) {
                    result.push_str(&text[at..*from]);
                    result.push_str(new);
                    at = *to;
                }
                result.push_str(&text[at..start + line.len()]);
            }
            start += line.len();
        }
        if self.inserted.range(number + 1..).next().is_some() && !result.is_empty() && !result.ends_with('\n') {
            result.push('\n');
        }
        self.inserted.range(number + 1..).for_each(|(at, _)| self.put(*at, &mut result));
        result
    }

    fn put(&self, before: usize, result: &mut String) {
        for line in self.inserted.get(&before).into_iter().flatten() {
            result.push_str(line);
            result.push('\n');
        }
    }
}

/// The line of a key, at or above a line, if what stands behind the key is between brackets.
pub(super) fn flow_head(text: &dyn Fn(usize) -> String, line: usize, key: &str) -> Option<usize> {
    let head = (1..=line).rev().find(|line| text(*line).trim_start().starts_with(key))?;
    let behind = text(head).trim_start()[key.len()..].trim_start().to_owned();
    behind.starts_with(['[', '{']).then_some(head)
}

/// The line on which brackets close whose last item is on this line.
pub(super) fn flow_end(text: &dyn Fn(usize) -> String, last: usize, lines: usize) -> usize {
    let is_close = |line: usize| line <= lines && matches!(text(line).trim(), "]" | "}");
    if is_close(last + 1) { last + 1 } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_removed_inserted_and_replaced() {
        let mut edits = FileEdits::default();
        edits.remove(2..4);
        edits.insert(2, vec!["new".into()]);
        edits.insert(2, vec!["newer".into()]);
        edits.replace(0..1, "x".into());
        edits.insert(9, vec!["last".into()]);
        assert_eq!(edits.applied("abc\nb\nc\nd"), "xbc\nnew\nnewer\nd\nlast\n");
        assert_eq!(FileEdits::default().applied("a\r\nb"), "a\r\nb");
    }
}
