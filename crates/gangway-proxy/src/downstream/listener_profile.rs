//! How the connections of a listener are served.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gangway_model::{ListenerName, ListenerProtocol};
use prometheus::IntGauge;
use tokio::sync::watch;

use crate::listen_addresses::ListenerSettings;
use crate::metrics::Metrics;
use crate::trusted_proxies::TrustedProxies;

/// Tells whether the client of a connection is to go elsewhere with its next request.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    /// True while those of all connections are.
    everywhere: Arc<AtomicBool>,
    listener: Arc<ListenerProfile>,
}

impl Leaving {
    pub(crate) fn new(everywhere: Arc<AtomicBool>, listener: Arc<ListenerProfile>) -> Self {
        Self { everywhere, listener }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.everywhere.load(Ordering::Acquire) || self.listener.is_retired()
    }
}

/// How the connections of a listener are served; shared by all of them.
#[derive(Debug)]
pub(crate) struct ListenerProfile {
    pub(crate) name: ListenerName,
    pub(crate) protocol: ListenerProtocol,
    /// Peers whose connections begin with a header of the PROXY protocol.
    proxy_protocol: TrustedProxies,
    /// Peers whose forwarding fields are believed.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Counts its open connections.
    pub(crate) open: IntGauge,
    retired: watch::Sender<bool>,
}

impl ListenerProfile {
    /// `trusted` are the proxies of listeners that have none of their own.
    pub(crate) fn new(settings: &ListenerSettings, trusted: &TrustedProxies, metrics: &Metrics) -> Arc<Self> {
        let ListenerSettings { name, protocol, addresses: _, proxy_protocol, trusted_proxies } = settings;
        Arc::new(Self {
            name: name.clone(),
            protocol: *protocol,
            proxy_protocol: proxy_protocol.clone(),
            trusted_proxies: trusted_proxies.as_ref().unwrap_or(trusted).clone(),
            open: metrics.connections.with_label_values(&[&**name]),
            retired: watch::Sender::new(false),
        })
    }

    /// Whether connections are served alike by both.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let said = |profile: &Self| {
            let Self { name, protocol, proxy_protocol, trusted_proxies, open: _, retired: _ } = profile;
            (name.clone(), *protocol, proxy_protocol.clone(), trusted_proxies.clone())
        };
        said(self) == said(other)
    }

    /// Has the clients of its connections come anew: no connection is served by it any more.
    pub(crate) fn retire(&self) {
        self.retired.send_replace(true);
    }

    fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    /// Waits until connections are to be ended.
    pub(crate) async fn retired(&self) {
        // It lasts as long as the profile.
        let _ = self.retired.subscribe().wait_for(|is_retired| *is_retired).await;
    }

    /// Whether connections of this peer have to begin with a header of the PROXY protocol.
    pub(crate) fn demands_header_of(&self, peer: IpAddr) -> bool {
        self.proxy_protocol.contains(peer)
    }
}
