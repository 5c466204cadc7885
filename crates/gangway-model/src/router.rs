//! The router of Traefik's labels or files that a route was made of, by the names in it: for those who ask what is in
//! force, and for the access log. No request is served in another way because of it.

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
    /// The entry points that it names and that do not exist.
    pub absent_entry_points: Box<[Box<str>]>,
    /// The service as written.
    pub service: Box<str>,
    /// The whole name of the service.
    pub service_name: Box<str>,
    /// The whole names of its middlewares, in order.
    pub middlewares: Box<[Box<str>]>,
    /// What it says about TLS, if it is served over TLS.
    pub tls: Option<RouterTls>,
    /// `observability.accessLogs: false`: its requests have no line in Traefik's access log.
    pub is_unlogged: bool,
}

/// `tls` of a router.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouterTls {
    /// `options`.
    pub options: Option<Box<str>>,
    /// `certResolver`.
    pub resolver: Option<Box<str>>,
    /// `domains`.
    pub domains: Box<[CertificateDomain]>,
}

/// The names of one certificate, as they are written in `tls.domains` of a router or an entry point.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertificateDomain {
    /// `main`; empty where it is not written.
    pub main: Box<str>,
    /// `sans`.
    pub sans: Vec<Box<str>>,
}

impl CertificateDomain {
    /// All names of it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.main).filter(|main| !main.is_empty()).chain(&self.sans).map(|name| &**name)
    }
}

/// A router that no route could be made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LostRouter {
    /// The whole name.
    pub name: Box<str>,
    /// What could be read of it. Of several containers that declare one name it is the first one's.
    pub router: Router,
    /// Why there is no route, for people.
    pub why: &'static str,
}
