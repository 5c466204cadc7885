//! Deadlines for what a client has to send.
//!
//! There is one timer a connection. It is not moved for every request: if it fires too early, the real deadline is
//! checked and the timer is set again. So a busy connection pays for reading the clock, not for a timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::limits::Limits;

/// The part of a request that the client has to send next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Awaiting {
    /// The first bytes of the first request, or of HTTP/2.
    FirstBytes,
    /// Another request, at any time within the idle time.
    NextRequest,
    /// The rest of a head that has begun.
    RestOfHead,
    /// More of a body, not slower than the minimum rate.
    Body,
    /// Nothing: the connection is a tunnel, or an answer is under way.
    Nothing,
}

/// Why the wait for a client was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TooSlow {
    /// No request came: the connection is just closed.
    Idle,
    /// A head took too long.
    Head,
    /// A body came slower than the minimum rate.
    Body,
}

/// Watches the reading side of one connection.
#[derive(Debug)]
pub(crate) struct Deadline {
    head_time: Duration,
    idle: Duration,
    body_grace: Duration,
    body_rate: u64,
    timer: Option<Pin<Box<Sleep>>>,
    awaiting: Awaiting,
    /// When the current kind of wait began.
    since: Instant,
    /// Time that was spent waiting for the body, without the time in which nothing was read.
    body_waited: Duration,
    body_bytes: u64,
    /// Set while a read is pending.
    pending_since: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            head_time: limits.head_time,
            idle: limits.idle,
            body_grace: limits.body_grace,
            body_rate: limits.body_rate,
            timer: None,
            awaiting: Awaiting::FirstBytes,
            since: Instant::now(),
            body_waited: Duration::ZERO,
            body_bytes: 0,
            pending_since: None,
        }
    }

    /// The time that a head may take.
    pub(crate) fn head_time(&self) -> Duration {
        self.head_time
    }

    /// The least bytes a second of a body.
    pub(crate) fn body_rate(&self) -> u64 {
        self.body_rate
    }

    /// Notes that `len` bytes came.
    pub(crate) fn received(&mut self, len: usize) {
        if let Some(pending) = self.pending_since.take()
            && self.awaiting == Awaiting::Body
        {
            self.body_waited += pending.elapsed();
        }
        if self.awaiting == Awaiting::Body {
            self.body_bytes += len as u64;
        }
    }

    /// Sets what the client has to send from now on. The time of a head runs from its first byte to its last, so
    /// setting the same kind again does not restart it.
    pub(crate) fn expect(&mut self, awaiting: Awaiting) {
        if awaiting == self.awaiting {
            return;
        }
        if awaiting == Awaiting::Body {
            self.body_waited = Duration::ZERO;
            self.body_bytes = 0;
        }
        // The time of the first head runs from the start of the connection.
        if !(self.awaiting == Awaiting::FirstBytes && awaiting == Awaiting::RestOfHead) {
            self.since = Instant::now();
        }
        self.awaiting = awaiting;
    }

    /// Called when a read found nothing: returns whether the client's time is over. Otherwise registers the task to
    /// be woken then.
    pub(crate) fn poll_expired(&mut self, context: &mut Context<'_>) -> Option<TooSlow> {
        if self.awaiting == Awaiting::Nothing {
            return None;
        }
        let now = Instant::now();
        let pending_since = *self.pending_since.get_or_insert(now);
        loop {
            let (due, verdict) = self.due(pending_since)?;
            if due <= now {
                return Some(verdict);
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.deadline() > due || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(context) == Poll::Pending {
                return None;
            }
            // The timer fired for an earlier wait; check whether the current one is over.
            timer.as_mut().reset(due);
            if timer.as_mut().poll(context) == Poll::Pending {
                return None;
            }
        }
    }

    fn due(&self, pending_since: Instant) -> Option<(Instant, TooSlow)> {
        match self.awaiting {
            Awaiting::Nothing => None,
            Awaiting::FirstBytes => Some((self.since + self.head_time, TooSlow::Idle)),
            Awaiting::NextRequest => Some((self.since.max(pending_since) + self.idle, TooSlow::Idle)),
            Awaiting::RestOfHead => Some((self.since + self.head_time, TooSlow::Head)),
            Awaiting::Body => {
                // The bytes that came pay for this much waiting.
                let paid = Duration::from_secs_f64(self.body_bytes as f64 / self.body_rate.max(1) as f64);
                let allowed = self.body_grace + paid;
                Some((pending_since + allowed.saturating_sub(self.body_waited), TooSlow::Body))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn expired(deadline: &mut Deadline) -> Option<TooSlow> {
        deadline.poll_expired(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_ten_seconds_however_it_trickles() {
        let mut deadline = Deadline::new(&Limits::default());
        for _ in 0..9 {
            assert_eq!(expired(&mut deadline), None);
            tokio::time::advance(Duration::from_secs(1)).await;
            deadline.received(1);
            deadline.expect(Awaiting::RestOfHead);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(expired(&mut deadline), Some(TooSlow::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_further_request_may_come_late_but_its_head_not_slowly() {
        let limits = Limits::default();
        let mut deadline = Deadline::new(&limits);
        deadline.expect(Awaiting::NextRequest);
        tokio::time::advance(limits.idle - Duration::from_secs(1)).await;
        assert_eq!(expired(&mut deadline), None);
        deadline.received(1);
        deadline.expect(Awaiting::RestOfHead);
        assert_eq!(expired(&mut deadline), None);
        tokio::time::advance(limits.head_time).await;
        assert_eq!(expired(&mut deadline), Some(TooSlow::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_paid_for_by_its_bytes_and_not_charged_for_our_own_pauses() {
        let limits = Limits::default();
        let mut deadline = Deadline::new(&limits);
        deadline.expect(Awaiting::Body);
        // We do not read for a minute: the app is slow, not the client.
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(expired(&mut deadline), None);
        tokio::time::advance(limits.body_grace - Duration::from_secs(1)).await;
        assert_eq!(expired(&mut deadline), None);
        deadline.received(limits.body_rate as usize * 5);
        assert_eq!(expired(&mut deadline), None);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(expired(&mut deadline), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(expired(&mut deadline), Some(TooSlow::Body));
    }
}
