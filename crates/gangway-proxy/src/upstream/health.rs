//! Probes endpoints beside the requests: whether they can be reached, and whether they pass their health check.
//!
//! An endpoint that is new, or that could not be connected to, is tried until a connection succeeds. With
//! `health.path`, it is checked for ever. The result becomes its [`EndpointHealth`], by which the next table sorts
//! it; requests themselves wait for no check.
//!
//! Health is the endpoint's and not a route's: one that several routes share is well if it passes the checks of all of
//! them. A mere connection says enough only where no route has a check.
//!
//! Engines call a container running when its process has started, not when it listens.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gangway_model::{EndpointKey, HealthCheck, Readiness};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::log::endpoint_log::EndpointLog;
use crate::serving_table::{ActiveEndpoint, ActiveTable, DialTarget};
use crate::upstream::endpoint_state::{EndpointHealth, EndpointState};

/// The shortest pause between two tries; requests may be waiting.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// The longest pause while requests wait.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// The pause once no request waits.
const PAUSE_HOPELESS: Duration = Duration::from_secs(1);

/// On the network of an engine, a connection succeeds at once, or its first packet was lost.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// This many failed checks in a row are no coincidence.
const FAILURES_MAX: u32 = 2;

/// Reports that may wait for the activator. If the channel is full, a probe waits before it reports.
const REPORTS_MAX: usize = 1024;

/// The result of a probe.
pub(crate) type HealthReport = (EndpointKey, EndpointHealth);

/// The probes of all endpoints that need one.
#[derive(Debug)]
pub(crate) struct Probes {
    tasks: HashMap<EndpointKey, Probe, ahash::RandomState>,
    reports_tx: mpsc::Sender<HealthReport>,
    reports: mpsc::Receiver<HealthReport>,
    teller: EndpointLog,
}

#[derive(Debug)]
struct Probe {
    question: ProbeKind,
    /// Dropping it ends the probe.
    task: AbortOnDropHandle<()>,
}

/// The kinds of probes.
#[derive(Clone, Debug, Eq, PartialEq)]
enum ProbeKind {
    /// Whether the endpoint accepts connections; ends once it does.
    Connect,
    /// Whether the endpoint passes these health checks; never ends.
    Checks(Vec<HealthCheck>),
}

/// The checks that the routes of one endpoint ask for.
struct Wanted<'t> {
    endpoint: &'t ActiveEndpoint,
    /// The longest hold of its routes.
    hold: Duration,
    /// The different checks, each with the endpoint as its route connects to it.
    checks: Vec<(&'t HealthCheck, &'t ActiveEndpoint)>,
}

/// The endpoint that a probe asks.
struct ProbedEndpoint {
    key: EndpointKey,
    target: DialTarget,
    peer: HttpPeer,
    host: http::HeaderValue,
    hold: Duration,
    name: Box<str>,
    state: Arc<EndpointState>,
    teller: EndpointLog,
    /// Since when it could have been reached but was not.
    since: Instant,
}

impl Default for Probes {
    fn default() -> Self {
        let (reports_tx, reports) = mpsc::channel(REPORTS_MAX);
        Self { tasks: HashMap::default(), reports_tx, reports, teller: EndpointLog::default() }
    }
}

impl Probes {
    /// Runs the probes that the endpoints of a table need, and ends all others. The probe of the endpoint in `suspect`
    /// starts anew, at once.
    pub(crate) fn follow(&mut self, table: &ActiveTable, suspect: Option<&EndpointKey>) {
        let mut known = std::mem::take(&mut self.tasks);
        for (key, wanted) in wanted(table) {
            let Some(question) = wanted.question() else { continue };
            let is_going_on = |probe: &Probe| probe.question == question && !probe.task.is_finished();
            let same = known.remove(key).filter(is_going_on);
            let probe = match same.filter(|_| suspect != Some(key)) {
                Some(probe) => probe,
                None => wanted.begin(question, &self.reports_tx, &self.teller),
            };
            self.tasks.insert(key.clone(), probe);
        }
    }

    /// Waits for the next report. Cancel-safe.
    pub(crate) async fn next(&mut self) -> HealthReport {
        match self.reports.recv().await {
            Some(reports) => reports,
            // Unreachable: one sender is our own.
            None => std::future::pending().await,
        }
    }

    /// The next report, if there is one already.
    pub(crate) fn also(&mut self) -> Option<HealthReport> {
        self.reports.try_recv().ok()
    }
}

/// The checks that are wanted of each endpoint that the engine calls ready.
fn wanted(table: &ActiveTable) -> HashMap<&EndpointKey, Wanted<'_>, ahash::RandomState> {
    let mut all: HashMap<&EndpointKey, Wanted<'_>, ahash::RandomState> = HashMap::default();
    for route in table.routes() {
        let policy = &route.route.upstream.policy;
        let endpoints = route.ready.iter().chain(&route.others);
        for endpoint in endpoints.filter(|endpoint| endpoint.readiness == Readiness::Ready) {
            let new = || Wanted { endpoint, hold: policy.hold, checks: Vec::new() };
            let wanted = all.entry(&endpoint.key).or_insert_with(new);
            wanted.hold = wanted.hold.max(policy.hold);
            let is_new = |check: &&HealthCheck| wanted.checks.iter().all(|(known, _)| known != check);
            let check = policy.health.as_ref().filter(is_new);
            wanted.checks.extend(check.map(|check| (check, endpoint)));
        }
    }
    all
}

impl Wanted<'_> {
    /// The probe that the endpoint needs.
    fn question(&self) -> Option<ProbeKind> {
        if self.checks.is_empty() {
            return (self.endpoint.state.health() != EndpointHealth::Healthy).then_some(ProbeKind::Connect);
        }
        Some(ProbeKind::Checks(self.checks.iter().map(|(check, _)| (*check).clone()).collect()))
    }

    fn begin(&self, question: ProbeKind, reports: &mpsc::Sender<HealthReport>, teller: &EndpointLog) -> Probe {
        let probed = |endpoint: &ActiveEndpoint| ProbedEndpoint {
            key: endpoint.key.clone(),
            target: endpoint.target.clone(),
            peer: endpoint.peer.clone(),
            host: endpoint.host.clone(),
            hold: self.hold,
            name: endpoint.name.clone(),
            state: Arc::clone(&endpoint.state),
            teller: teller.clone(),
            // An endpoint that was never reached, although there was time enough, will not come now.
            since: endpoint.state.unreached_since().unwrap_or_else(Instant::now),
        };
        let (subject, reports) = (probed(self.endpoint), reports.clone());
        let task = match &question {
            ProbeKind::Connect => tokio::spawn(reach(subject, reports)),
            ProbeKind::Checks(_) => {
                let checks = self.checks.iter().map(|(check, endpoint)| ((*check).clone(), probed(endpoint)));
                tokio::spawn(ask(subject, checks.collect(), reports))
            }
        };
        Probe { question, task: AbortOnDropHandle::new(task) }
    }
}

/// Tries to connect until that succeeds.
async fn reach(subject: ProbedEndpoint, reports: mpsc::Sender<HealthReport>) {
    let (begun, mut reported) = (Instant::now(), EndpointHealth::Healthy);
    loop {
        let now = match subject.connects().await {
            Ok(()) => EndpointHealth::Healthy,
            Err(trouble) => {
                subject.state.note_trouble(&trouble);
                if subject.since.elapsed() < subject.hold { EndpointHealth::Failing } else { EndpointHealth::Down }
            }
        };
        subject.tell(now);
        if now == EndpointHealth::Healthy || now != reported {
            reported = now;
            if reports.send((subject.key.clone(), now)).await.is_err() || now == EndpointHealth::Healthy {
                return;
            }
        }
        sleep(if now == EndpointHealth::Down { PAUSE_HOPELESS } else { pause(begun.elapsed()) }).await;
    }
}

/// Runs the health checks for ever, one at a time.
async fn ask(subject: ProbedEndpoint, checks: Vec<(HealthCheck, ProbedEndpoint)>, reports: mpsc::Sender<HealthReport>) {
    let connector = Connector::new(None);
    let begun = Instant::now();
    let mut results = vec![CheckResult::default(); checks.len()];
    let mut due = vec![begun; checks.len()];
    while let Some((next, at)) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at) {
        sleep_until(at).await;
        let (check, asked) = &checks[next];
        let answer = timeout(check.timeout, asked.answers_well(&connector, check)).await;
        let trouble = answer.unwrap_or_else(|_| Err("no answer to its check in time".to_owned())).err();
        if let Some(trouble) = &trouble {
            subject.state.note_trouble(trouble);
        }
        let was_good = all_good(&results);
        let is_first_failure = results[next].note(trouble.is_none());
        let is_good = all_good(&results);
        // A healthy endpoint that fails is logged at once; a starting one has its time.
        if is_good {
            subject.tell(EndpointHealth::Healthy);
        } else if was_good || begun.elapsed() >= subject.hold {
            subject.tell(EndpointHealth::Down);
        }
        if is_good != was_good || is_first_failure {
            let health = if is_good { EndpointHealth::Healthy } else { EndpointHealth::Failing };
            if reports.send((subject.key.clone(), health)).await.is_err() {
                return;
            }
        }
        // While requests may wait for it, it is checked more often.
        let is_awaited = !results[next].is_good && begun.elapsed() < subject.hold;
        let awaited = || pause(begun.elapsed()).min(check.interval);
        due[next] = Instant::now() + if is_awaited { awaited() } else { jittered(check.interval) };
    }
}

/// The result of one check of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct CheckResult {
    is_good: bool,
    failures: u32,
}

impl CheckResult {
    /// Notes whether the endpoint passed. Returns whether it fails for the first time since it was last known to be well, or
    /// at all.
    fn note(&mut self, is_well: bool) -> bool {
        self.failures = if is_well { 0 } else { self.failures + 1 };
        let was_good = self.is_good;
        self.is_good = if was_good { self.failures < FAILURES_MAX } else { is_well };
        self.failures == 1 && !was_good
    }
}

fn all_good(results: &[CheckResult]) -> bool {
    results.iter().all(|result| result.is_good)
}

/// The pause before the next try to connect. It makes no request wait for more than a quarter longer than the
/// endpoint needs.
fn pause(tried_for: Duration) -> Duration {
    (tried_for / 4).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// Varies an interval by a tenth, so that probes that began together do not stay together.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

impl ProbedEndpoint {
    /// Logs a change of the endpoint's health.
    fn tell(&self, now: EndpointHealth) {
        let address = || self.key.address.to_string();
        match now {
            EndpointHealth::Healthy => self.teller.back(&self.name, &address(), &self.state),
            EndpointHealth::Down => self.teller.lost(&self.name, &address(), &self.state),
            EndpointHealth::New | EndpointHealth::Failing => {}
        }
    }

    async fn connects(&self) -> Result<(), String> {
        let connecting = async {
            match (&self.target, self.peer._address.as_inet()) {
                (DialTarget::Name(name, port), _) => tokio::net::TcpStream::connect((&**name, *port)).await.map(drop),
                (DialTarget::Address, Some(address)) => tokio::net::TcpStream::connect(address).await.map(drop),
                (DialTarget::Address, None) => Ok(()),
            }
        };
        match timeout(CONNECT_TIME, connecting).await {
            Ok(connected) => connected.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                _ => error.to_string(),
            }),
            Err(_) => Err("no connection in time".to_owned()),
        }
    }

    /// Runs the health check once. The error describes the failure.
    async fn answers_well(&self, connector: &Connector, check: &HealthCheck) -> Result<(), String> {
        match self.status(connector, check).await {
            Some(status) if check.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status)) => Ok(()),
            Some(status) => Err(format!("its check answers {status}")),
            None => Err(self.connects().await.err().unwrap_or_else(|| "no valid answer to its check".to_owned())),
        }
    }

    /// The status of the answer; none if there was no answer.
    async fn status(&self, connector: &Connector, check: &HealthCheck) -> Option<u16> {
        let mut peer = self.peer.clone();
        peer.options.read_timeout = Some(check.timeout);
        let mut session = match &self.target {
            DialTarget::Address => connector.get_http_session(&peer).await.ok()?.0,
            DialTarget::Name(name, port) => {
                // An application may listen at one of its addresses only.
                let mut connected = None;
                for address in tokio::net::lookup_host((&**name, *port)).await.ok()? {
                    peer._address = PingoraAddress::Inet(address);
                    connected = connector.get_http_session(&peer).await.ok();
                    if connected.is_some() {
                        break;
                    }
                }
                connected?.0
            }
        };
        let mut request = RequestHeader::build("GET", check.path.as_bytes(), Some(3)).ok()?;
        request.insert_header(http::header::HOST, self.host.clone()).ok()?;
        request.insert_header(http::header::USER_AGENT, "gangway").ok()?;
        session.write_request_header(Box::new(request)).await.ok()?;
        session.finish_request_body().await.ok()?;
        session.read_response_header().await.ok()?;
        let status = session.response_header()?.status.as_u16();
        // Not kept for the next check: the endpoint could have closed it by then.
        session.shutdown().await;
        Some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_well_if_it_passes_every_check_and_one_failure_is_no_illness() {
        let mut results = [CheckResult::default(); 2];
        assert!(!results[0].note(true));
        assert!(!all_good(&results), "the other check has not been answered yet");
        assert!(results[1].note(false), "it is news that it was reached and does not pass");
        assert!(!results[1].note(false));
        results[1].note(true);
        assert!(all_good(&results));
        assert!(!results[0].note(false) && all_good(&results));
        results[0].note(false);
        assert!(!all_good(&results));
        results[1].note(true);
        assert!(!all_good(&results), "the check that fails decides");
    }

    #[test]
    fn intervals_differ_by_no_more_than_a_tenth() {
        let second = Duration::from_secs(1);
        let intervals: Vec<Duration> = (0..100).map(|_| jittered(second)).collect();
        assert!(intervals.iter().all(|one| (0.9..=1.1).contains(&one.as_secs_f64())), "{intervals:?}");
        assert!(intervals.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
