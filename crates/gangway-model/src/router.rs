//! What Traefik's labels and files declare, by the names that they use: for those who ask what is in force. Nothing
//! that serves requests decides by it.

use crate::listener::ListenerName;
use crate::route::{Endpoint, Middleware};

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

/// The services and middlewares in force under their names.
#[derive(Clone, Debug, Default)]
pub struct SharedObjects {
    /// By whole name.
    pub upstreams: Vec<SharedUpstream>,
    /// By whole name.
    pub middlewares: Vec<SharedMiddleware>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct SharedUpstream {
    /// The whole name.
    pub name: Box<str>,
    /// Where it leads by itself.
    pub endpoints: Vec<Endpoint>,
    /// The services that share its requests, each with its weight.
    pub weighted: Vec<(Box<str>, u16)>,
    /// Whether the application gets the host that the client named.
    pub passes_host: bool,
    /// Whether its servers are asked how they are.
    pub has_health_check: bool,
}

/// A middleware.
#[derive(Clone, Debug)]
pub struct SharedMiddleware {
    /// The whole name.
    pub name: Box<str>,
    /// What it does.
    pub object: MiddlewareObject,
}

/// What a middleware does.
#[derive(Clone, Debug)]
pub enum MiddlewareObject {
    /// These steps, in order.
    Steps(Vec<Middleware>),
    /// The middlewares of these names, in order.
    Chain(Vec<Box<str>>),
    /// It could not be made.
    Broken,
}
