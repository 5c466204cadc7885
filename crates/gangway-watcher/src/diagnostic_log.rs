//! Says each diagnostic in the log once, when it appears and when it is resolved.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use gangway_model::diagnostic::printable;
use gangway_model::{Diagnostic, Diagnostics, Severity};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// A container in a crash loop, or one that is being recreated, takes its diagnostics away and brings them
/// back. Only what stays away for this long is resolved.
const AWAY: Duration = Duration::from_secs(60);

/// Lines for one table. A thousand containers with the same mistake need not fill a disk; the API has them
/// all.
const LINES_MAX: usize = 100;

/// What was said and not taken back.
#[derive(Debug, Default)]
pub(crate) struct DiagnosticLog {
    /// Since when it is no longer found; none while it is.
    known: BTreeMap<Diagnostic, Option<Instant>>,
}

/// What changed.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct DiagnosticChanges {
    found: Vec<Diagnostic>,
    resolved: Vec<Diagnostic>,
}

impl DiagnosticLog {
    /// Compares with what was said before. `runs` tells whether a container of that name is there and
    /// running: then what is no longer found about it was put right.
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
        // Mostly nothing goes away, and each of them is large.
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

    /// The containers that something is said about.
    pub(crate) fn containers(&self) -> HashSet<&str> {
        self.known.keys().filter_map(|known| known.place.container()).collect()
    }

    /// When something that stays away has to be looked at again.
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
    use gangway_model::{Code, Place};

    use super::*;

    fn about(container: &str) -> Diagnostic {
        Diagnostic {
            code: Code(104),
            severity: Severity::Error,
            message: "unknown matcher `Hosts`".into(),
            place: Place::container_named(container),
            text: String::new(),
            span: gangway_model::diagnostic::Span::default(),
            note: String::new(),
            help: String::new(),
            effect: "route `web` is not served".into(),
        }
    }

    fn found(containers: &[&str]) -> Diagnostics {
        containers.iter().map(|container| about(container)).collect()
    }

    #[test]
    fn what_stays_is_said_once_and_what_is_put_right_is_resolved_at_once() {
        let (mut announced, now) = (DiagnosticLog::default(), Instant::now());
        let say = |announced: &mut DiagnosticLog, of: &[&str]| announced.changes(now, &found(of), |_| true);
        assert_eq!(say(&mut announced, &["a", ""]).found, [about(""), about("a")]);
        assert_eq!(say(&mut announced, &["a", ""]), DiagnosticChanges::default());
        assert_eq!(say(&mut announced, &["a"]).resolved, [about("")]);
        assert_eq!(say(&mut announced, &[]).resolved, [about("a")]);
        assert_eq!(say(&mut announced, &["a"]).found, [about("a")]);
    }

    #[test]
    fn a_crash_loop_says_it_once() {
        let (mut announced, start) = (DiagnosticLog::default(), Instant::now());
        let mut lines = 0;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            let up = second % 2 == 0;
            let changes = announced.changes(now, &found(if up { &["a"] } else { &[] }), |_| up);
            lines += changes.found.len() + changes.resolved.len();
        }
        assert_eq!(lines, 1);
    }

    #[test]
    fn what_stays_away_is_resolved_in_the_end() {
        let (mut announced, start) = (DiagnosticLog::default(), Instant::now());
        announced.changes(start, &found(&["a"]), |_| true);
        assert_eq!(announced.changes(start, &found(&[]), |_| false), DiagnosticChanges::default());
        assert_eq!(announced.next_look(), Some(start + AWAY));
        let changes = announced.changes(start + AWAY, &found(&[]), |_| false);
        assert_eq!(changes.resolved, [about("a")]);
        assert_eq!(announced.next_look(), None);
    }
}
