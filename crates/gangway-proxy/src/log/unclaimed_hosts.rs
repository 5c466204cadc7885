//! Counts and logs hosts that are asked for by https although no route claims them.
//!
//! Clients can ask for any name, so a line tells how many there were and shows only a few.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The delay of the first report after a quiet time: a browser asks several times.
const SOON: Duration = Duration::from_secs(1);

/// The time between reports.
const EVERY: Duration = Duration::from_secs(60);

/// Names in one line. Names from the local network come first: those are mistakes rather than attempts.
const SHOWN_MAX: usize = 3;

/// Hosts that were not logged yet.
#[derive(Debug, Default)]
pub(crate) struct UnclaimedCounts {
    seen: Mutex<UnclaimedNames>,
    news: Notify,
}

#[derive(Debug, Default)]
struct UnclaimedNames {
    pages: u64,
    alerts: u64,
    /// Names that were answered with a page.
    local: Vec<Box<str>>,
    other: Vec<Box<str>>,
}

/// How a handshake for such a host goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UnclaimedOutcome {
    /// With a certificate, so that a page can explain the failure.
    Page,
    /// With an alert.
    Alert,
}

impl UnclaimedOutcome {
    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Alert => "alert",
        }
    }
}

/// Logs the hosts that are asked for by https although no route claims them, once a minute.
///
/// A background task for the caller to run: [`UnclaimedLog::run`] makes its future, and another one after a
/// panic.
#[derive(Debug)]
pub struct UnclaimedLog(pub(crate) Arc<UnclaimedCounts>);

impl UnclaimedLog {
    /// Logs such hosts as they come.
    pub fn run(&self) -> impl Future<Output = Infallible> + Send + use<> {
        let unclaimed = Arc::clone(&self.0);
        async move { unclaimed.tell().await }
    }
}

impl UnclaimedCounts {
    /// Notes a handshake for `name`.
    pub(crate) fn note(&self, name: &str, outcome: UnclaimedOutcome) {
        self.seen.lock().note(name, outcome);
        self.news.notify_one();
    }

    /// Logs the noted hosts, for ever.
    async fn tell(&self) -> Infallible {
        loop {
            self.news.notified().await;
            sleep(SOON).await;
            let seen = std::mem::take(&mut *self.seen.lock());
            let (pages, alerts, hosts) = (seen.pages, seen.alerts, seen.shown());
            // A note may have been reported together with earlier ones.
            if pages + alerts > 0 {
                tracing::info!(hosts, pages, alerts, "hosts that nobody claims were asked for by https");
            }
            sleep(EVERY).await;
        }
    }
}

impl UnclaimedNames {
    fn note(&mut self, name: &str, outcome: UnclaimedOutcome) {
        let (count, names) = match outcome {
            UnclaimedOutcome::Page => (&mut self.pages, &mut self.local),
            UnclaimedOutcome::Alert => (&mut self.alerts, &mut self.other),
        };
        *count += 1;
        if names.len() < SHOWN_MAX && !names.iter().any(|known| **known == *name) {
            names.push(name.into());
        }
    }

    fn shown(&self) -> String {
        // A name may have been answered in both ways: before there is a certificate, only by an alert.
        let other = self.other.iter().filter(|name| !self.local.contains(name));
        let shown: Vec<&str> = self.local.iter().chain(other).take(SHOWN_MAX).map(|name| &**name).collect();
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_names_are_asked_for_few_are_shown_and_all_are_counted() {
        let mut seen = UnclaimedNames::default();
        for number in 0..1000 {
            seen.note(&format!("n{number}.example.org"), UnclaimedOutcome::Alert);
        }
        for _ in 0..2 {
            seen.note("typo.lan", UnclaimedOutcome::Page);
        }
        assert_eq!((seen.pages, seen.alerts), (2, 1000));
        assert_eq!(seen.shown(), "typo.lan, n0.example.org, n1.example.org");
        assert_eq!((seen.local.len(), seen.other.len()), (1, SHOWN_MAX));
        let mut seen = UnclaimedNames::default();
        seen.note("typo.lan", UnclaimedOutcome::Alert);
        seen.note("typo.lan", UnclaimedOutcome::Page);
        assert_eq!(seen.shown(), "typo.lan");
    }
}
