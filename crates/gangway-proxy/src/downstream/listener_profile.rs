//! How the connections of a listener are served.

use std::net::IpAddr;
use std::sync::Arc;

use gangway_model::{ListenerName, ListenerProtocol};
use prometheus::IntGauge;

use crate::listen_addresses::ListenerSettings;
use crate::metrics::Metrics;
use crate::trusted_proxies::TrustedProxies;

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
        })
    }

    /// Whether connections of this peer have to begin with a header of the PROXY protocol.
    pub(crate) fn demands_header_of(&self, peer: IpAddr) -> bool {
        self.proxy_protocol.contains(peer)
    }
}
