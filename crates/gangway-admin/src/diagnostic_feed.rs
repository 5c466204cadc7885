//! Which findings are new and which are resolved since the last look.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use gangway_diagnostic::Diagnostic;
use tokio::time::Instant;

/// A container in a crash loop, or one that is being recreated, takes its findings away and brings them back. Such a finding
/// counts as resolved only if it stays away for this long.
const AWAY: Duration = Duration::from_secs(60);

/// The findings that were told, or were there before somebody listened.
#[derive(Debug, Default)]
pub(crate) struct KnownDiagnostics {
    /// Since when each of them is no longer found. `None` while it is.
    known: BTreeMap<Diagnostic, Option<Instant>>,
}

/// What has changed since the last look.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct DiagnosticChanges {
    pub(crate) found: Vec<Diagnostic>,
    pub(crate) resolved: Vec<Diagnostic>,
}

impl KnownDiagnostics {
    pub(crate) fn new(found: Vec<Diagnostic>) -> Self {
        Self { known: found.into_iter().map(|diagnostic| (diagnostic, None)).collect() }
    }

    /// Takes in what is found now. `running` gives the names of the containers that run: a finding about one of them that is
    /// no longer found was resolved.
    pub(crate) fn changes<'r>(
        &mut self,
        now: Instant,
        found: &[Diagnostic],
        running: impl FnOnce() -> HashSet<&'r str>,
    ) -> DiagnosticChanges {
        let mut changes = DiagnosticChanges::default();
        for diagnostic in found {
            match self.known.get_mut(diagnostic) {
                Some(away) => *away = None,
                None => {
                    changes.found.push(diagnostic.clone());
                    self.known.insert(diagnostic.clone(), None);
                }
            }
        }
        let found: BTreeSet<&Diagnostic> = found.iter().collect();
        // In most cases nothing goes away.
        if self.known.len() == found.len() {
            return changes;
        }
        let running = running();
        self.known.retain(|diagnostic, away| {
            if found.contains(diagnostic) {
                return true;
            }
            let since = *away.get_or_insert(now);
            let may_return = diagnostic.place.container().is_some_and(|container| !running.contains(container));
            let stays = may_return && now.saturating_duration_since(since) < AWAY;
            if !stays {
                changes.resolved.push(diagnostic.clone());
            }
            stays
        });
        changes
    }
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::{Code, Place};

    use super::*;

    fn about(container: &str) -> Diagnostic {
        Diagnostic::error(Code(104), Place::container_named(container), "unknown matcher `Hosts`")
    }

    #[test]
    fn a_finding_is_told_when_it_comes_and_when_it_goes() {
        let (mut known, now) = (KnownDiagnostics::new(vec![about("a")]), Instant::now());
        let mut changes = |found: &[Diagnostic]| {
            let DiagnosticChanges { found, resolved } = known.changes(now, found, || HashSet::from(["a", "b"]));
            (found, resolved)
        };
        assert_eq!(changes(&[about("a")]), (vec![], vec![]), "it was there before");
        assert_eq!(changes(&[about("b")]), (vec![about("b")], vec![about("a")]));
        assert_eq!(changes(&[]), (vec![], vec![about("b")]));
        assert_eq!(changes(&[about("a")]), (vec![about("a")], vec![]));
    }

    #[test]
    fn in_a_crash_loop_a_finding_is_told_once_and_resolved_once_it_stays_away() {
        let (mut known, begun) = (KnownDiagnostics::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..200 {
            let is_up = second < 100 && second % 2 == 0;
            let found = if is_up { vec![about("a")] } else { Vec::new() };
            let running = || if is_up { HashSet::from(["a"]) } else { HashSet::new() };
            let changes = known.changes(begun + Duration::from_secs(second), &found, running);
            told.extend(changes.found.iter().map(|_| (second, "found")));
            told.extend(changes.resolved.iter().map(|_| (second, "resolved")));
        }
        assert_eq!(told, [(0, "found"), (99 + 60, "resolved")]);
    }
}
