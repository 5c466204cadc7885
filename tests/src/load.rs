//! Clients that send requests while something happens, and the outcomes of their requests.
//!
//! Requests are sent by a schedule, whether those before them are answered or not, and each counts from
//! the moment at which it was due: a stall is seen by all who came meanwhile, as with real clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::wait::eventually;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval_at, timeout};

use crate::STUCK;
use crate::browser::Browser;
use crate::figures::{millis, quantile};
use crate::gangway::Gangway;

/// One request is due this often: 200 a second, a quarter each of HTTP/1.1 and HTTP/2, GET and POST.
const EVERY: Duration = Duration::from_millis(5);

/// The number of clients, which take turns.
const CLIENTS: u8 = 20;

/// A request without an answer for this long has failed. Together with the schedule it bounds how many can be
/// under way.
const GIVE_UP: Duration = Duration::from_secs(30);

/// How many may be under way at a time where none has to wait.
const SETTLED: usize = 4;

/// A load that goes on until it is stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    under_way: Arc<AtomicUsize>,
    task: JoinHandle<Outcome>,
}

/// The outcomes of requests.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of requests with the expected answer.
    pub answered: usize,
    /// The outcomes of all other requests.
    pub failed: Vec<String>,
    /// The longest that one of them took, from when it was due.
    pub slowest: Duration,
    /// How much later than due the latest was sent: what of the others is the measuring itself.
    pub late: Duration,
    took: Vec<Duration>,
}

/// One request.
struct Asked {
    late: Duration,
    took: Duration,
    what: Result<(), String>,
}

impl Load {
    /// Begins to ask Gangway for this host, over TLS.
    pub fn begin(gangway: &Gangway, host: &str) -> Self {
        Self::through(&gangway.secure(), host)
    }

    /// Begins to ask the server that this client reaches.
    pub fn through(client: &Client, host: &str) -> Self {
        let browsers = (0..CLIENTS).map(|number| {
            let speaks = if number % 2 == 0 { Speaks::H1 } else { Speaks::H2 };
            Arc::new(Browser::new(client, host, speaks, number))
        });
        let (stop, under_way) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn(send(browsers.collect(), Arc::clone(&stop), Arc::clone(&under_way)));
        Self { stop, under_way, task }
    }

    /// Waits until those that had to wait are answered: what comes next shall not meet what was before.
    pub async fn settled(&self) {
        eventually("requests are answered as they come", STUCK, async || {
            (self.under_way.load(Ordering::SeqCst) <= SETTLED).then_some(())
        })
        .await;
    }

    /// Sends no more and lets every request that was sent come to its end.
    pub async fn end(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("the schedule does not panic")
    }
}

async fn send(browsers: Vec<Arc<Browser>>, stop: Arc<AtomicBool>, under_way: Arc<AtomicUsize>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut asked = JoinSet::new();
    let begun = Instant::now();
    // Those that were missed are sent at once, and count from when they were due.
    let mut turns = interval_at(begun, EVERY);
    for (number, browser) in (0..).zip(browsers.iter().cycle()) {
        turns.tick().await;
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let method = if number / u32::from(CLIENTS) % 2 == 0 { "GET" } else { "POST" };
        asked.spawn(ask(Arc::clone(browser), method, begun, EVERY * number));
        while let Some(one) = asked.try_join_next() {
            outcome.add(one.expect("a request does not panic"));
        }
        under_way.store(asked.len(), Ordering::SeqCst);
    }
    while let Some(one) = asked.join_next().await {
        outcome.add(one.expect("a request does not panic"));
    }
    outcome
}

async fn ask(browser: Arc<Browser>, method: &'static str, begun: Instant, offset: Duration) -> Asked {
    let due = begun + offset;
    let late = due.elapsed();
    let what = timeout(GIVE_UP, browser.ask(method)).await;
    let what = what.unwrap_or_else(|_| Err(format!("{method}: no answer for {GIVE_UP:?}")));
    let took = due.elapsed();
    let what = what.map_err(|said| format!("{said} (due at {}, after {})", millis(offset), millis(took)));
    Asked { late, took, what }
}

impl Outcome {
    fn add(&mut self, one: Asked) {
        match one.what {
            Ok(()) => self.answered += 1,
            Err(what) => self.failed.push(what),
        }
        self.slowest = self.slowest.max(one.took);
        self.late = self.late.max(one.late);
        self.took.push(one.took);
    }

    /// Adds what became of others.
    pub fn join(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed.extend(other.failed);
        self.slowest = self.slowest.max(other.slowest);
        self.late = self.late.max(other.late);
        self.took.extend(other.took);
    }

    /// Takes out what was sent to a process that was dying: where it has read a request, and the method may
    /// not be repeated, nobody can know whether it was served. How many those were.
    pub fn forgive_what_cannot_be_repeated(&mut self) -> usize {
        let all = self.failed.len();
        self.failed
            .retain(|said| !(said.starts_with("POST") && said.contains(": 502") && said.contains("upstream-protocol")));
        all - self.failed.len()
    }

    /// The figures in one line.
    pub fn told(&self) -> String {
        format!(
            "{} answered, {} lost, p50 {}, p99 {}, slowest {} (sent at most {} late)",
            self.answered,
            self.failed.len(),
            millis(quantile(&self.took, 0.5)),
            millis(quantile(&self.took, 0.99)),
            millis(self.slowest),
            millis(self.late),
        )
    }

    /// # Panics
    ///
    /// Panics if a request failed.
    pub fn is_whole(&self) {
        let all = self.answered + self.failed.len();
        assert!(
            self.failed.is_empty(),
            "{} of {all} lost: {:?}",
            self.failed.len(),
            &self.failed[..self.failed.len().min(5)]
        );
        assert!(self.answered > 0, "nothing was asked");
    }
}
/// Asks again and again, on a new connection each time, until told to stop; how many were answered and what
/// went wrong.
pub fn keep_asking(client: &Client, host: &str, path: &str, stop: &Arc<AtomicBool>) -> JoinHandle<(u32, Vec<String>)> {
    let (client, host, path, stop) = (client.clone(), host.to_owned(), path.to_owned(), Arc::clone(stop));
    tokio::spawn(async move {
        let (mut good, mut bad) = (0, Vec::new());
        while !stop.load(Ordering::SeqCst) {
            match client.get(&host, &path).await {
                Ok(answer) if answer.status == 200 => good += 1,
                Ok(answer) => bad.push(format!("{} {}", answer.status, answer.text())),
                Err(error) => bad.push(error.to_string()),
            }
        }
        (good, bad)
    })
}

/// What clients of a test's own saw together: how many answers, and what was lost.
///
/// # Panics
///
/// Where one of them did.
pub async fn together(clients: Vec<JoinHandle<(u32, Vec<String>)>>) -> (u32, Vec<String>) {
    let (mut good, mut bad) = (0, Vec::new());
    for client in clients {
        let (answered, lost) = client.await.expect("a client does not panic");
        good += answered;
        bad.extend(lost);
    }
    (good, bad)
}

#[cfg(test)]
mod tests {
    use gangway_testkit::app::{self, App};
    use gangway_testkit::ports::ClosedPort;
    use tokio::net::TcpListener;

    use super::*;
    use crate::run;

    #[test]
    fn a_stall_is_seen_by_all_who_came_meanwhile() {
        run(async {
            const STALL: Duration = Duration::from_secs(1);
            // It listens and does not accept: who connects waits.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = Client::plain(listener.local_addr().unwrap());
            let begun = Instant::now();
            let load = Load::through(&client, "stalled.test");
            // The first request begins a moment later, on a busy machine a long one.
            eventually("the stall is over", STUCK, async || (begun.elapsed() >= STALL * 3 / 2).then_some(())).await;
            let serving = tokio::spawn(app::serve(listener, Arc::new(App::new("stalled"))));
            let outcome = load.end().await;
            serving.abort();
            outcome.is_whole();
            // Clients that wait for their answers would have sent one request each, and hidden the rest.
            assert!(outcome.answered >= 190, "{}", outcome.told());
            assert!(outcome.slowest >= STALL, "{}", outcome.told());
            let middle = quantile(&outcome.took, 0.5);
            assert!(middle >= STALL / 3, "{}", outcome.told());
        });
    }

    #[test]
    fn what_nobody_answers_is_lost() {
        run(async {
            let nobody = ClosedPort::new();
            let load = Load::through(&Client::plain(nobody.address()), "gone.test");
            let begun = Instant::now();
            eventually("some were sent", STUCK, async || (begun.elapsed() > EVERY * 20).then_some(())).await;
            let outcome = load.end().await;
            assert_eq!(outcome.answered, 0);
            assert!(outcome.failed.len() >= 20, "{}", outcome.told());
        });
    }
}
