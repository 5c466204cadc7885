//! Serves until a successor is on its own, and takes back what one that fails had taken over.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::handover::{Act, Door, Event, PROBATION, Relieved, Stage, Successor, answers};
use super::instance::Running;

/// What takes part in it.
pub(super) struct Succession {
    pub(super) door: Door,
    pub(super) instance: Arc<Running>,
    /// Where clients come.
    pub(super) addresses: Vec<SocketAddr>,
    /// Whether the admin listener is ours to answer.
    pub(super) admin: watch::Sender<bool>,
    /// Whom we have relieved, while it may still take back.
    pub(super) predecessor: Option<Relieved>,
}

impl Succession {
    /// Returns once we are to leave. Dropped before that, whoever waits for our end hears of it.
    pub(super) async fn left(mut self) {
        let (mut stage, mut current) = (Stage::default(), None);
        while stage != Stage::Left {
            let event = match &mut current {
                None => {
                    current = Some(Handover::to(self.door.successor().await));
                    Event::Ready
                }
                Some(handover) if stage == Stage::HandingOver => self.look(handover).await,
                Some(handover) => handover.watch().await,
            };
            let (next, act) = stage.after(event);
            stage = next;
            if let (Some(act), Some(handover)) = (act, &mut current) {
                self.act(act, event, handover).await;
            }
            if stage == Stage::Serving {
                current = None;
            }
        }
    }

    /// Whether the successor does what it says.
    async fn look(&self, handover: &mut Handover) -> Event {
        tokio::select! {
            is_there = answers(self.addresses.iter().copied()) => {
                if is_there { Event::Answers } else { Event::Silent }
            }
            end = handover.successor.end() => end,
        }
    }

    async fn act(&mut self, act: Act, event: Event, handover: &mut Handover) {
        let successor = handover.successor.process;
        match act {
            Act::Pause => self.instance.pause().await,
            Act::HandOver => {
                self.admin.send_replace(false);
                handover.until = Instant::now() + PROBATION;
                handover.sending_over = self.instance.hand_over();
                // The names first: the successor is found by them once it knows that it is alone.
                self.door.close().await;
                handover.successor.tell_leaving().await;
                if let Some(predecessor) = self.predecessor.take() {
                    predecessor.settle().await;
                }
                tracing::info!(
                    successor,
                    probation = PROBATION.as_secs(),
                    "handed over; what is under way is finished here, and if the successor soon ends, this one serves again"
                );
            }
            Act::TakeBack => {
                self.instance.take_back();
                self.admin.send_replace(true);
                if event == Event::Silent {
                    handover.successor.tell_silent().await;
                    tracing::warn!(successor, "the successor does not answer clients; this one goes on serving");
                } else {
                    tracing::warn!(successor, "the successor has ended; this one serves again");
                }
            }
            Act::Leave => tracing::info!(successor, "the successor is on its own; this one ends"),
        }
    }
}

/// One that takes over.
struct Handover {
    successor: Successor,
    until: Instant,
    sending_over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Handover {
    fn to(successor: Successor) -> Self {
        Self { successor, until: Instant::now(), sending_over: None }
    }

    /// What becomes of it while it is on probation; clients are sent over meanwhile.
    async fn watch(&mut self) -> Event {
        loop {
            tokio::select! {
                end = self.successor.end() => return end,
                () = sleep_until(self.until) => return Event::Stays,
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
