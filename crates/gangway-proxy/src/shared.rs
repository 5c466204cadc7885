//! What every thread of the data plane shares.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gangway_model::Compiled;
use gangway_model::route::EndpointKey;
use gangway_publish::{Generation, Reader};
use gangway_tls::{ServerConfigs, Store};
use tokio::sync::{Notify, mpsc};

use crate::hold::limits::Waiters;
use crate::listen_addresses::ListenAddresses;
use crate::log::access_log::AccessLog;
use crate::log::unclaimed_hosts::UnclaimedHosts;
use crate::metrics::Metrics;
use crate::serving_table::ActiveTable;
use crate::settings::ProxySettings;
use crate::whereabouts::Whereabouts;

/// How long a client waits for the first table: longer than a start takes where an engine answers, and not
/// so long that anybody believes us dead where none does.
const START_WAIT: Duration = Duration::from_secs(3);

/// What every thread is given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) tables: Reader<ActiveTable>,
    pub(crate) store: Reader<Store>,
    /// One for all threads: each has session tickets of its own, and a client that returns may be
    /// accepted by another thread.
    pub(crate) tls: Arc<ServerConfigs>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    pub(crate) listening: ListenAddresses,
    pub(crate) shutting_down: Arc<AtomicBool>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) whereabouts: Reader<Whereabouts>,
    /// The first gateway that spoke for a client.
    pub(crate) gateway_seen: Arc<OnceLock<IpAddr>>,
    /// Endpoints that a request could not be brought to.
    pub(crate) doubts: mpsc::Sender<EndpointKey>,
    /// What the table was made of, for what a local client is told.
    pub(crate) compiled: Reader<Compiled>,
    /// A request failed.
    pub(crate) failures: Arc<Notify>,
    /// Hosts that are asked for by https and not claimed.
    pub(crate) unclaimed: Arc<UnclaimedHosts>,
}

impl Shared {
    /// Waits until a table is in force, or it is no use to wait for it.
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

    /// The port of https for a client that named this port of plain HTTP.
    pub(crate) fn https_port(&self, named: Option<u16>) -> u16 {
        let found_out = || self.whereabouts.load().https_port(&self.listening, named.unwrap_or(80));
        self.settings.public_https_port.unwrap_or_else(found_out)
    }

    /// Waits until it is known that none will come soon.
    async fn trouble(&self) {
        let mut whereabouts = self.whereabouts.clone();
        while whereabouts.load().trouble.is_none() {
            if whereabouts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
