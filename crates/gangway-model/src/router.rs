//! The router of Traefik's labels or files that a route was made of, by the names in it: for those who ask what is in
//! force. Nothing that serves requests decides by it.

use crate::listener::ListenerName;

/// The router that a route was made of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Router {
    /// The rule as written.
    pub rule: Box<str>,
    /// The priority: as written, or the length of the rule.
    pub priority: i64,
    /// The entry points that it is served on.
    pub entry_points: Box<[ListenerName]>,
    /// The service as written.
    pub service: Box<str>,
    /// The whole name of the service.
    pub service_name: Box<str>,
    /// The whole names of its middlewares, in order.
    pub middlewares: Box<[Box<str>]>,
    /// What it says about TLS, if it is served over TLS.
    pub tls: Option<RouterTls>,
}

/// `tls` of a router.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouterTls {
    /// `options`.
    pub options: Option<Box<str>>,
    /// `certResolver`.
    pub resolver: Option<Box<str>>,
}
