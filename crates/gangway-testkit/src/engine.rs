//! A fake engine: it speaks the Docker API, but has no containers.
//!
//! It answers the reads that Gangway makes, over a Unix socket, TCP or a pipe within the process (which
//! obeys a paused clock, as no socket does), tells its events in the order in which the real engine of each
//! [`Flavour`] tells them, and misbehaves as a test orders: see [`Fault`].
//!
//! A test decides what its containers are. Their addresses can be those of real listeners on loopback,
//! and then requests reach these.

mod acts;
mod answer;
mod container;
mod control;
mod serve;
mod tell;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};

pub use container::Container;

/// The capacity of a pipe within the process.
const PIPE: usize = 256 * 1024;

/// The number of past events that an engine can still send.
const REMEMBERED: usize = 256;

/// The engine whose behaviour is imitated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Flavour {
    /// Docker 20.10, API 1.41.
    #[default]
    Docker2020,
    /// Docker of 2026, API 1.56: a `Health` object, and `die` comes last.
    Docker2026,
    /// Podman 4.3: a listing without network mode, health and exposed ports.
    Podman,
}

/// How an answer goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// There is no answer.
    Hang,
    /// It is not HTTP.
    Garbage,
    /// The body is this.
    Body(&'static str),
    /// The connection ends after this many bytes of the body.
    CutAfter(usize),
    /// The body has this many bytes.
    Huge(u64),
    /// This status, with the engine's kind of error message.
    Status(u16),
}

/// A moment at which a test can act, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// A listing was taken and is about to be sent: what happens now is not in it.
    ListingTaken,
    /// A subscriber has its answer's head and is not subscribed yet, as real engines do it.
    BeforeSubscription,
}

/// One request as it arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path without version prefix and query.
    pub path: String,
    /// The version prefix, such as `1.41`.
    pub version: Option<String>,
    /// The query as sent.
    pub query: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Up,
    /// As after SIGSTOP: connections are accepted, but nothing is sent.
    Frozen,
    /// As after SIGKILL: connections are refused, and the old ones are closed.
    Down,
}

/// A handle to a fake engine. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    state: Arc<Mutex<State>>,
    mode: Arc<watch::Sender<Mode>>,
}

type Act = Box<dyn FnOnce(&Engine) + Send>;

struct State {
    flavour: Flavour,
    containers: BTreeMap<String, Container>,
    networks: BTreeMap<String, String>,
    /// The drivers of networks that are not bridges.
    drivers: BTreeMap<String, String>,
    /// The gateway of each network that has one.
    gateways: BTreeMap<String, IpAddr>,
    /// It keeps its networks in a namespace of its own.
    is_rootless: bool,
    made: u64,
    attached: u64,
    past: VecDeque<tell::Event>,
    subscribers: Vec<mpsc::UnboundedSender<tell::Event>>,
    /// Events are neither sent nor remembered.
    loses_events: bool,
    faults: Vec<(String, Fault)>,
    moments: Vec<(Moment, Act)>,
    asked: Vec<Asked>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Flavour::default())
    }
}

impl Engine {
    /// An engine without containers.
    pub fn new(flavour: Flavour) -> Self {
        let state = State {
            flavour,
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            drivers: BTreeMap::new(),
            gateways: BTreeMap::new(),
            is_rootless: false,
            made: 0,
            attached: 0,
            past: VecDeque::new(),
            subscribers: Vec::new(),
            loses_events: false,
            faults: Vec::new(),
            moments: Vec::new(),
            asked: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), mode: Arc::new(watch::channel(Mode::Up).0) }
    }

    /// Connects within the process. Refused while the engine is down.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        if *self.mode.borrow() == Mode::Down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let engine = self.clone();
        tokio::spawn(async move { engine.serve(theirs).await });
        Ok(ours)
    }

    /// Answers on a Unix socket until dropped.
    pub async fn listen_unix(&self, path: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(path)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let engine = self.clone();
            tokio::spawn(async move { engine.serve(stream).await });
        }
    }

    /// Answers on a TCP listener until dropped.
    pub async fn listen_tcp(&self, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let engine = self.clone();
            tokio::spawn(async move { engine.serve(stream).await });
        }
    }

    /// Freezes, as after SIGSTOP.
    pub fn freeze(&self) {
        self.mode.send_replace(Mode::Frozen);
    }

    /// Ends, as after SIGKILL.
    pub fn die(&self) {
        self.mode.send_replace(Mode::Down);
        self.state().subscribers.clear();
    }

    /// Answers again, with what it had. A new process remembers no events.
    pub fn revive(&self) {
        let was_down = self.mode.send_replace(Mode::Up) == Mode::Down;
        if was_down {
            self.state().past.clear();
        }
    }

    /// From now on, answers to requests for this path (without version) go wrong.
    pub fn break_answers(&self, path: &str, fault: Fault) {
        let mut state = self.state();
        state.faults.retain(|(broken, _)| broken != path);
        state.faults.push((path.to_owned(), fault));
    }

    /// Removes all faults.
    pub fn mend(&self) {
        self.state().faults.clear();
    }

    /// Whether events are lost on their way, without a sign.
    pub fn lose_events(&self, lose: bool) {
        self.state().loses_events = lose;
    }

    /// Makes something happen at a moment, once.
    pub fn at(&self, moment: Moment, act: impl FnOnce(&Self) + Send + 'static) {
        self.state().moments.push((moment, Box::new(act)));
    }

    /// Says by which driver a network is made, instead of `bridge`.
    pub fn set_driver(&self, network: &str, driver: &str) {
        self.state().drivers.insert(network.into(), driver.into());
    }

    /// Says of itself that it is rootless: Docker among its components, Podman among its security options.
    pub fn set_rootless(&self) {
        self.state().is_rootless = true;
    }

    /// Says which gateway a network has, instead of none.
    pub fn set_gateway(&self, network: &str, gateway: IpAddr) {
        self.state().gateways.insert(network.into(), gateway);
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How often this path (without version) was asked for so far.
    pub fn asked_for(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|asked| asked.path == path).count()
    }

    /// The number of subscribers to events.
    pub fn subscribers(&self) -> usize {
        let mut state = self.state();
        state.subscribers.retain(|subscriber| !subscriber.is_closed());
        state.subscribers.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    /// Whether anything was to happen then.
    fn reached(&self, moment: Moment) -> bool {
        // Taken out first: the act uses the engine.
        let act = {
            let mut state = self.state();
            let found = state.moments.iter().position(|(at, _)| *at == moment);
            found.map(|position| state.moments.remove(position).1)
        };
        let is_awaited = act.is_some();
        if let Some(act) = act {
            act(self);
        }
        is_awaited
    }
}

impl State {
    fn register(&mut self, mut container: Container) -> String {
        self.made += 1;
        if container.id.is_empty() {
            container.id = id_for(self.made);
        }
        if container.created == 0 {
            container.created = 1_795_000_000 + i64::try_from(self.made).unwrap_or_default();
        }
        if container.networks.is_empty() && container.mode.is_none() {
            container.networks.push(("bridge".into(), None));
        }
        let id = container.id.clone();
        self.containers.insert(id.clone(), container);
        id
    }

    /// Gives it addresses on its networks, if it runs.
    fn attach(&mut self, id: &str) {
        self.attached += 1;
        let number = self.attached;
        let Some(container) = self.containers.get_mut(id) else { return };
        container.forget_json();
        if !matches!(container.state.as_str(), "running" | "paused") {
            return;
        }
        for (network, address) in &mut container.networks {
            let known = self.networks.len() as u64;
            self.networks.entry(network.clone()).or_insert_with(|| id_for(1_000_000 + known));
            address.get_or_insert_with(|| container.fixed.unwrap_or_else(|| address_for(number)));
        }
    }

    fn detach(&mut self, id: &str) {
        self.change(id, |container| {
            for (_, address) in &mut container.networks {
                *address = None;
            }
        });
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        let container = self.containers.get_mut(id).expect("an id of a container that is there");
        change(container);
        container.forget_json();
    }

    fn find(&self, container: &str) -> Option<String> {
        if self.containers.contains_key(container) {
            return Some(container.to_owned());
        }
        let named = |(_, known): &(&String, &Container)| known.name == container;
        let short = |(id, _): &(&String, &Container)| container.len() >= 12 && id.starts_with(container);
        let found = self.containers.iter().find(named).or_else(|| self.containers.iter().find(short));
        found.map(|(id, _)| id.clone())
    }

    fn id_of(&self, container: &str) -> String {
        self.find(container).unwrap_or_else(|| panic!("the fake engine has no container `{container}`"))
    }
}

/// Sixty-four digits of which the first twelve differ as well.
fn id_for(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{mixed:016x}{number:048x}")
}

fn address_for(number: u64) -> IpAddr {
    let [.., a, b] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(172, 20, a, b))
}
