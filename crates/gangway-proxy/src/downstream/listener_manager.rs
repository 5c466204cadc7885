//! Opens listeners, closes them, and changes how they are served, while requests go on.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use gangway_model::{KnownListener, ListenerName};
use gangway_publish::{Publisher, Reader, channel};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::downstream::deferred_accept;
use crate::downstream::listener::{Listener, OpenSockets, check_asked, open_address};
use crate::downstream::listener_profile::ListenerProfile;
use crate::lifecycle::{Lifecycle, Phases};
use crate::listen_addresses::{BoundListener, ListenAddresses, ListenerSettings};
use crate::metrics::Metrics;
use crate::serving_table::ActiveTable;
use crate::settings::PassedSocket;
use crate::start_error::StartError;
use crate::trusted_proxies::TrustedProxies;

/// How long clients of a new listener wait for a table that knows it. A table that is the same without it never comes.
const TABLE_WAIT: Duration = Duration::from_secs(1);

/// The listening sockets of a data plane, as they are now. Nobody may keep a copy of one: it would go on queueing
/// connections after its listener has gone.
pub type ListeningSockets = watch::Receiver<Vec<Arc<TcpListener>>>;

/// Gives each thread the listeners whose connections it accepts.
pub(crate) type ListenerSender = mpsc::UnboundedSender<Listener>;

/// Opens, changes and closes listeners while requests go on. All clones are one.
#[derive(Clone)]
pub struct ListenerManager(Arc<Mutex<ManagerState>>);

/// Why a listener that is asked for is not as its settings say. It stays as it was before.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ListenerFailure {
    /// The listener.
    pub name: ListenerName,
    /// What kept it from being opened.
    pub cause: StartError,
}

struct ManagerState {
    workers: Vec<ListenerSender>,
    /// The proxies that listeners without proxies of their own trust.
    trusted: TrustedProxies,
    metrics: Arc<Metrics>,
    tables: Reader<ActiveTable>,
    phases: Phases,
    open: Vec<OpenAddress>,
    listening: Publisher<ListenAddresses>,
    sockets: watch::Sender<Vec<Arc<TcpListener>>>,
    /// Sees the first table that comes after the last change; none where nothing waits for one.
    next_table: Option<Reader<ActiveTable>>,
    /// Whether the data plane accepts no more connections.
    is_closed: bool,
}

/// What is to become of a listener: the places of its addresses that are open, and those that were opened for it.
struct Plan<'l> {
    listener: &'l ListenerSettings,
    there: Vec<usize>,
    opened: Result<Vec<(SocketAddr, OpenSockets)>, StartError>,
}

/// An address at which is listened.
struct OpenAddress {
    /// As the settings name it; port 0 is one that the system chose.
    asked: SocketAddr,
    addresses: Vec<SocketAddr>,
    profile: Publisher<Arc<ListenerProfile>>,
    removed: watch::Sender<bool>,
    sockets: Vec<Arc<TcpListener>>,
    /// Those that no thread has yet: their connections wait in the system's queue.
    waiting: Vec<Listener>,
    is_wanted: bool,
}

impl ListenerManager {
    /// Opens the first listeners. Sockets that were passed are used for their addresses.
    ///
    /// # Errors
    ///
    /// An address cannot be opened.
    pub(crate) fn start(
        workers: Vec<ListenerSender>,
        wanted: &[ListenerSettings],
        passed: &[PassedSocket],
        (trusted, metrics, tables, phases): (TrustedProxies, Arc<Metrics>, Reader<ActiveTable>, Phases),
    ) -> Result<Self, StartError> {
        let (listening, _) = channel(ListenAddresses::default());
        let (sockets, _) = watch::channel(Vec::new());
        let mut state = ManagerState {
            workers,
            trusted,
            metrics,
            tables,
            phases,
            open: Vec::new(),
            listening,
            sockets,
            next_table: None,
            is_closed: false,
        };
        let mut bound = Vec::new();
        for listener in wanted {
            let opened = state.open_new(&listener.addresses, passed)?;
            bound.push(state.settle_listener(listener, &[], opened)?);
        }
        let asked: Vec<SocketAddr> = wanted.iter().flat_map(|listener| listener.addresses.iter().copied()).collect();
        check_asked(passed, &asked)?;
        state.publish(bound);
        state.give_to_workers();
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Where is listened now.
    pub fn listening(&self) -> Reader<ListenAddresses> {
        self.0.lock().listening.reader()
    }

    /// The listening sockets, for a successor that listens on them as well.
    pub fn sockets(&self) -> ListeningSockets {
        self.0.lock().sockets.subscribe()
    }

    /// Opens listeners that are new, and changes how connections to those that stay are served from now on. Connections to a
    /// new address wait in the system's queue until [`Self::settle`].
    ///
    /// A listener that cannot be opened stays as it was, and the others are not concerned, whatever their order. None, and
    /// without effect, while a successor may have the sockets: it follows the same settings, and has the addresses alone.
    pub fn open(&self, wanted: &[ListenerSettings]) -> Option<Vec<ListenerFailure>> {
        let mut state = self.0.lock();
        if state.is_closed || *state.phases.borrow() > Lifecycle::Serving {
            return None;
        }
        let state = &mut *state;
        let mut plans: Vec<Plan<'_>> = wanted.iter().map(|listener| state.plan(listener)).collect();
        // A listener that stays as it was keeps its addresses from those that were to have them.
        while let Some((at, cause)) =
            plans.iter().enumerate().find_map(|(at, plan)| Some((at, state.kept(plan, &plans)?)))
        {
            plans[at].opened = Err(cause);
        }
        state.next_table = Some(state.tables.clone());
        state.open.iter_mut().for_each(|open| open.is_wanted = false);
        let mut failures = Vec::new();
        let mut bound = Vec::with_capacity(wanted.len());
        for Plan { listener, there, opened } in plans {
            match opened.and_then(|opened| state.settle_listener(listener, &there, opened)) {
                Ok(listener) => bound.push(listener),
                Err(cause) => {
                    failures.push(ListenerFailure { name: listener.name.clone(), cause });
                    bound.push(state.keep_as_it_was(listener));
                }
            }
        }
        state.publish(bound);
        Some(failures)
    }

    /// Accepts connections at new addresses, as soon as a table has come that may know their listener, and closes those that
    /// are not wanted any more.
    ///
    /// Connections that have arrived at an address before it is closed are served. All connections to it are ended with
    /// their next response; no request is cut.
    pub async fn settle(&self) {
        let next_table = {
            let mut state = self.0.lock();
            let has_new = state.open.iter().any(|open| !open.waiting.is_empty());
            state.next_table.take().filter(|_| has_new)
        };
        if let Some(mut tables) = next_table {
            let _ = timeout(TABLE_WAIT, tables.changed()).await;
            self.0.lock().give_to_workers();
        }
        let closing: Vec<Arc<TcpListener>> = {
            let state = self.0.lock();
            let unwanted = state.open.iter().filter(|open| !open.is_wanted);
            unwanted.flat_map(|open| open.sockets.iter().map(Arc::clone)).collect()
        };
        if closing.is_empty() {
            return;
        }
        deferred_accept::end(&closing).await;
        // A copy would go on queueing connections.
        drop(closing);
        self.0.lock().remove_unwanted();
    }

    /// Forgets the sockets, for the end of the data plane: no listener is opened any more.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        state.sockets.send_replace(Vec::new());
        state.open.iter_mut().for_each(|open| open.sockets.clear());
    }
}

impl ManagerState {
    /// What becomes of a listener. An address that another listener has goes on with this one.
    fn plan<'l>(&self, listener: &'l ListenerSettings) -> Plan<'l> {
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for &address in &listener.addresses {
            let found = self.open.iter().enumerate().position(|(at, open)| {
                // Port 0 is another one each time.
                let is_same = address.port() != 0 || open.is_of(listener);
                open.asked == address && is_same && !there.contains(&at)
            });
            match found {
                Some(at) => there.push(at),
                None => missing.push(address),
            }
        }
        let opened = self.open_new(&missing, &[]).map_err(|cause| self.explained(cause));
        Plan { listener, there, opened }
    }

    /// Why a plan cannot be, where it takes the address of a listener that stays as it was.
    fn kept(&self, plan: &Plan<'_>, all: &[Plan<'_>]) -> Option<StartError> {
        plan.opened.as_ref().ok()?;
        let stays = |open: &&OpenAddress| {
            all.iter().any(|other| other.opened.is_err() && open.is_of(other.listener)) && !open.is_of(plan.listener)
        };
        let kept = plan.there.iter().map(|at| &self.open[*at]).find(stays)?;
        Some(StartError::Overlap { address: kept.asked, ours: kept.asked })
    }

    fn open_new(
        &self,
        addresses: &[SocketAddr],
        passed: &[PassedSocket],
    ) -> Result<Vec<(SocketAddr, OpenSockets)>, StartError> {
        let open = |&address| Ok((address, open_address(address, passed, self.workers.len())?));
        addresses.iter().map(open).collect()
    }

    /// The cause, in other words where it is a listener of ours that has the port.
    fn explained(&self, cause: StartError) -> StartError {
        match cause {
            StartError::Bind { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                let mut ours = self.open.iter().flat_map(|open| &open.addresses);
                match ours.find(|ours| ours.port() == address.port()) {
                    Some(&ours) => StartError::Overlap { address, ours },
                    None => StartError::Bind { address, error },
                }
            }
            other => other,
        }
    }

    /// Has a listener served by its settings: at addresses that are open, and at new ones.
    fn settle_listener(
        &mut self,
        listener: &ListenerSettings,
        there: &[usize],
        opened: Vec<(SocketAddr, OpenSockets)>,
    ) -> Result<BoundListener, StartError> {
        let profile = || ListenerProfile::new(listener, &self.trusted, &self.metrics);
        let mut new = Vec::with_capacity(opened.len());
        for (asked, opened) in opened {
            new.push(OpenAddress::new(asked, opened, profile())?);
        }
        let changed: Vec<_> = there.iter().map(|at| (*at, profile())).collect();
        for (at, profile) in changed {
            self.open[at].is_wanted = true;
            self.open[at].serve_by(profile);
        }
        let addresses = |open: &OpenAddress| open.addresses.clone();
        let there = there.iter().map(|at| &self.open[*at]);
        let addresses = there.chain(&new).flat_map(addresses).collect();
        self.open.extend(new);
        Ok(BoundListener { known: known(listener), addresses })
    }

    /// A listener that could not be changed, with what it has.
    fn keep_as_it_was(&mut self, listener: &ListenerSettings) -> BoundListener {
        let mut known = known(listener);
        let mut addresses = Vec::new();
        for open in &mut self.open {
            let profile = Arc::clone(&open.profile.reader().load());
            if profile.name == listener.name {
                open.is_wanted = true;
                known.protocol = profile.protocol;
                addresses.extend_from_slice(&open.addresses);
            }
        }
        BoundListener { known, addresses }
    }

    fn publish(&mut self, bound: Vec<BoundListener>) {
        self.publish_sockets();
        self.listening.publish(ListenAddresses(bound));
    }

    fn publish_sockets(&self) {
        let all = self.open.iter().flat_map(|open| open.sockets.iter().map(Arc::clone));
        self.sockets.send_replace(all.collect());
    }

    fn give_to_workers(&mut self) {
        for open in &mut self.open {
            for (listener, worker) in open.waiting.drain(..).zip(self.workers.iter().cycle()) {
                // A thread that has ended accepts nothing; the others do.
                let _ = worker.send(listener);
            }
        }
    }

    fn remove_unwanted(&mut self) {
        let (kept, removed) = std::mem::take(&mut self.open).into_iter().partition(|open| open.is_wanted);
        self.open = kept;
        self.publish_sockets();
        removed.into_iter().for_each(OpenAddress::remove);
    }
}

fn known(listener: &ListenerSettings) -> KnownListener {
    KnownListener { name: listener.name.clone(), protocol: listener.protocol }
}

impl OpenAddress {
    fn new(asked: SocketAddr, opened: OpenSockets, profile: Arc<ListenerProfile>) -> Result<Self, StartError> {
        let OpenSockets { sockets, addresses, are_held } = opened;
        let (profile, profiles) = channel(profile);
        let (removed, is_removed) = watch::channel(false);
        let copies = sockets.iter().map(|socket| socket.try_clone().map(Arc::new)).collect::<Result<_, _>>();
        let listener =
            |socket| Listener { socket, profile: profiles.clone(), removed: is_removed.clone(), is_held: are_held };
        Ok(Self {
            asked,
            addresses,
            profile,
            removed,
            sockets: copies.map_err(StartError::Sockets)?,
            waiting: sockets.into_iter().map(listener).collect(),
            is_wanted: true,
        })
    }

    fn is_of(&self, listener: &ListenerSettings) -> bool {
        self.profile.reader().load().name == listener.name
    }

    /// Has connections served by other settings from now on. Those that are there are ended with their next response, so
    /// that clients come anew.
    fn serve_by(&mut self, profile: Arc<ListenerProfile>) {
        let before = Arc::clone(&self.profile.reader().load());
        if !before.says_the_same(&profile) {
            self.profile.publish(profile);
            before.retire();
        }
    }

    fn remove(self) {
        self.profile.reader().load().retire();
        drop(self.sockets);
        self.removed.send_replace(true);
    }
}

impl fmt::Debug for ListenerManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerManager")
    }
}
