//! Which diagnostics are new and which are resolved, for those who tell of each once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Add;
use std::time::Duration;

use crate::Diagnostic;

/// A container in a crash loop, or one that is being recreated, takes its diagnostics away and brings them back. A
/// diagnostic counts as resolved only if it stays away for this long.
const AWAY: Duration = Duration::from_secs(60);

/// The diagnostics that were told of and not resolved since. `T` is a time that only grows.
#[derive(Debug)]
pub struct KnownDiagnostics<T> {
    /// Since when each of them is no longer found. `None` while it is.
    known: BTreeMap<Diagnostic, Option<T>>,
}

/// What has changed since the last look.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct DiagnosticChanges {
    /// New ones, in the order in which they were found.
    pub found: Vec<Diagnostic>,
    /// Those that were resolved.
    pub resolved: Vec<Diagnostic>,
}

impl<T> Default for KnownDiagnostics<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new() }
    }
}

impl<T> FromIterator<Diagnostic> for KnownDiagnostics<T> {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(found: I) -> Self {
        Self { known: found.into_iter().map(|diagnostic| (diagnostic, None)).collect() }
    }
}

impl<T: Copy + Ord + Add<Duration, Output = T>> KnownDiagnostics<T> {
    /// Takes in all that is found now. `runs` tells whether a container of that name is running: then a diagnostic about it
    /// that is no longer found was resolved.
    pub fn changes<'d>(
        &mut self,
        now: T,
        found: impl Iterator<Item = &'d Diagnostic> + Clone,
        runs: impl Fn(&str) -> bool,
    ) -> DiagnosticChanges {
        let (mut changes, mut count) = (DiagnosticChanges::default(), 0);
        for diagnostic in found.clone() {
            count += 1;
            match self.known.get_mut(diagnostic) {
                Some(away) => *away = None,
                None => {
                    changes.found.push(diagnostic.clone());
                    self.known.insert(diagnostic.clone(), None);
                }
            }
        }
        // In most cases nothing goes away, and comparing is expensive because diagnostics are large.
        if self.known.len() == count {
            return changes;
        }
        let found: BTreeSet<&Diagnostic> = found.collect();
        self.known.retain(|diagnostic, away| {
            if found.contains(diagnostic) {
                return true;
            }
            let since = *away.get_or_insert(now);
            let may_return = diagnostic.place.container().is_some_and(|container| !runs(container));
            let stays = may_return && now < since + AWAY;
            if !stays {
                changes.resolved.push(diagnostic.clone());
            }
            stays
        });
        changes
    }

    /// The names of the containers with diagnostics.
    pub fn containers(&self) -> HashSet<&str> {
        self.known.keys().filter_map(|known| known.place.container()).collect()
    }

    /// When a diagnostic that stays away has to be looked at again.
    pub fn next_look(&self) -> Option<T> {
        self.known.values().flatten().min().map(|since| *since + AWAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Place};

    type Known = KnownDiagnostics<Duration>;

    fn about(container: &str) -> Diagnostic {
        Diagnostic::error(Code(104), Place::container_named(container), "unknown matcher `Hosts`")
    }

    fn found(containers: &[&str]) -> Vec<Diagnostic> {
        containers.iter().map(|container| about(container)).collect()
    }

    #[test]
    fn a_diagnostic_is_told_once_and_resolved_at_once() {
        let mut known = Known::default();
        let mut changes = |of: &[&str]| known.changes(Duration::ZERO, found(of).iter(), |_| true);
        assert_eq!(changes(&["", "a"]).found, found(&["", "a"]));
        assert_eq!(changes(&["a", ""]), DiagnosticChanges::default());
        assert_eq!(changes(&["a"]).resolved, found(&[""]));
        assert_eq!(changes(&[]).resolved, found(&["a"]));
        assert_eq!(changes(&["a"]).found, found(&["a"]));
    }

    #[test]
    fn what_was_there_before_is_not_told() {
        let mut known: Known = found(&["a"]).into_iter().collect();
        let changes = known.changes(Duration::ZERO, found(&["a", "b"]).iter(), |_| true);
        assert_eq!(changes.found, found(&["b"]));
        assert_eq!(known.containers(), HashSet::from(["a", "b"]));
    }

    #[test]
    fn in_a_crash_loop_a_diagnostic_is_told_once_and_resolved_once_it_stays_away() {
        let (mut known, mut told) = (Known::default(), Vec::new());
        for second in 0..600 {
            let is_up = second < 500 && second % 2 == 0;
            let found = found(if is_up { &["a"] } else { &[] });
            let changes = known.changes(Duration::from_secs(second), found.iter(), |_| is_up);
            told.extend(changes.found.iter().map(|_| (second, "found")));
            told.extend(changes.resolved.iter().map(|_| (second, "resolved")));
        }
        assert_eq!(told, [(0, "found"), (499 + 60, "resolved")]);
    }

    #[test]
    fn one_that_stays_away_is_looked_at_again() {
        let mut known = Known::default();
        known.changes(Duration::ZERO, found(&["a"]).iter(), |_| true);
        assert_eq!(known.next_look(), None);
        assert_eq!(known.changes(Duration::ZERO, [].iter(), |_| false), DiagnosticChanges::default());
        assert_eq!(known.next_look(), Some(AWAY));
        assert_eq!(known.changes(AWAY, [].iter(), |_| false).resolved, found(&["a"]));
        assert_eq!(known.next_look(), None);
    }
}
