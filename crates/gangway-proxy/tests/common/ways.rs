//! Every way from a client to an application: each version of HTTP, with and without TLS, on both sides.
//!
//! A promise that depends on neither side is tested over all of them, in one test.

use std::sync::Arc;

use gangway_model::Scheme;
use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use tokio::net::TcpListener;

use super::{Plane, RouteToServe, route};

/// The clients of each plane: what they are called, whether they speak TLS, and their version of HTTP.
const CLIENTS: [(&str, bool, Speaks); 4] = [
    ("http, HTTP/1.1", false, Speaks::H1),
    ("http, HTTP/2", false, Speaks::H2),
    ("https, HTTP/1.1", true, Speaks::H1),
    ("https, HTTP/2", true, Speaks::H2),
];

/// How endpoints are spoken to: the host of a route, its scheme, the versions of HTTP that TLS offers, and the one that
/// requests come by.
const ENDPOINTS: [(&str, Scheme, &[&str], &str); 4] = [
    ("http.localhost", Scheme::Http, &[], "HTTP/1.1"),
    ("h2c.localhost", Scheme::H2c, &[], "HTTP/2"),
    ("https-1.localhost", Scheme::Https, &["http/1.1"], "HTTP/1.1"),
    ("https-2.localhost", Scheme::Https, &["h2", "http/1.1"], "HTTP/2"),
];

/// One application behind a route for each way to it.
pub(crate) struct Ways {
    pub(crate) plane: Plane,
    pub(crate) app: Arc<App>,
}

/// One way from a client to the application.
pub(crate) struct Way {
    /// Names it in the message of a failed assertion.
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) speaks: Speaks,
    pub(crate) is_secure: bool,
    pub(crate) host: &'static str,
    /// The version of HTTP that the application is spoken to by.
    pub(crate) endpoint_version: &'static str,
}

impl Ways {
    /// Serves an application by routes that are changed in this way.
    pub(crate) async fn to(name: &str, change: impl Fn(&mut RouteToServe)) -> Self {
        Self::through(Plane::start_with(|_| {}), name, change).await
    }

    /// The same, by a plane that serves nothing yet.
    pub(crate) async fn through(mut plane: Plane, name: &str, change: impl Fn(&mut RouteToServe)) -> Self {
        let app = Arc::new(App::new(name));
        let mut routes = Vec::new();
        for (host, scheme, protocols, _) in ENDPOINTS {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let mut route = route(host, listener.local_addr().expect("bound"));
            route.endpoints[0].1 = scheme;
            change(&mut route);
            routes.push(route);
            let app = Arc::clone(&app);
            match scheme {
                Scheme::Http | Scheme::H2c => tokio::spawn(app::serve(listener, app)),
                Scheme::Https => tokio::spawn(app::serve_tls(listener, app, app::self_signed(&[host], protocols).0)),
            };
        }
        plane.serve(routes).await;
        Self { plane, app }
    }

    /// All ways, clients by turns.
    pub(crate) fn all(&self) -> Vec<Way> {
        let ways = ENDPOINTS.iter().flat_map(|endpoint| CLIENTS.iter().map(move |client| (client, endpoint)));
        ways.map(|((client_name, is_secure, speaks), (host, _, _, version))| Way {
            name: format!("{client_name} to {host}"),
            client: self.plane.client(*is_secure, *speaks),
            speaks: *speaks,
            is_secure: *is_secure,
            host,
            endpoint_version: version,
        })
        .collect()
    }
}

impl Plane {
    /// A client by each version of HTTP, with and without TLS.
    pub(crate) fn clients(&self) -> [Client; 4] {
        CLIENTS.map(|(_, is_secure, speaks)| self.client(is_secure, speaks))
    }

    fn client(&self, is_secure: bool, speaks: Speaks) -> Client {
        if is_secure { self.https() } else { self.http() }.speaking(speaks)
    }
}
