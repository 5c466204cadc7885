//! Which containers were told to end and have not ended yet.
//!
//! No listing shows it: a container that was sent TERM is `running` until it is dead.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// A container that survives this long was not ended by the signal, or has a longer time of grace than
/// engines give unasked (10 s): it serves again rather than be forgotten.
const LEAVING_MAX: Duration = Duration::from_secs(15);

/// More than ever leave at once; what is beyond is found by reading, some milliseconds later.
const MARKS_MAX: usize = 10_000;

const KILL: u8 = 9;
const TERM: u8 = 15;

/// What a signal says about the future of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// It ends.
    Ends,
    /// It ends if that is the signal by which it is asked to.
    EndsIfItsOwn(u8),
    /// Nobody can tell. Podman does not say which signal it was.
    Unknown,
}

/// The containers of one engine that are leaving.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    until: BTreeMap<Box<str>, Instant>,
}

pub(crate) fn meaning(signal: Option<u8>) -> Meaning {
    match signal {
        Some(TERM | KILL) => Meaning::Ends,
        Some(other) => Meaning::EndsIfItsOwn(other),
        None => Meaning::Unknown,
    }
}

impl Leaving {
    pub(crate) fn mark(&mut self, id: Box<str>, now: Instant) {
        if self.until.len() < MARKS_MAX || self.until.contains_key(&id) {
            self.until.insert(id, now + LEAVING_MAX);
        }
    }

    pub(crate) fn clear(&mut self, id: &str) {
        self.until.remove(id);
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.until.contains_key(id)
    }

    /// Forgets those whose time is up and says which they were.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Box<str>> {
        let over: Vec<_> = self.until.iter().filter(|(_, until)| **until <= now).map(|(id, _)| id.clone()).collect();
        for id in &over {
            self.until.remove(id);
        }
        over
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signals_that_end_a_container_make_it_leave() {
        assert_eq!(meaning(Some(15)), Meaning::Ends);
        assert_eq!(meaning(Some(9)), Meaning::Ends);
        assert_eq!(meaning(Some(1)), Meaning::EndsIfItsOwn(1));
        assert_eq!(meaning(None), Meaning::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_survives_serves_again() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        leaving.mark("a".into(), now);
        leaving.mark("b".into(), now + Duration::from_secs(5));
        leaving.clear("unknown");
        assert_eq!(leaving.next_expiry(), Some(now + LEAVING_MAX));
        assert!(leaving.expire(now + Duration::from_secs(10)).is_empty());
        assert_eq!(leaving.expire(now + LEAVING_MAX), ["a".into()]);
        assert!(leaving.contains("b") && !leaving.contains("a"));
        leaving.clear("b");
        assert_eq!(leaving.next_expiry(), None);
    }
}
