//! What Traefik's labels and files declare by name beside the routers that routes were made of: for those who ask what is
//! in force.

use std::sync::Arc;

use crate::route::{Endpoint, Middleware};
use crate::router::LostRouter;

/// The services and middlewares in force under their names, and the routers that are not.
#[derive(Clone, Debug, Default)]
pub struct SharedObjects {
    /// By whole name.
    pub upstreams: Vec<SharedUpstream>,
    /// By whole name.
    pub middlewares: Vec<SharedMiddleware>,
    /// By whole name. A route of the same name, of another container, may be in the table.
    pub lost_routers: Vec<LostRouter>,
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
    Steps(Arc<[Middleware]>),
    /// The middlewares of these names, in order.
    Chain(Vec<Box<str>>),
    /// It could not be made.
    Broken,
}
