//! What we found about what the user wrote.
//!
//! A [`Diagnostic`] names the place, the fix and the effect. Codes are stable promises; each is
//! documented in `docs/reference/diagnostics.md` and has a fixture.
//!
//! The text in which it is shown is made here once, so that the log, `check`, the API and the page say
//! the same.

mod render;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

pub use render::{pointed, printable};

use crate::codes;

/// A stable code such as `G104`. All of them, with titles, are listed by [`codes::all`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(pub u16);

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Something asked for is not in force.
    Error,
    /// In force, but surely not meant.
    Warning,
}

/// Where it was written.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The container's name, where the place is one. Empty for files.
    pub container: Box<str>,
    /// The compose project of the container, for people.
    pub project: Option<Box<str>>,
    /// The label's full key as written, or the key of a file's table. Empty where the container
    /// itself is meant.
    pub label: Box<str>,
    /// The file and the 1-based line and column of the value, for `check` and the config file.
    pub file: Option<FilePosition>,
}

/// A position in a file.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FilePosition {
    /// As the user named it.
    pub file: Box<str>,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
}

/// A byte range of a text.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One finding. Its `Display` is the text in which it is shown everywhere.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Diagnostic {
    /// Which kind of finding.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One clause, lower case, no full stop, the thing itself in backticks.
    pub message: String,
    /// Where.
    pub place: Place,
    /// The text that is pointed into: the label's value, or its key. Empty where nothing is pointed at.
    /// The value of a label that may hold a secret never stands here.
    pub text: String,
    /// The byte range of `text` under the caret.
    pub span: Span,
    /// What the caret says, such as `not a matcher`.
    pub note: String,
    /// Something to do.
    pub help: String,
    /// What we did instead. Never empty.
    pub effect: String,
}

/// Findings in a canonical order, without repeats: by place, then by position, then by code.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

/// One finding as plain texts and numbers, for programs: what the edges turn into JSON by hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plain<'d> {
    /// Such as `G104`.
    pub code: String,
    /// What the code means in general.
    pub title: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// One clause.
    pub message: &'d str,
    /// The container's name; none for files.
    pub container: Option<&'d str>,
    /// Its compose project.
    pub project: Option<&'d str>,
    /// The label's or the file's key.
    pub label: Option<&'d str>,
    /// The file.
    pub file: Option<&'d str>,
    /// 1-based.
    pub line: Option<u32>,
    /// 1-based, in characters.
    pub column: Option<u32>,
    /// What is pointed into.
    pub text: Option<&'d str>,
    /// First byte of `text` under the caret, and one past the last.
    pub span: Option<(usize, usize)>,
    /// What the caret says.
    pub note: &'d str,
    /// Something to do.
    pub help: &'d str,
    /// What we did instead.
    pub effect: &'d str,
    /// The whole as it is shown to people.
    pub shown: String,
}

impl Code {
    /// What it means in general: one line, lower case, no full stop. Empty for a code nobody registered.
    pub fn title(self) -> &'static str {
        codes::find(self).map_or("", |text| text.title)
    }
}

/// As it is written: `G104`.
impl Display for Code {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "G{:03}", self.0)
    }
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Diagnostic {
    /// The same as plain texts and numbers.
    pub fn plain(&self) -> Plain<'_> {
        let full = |text: &'_ str| !text.is_empty();
        let file = self.place.file.as_ref();
        let text = Some(self.text.as_str()).filter(|text| full(text));
        Plain {
            code: self.code.to_string(),
            title: self.code.title(),
            severity: self.severity.as_str(),
            message: &self.message,
            container: Some(&*self.place.container).filter(|name| full(name)),
            project: self.place.project.as_deref(),
            label: Some(&*self.place.label).filter(|key| full(key)),
            file: file.map(|at| &*at.file),
            line: file.map(|at| at.line),
            column: file.map(|at| at.column),
            text,
            span: text.map(|_| (self.span.start, self.span.end)),
            note: &self.note,
            help: &self.help,
            effect: &self.effect,
            shown: self.to_string(),
        }
    }
}

impl Diagnostics {
    /// Every finding, in the canonical order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Was nothing found?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are of each code and severity; those that do not occur are left out.
    pub fn counts(&self) -> BTreeMap<(Code, Severity), usize> {
        let mut counts = BTreeMap::new();
        for diagnostic in &self.0 {
            *counts.entry((diagnostic.code, diagnostic.severity)).or_default() += 1;
        }
        counts
    }

    /// These and others, in the canonical order: what the config file is found to say joins what labels
    /// are found to say.
    #[must_use]
    pub fn with(self, others: impl IntoIterator<Item = Diagnostic>) -> Self {
        self.0.into_iter().chain(others).collect()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(findings: I) -> Self {
        let mut findings: Vec<Diagnostic> = findings.into_iter().collect();
        findings.sort_by(|a, b| (&a.place, a.span, a).cmp(&(&b.place, b.span, b)));
        findings.dedup();
        Self(findings)
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'d> IntoIterator for &'d Diagnostics {
    type Item = &'d Diagnostic;
    type IntoIter = std::slice::Iter<'d, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// All of them as they are shown, with an empty line between two.
impl Display for Diagnostics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, diagnostic) in self.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            writeln!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: u16, container: &str) -> Diagnostic {
        Diagnostic {
            code: Code(code),
            severity: Severity::Error,
            message: String::new(),
            place: Place { container: container.into(), ..Place::default() },
            text: String::new(),
            span: Span::default(),
            note: String::new(),
            help: String::new(),
            effect: String::new(),
        }
    }

    #[test]
    fn the_order_is_canonical_and_nothing_is_repeated() {
        let all: Diagnostics = [found(2, "b"), found(1, "b"), found(3, "a"), found(1, "b")].into_iter().collect();
        let order: Vec<_> = all.iter().map(|found| (found.code.0, &*found.place.container)).collect();
        assert_eq!(order, [(3, "a"), (1, "b"), (2, "b")]);
        assert_eq!(all.counts()[&(Code(1), Severity::Error)], 1);
    }

    #[test]
    fn codes_have_three_digits() {
        assert_eq!(Code(1).to_string(), "G001");
        assert_eq!(Code(104).to_string(), "G104");
    }

    #[test]
    fn the_plain_form_leaves_out_what_is_not_there() {
        let found = found(104, "");
        let plain = found.plain();
        assert_eq!((plain.container, plain.label, plain.text, plain.span), (None, None, None, None));
        assert_eq!((plain.code.as_str(), plain.severity), ("G104", "error"));
    }
}
