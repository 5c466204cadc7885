//! Logs each diagnostic once when it appears, and once when it is resolved.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Diagnostics, Severity, printable};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// A container in a crash loop, or one that is being recreated, takes its diagnostics away and brings them back. A
/// diagnostic counts as resolved only if it stays away for this long.
const AWAY: Duration = Duration::from_secs(60);

/// The number of lines for one table. A thousand containers with the same mistake must not fill a disk; the API has all
/// diagnostics.
const LINES_MAX: usize = 100;

/// The diagnostics that were logged and not resolved since.
#[derive(Debug, Default)]
pub(crate) struct DiagnosticLog {
    /// Since when each of them is no longer found. `None` while it is.
    known: BTreeMap<Diagnostic, Option<Instant>>,
}

/// The diagnostics to be logged.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct DiagnosticChanges {
    found: Vec<Diagnostic>,
    resolved: Vec<Diagnostic>,
}

impl DiagnosticLog {
    /// Compares the diagnostics of a new table with the logged ones. `runs` tells whether a container of that name is
    /// running: then a diagnostic about it that is no longer found was resolved.
    pub(crate) fn changes(
        &mut self,
        now: Instant,
        found: &Diagnostics,
        runs: impl Fn(&str) -> bool,
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
        // In most cases nothing goes away, and comparing is expensive because diagnostics are large.
        if self.known.len() == found.len() {
            return changes;
        }
        let found: BTreeSet<&Diagnostic> = found.iter().collect();
        let gone: Vec<Diagnostic> = self.known.keys().filter(|known| !found.contains(known)).cloned().collect();
        for diagnostic in gone {
            let since = self.known.remove(&diagnostic).flatten().unwrap_or(now);
            let may_return = diagnostic.place.container().is_some_and(|container| !runs(container));
            if may_return && now.saturating_duration_since(since) < AWAY {
                self.known.insert(diagnostic, Some(since));
            } else {
                changes.resolved.push(diagnostic);
            }
        }
        changes
    }

    /// The names of the containers with logged diagnostics.
    pub(crate) fn containers(&self) -> HashSet<&str> {
        self.known.keys().filter_map(|known| known.place.container()).collect()
    }

    /// When a diagnostic that stays away has to be looked at again.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.known.values().flatten().min().map(|since| *since + AWAY)
    }
}

impl DiagnosticChanges {
    pub(crate) fn log(&self) {
        for diagnostic in self.found.iter().take(LINES_MAX) {
            let (code, place, message) = (diagnostic.code, &diagnostic.place, printable(&diagnostic.message));
            let (container, label, at) =
                (place.container(), place.subject(), place.position().map(ToString::to_string));
            match diagnostic.severity {
                Severity::Error => error!(%code, container, label, at, %diagnostic, "{message}"),
                Severity::Warning => warn!(%code, container, label, at, %diagnostic, "{message}"),
                Severity::Note => info!(%code, container, label, at, %diagnostic, "{message}"),
            }
        }
        if self.found.len() > LINES_MAX {
            let more = self.found.len() - LINES_MAX;
            warn!(more, "more diagnostics than are logged at once; the admin API lists all");
        }
        for diagnostic in self.resolved.iter().take(LINES_MAX) {
            let (code, place, message) = (diagnostic.code, &diagnostic.place, printable(&diagnostic.message));
            info!(%code, container = place.container(), label = place.subject(), "resolved: {message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::{Code, Place};

    use super::*;

    fn about(container: &str) -> Diagnostic {
        Diagnostic {
            code: Code(104),
            severity: Severity::Error,
            message: "unknown matcher `Hosts`".into(),
            place: Place::container_named(container),
            text: String::new(),
            span: gangway_diagnostic::Span::default(),
            note: String::new(),
            help: String::new(),
            effect: "route `web` is not served".into(),
        }
    }

    fn found(containers: &[&str]) -> Diagnostics {
        containers.iter().map(|container| about(container)).collect()
    }

    #[test]
    fn a_diagnostic_is_logged_once_and_resolved_at_once() {
        let (mut log, now) = (DiagnosticLog::default(), Instant::now());
        let changes = |log: &mut DiagnosticLog, of: &[&str]| log.changes(now, &found(of), |_| true);
        assert_eq!(changes(&mut log, &["a", ""]).found, [about(""), about("a")]);
        assert_eq!(changes(&mut log, &["a", ""]), DiagnosticChanges::default());
        assert_eq!(changes(&mut log, &["a"]).resolved, [about("")]);
        assert_eq!(changes(&mut log, &[]).resolved, [about("a")]);
        assert_eq!(changes(&mut log, &["a"]).found, [about("a")]);
    }

    #[test]
    fn in_a_crash_loop_a_diagnostic_is_logged_once() {
        let (mut log, start) = (DiagnosticLog::default(), Instant::now());
        let mut lines = 0;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            let up = second % 2 == 0;
            let changes = log.changes(now, &found(if up { &["a"] } else { &[] }), |_| up);
            lines += changes.found.len() + changes.resolved.len();
        }
        assert_eq!(lines, 1);
    }

    #[test]
    fn a_diagnostic_that_stays_away_is_resolved_in_the_end() {
        let (mut log, start) = (DiagnosticLog::default(), Instant::now());
        log.changes(start, &found(&["a"]), |_| true);
        assert_eq!(log.changes(start, &found(&[]), |_| false), DiagnosticChanges::default());
        assert_eq!(log.next_look(), Some(start + AWAY));
        let changes = log.changes(start + AWAY, &found(&[]), |_| false);
        assert_eq!(changes.resolved, [about("a")]);
        assert_eq!(log.next_look(), None);
    }
}
