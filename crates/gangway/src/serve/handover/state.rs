//! How far a hand-over is: what is to be done when something happens, and nothing else.
//!
//! ```text
//! Serving ──ready──> HandingOver ──answers──> Probation ──stays, or a minute──> Left
//!    ^                    |                       |
//!    └──── silent, gone ──┴──────── gone ─────────┘
//! ```

use std::time::Duration;

/// A successor that ends within this time has not made it, and we serve again. Longer than a start that fails
/// for want of memory, of a file or of a right takes.
pub(in crate::serve) const PROBATION: Duration = Duration::from_secs(60);

/// How far it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::serve) enum Stage {
    /// We take connections. Whoever asks for the sockets gets them, and may never come back.
    #[default]
    Serving,
    /// A successor says that it serves. Nobody else takes connections, so that who answers now is the successor.
    HandingOver,
    /// It answers. We keep all that it takes to serve again.
    Probation,
    /// The successor is on its own.
    Left,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::serve) enum Event {
    /// A successor says that it serves.
    Ready,
    /// It was asked as clients ask, and reacts.
    Answers,
    /// It does not react.
    Silent,
    /// It has ended, or lets us know that it is about to.
    Gone,
    /// It has handed over in turn, or the minute is over.
    Stays,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::serve) enum Act {
    /// Take no connections for the moment.
    Pause,
    /// Tell the successor, and send clients over.
    HandOver,
    /// Take connections again.
    TakeBack,
    /// Close the sockets and finish what is under way.
    Leave,
}

impl Stage {
    /// What comes next. What cannot happen at a stage changes nothing.
    pub(in crate::serve) fn after(self, event: Event) -> (Self, Option<Act>) {
        match (self, event) {
            (Self::Serving, Event::Ready) => (Self::HandingOver, Some(Act::Pause)),
            (Self::HandingOver, Event::Answers) => (Self::Probation, Some(Act::HandOver)),
            (Self::HandingOver, Event::Silent | Event::Gone) | (Self::Probation, Event::Gone) => {
                (Self::Serving, Some(Act::TakeBack))
            }
            (Self::Probation, Event::Stays) => (Self::Left, Some(Act::Leave)),
            (unchanged, _) => (unchanged, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 5] = [Event::Ready, Event::Answers, Event::Silent, Event::Gone, Event::Stays];

    fn through(events: &[Event]) -> (Stage, Vec<Act>) {
        let mut acts = Vec::new();
        let stage = events.iter().fold(Stage::default(), |stage, event| {
            let (next, act) = stage.after(*event);
            acts.extend(act);
            next
        });
        (stage, acts)
    }

    #[test]
    fn a_successor_that_answers_and_stays_is_left_to_itself() {
        let (stage, acts) = through(&[Event::Ready, Event::Answers, Event::Stays]);
        assert_eq!((stage, acts), (Stage::Left, vec![Act::Pause, Act::HandOver, Act::Leave]));
    }

    #[test]
    fn one_that_ends_or_never_answers_is_followed_by_us() {
        for events in [
            &[Event::Ready, Event::Silent][..],
            &[Event::Ready, Event::Gone],
            &[Event::Ready, Event::Answers, Event::Gone],
        ] {
            let (stage, acts) = through(events);
            assert_eq!((stage, acts.last()), (Stage::Serving, Some(&Act::TakeBack)), "{events:?}");
            // And the next one may try.
            assert_eq!(stage.after(Event::Ready).0, Stage::HandingOver);
        }
    }

    #[test]
    fn whatever_happens_somebody_serves() {
        // All sequences of up to six events: at each moment we take connections, or somebody is known to.
        let mut all: Vec<(Stage, bool)> = vec![(Stage::default(), true)];
        for _ in 0..6 {
            all = all
                .iter()
                .flat_map(|(stage, takes)| {
                    EVENTS.map(|event| {
                        let (next, act) = stage.after(event);
                        let takes = match act {
                            Some(Act::Pause) => false,
                            Some(Act::TakeBack) => true,
                            Some(Act::HandOver | Act::Leave) | None => *takes,
                        };
                        (next, takes)
                    })
                })
                .collect();
            for (stage, takes) in &all {
                assert_eq!(*takes, *stage == Stage::Serving, "{stage:?}");
            }
            all.dedup();
        }
        for event in EVENTS {
            assert_eq!(Stage::Left.after(event), (Stage::Left, None), "there is no way back");
        }
    }
}
