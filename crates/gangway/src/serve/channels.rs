//! The published values that connect the parts: each has one writer and many readers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use gangway_admin::AppIcons;
use gangway_certs::{CertificateReport, WantedCertificates};
use gangway_crowdsec::{AppsecKey, AppsecStatus, Decisions, Status};
use gangway_diagnostic::Diagnostic;
use gangway_model::{Compiled, Holdings, HostCondition};
use gangway_oidc::{EndedSessions, Providers, SessionEvent};
use gangway_proxy::{EndpointTlsSet, GeoDatabases, PageLibrary, UserLists, Whereabouts};
use gangway_publish::{Publisher, Reader, Seat, seat};
use gangway_tls::{CertificateResolver, Demand, Mint, Store};
use gangway_watcher::EngineStatus;
use tokio::sync::mpsc;

use super::whereabouts;
use crate::settings::reload::ConfigStatus;

/// One published value.
///
/// The writing end is a seat, so that a task that panicked can be replaced. Readers wait for the next writer as long
/// as a clone of the channel exists.
#[derive(Debug)]
pub(super) struct Channel<T> {
    seat: Arc<Mutex<Seat<T>>>,
    reader: Reader<T>,
}

impl<T> Channel<T> {
    pub(super) fn new(initial: T) -> Self {
        let (seat, reader) = seat(initial);
        Self { seat: Arc::new(Mutex::new(seat)), reader }
    }

    pub(super) fn reader(&self) -> Reader<T> {
        self.reader.clone()
    }

    /// The writing end, for the only task that writes this value. The supervisor starts a task again only when the
    /// one before has ended, so the seat is free.
    pub(super) fn publisher(&self) -> Publisher<T> {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        seat.take().expect("the task that had the seat has ended")
    }
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        Self { seat: Arc::clone(&self.seat), reader: self.reader.clone() }
    }
}

/// The way of session events to their register. A task that panicked can be replaced, and no event is lost by that.
#[derive(Clone, Debug)]
pub(super) struct SessionEvents {
    pub(super) sender: mpsc::Sender<SessionEvent>,
    pub(super) receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<SessionEvent>>>,
}

impl SessionEvents {
    /// Events that wait for the volume: more than log-ins can be finished meanwhile.
    const WAITING_MAX: usize = 1024;

    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(Self::WAITING_MAX);
        Self { sender, receiver: Arc::new(tokio::sync::Mutex::new(receiver)) }
    }
}

/// All published values, except the settings of the model: those begin with the addresses that are bound.
#[derive(Clone)]
pub(super) struct Channels {
    /// The table, its diagnostics and the holders of hosts. Written by the watcher.
    pub(super) compiled: Channel<Compiled>,
    /// The state of each engine. Written by the watcher.
    pub(super) engines: Channel<Vec<EngineStatus>>,
    /// Hosts that the user gives up with `gangway release`.
    pub(super) released: Channel<BTreeSet<HostCondition>>,
    /// The certificates that the table needs.
    pub(super) wanted: Channel<WantedCertificates>,
    /// The certificates that are there. Written by the certificate keeper.
    pub(super) store: Channel<Store>,
    /// Makes certificates at the first handshake. The keeper says for which names.
    pub(super) mint: Arc<Mint>,
    /// Where handshakes ask for names that no route lists; none without `--on-demand`.
    pub(super) demand: Option<Arc<Demand>>,
    /// The state of each certificate. Written by the certificate keeper.
    pub(super) certificates: Channel<CertificateReport>,
    /// The lists of users on the volume, and what is wrong with them.
    pub(super) user_lists: Channel<UserLists>,
    pub(super) user_list_findings: Channel<Vec<Diagnostic>>,
    /// What the PEM gives that users name for endpoints, and what is wrong with it.
    pub(super) endpoint_tls: Channel<EndpointTlsSet>,
    pub(super) endpoint_tls_findings: Channel<Vec<Diagnostic>>,
    /// The OpenID providers of the config file with the keys of the volume, what is wrong with these, and what is wrong at the
    /// providers.
    pub(super) providers: Channel<Providers>,
    pub(super) provider_findings: Channel<Vec<Diagnostic>>,
    pub(super) provider_checks: Channel<Vec<Diagnostic>>,
    /// What happens to sessions at those providers, those that were ended, and what is wrong with their register.
    pub(super) session_events: SessionEvents,
    pub(super) ended_sessions: Channel<EndedSessions>,
    pub(super) session_findings: Channel<Vec<Diagnostic>>,
    /// The databases of places, and what is wrong with their files.
    pub(super) geography: Channel<GeoDatabases>,
    pub(super) geoip_findings: Channel<Vec<Diagnostic>>,
    /// The decisions of the CrowdSec engine, how it is, and what is wrong with either.
    pub(super) decisions: Channel<Decisions>,
    pub(super) crowdsec: Channel<Status>,
    pub(super) appsec_key: Channel<AppsecKey>,
    pub(super) appsec: Channel<AppsecStatus>,
    pub(super) crowdsec_findings: Channel<Vec<Diagnostic>>,
    /// The pages for errors on the volume, and what is wrong with them.
    pub(super) pages: Channel<PageLibrary>,
    pub(super) page_findings: Channel<Vec<Diagnostic>>,
    /// What is wrong with the files of Traefik's file provider.
    pub(super) traefik_findings: Channel<Vec<Diagnostic>>,
    /// Which listeners of the config file are not open as it says.
    pub(super) listener_findings: Channel<Vec<Diagnostic>>,
    /// Which settings applications lack, as their answers show.
    pub(super) app_findings: Channel<Vec<Diagnostic>>,
    /// The icons that applications give themselves.
    pub(super) app_icons: Channel<AppIcons>,
    /// The place of this process in the network, and its published ports.
    pub(super) whereabouts: Channel<Whereabouts>,
    /// The state of the config file and the other global settings.
    pub(super) config: Channel<ConfigStatus>,
}

impl Channels {
    /// Before any part runs. `holdings` are those that the volume remembers.
    pub(super) fn new(holdings: Holdings, config: ConfigStatus, demand: Option<Arc<Demand>>) -> Self {
        Self {
            compiled: Channel::new(Compiled { holdings, ..Compiled::default() }),
            engines: Channel::new(Vec::new()),
            released: Channel::new(BTreeSet::new()),
            wanted: Channel::new(WantedCertificates::default()),
            store: Channel::new(Store::default()),
            mint: Arc::new(Mint::new()),
            demand,
            certificates: Channel::new(CertificateReport::default()),
            user_lists: Channel::new(UserLists::default()),
            endpoint_tls: Channel::new(EndpointTlsSet::default()),
            endpoint_tls_findings: Channel::new(Vec::new()),
            user_list_findings: Channel::new(Vec::new()),
            providers: Channel::new(Providers::default()),
            provider_findings: Channel::new(Vec::new()),
            provider_checks: Channel::new(Vec::new()),
            session_events: SessionEvents::new(),
            ended_sessions: Channel::new(EndedSessions::default()),
            session_findings: Channel::new(Vec::new()),
            geography: Channel::new(GeoDatabases::default()),
            geoip_findings: Channel::new(Vec::new()),
            decisions: Channel::new(Decisions::default()),
            crowdsec: Channel::new(Status::default()),
            appsec_key: Channel::new(AppsecKey::default()),
            appsec: Channel::new(AppsecStatus::default()),
            crowdsec_findings: Channel::new(Vec::new()),
            pages: Channel::new(PageLibrary::default()),
            page_findings: Channel::new(Vec::new()),
            traefik_findings: Channel::new(Vec::new()),
            listener_findings: Channel::new(Vec::new()),
            app_findings: Channel::new(Vec::new()),
            app_icons: Channel::new(AppIcons::default()),
            whereabouts: Channel::new(whereabouts::at_the_start()),
            config: Channel::new(config),
        }
    }

    /// Finds certificates for handshakes and for the admin pages.
    pub(super) fn resolver(&self) -> CertificateResolver {
        CertificateResolver::new(self.store.reader(), Arc::clone(&self.mint), self.demand.clone())
    }
}
