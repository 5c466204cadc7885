//! Serves until a successor is on its own, and serves again if a successor fails.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::admin_switch::AdminOwner;
use super::handover::{
    HandoverAction, HandoverEvent, HandoverListener, HandoverState, PROBATION, RelievedPredecessor, Successor, answers,
};
use super::instance::Running;

/// The parts of this instance that a hand-over concerns.
pub(super) struct HandoverLoop {
    pub(super) listener: HandoverListener,
    pub(super) instance: Arc<Running>,
    pub(super) admin: watch::Sender<AdminOwner>,
    /// The predecessor of this instance, as long as it may take back its place.
    pub(super) predecessor: Option<RelievedPredecessor>,
}

impl HandoverLoop {
    /// Returns when this instance has to leave. If it is dropped before, a successor and a predecessor that wait see
    /// their connections close.
    pub(super) async fn run(mut self) {
        let (mut state, mut current) = (HandoverState::default(), None);
        while state != HandoverState::Left {
            let event = match &mut current {
                None => {
                    current = Some(Handover::to(self.listener.successor().await));
                    HandoverEvent::Ready
                }
                Some(handover) if state == HandoverState::HandingOver => self.test(handover).await,
                Some(handover) => handover.watch().await,
            };
            let (next, act) = state.after(event);
            state = next;
            if let (Some(act), Some(handover)) = (act, &mut current) {
                self.act(act, event, handover).await;
            }
            if state == HandoverState::Serving {
                current = None;
            }
        }
    }

    /// Tests whether the successor serves.
    async fn test(&self, handover: &mut Handover) -> HandoverEvent {
        tokio::select! {
            is_answering = answers(self.instance.addresses()) => {
                if is_answering { HandoverEvent::Answers } else { HandoverEvent::Silent }
            }
            end = handover.successor.end() => end,
        }
    }

    async fn act(&mut self, act: HandoverAction, event: HandoverEvent, handover: &mut Handover) {
        let successor = handover.successor.process;
        match act {
            HandoverAction::Pause => self.instance.pause().await,
            HandoverAction::HandOver => {
                self.admin.send_replace(AdminOwner::Successor);
                handover.until = Instant::now() + PROBATION;
                handover.sending_over = self.instance.hand_over();
                // The names first: the successor takes them as soon as it knows that it is alone.
                self.listener.close().await;
                handover.successor.tell_leaving().await;
                if let Some(predecessor) = self.predecessor.take() {
                    predecessor.settle().await;
                }
                tracing::info!(
                    successor,
                    probation = PROBATION.as_secs(),
                    "handed over; active requests are finished here, and if the successor soon ends, this one serves again"
                );
            }
            HandoverAction::TakeBack => {
                self.instance.take_back();
                self.admin.send_replace(AdminOwner::ThisInstance);
                if event == HandoverEvent::Silent {
                    handover.successor.tell_silent().await;
                    tracing::warn!(successor, "the successor does not answer clients; this one goes on serving");
                } else {
                    tracing::warn!(successor, "the successor has ended; this one serves again");
                }
            }
            HandoverAction::Leave => tracing::info!(successor, "the successor is on its own; this one ends"),
        }
    }
}

/// A hand-over to one successor.
struct Handover {
    successor: Successor,
    until: Instant,
    sending_over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Handover {
    fn to(successor: Successor) -> Self {
        Self { successor, until: Instant::now(), sending_over: None }
    }

    /// Waits for the end of the probation, and sends clients over meanwhile.
    async fn watch(&mut self) -> HandoverEvent {
        loop {
            tokio::select! {
                end = self.successor.end() => return end,
                () = sleep_until(self.until) => return HandoverEvent::Stays,
                () = sent_over(&mut self.sending_over) => self.sending_over = None,
            }
        }
    }
}

async fn sent_over(sending_over: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match sending_over {
        Some(sending_over) => sending_over.await,
        None => std::future::pending().await,
    }
}
