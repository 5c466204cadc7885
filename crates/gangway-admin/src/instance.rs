//! The running instance as the admin listener sees it, beside the table.
//!
//! The binary implements [`Instance`], because it knows the crates that this one must not depend on. Where an answer
//! goes to the API, it is the type of the API, so that each value is converted once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use gangway_diagnostic::Diagnostic;
use gangway_model::{EndpointKey, Geography, PublicPorts, Reputation};
use gangway_tls::{DemandCounts, UnixTime};

use crate::api::{
    CertificateView, ChangesResponse, ConfigFileView, EngineView, FiguresResponse, IssuerView, LimitView, ListenerView,
    LogResponse, PointView, RequestView, RequestsResponse, SettingView,
};
use crate::app_icons::AppIcons;

/// The running instance, as the admin listener sees it. Each answer is a value of one moment; no method waits.
///
/// As a [`Geography`] it tells the places of addresses as the data plane takes them.
pub trait Instance: Geography + Reputation + Send + Sync + 'static {
    /// The phase that the instance is in.
    fn phase(&self) -> InstancePhase;
    /// The listeners of the data plane.
    fn listening(&self) -> Vec<ListenerView>;
    /// The ports that clients connect to.
    fn public_ports(&self) -> PublicPorts {
        PublicPorts::default()
    }
    /// The engines that are followed.
    fn engines(&self) -> Vec<EngineView>;
    /// The config file. `None` if none was named.
    fn config(&self) -> Option<ConfigFileView>;
    /// The settings in force, with the place where each was written. Secrets are redacted on the way out.
    fn settings(&self) -> Vec<SettingView> {
        Vec::new()
    }
    /// The bounds on what clients may send and hold. Empty before the data plane serves.
    fn limits(&self) -> Vec<LimitView> {
        Vec::new()
    }
    /// Certificates in force and missing.
    fn certificates(&self) -> CertificatesState;
    /// Findings about global settings and certificates, which the table does not have.
    fn diagnostics(&self) -> Vec<Diagnostic>;
    /// The address of a gateway with which clients come, if any did. It says nothing about a client.
    fn gateway_seen(&self) -> Option<IpAddr> {
        None
    }
    /// Whether plain HTTP is refused while a name has no certificate.
    fn refuses_plain(&self) -> bool;
    /// The icons of applications, for the start page.
    fn icons(&self) -> AppIcons {
        AppIcons::default()
    }
    /// The present state of endpoints.
    fn endpoints(&self) -> HashMap<EndpointKey, EndpointActivity>;
    /// The latest figures of the routes.
    fn figures(&self) -> FiguresResponse {
        FiguresResponse::default()
    }
    /// The figures of a route for the last day, by 5 minutes, oldest first. Empty where there are none.
    fn day(&self, _route: &str) -> Vec<PointView> {
        Vec::new()
    }
    /// The last requests of a route, newest first.
    fn requests(&self, _route: &str) -> RequestsResponse {
        RequestsResponse::default()
    }
    /// The last requests of a route that have a greater number, newest first.
    fn requests_after(&self, route: &str, number: u64) -> Vec<RequestView> {
        let requests = self.requests(route).requests;
        requests.into_iter().filter(|request| request.number > number).collect()
    }
    /// The last requests of all routes: at most `max` of them, newest first.
    fn latest_requests(&self, _max: usize) -> RequestsResponse {
        RequestsResponse::default()
    }
    /// How many requests of each route have ended, by the id of the route.
    fn request_counts(&self) -> Vec<(Arc<str>, RequestCount)> {
        Vec::new()
    }
    /// What changed, newest first.
    fn changes(&self) -> ChangesResponse {
        ChangesResponse::default()
    }
    /// The last lines of the process's own log, oldest first.
    fn log(&self) -> LogResponse {
        LogResponse::default()
    }
    /// The number of times that a background task was started again.
    fn task_restarts(&self) -> u64;
    /// The time of day.
    fn now(&self) -> UnixTime;
}

/// The phase of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InstancePhase {
    /// No table is in force yet.
    Starting,
    /// A table is in force.
    Serving,
    /// Requests under way are being finished.
    Stopping,
}

/// How many requests of a route have ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestCount {
    /// The number of the latest one that left an entry.
    pub number: u64,
    /// All of them. Those that left no entry have no number.
    pub ended: u64,
}

/// Everything about certificates at one moment.
#[derive(Clone, Debug, Default)]
pub struct CertificatesState {
    /// The certificates, by name.
    pub list: Vec<CertificateView>,
    /// The volume cannot be written.
    pub degraded: bool,
    /// The decisions about names that no route lists. `None` if certificates on demand are off.
    pub on_demand: Option<DemandCounts>,
    /// The public CAs that may be asked, in the order in which they are.
    pub issuers: Vec<IssuerView>,
    /// The root certificate of the internal CA as PEM.
    pub internal_root: Option<String>,
}

/// The present state of an endpoint, which the table does not have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndpointActivity {
    /// The number of requests, streams and WebSockets under way.
    pub under_way: usize,
    /// Connecting or the health check failed just now, so other endpoints are preferred.
    pub is_ejected: bool,
    /// The error of the last attempt to reach it. `None` if it was reached.
    pub trouble: Option<Box<str>>,
}
