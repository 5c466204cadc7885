//! Probes endpoints beside the requests: whether they can be reached, and whether they pass their health check.
//!
//! An endpoint that is new, or that could not be connected to, is tried until a connection succeeds. With
//! `health.path`, it is checked for ever. The result becomes its [`EndpointHealth`], by which the next table sorts
//! it; requests themselves wait for no check.
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
use tokio::time::{Instant, sleep, timeout};
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
    /// Whether the endpoint passes its health check; never ends.
    Check(HealthCheck),
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
        for route in table.routes() {
            let policy = &route.route.upstream.policy;
            for endpoint in route.ready.iter().chain(&route.others) {
                let Some(question) = question(endpoint, policy.health.as_ref()) else { continue };
                if self.tasks.contains_key(&endpoint.key) {
                    continue;
                }
                let is_going_on = |probe: &Probe| probe.question == question && !probe.task.is_finished();
                let same = known.remove(&endpoint.key).filter(is_going_on);
                let probe = match same.filter(|_| suspect != Some(&endpoint.key)) {
                    Some(probe) => probe,
                    None => begin(question, endpoint, policy.hold, self.reports_tx.clone(), self.teller.clone()),
                };
                self.tasks.insert(endpoint.key.clone(), probe);
            }
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

/// The probe that an endpoint needs. None if the engine does not call it ready.
fn question(endpoint: &ActiveEndpoint, health: Option<&HealthCheck>) -> Option<ProbeKind> {
    if endpoint.readiness != Readiness::Ready {
        return None;
    }
    match health {
        Some(check) => Some(ProbeKind::Check(check.clone())),
        None => (endpoint.state.health() != EndpointHealth::Healthy).then_some(ProbeKind::Connect),
    }
}

fn begin(
    question: ProbeKind,
    endpoint: &ActiveEndpoint,
    hold: Duration,
    reports: mpsc::Sender<HealthReport>,
    teller: EndpointLog,
) -> Probe {
    let subject = ProbedEndpoint {
        key: endpoint.key.clone(),
        target: endpoint.target.clone(),
        peer: endpoint.peer.clone(),
        host: endpoint.host.clone(),
        hold,
        name: endpoint.name.clone(),
        state: Arc::clone(&endpoint.state),
        teller,
        // An endpoint that was never reached, although there was time enough, will not come now.
        since: endpoint.state.unreached_since().unwrap_or_else(Instant::now),
    };
    let task = match question.clone() {
        ProbeKind::Connect => tokio::spawn(reach(subject, reports)),
        ProbeKind::Check(check) => tokio::spawn(ask(subject, check, reports)),
    };
    Probe { question, task: AbortOnDropHandle::new(task) }
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

/// Runs the health check for ever.
async fn ask(subject: ProbedEndpoint, check: HealthCheck, reports: mpsc::Sender<HealthReport>) {
    let connector = Connector::new(None);
    let begun = Instant::now();
    let (mut is_good, mut failures) = (false, 0);
    loop {
        let answer = timeout(check.timeout, subject.answers_well(&connector, &check)).await;
        let trouble = answer.unwrap_or_else(|_| Err("no answer to its check in time".to_owned())).err();
        if let Some(trouble) = &trouble {
            subject.state.note_trouble(trouble);
        }
        let is_well = trouble.is_none();
        failures = if is_well { 0 } else { failures + 1 };
        let now = if is_good { failures < FAILURES_MAX } else { is_well };
        let is_news = now != is_good || (failures == 1 && !is_good);
        // A healthy endpoint that fails is logged at once; a starting one has its time.
        if now {
            subject.tell(EndpointHealth::Healthy);
        } else if is_good || begun.elapsed() >= subject.hold {
            subject.tell(EndpointHealth::Down);
        }
        is_good = now;
        if is_news {
            let health = if is_good { EndpointHealth::Healthy } else { EndpointHealth::Failing };
            if reports.send((subject.key.clone(), health)).await.is_err() {
                return;
            }
        }
        // While requests may wait for it, it is checked more often.
        let is_awaited = !is_good && begun.elapsed() < subject.hold;
        let awaited = || pause(begun.elapsed()).min(check.interval);
        sleep(if is_awaited { awaited() } else { jittered(check.interval) }).await;
    }
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
        if let DialTarget::Name(name, port) = &self.target {
            let address = tokio::net::lookup_host((&**name, *port)).await.ok()?.next()?;
            peer._address = PingoraAddress::Inet(address);
        }
        let (mut session, _) = connector.get_http_session(&peer).await.ok()?;
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
    fn intervals_differ_by_no_more_than_a_tenth() {
        let second = Duration::from_secs(1);
        let intervals: Vec<Duration> = (0..100).map(|_| jittered(second)).collect();
        assert!(intervals.iter().all(|one| (0.9..=1.1).contains(&one.as_secs_f64())), "{intervals:?}");
        assert!(intervals.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
