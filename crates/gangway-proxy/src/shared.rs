//! State that all threads of the data plane share.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gangway_crowdsec::Bouncer;
use gangway_model::{Compiled, HTTPS, ListenerScope, https_listener};
use gangway_otlp::Tracer;
use gangway_publish::{Generation, Reader};
use gangway_tls::{CertificateResolver, ServerConfigs};
use tokio::sync::{Notify, Semaphore};

use crate::access::GeoDatabases;
use crate::access::gate::AccessControl;
use crate::downstream::listener_profile::ListenerProfile;
use crate::hold::limits::Waiters;
use crate::listen_addresses::ListenAddresses;
use crate::log::access_log::AccessLog;
use crate::log::unclaimed_hosts::UnclaimedCounts;
use crate::metrics::Metrics;
use crate::overload::Overload;
use crate::pages::library::PageLibrary;
use crate::reply::internal::InternalServices;
use crate::serving_table::ActiveTable;
use crate::settings::ProxySettings;
use crate::upstream::connector::ConnectorSettings;
use crate::upstream::suspects::Suspects;
use crate::whereabouts::Whereabouts;

/// How long a client waits for the first table. Longer than a start takes if an engine answers, and short enough that
/// clients do not take Gangway for dead if none does.
const START_WAIT: Duration = Duration::from_secs(3);

/// Questions to page services at once. A service for people answers within milliseconds, so this is a thousand a second.
pub(crate) const PAGE_QUESTIONS_MAX: usize = 64;

/// State that every thread has a clone of.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) tables: Reader<ActiveTable>,
    pub(crate) certificates: CertificateResolver,
    /// One for all threads: session tickets belong to it, and a client that returns may be accepted by another
    /// thread.
    pub(crate) tls: Arc<ServerConfigs>,
    pub(crate) connector: ConnectorSettings,
    pub(crate) overload: Overload,
    pub(crate) access: Arc<AccessControl>,
    /// Where addresses are.
    pub(crate) geography: Reader<GeoDatabases>,
    /// Who is banned; none where no engine tells.
    pub(crate) bouncer: Option<Bouncer>,
    /// The pages on the volume.
    pub(crate) pages: Reader<PageLibrary>,
    /// What services of Gangway itself say.
    pub(crate) internal: Arc<dyn InternalServices>,
    /// Bounds the questions to page services that are under way.
    pub(crate) page_questions: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    /// The listeners that are open.
    pub(crate) listening: Reader<ListenAddresses>,
    pub(crate) shutting_down: Arc<AtomicBool>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) whereabouts: Reader<Whereabouts>,
    /// The first gateway that a client came through.
    pub(crate) gateway_seen: Arc<OnceLock<IpAddr>>,
    /// Endpoints that could not be connected to.
    pub(crate) suspects: Arc<Suspects>,
    /// What the table in force was made of, to explain failures to clients on the local network.
    pub(crate) compiled: Reader<Compiled>,
    /// Wakes the failure log after a request failed.
    pub(crate) failures: Arc<Notify>,
    /// Notified when an application refuses something because of a setting of its own.
    pub(crate) refused: Arc<Notify>,
    /// The tracer that takes the spans of requests, if there is a collector.
    pub(crate) tracer: Option<Tracer>,
    /// Hosts that are asked for by https and that no route claims.
    pub(crate) unclaimed: Arc<UnclaimedCounts>,
}

impl Shared {
    /// Waits until a table is in force, or until waiting is of no use.
    pub(crate) async fn first_table(&self) {
        if self.tables.generation() != Generation::INITIAL {
            return;
        }
        let comes = async {
            tokio::select! {
                _ = self.tables.first() => {}
                () = self.trouble() => {}
            }
        };
        let _ = tokio::time::timeout(START_WAIT, comes).await;
    }

    /// The port of https for a client whose request in clear came to this listener and named the port `named`. `scope`
    /// is that of the route.
    pub(crate) fn https_port(&self, scope: &ListenerScope, came_to: &ListenerProfile, named: Option<u16>) -> u16 {
        let named = named.unwrap_or(80);
        let listening = self.listening.load();
        let target = https_listener(&listening.0, scope, &came_to.name);
        if target.is_some_and(|target| target.known.name == came_to.name) {
            return named;
        }
        let is_other = target.is_some_and(|target| *target.known.name != *HTTPS);
        let found_out = || self.whereabouts.load().tls_port(&listening, target, named);
        self.settings.public_https_port.filter(|_| !is_other).unwrap_or_else(found_out)
    }

    /// Waits until it is known that no table will come soon.
    async fn trouble(&self) {
        let mut whereabouts = self.whereabouts.clone();
        while whereabouts.load().trouble.is_none() {
            if whereabouts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
