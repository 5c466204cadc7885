//! All diagnostics of one state.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::severity::Severity;

/// Diagnostics in a canonical order, without repeats: by place, then by position in the text, then by code.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Every diagnostic, in the canonical order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// The number of diagnostics.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of diagnostics of each code and severity; those that do not occur are left out.
    pub fn counts(&self) -> BTreeMap<(Code, Severity), usize> {
        let mut counts = BTreeMap::new();
        for diagnostic in &self.0 {
            *counts.entry((diagnostic.code, diagnostic.severity)).or_default() += 1;
        }
        counts
    }

    /// These and others, in the canonical order. Findings about the configuration file join those about labels
    /// this way.
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

/// Every diagnostic as it is shown, with an empty line between two.
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
    use crate::place::Place;

    fn diagnostic(code: u16, container: &str) -> Diagnostic {
        Diagnostic::error(Code(code), Place::container_named(container), "")
    }

    #[test]
    fn the_order_is_canonical_and_nothing_is_repeated() {
        let all: Diagnostics =
            [diagnostic(2, "b"), diagnostic(1, "b"), diagnostic(3, "a"), diagnostic(1, "b")].into_iter().collect();
        let order: Vec<_> = all.iter().map(|found| (found.code.0, found.place.container())).collect();
        assert_eq!(order, [(3, Some("a")), (1, Some("b")), (2, Some("b"))]);
        assert_eq!(all.counts()[&(Code(1), Severity::Error)], 1);
    }
}
