//! Looks clients up in the decisions in force, and counts what became of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gangway_model::{ClientPlace, Judgement, Reputation};
use gangway_publish::{Generation, Reader};
use prometheus::core::Collector as _;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::decisions::Decisions;
use crate::ledger::Counts;

/// Says who is banned, by the decisions in force. Cloning is cheap, and clones count together.
#[derive(Clone, Debug)]
pub struct Bouncer {
    decisions: Reader<Decisions>,
    processed: IntCounterVec,
    /// Those of IPv4 and IPv6, looked up once.
    processed_of: [IntCounter; 2],
    dropped: IntCounterVec,
    active: IntGaugeVec,
    reads: IntCounterVec,
    up: IntGauge,
}

/// The version of IP of an address, as the engine calls it.
fn ip_type(address: IpAddr) -> &'static str {
    if address.to_canonical().is_ipv4() { "ipv4" } else { "ipv6" }
}

impl Bouncer {
    /// One for these decisions.
    ///
    /// # Errors
    ///
    /// Never for the names that are given here.
    pub fn new(decisions: Reader<Decisions>) -> Result<Self, prometheus::Error> {
        let processed = IntCounterVec::new(
            Opts::new("gangway_crowdsec_processed_total", "Requests whose client was looked up in the decisions."),
            &["ip_type"],
        )?;
        Ok(Self {
            decisions,
            processed_of: [processed.with_label_values(&["ipv4"]), processed.with_label_values(&["ipv6"])],
            processed,
            dropped: IntCounterVec::new(
                Opts::new("gangway_crowdsec_dropped_total", "Connections and requests of banned clients, by origin."),
                &["origin", "ip_type"],
            )?,
            active: IntGaugeVec::new(
                Opts::new("gangway_crowdsec_decisions", "Decisions in force, by origin and by what they are about."),
                &["origin", "about"],
            )?,
            reads: IntCounterVec::new(
                Opts::new("gangway_crowdsec_reads_total", "Questions to the CrowdSec engine, by outcome."),
                &["outcome"],
            )?,
            up: IntGauge::new("gangway_crowdsec_up", "Whether the CrowdSec engine answered the last question.")?,
        })
    }

    /// Registers its counters, where there is an engine: without one, it would seem to be down.
    ///
    /// # Errors
    ///
    /// The registry has such counters already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.processed.clone()))?;
        registry.register(Box::new(self.dropped.clone()))?;
        registry.register(Box::new(self.active.clone()))?;
        registry.register(Box::new(self.reads.clone()))?;
        registry.register(Box::new(self.up.clone()))
    }

    /// Judges the client of a new connection, and counts one that is turned away.
    pub fn judge_connection(&self, client: &ClientPlace<'_>) -> Judgement {
        let judgement = self.judge(client);
        if let Judgement::Banned { origin } = &judgement {
            self.note_dropped(origin, client.address());
        }
        judgement
    }

    /// Counts a client that was kept out, by whose decision that was.
    pub(crate) fn note_dropped(&self, origin: &str, client: IpAddr) {
        self.dropped.with_label_values(&[origin, ip_type(client)]).inc();
    }

    /// The same for one new request, whose client is counted as soon as it is judged.
    pub fn of_request(&self) -> RequestBouncer<'_> {
        RequestBouncer(self)
    }

    pub(crate) fn note_decisions(&self, counts: &BTreeMap<Box<str>, Counts>) {
        self.active.reset();
        for (origin, Counts { ipv4, ipv6, places }) in counts {
            for (about, count) in [("ipv4", ipv4), ("ipv6", ipv6), ("place", places)] {
                if *count > 0 {
                    self.active.with_label_values(&[&**origin, about]).set(*count);
                }
            }
        }
    }

    pub(crate) fn note_read(&self, is_answered: bool) {
        self.reads.with_label_values(&[if is_answered { "ok" } else { "failed" }]).inc();
        self.up.set(i64::from(is_answered));
    }

    /// The counters that the engine learns.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        let read = |name, unit, families: Vec<prometheus::proto::MetricFamily>| {
            let of_family = |family: &prometheus::proto::MetricFamily| family.get_metric().to_vec();
            let metrics = families.iter().flat_map(of_family).collect::<Vec<_>>();
            metrics.into_iter().map(move |metric| {
                let labels = metric.get_label().iter();
                let labels = labels.map(|label| (label.name().to_owned(), label.value().to_owned())).collect();
                let value = if name == "active_decisions" {
                    metric.get_gauge().get_value()
                } else {
                    metric.get_counter().get_value()
                };
                Counted { name, unit, labels, value }
            })
        };
        read("dropped", "request", self.dropped.collect())
            .chain(read("processed", "request", self.processed.collect()))
            .chain(read("active_decisions", "ip", self.active.collect()))
            .collect()
    }
}

/// Judges the client of one request, and counts it.
#[derive(Clone, Copy, Debug)]
pub struct RequestBouncer<'a>(&'a Bouncer);

impl Reputation for RequestBouncer<'_> {
    fn judge(&self, client: &ClientPlace<'_>) -> Judgement {
        let judgement = self.0.judge_connection(client);
        if judgement != Judgement::Unknown {
            self.0.processed_of[usize::from(client.address().is_ipv6())].inc();
        }
        judgement
    }
}

/// One value of a counter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Reputation for Bouncer {
    fn judge(&self, client: &ClientPlace<'_>) -> Judgement {
        let decisions = self.decisions.load();
        if decisions.generation() == Generation::INITIAL {
            return Judgement::Unknown;
        }
        decisions.judge(client)
    }
}
