//! What the running instance is asked beside its table: the binary answers, for it knows the crates that
//! this one must not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use gangway_model::Diagnostic;
use gangway_model::location::PublicPorts;
use gangway_model::route::EndpointKey;
use gangway_tls::{DemandCounts, Origin};

/// The running instance, as far as it can be asked. Answers are values of one moment; none waits.
pub trait Instance: Send + Sync + 'static {
    /// How far it is.
    fn phase(&self) -> Phase;
    /// The addresses that the data plane listens on.
    fn listening(&self) -> (Vec<SocketAddr>, Vec<SocketAddr>);
    /// The ports under which clients reach it.
    fn public_ports(&self) -> PublicPorts {
        PublicPorts::default()
    }
    /// The engines.
    fn engines(&self) -> Vec<Engine>;
    /// The config file and whether it is in force.
    fn config(&self) -> Option<(String, bool)>;
    /// Certificates in force and missing.
    fn certificates(&self) -> Certificates;
    /// Findings beside those of the table: about global settings and certificates.
    fn diagnostics(&self) -> Vec<Diagnostic>;
    /// Whether plain HTTP is refused while a name has no certificate.
    fn refuses_plain(&self) -> bool {
        false
    }
    /// The living side of every endpoint of the table in force.
    fn endpoints(&self) -> HashMap<EndpointKey, EndpointNow>;
    /// Background tasks that were started again.
    fn task_restarts(&self) -> u64;
    /// Seconds since the epoch.
    fn now(&self) -> i64;
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// No table is in force yet.
    Starting,
    /// A table is in force.
    Serving,
    /// Requests under way are being finished.
    Stopping,
}

/// One engine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Engine {
    /// For people.
    pub name: String,
    /// As given.
    pub url: String,
    /// Of the engine and its API, once known.
    pub version: Option<String>,
    /// Why it cannot be read now.
    pub trouble: Option<String>,
    /// Containers in the last good read.
    pub containers: usize,
    /// Full reads so far.
    pub reads: u64,
    /// Reads that failed so far.
    pub failures: u64,
    /// From its events to the tables they led to.
    pub reaction: Reaction,
}

/// How long it took from an event to the table it led to, over the latest ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reaction {
    /// Tables that came of events so far.
    pub count: u64,
    /// All of it, the engine's time to list its containers included.
    pub whole: Spread,
    /// Our share of it.
    pub ours: Spread,
}

/// Quantiles.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    /// The latest.
    pub last: Duration,
    /// Half were quicker.
    pub median: Duration,
    /// One in a hundred was slower.
    pub p99: Duration,
}

/// Everything about certificates.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// By name.
    pub list: Vec<Certificate>,
    /// The volume cannot be written.
    pub degraded: bool,
    /// How often a name that no route lists was decided about; none where nobody decides.
    pub on_demand: Option<DemandCounts>,
    /// The internal root as PEM.
    pub internal_root: Option<String>,
}

/// One certificate, or its absence.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// The name it is for.
    pub name: String,
    /// Who signed it; empty where there is none.
    pub issuer: String,
    /// In hexadecimal; empty where there is none, and as long as nobody has asked for one that is made then.
    pub serial: String,
    /// Seconds since the epoch.
    pub not_before: i64,
    /// Seconds since the epoch.
    pub not_after: i64,
    /// None where there is no certificate, and none will be made.
    pub origin: Option<Origin>,
    /// When the next one is ordered, or the next attempt made, in seconds since the epoch.
    pub next: Option<i64>,
    /// The time within which the CA would like it renewed.
    pub renewal_window: Option<(i64, i64)>,
    /// No route lists it: it was permitted when somebody asked for it.
    pub on_demand: bool,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

impl Certificate {
    /// Whether there is one. One of ours is made when it is first asked for.
    pub(crate) fn is_there(&self) -> bool {
        self.origin.is_some() && !self.serial.is_empty()
    }
}

/// The living side of an endpoint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndpointNow {
    /// Requests, streams and WebSockets.
    pub under_way: usize,
    /// Connecting failed just now, or its check does, so others are preferred.
    pub is_ejected: bool,
    /// What the last try to reach it said; none once it was reached.
    pub trouble: Option<Box<str>>,
}
