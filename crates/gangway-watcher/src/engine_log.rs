//! What is said in the log about one engine: one line for each change of state, and a trouble that lasts
//! again now and then, for whoever looks at the log only later.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

/// However an engine flaps, its troubles are said no more often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A trouble that lasts is said again after this long: a person who starts Gangway waits about so long.
const SAY_AGAIN_FIRST: Duration = Duration::from_secs(30);

/// And then this often.
const SAY_AGAIN: Duration = Duration::from_secs(300);

/// The state that was last said.
#[derive(Debug, Default)]
pub(crate) struct EngineLog {
    /// Whether it was ever well.
    known: bool,
    lost: Option<Instant>,
    /// What was said to be the trouble. Empty while none was said.
    trouble: String,
    said: Option<Instant>,
    /// Whether the trouble was said more than once.
    repeated: bool,
}

/// A change of state that is worth a line.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum EngineLogLine<'a> {
    /// For the first time.
    Following { version: &'a str, containers: usize },
    /// After trouble that was said.
    Back { version: &'a str, containers: usize, away: Duration },
    /// It was well before.
    Lost { error: &'a str },
    /// It never was.
    NoAnswer { error: &'a str },
    /// The trouble that was said lasts.
    Still { error: &'a str, lasting: Duration },
    /// The stream of events ended, as an idle one through a proxy does now and then; whether that means
    /// anything, the next try tells.
    Interrupted { error: &'a str },
}

impl EngineLog {
    /// Everything was read and events are heard.
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

    /// A good session ended by itself.
    pub(crate) fn interrupted<'a>(&mut self, now: Instant, error: &'a str) -> EngineLogLine<'a> {
        self.lost.get_or_insert(now);
        EngineLogLine::Interrupted { error }
    }

    /// Something failed, not for the first time perhaps.
    pub(crate) fn failed<'a>(&mut self, now: Instant, error: &'a str) -> Option<EngineLogLine<'a>> {
        let lost = *self.lost.get_or_insert(now);
        let silent = self.said.map(|said| now.saturating_duration_since(said));
        let again = if self.repeated { SAY_AGAIN } else { SAY_AGAIN_FIRST };
        let is_known = self.trouble == error;
        if silent.is_some_and(|silent| silent < if is_known { again } else { SAY_EVERY }) {
            return None;
        }
        self.said = Some(now);
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
        let (mut chronicle, start) = (EngineLog::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let following = EngineLogLine::Following { version: "1", containers: 3 };
        assert_eq!(chronicle.well(at(0), "1", 3), Some(following));
        assert_eq!(chronicle.failed(at(1), REFUSED), Some(EngineLogLine::Lost { error: REFUSED }));
        let said: Vec<u64> = (2..3600).filter(|second| chronicle.failed(at(*second), REFUSED).is_some()).collect();
        assert_eq!(said, [31, 331, 631, 931, 1231, 1531, 1831, 2131, 2431, 2731, 3031, 3331], "again now and then");
        let away = Duration::from_secs(3600);
        assert_eq!(chronicle.well(at(3601), "2", 3), Some(EngineLogLine::Back { version: "2", containers: 3, away }));
    }

    #[test]
    fn another_trouble_is_another_line_but_flapping_is_not() {
        let (mut chronicle, start) = (EngineLog::default(), Instant::now());
        assert_eq!(chronicle.failed(start, REFUSED), Some(EngineLogLine::NoAnswer { error: REFUSED }));
        assert_eq!(chronicle.failed(start + SAY_EVERY, DEAD), Some(EngineLogLine::NoAnswer { error: DEAD }));
        chronicle.well(start + SAY_EVERY, "1", 0);
        let mut lines = 0;
        for millis in (0..60_000).step_by(100) {
            let now = start + SAY_EVERY + Duration::from_millis(millis);
            lines += usize::from(chronicle.failed(now, REFUSED).is_some());
            lines += usize::from(chronicle.well(now, "1", 0).is_some());
        }
        assert!(lines <= 12, "{lines} lines in a minute");
    }

    #[test]
    fn an_interruption_that_passes_is_not_worth_a_line() {
        let (mut chronicle, now) = (EngineLog::default(), Instant::now());
        chronicle.well(now, "1", 0);
        chronicle.interrupted(now, "follow the events: the engine closed the stream");
        assert_eq!(chronicle.well(now, "1", 0), None);
    }
}
