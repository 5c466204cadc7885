//! The log lines about one engine: one line for each change of state, and reminders of a trouble that lasts.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

/// The least time between two lines about trouble, however often an engine flaps.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The first reminder of a trouble that lasts comes after this long. An operator who starts Gangway waits about that
/// long.
const FIRST_REMINDER_AFTER: Duration = Duration::from_secs(30);

/// The time between further reminders.
const REMINDER_EVERY: Duration = Duration::from_secs(300);

/// The state of the engine as the log shows it.
#[derive(Debug, Default)]
pub(crate) struct EngineLog {
    /// Whether the engine was ever well.
    known: bool,
    /// Since when the engine cannot be followed.
    lost: Option<Instant>,
    /// The trouble in the log. Empty if there is none.
    trouble: String,
    last_line: Option<Instant>,
    /// Whether there was a reminder of the trouble.
    repeated: bool,
}

/// A change of state to be logged.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum EngineLogLine<'a> {
    /// The engine is followed for the first time.
    Following { version: &'a str, containers: usize },
    /// The engine is followed again after a logged trouble.
    Back { version: &'a str, containers: usize, away: Duration },
    /// The engine was followed before and cannot be read now.
    Lost { error: &'a str },
    /// The engine could not be read yet.
    NoAnswer { error: &'a str },
    /// The logged trouble lasts.
    Still { error: &'a str, lasting: Duration },
    /// The stream of events ended, as an idle one through a proxy does now and then. The next attempt shows whether that
    /// means anything.
    Interrupted { error: &'a str },
}

impl EngineLog {
    /// Takes note that everything was read and events arrive.
    pub(crate) fn well<'a>(&mut self, now: Instant, version: &'a str, containers: usize) -> Option<EngineLogLine<'a>> {
        let was_known = std::mem::replace(&mut self.known, true);
        let lost = self.lost.take();
        let trouble = std::mem::take(&mut self.trouble);
        match lost {
            _ if !was_known => Some(EngineLogLine::Following { version, containers }),
            Some(lost) if !trouble.is_empty() => {
                Some(EngineLogLine::Back { version, containers, away: now.saturating_duration_since(lost) })
            }
            _ => None,
        }
    }

    /// Takes note that the stream of a good session ended.
    pub(crate) fn interrupted<'a>(&mut self, now: Instant, error: &'a str) -> EngineLogLine<'a> {
        self.lost.get_or_insert(now);
        EngineLogLine::Interrupted { error }
    }

    /// Takes note of a failure, which may be one of many.
    pub(crate) fn failed<'a>(&mut self, now: Instant, error: &'a str) -> Option<EngineLogLine<'a>> {
        let lost = *self.lost.get_or_insert(now);
        let silent = self.last_line.map(|last| now.saturating_duration_since(last));
        let again = if self.repeated { REMINDER_EVERY } else { FIRST_REMINDER_AFTER };
        let is_known = self.trouble == error;
        if silent.is_some_and(|silent| silent < if is_known { again } else { LINE_EVERY }) {
            return None;
        }
        self.last_line = Some(now);
        self.repeated = is_known;
        if is_known {
            return Some(EngineLogLine::Still { error, lasting: now.saturating_duration_since(lost) });
        }
        error.clone_into(&mut self.trouble);
        Some(if self.known { EngineLogLine::Lost { error } } else { EngineLogLine::NoAnswer { error } })
    }
}

impl EngineLogLine<'_> {
    pub(crate) fn log(&self, engine: &str) {
        match *self {
            Self::Following { version, containers } => info!(engine, version, containers, "following the engine"),
            Self::Back { version, containers, away } => {
                info!(engine, version, containers, ?away, "the engine is back");
            }
            Self::Lost { error } => warn!(engine, error, "lost the engine; what was read last stays in force"),
            Self::NoAnswer { error } => warn!(engine, error, "the engine cannot be read; trying again"),
            Self::Still { error, lasting } => {
                let lasting = lasting.as_secs();
                warn!(engine, error, lasting_s = lasting, "the engine still cannot be read; trying again");
            }
            Self::Interrupted { error } => debug!(engine, error, "lost the events, connecting again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "connect to `a`: connection refused";
    const DEAD: &str = "connect to `a`: connection refused; the mount of the socket is dead";

    #[test]
    fn an_outage_has_a_beginning_and_an_end_and_is_not_forgotten_between() {
        let (mut log, start) = (EngineLog::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let following = EngineLogLine::Following { version: "1", containers: 3 };
        assert_eq!(log.well(at(0), "1", 3), Some(following));
        assert_eq!(log.failed(at(1), REFUSED), Some(EngineLogLine::Lost { error: REFUSED }));
        let lines: Vec<u64> = (2..3600).filter(|second| log.failed(at(*second), REFUSED).is_some()).collect();
        assert_eq!(lines, [31, 331, 631, 931, 1231, 1531, 1831, 2131, 2431, 2731, 3031, 3331], "again now and then");
        let away = Duration::from_secs(3600);
        assert_eq!(log.well(at(3601), "2", 3), Some(EngineLogLine::Back { version: "2", containers: 3, away }));
    }

    #[test]
    fn another_trouble_is_another_line_but_flapping_is_not() {
        let (mut log, start) = (EngineLog::default(), Instant::now());
        assert_eq!(log.failed(start, REFUSED), Some(EngineLogLine::NoAnswer { error: REFUSED }));
        assert_eq!(log.failed(start + LINE_EVERY, DEAD), Some(EngineLogLine::NoAnswer { error: DEAD }));
        log.well(start + LINE_EVERY, "1", 0);
        let mut lines = 0;
        for millis in (0..60_000).step_by(100) {
            let now = start + LINE_EVERY + Duration::from_millis(millis);
            lines += usize::from(log.failed(now, REFUSED).is_some());
            lines += usize::from(log.well(now, "1", 0).is_some());
        }
        assert!(lines <= 12, "{lines} lines in a minute");
    }

    #[test]
    fn an_interruption_that_passes_is_not_worth_a_line() {
        let (mut log, now) = (EngineLog::default(), Instant::now());
        log.well(now, "1", 0);
        log.interrupted(now, "follow the events: the engine closed the stream");
        assert_eq!(log.well(now, "1", 0), None);
    }
}
