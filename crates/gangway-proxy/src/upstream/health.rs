//! Probes endpoints beside the requests: whether they can be reached, and whether they pass their health check.
//!
//! An endpoint that is new, or that could not be connected to, is tried until a connection succeeds. With
//! `health.path`, it is checked for ever. The result becomes its [`EndpointHealth`], by which the next table sorts
//! it; requests themselves wait for no check.
//!
//! Health is the endpoint's and not a route's: one that several routes share is well if it passes the checks of all of
//! them. A mere connection says enough only where no route has a check.
//!
//! A check is a request as clients' requests are, but on a fresh connection each time.
//!
//! Engines call a container running when its process has started, not when it listens.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gangway_model::{EndpointKey, HealthCheck, Readiness};
use http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::log::endpoint_log::EndpointLog;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::serving_table::{ActiveEndpoint, ActiveTable};
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::endpoint_state::EndpointHealth;
use crate::upstream::error::trouble;
use crate::upstream::lone_request;
use crate::upstream::opener::Opener;
use crate::upstream::stream::UpstreamStream;

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
    opener: Opener,
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
    endpoint: ActiveEndpoint,
    hold: Duration,
    opener: Opener,
    teller: EndpointLog,
    /// Since when it could have been reached but was not.
    since: Instant,
}

impl Probes {
    /// No probe yet. They open their connections as requests do.
    pub(crate) fn new(opener: Opener) -> Self {
        let (reports_tx, reports) = mpsc::channel(REPORTS_MAX);
        Self { tasks: HashMap::default(), reports_tx, reports, teller: EndpointLog::default(), opener }
    }

    /// Runs the probes that the endpoints of a table need, and ends all others. The probes of the endpoints in
    /// `suspects` start anew, at once.
    pub(crate) fn follow(&mut self, table: &ActiveTable, suspects: &HashSet<EndpointKey, ahash::RandomState>) {
        let mut known = std::mem::take(&mut self.tasks);
        for (key, wanted) in wanted(table) {
            let Some(question) = wanted.question() else { continue };
            let is_going_on = |probe: &Probe| probe.question == question && !probe.task.is_finished();
            let same = known.remove(key).filter(is_going_on);
            let probe = match same.filter(|_| !suspects.contains(key)) {
                Some(probe) => probe,
                None => wanted.begin(question, self),
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

    fn begin(&self, question: ProbeKind, probes: &Probes) -> Probe {
        let probed = |endpoint: &ActiveEndpoint| ProbedEndpoint {
            endpoint: endpoint.clone(),
            hold: self.hold,
            opener: probes.opener.clone(),
            teller: probes.teller.clone(),
            // An endpoint that was never reached, although there was time enough, will not come now.
            since: endpoint.state.unreached_since().unwrap_or_else(Instant::now),
        };
        let (subject, reports) = (probed(self.endpoint), probes.reports_tx.clone());
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
                subject.endpoint.state.note_trouble(&trouble);
                if subject.since.elapsed() < subject.hold { EndpointHealth::Failing } else { EndpointHealth::Down }
            }
        };
        subject.tell(now);
        if now == EndpointHealth::Healthy || now != reported {
            reported = now;
            if reports.send((subject.endpoint.key.clone(), now)).await.is_err() || now == EndpointHealth::Healthy {
                return;
            }
        }
        sleep(if now == EndpointHealth::Down { PAUSE_HOPELESS } else { pause(begun.elapsed()) }).await;
    }
}

/// Runs the health checks for ever, one at a time.
async fn ask(subject: ProbedEndpoint, checks: Vec<(HealthCheck, ProbedEndpoint)>, reports: mpsc::Sender<HealthReport>) {
    let begun = Instant::now();
    let mut results = vec![CheckResult::default(); checks.len()];
    let mut due = vec![begun; checks.len()];
    while let Some((next, at)) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at) {
        sleep_until(at).await;
        let (check, asked) = &checks[next];
        let trouble = asked.answers_well(check).await.err();
        if let Some(trouble) = &trouble {
            subject.endpoint.state.note_trouble(trouble);
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
            if reports.send((subject.endpoint.key.clone(), health)).await.is_err() {
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
        let ActiveEndpoint { key, name, state, .. } = &self.endpoint;
        let address = || key.address.to_string();
        match now {
            EndpointHealth::Healthy => self.teller.back(name, &address(), state),
            EndpointHealth::Down => self.teller.lost(name, &address(), state),
            EndpointHealth::New | EndpointHealth::Failing => {}
        }
    }

    /// Connects by TCP once. The error describes the failure.
    async fn connects(&self) -> Result<(), String> {
        match timeout(CONNECT_TIME, self.opener.dial(&self.endpoint)).await {
            Ok(connected) => connected.map(drop).map_err(|error| trouble(error.kind).to_owned()),
            Err(_) => Err(trouble(UpstreamErrorKind::ConnectTimeout).to_owned()),
        }
    }

    /// Runs the health check once. The error describes the failure.
    async fn answers_well(&self, check: &HealthCheck) -> Result<(), String> {
        let due = Instant::now() + check.timeout;
        let Ok(connected) = timeout_at(due, lone_request::open(&self.opener, &self.endpoint)).await else {
            return Err(trouble(UpstreamErrorKind::ConnectTimeout).to_owned());
        };
        let mut stream = connected.map_err(|error| check_trouble(&error))?;
        let Ok(answer) = timeout_at(due, self.status(&mut stream, check)).await else {
            return Err("no answer to its check in time".to_owned());
        };
        let status = answer.map_err(|error| check_trouble(&error))?.as_u16();
        if check.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            return Ok(());
        }
        Err(format!("its check answers {status}"))
    }

    /// The status of the answer to a check.
    async fn status(&self, stream: &mut UpstreamStream, check: &HealthCheck) -> Result<StatusCode, UpstreamError> {
        let mut fields = Fields::default();
        fields.push_known(FieldKind::Host, b"Host", &[self.endpoint.host.as_bytes()]);
        fields.push(b"User-Agent", b"gangway");
        Ok(lone_request::get(stream, &check.path, &fields).await?.status)
    }
}

/// Describes why a check got no answer.
fn check_trouble(error: &UpstreamError) -> String {
    match error.kind {
        UpstreamErrorKind::Refused
        | UpstreamErrorKind::ConnectTimeout
        | UpstreamErrorKind::NoWay
        | UpstreamErrorKind::NameUnknown
        | UpstreamErrorKind::Connect
        | UpstreamErrorKind::TlsUntrusted
        | UpstreamErrorKind::TlsNothingInCommon
        | UpstreamErrorKind::TlsNotSpoken
        | UpstreamErrorKind::TlsUnset
        | UpstreamErrorKind::Tls => trouble(error.kind).to_owned(),
        UpstreamErrorKind::Exhausted
        | UpstreamErrorKind::ClosedUnanswered
        | UpstreamErrorKind::Reset
        | UpstreamErrorKind::Unprocessed
        | UpstreamErrorKind::ClosedEarly
        | UpstreamErrorKind::Malformed
        | UpstreamErrorKind::HeadTooLarge
        | UpstreamErrorKind::Timeout
        | UpstreamErrorKind::Drained => format!("no valid answer to its check: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use gangway_model::Scheme;
    use gangway_testkit::ports::ClosedPort;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::samples::endpoint;
    use crate::upstream::tls::tests::acceptor_with_an_old_certificate;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    fn probed(scheme: Scheme, address: SocketAddr) -> ProbedEndpoint {
        ProbedEndpoint {
            endpoint: endpoint(scheme, address),
            hold: Duration::ZERO,
            opener: Opener::default(),
            teller: EndpointLog::default(),
            since: Instant::now(),
        }
    }

    async fn outcome(scheme: Scheme, address: SocketAddr) -> Result<(), String> {
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(30));
        let check = HealthCheck { path: "/ok?a={b}".into(), interval, timeout, statuses: vec![(200, 204)] };
        probed(scheme, address).answers_well(&check).await
    }

    /// Answers a request and returns its head.
    async fn answer(mut io: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(io.read_buf(&mut head).await.is_ok_and(|len| len > 0), "the head has an end");
        }
        io.write_all(answer.as_bytes()).await.expect("it is read");
        // A connection serves one check.
        let mut rest = Vec::new();
        let _ = io.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
        String::from_utf8(head).expect("text")
    }

    #[tokio::test]
    async fn a_check_goes_wherever_requests_go() {
        let (listener, address) = listener().await;
        let early_hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        let served = async {
            let (tcp, _) = listener.accept().await.expect("it listens");
            let tls = acceptor_with_an_old_certificate().accept(tcp).await.expect("the certificate is not checked");
            answer(tls, early_hints).await
        };
        let (outcome, head) = tokio::join!(outcome(Scheme::Https, address), served);
        assert_eq!(outcome, Ok(()));
        assert_eq!(head, format!("GET /ok?a={{b}} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: gangway\r\n\r\n"));
    }

    #[tokio::test]
    async fn a_check_over_http2_closes_its_connection() {
        let (listener, address) = listener().await;
        let served = async {
            let (tcp, _) = listener.accept().await.expect("it listens");
            let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
            let (request, mut respond) = connection.accept().await.expect("a request").expect("a whole one");
            let response = http::Response::builder().status(200).body(()).expect("a response");
            respond.send_response(response, true).expect("it is asked for");
            // The end of the connection, and not the time, ends this.
            assert!(connection.accept().await.is_none_or(|asked| asked.is_err()));
            request.uri().to_string()
        };
        let (outcome, url) = tokio::join!(outcome(Scheme::H2c, address), served);
        assert_eq!((outcome, url), (Ok(()), format!("http://{address}/ok?a={{b}}")));
    }

    #[tokio::test]
    async fn a_failed_check_says_why() {
        let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        for (said, why) in [
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "its check answers 503"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "no valid answer to its check: "),
            (&large, "no valid answer to its check: the head of its answer is larger than 64 KiB"),
        ] {
            let (listener, address) = listener().await;
            let served = async {
                let (tcp, _) = listener.accept().await.expect("it listens");
                answer(tcp, said).await
            };
            let (outcome, _) = tokio::join!(outcome(Scheme::Http, address), served);
            assert!(outcome.as_ref().is_err_and(|said| said.starts_with(why)), "{outcome:?}, not {why}");
        }
        let nobody = ClosedPort::new();
        assert_eq!(outcome(Scheme::Https, nobody.address()).await, Err("connection refused".to_owned()));
    }

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
