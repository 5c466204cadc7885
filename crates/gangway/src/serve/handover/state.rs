//! The states of a hand-over, as a pure state machine: what to do when something happens.
//!
//! ```text
//! Serving ──ready──> HandingOver ──answers──> Probation ──stays, or a minute──> Left
//!    ^                    |                       |
//!    └──── silent, gone ──┴──────── gone ─────────┘
//! ```

use std::time::Duration;

/// If the successor ends within this time, the predecessor serves again. It is longer than a start takes that fails
/// for lack of memory, of a file or of a permission.
pub(crate) const PROBATION: Duration = Duration::from_secs(60);

/// The state of a hand-over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum HandoverState {
    /// This instance takes connections. A successor that asks for the sockets gets them, and may never come back.
    #[default]
    Serving,
    /// A successor says that it serves. This instance takes no connections, so only the successor can answer now.
    HandingOver,
    /// The successor answers. This instance keeps everything that it needs to serve again.
    Probation,
    /// The successor is on its own.
    Left,
}

/// An event of a hand-over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HandoverEvent {
    /// A successor says that it serves.
    Ready,
    /// The successor reacted to a request like that of a client.
    Answers,
    /// The successor does not react.
    Silent,
    /// The successor has ended, or says that it is about to.
    Gone,
    /// The successor has handed over in turn, or the probation is over.
    Stays,
}

/// An action that an event asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HandoverAction {
    /// Take no connections for the moment.
    Pause,
    /// Tell the successor and send clients over.
    HandOver,
    /// Take connections again.
    TakeBack,
    /// Close the sockets and finish what is under way.
    Leave,
}

impl HandoverState {
    /// The next state and the action. An event that is impossible in a state changes nothing.
    pub(crate) fn after(self, event: HandoverEvent) -> (Self, Option<HandoverAction>) {
        match (self, event) {
            (Self::Serving, HandoverEvent::Ready) => (Self::HandingOver, Some(HandoverAction::Pause)),
            (Self::HandingOver, HandoverEvent::Answers) => (Self::Probation, Some(HandoverAction::HandOver)),
            (Self::HandingOver, HandoverEvent::Silent | HandoverEvent::Gone)
            | (Self::Probation, HandoverEvent::Gone) => (Self::Serving, Some(HandoverAction::TakeBack)),
            (Self::Probation, HandoverEvent::Stays) => (Self::Left, Some(HandoverAction::Leave)),
            (
                unchanged @ (Self::Serving | Self::HandingOver | Self::Probation | Self::Left),
                HandoverEvent::Ready
                | HandoverEvent::Answers
                | HandoverEvent::Silent
                | HandoverEvent::Gone
                | HandoverEvent::Stays,
            ) => (unchanged, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [HandoverEvent; 5] = [
        HandoverEvent::Ready,
        HandoverEvent::Answers,
        HandoverEvent::Silent,
        HandoverEvent::Gone,
        HandoverEvent::Stays,
    ];

    fn through(events: &[HandoverEvent]) -> (HandoverState, Vec<HandoverAction>) {
        let mut acts = Vec::new();
        let stage = events.iter().fold(HandoverState::default(), |stage, event| {
            let (next, act) = stage.after(*event);
            acts.extend(act);
            next
        });
        (stage, acts)
    }

    #[test]
    fn after_a_successor_that_answers_and_stays_the_predecessor_leaves() {
        let (stage, acts) = through(&[HandoverEvent::Ready, HandoverEvent::Answers, HandoverEvent::Stays]);
        assert_eq!(
            (stage, acts),
            (HandoverState::Left, vec![HandoverAction::Pause, HandoverAction::HandOver, HandoverAction::Leave])
        );
    }

    #[test]
    fn after_a_successor_that_ends_or_never_answers_the_predecessor_serves_again() {
        for events in [
            &[HandoverEvent::Ready, HandoverEvent::Silent][..],
            &[HandoverEvent::Ready, HandoverEvent::Gone],
            &[HandoverEvent::Ready, HandoverEvent::Answers, HandoverEvent::Gone],
        ] {
            let (stage, acts) = through(events);
            assert_eq!((stage, acts.last()), (HandoverState::Serving, Some(&HandoverAction::TakeBack)), "{events:?}");
            // And the next one may try.
            assert_eq!(stage.after(HandoverEvent::Ready).0, HandoverState::HandingOver);
        }
    }

    #[test]
    fn one_of_the_two_serves_after_every_sequence_of_events() {
        // All sequences of up to six events: at each moment this instance takes connections, or a successor is known to.
        let mut all: Vec<(HandoverState, bool)> = vec![(HandoverState::default(), true)];
        for _ in 0..6 {
            all = all
                .iter()
                .flat_map(|(stage, takes)| {
                    EVENTS.map(|event| {
                        let (next, act) = stage.after(event);
                        let takes = match act {
                            Some(HandoverAction::Pause) => false,
                            Some(HandoverAction::TakeBack) => true,
                            Some(HandoverAction::HandOver | HandoverAction::Leave) | None => *takes,
                        };
                        (next, takes)
                    })
                })
                .collect();
            for (stage, takes) in &all {
                assert_eq!(*takes, *stage == HandoverState::Serving, "{stage:?}");
            }
            all.dedup();
        }
        for event in EVENTS {
            assert_eq!(HandoverState::Left.after(event), (HandoverState::Left, None), "there is no way back");
        }
    }
}
