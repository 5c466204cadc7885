//! Requests whose response does not come to its end: each leaves exactly one line in the access log, which says why.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::{Plane, RouteToServe, route};
use gangway_model::{
    Address, Authentication, Endpoint, EndpointKey, ForwardAuth, LoginMethod, Middleware, Policy, Readiness, Scheme,
    Upstream,
};
use gangway_proxy::{AccessLogFormat, AccessLogTarget};
use gangway_testkit::client::{Connection, Speaks};
use gangway_testkit::wait::eventually;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const HOST: &str = "cut.localhost";

const PATIENCE: Duration = Duration::from_secs(30);

const VERSIONS: [(Speaks, &str); 2] = [(Speaks::H1, "h1"), (Speaks::H2, "h2")];

/// An application that never ends an answer, and begins one only for paths with `begun` in them.
#[derive(Clone, Default)]
struct App {
    heads: Arc<Mutex<Vec<String>>>,
    /// Lets the answers that have begun go on a little.
    more: Arc<Notify>,
}

impl App {
    async fn has_got(&self, path: &str) {
        let has = async || self.heads.lock().iter().any(|head| head.contains(path)).then_some(());
        eventually("the application gets the request", PATIENCE, has).await;
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(self.clone().keep_waiting(tcp));
        }
    }

    async fn keep_waiting(self, mut tcp: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(1..) = tcp.read_buf(&mut head).await else { return };
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.contains("begun") {
            let begin =
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
            tcp.write_all(begin).await.expect("it is read");
        }
        let more = self.more.notified();
        self.heads.lock().push(head);
        let mut byte = [0];
        tokio::select! {
            _ = tcp.read(&mut byte) => return,
            () = more => {}
        }
        let _ = tcp.write_all(b"2\r\nho\r\n").await;
        let _ = tcp.read(&mut [0]).await;
    }
}

/// A data plane in front of such an application.
struct Cut {
    plane: Plane,
    app: App,
    route: Box<dyn Fn() -> RouteToServe>,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Cut {
    async fn begin() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let app = App::default();
        tokio::spawn(app.clone().serve(listener));
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("access.log");
        let mut plane = Plane::start_with(|settings| {
            settings.access_log = AccessLogTarget::File(log.clone());
            settings.access_log_format = AccessLogFormat::Json;
        });
        let route = Box::new(move || {
            let mut route = route(HOST, address);
            route.change = Box::new(|route| {
                let policy = Policy { drain: Duration::ZERO, ..Policy::default() };
                let (id, endpoints) = (route.upstream.id.clone(), route.upstream.endpoints.clone());
                route.upstream = Arc::new(Upstream { id, endpoints, policy, ..Upstream::default() });
            });
            route
        });
        plane.serve(vec![route()]).await;
        Self { plane, app, route, log, _folder: folder }
    }

    async fn connect(&self, speaks: Speaks) -> Connection {
        self.plane.https().speaking(speaks).connect(HOST).await.expect("connected")
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        lines(&self.log)
    }

    /// Waits until the request is logged.
    async fn logged(&self, path: &str) {
        let is_logged = async || self.lines().iter().any(|line| line["target"] == path).then_some(());
        eventually("the request is logged", PATIENCE, is_logged).await;
    }
}

fn lines(log: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    // The last line may be half written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The status and the reason of the one line about a request.
fn line_about(lines: &[serde_json::Value], path: &str) -> (u64, String) {
    let about: Vec<_> = lines.iter().filter(|line| line["target"] == path).collect();
    assert_eq!(about.len(), 1, "{path}: {lines:?}");
    (about[0]["status"].as_u64().expect("a number"), about[0]["reason"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_leaves_a_line() {
    let cut = Cut::begin().await;
    // Over HTTP/1 only a reset says that a client has gone: one that ends its sending side may still read.
    for path in ["/silent-h1", "/begun-h1"] {
        let mut client = TcpStream::connect(cut.plane.plane.listening().plain()[0]).await.expect("connected");
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.expect("sent");
        cut.app.has_got(path).await;
        let mut got = Vec::new();
        while path.contains("begun") && !got.ends_with(b"hi\r\n") {
            assert!(client.read_buf(&mut got).await.is_ok_and(|len| len > 0), "the answer has begun");
        }
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
        drop(client);
    }
    let mut connection = cut.connect(Speaks::H2).await;
    let mut beside = connection.beside().expect("HTTP/2 asks side by side");
    let asking = tokio::spawn(async move { beside.get("/silent-h2").await.map(drop) });
    cut.app.has_got("/silent-h2").await;
    asking.abort();
    drop(connection.begin("GET", "/begun-h2", &[], "").await.expect("it begins"));
    for (_, name) in VERSIONS {
        for (path, status) in [(format!("/silent-{name}"), 0), (format!("/begun-{name}"), 200)] {
            cut.logged(&path).await;
            assert_eq!(line_about(&cut.lines(), &path), (status, "client-gone".to_owned()));
        }
    }
    assert_eq!(cut.plane.metric("gangway_requests_total"), 4.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_while_a_log_in_service_is_asked_is_not_waited_for() {
    let mut cut = Cut::begin().await;
    let mut asking = (cut.route)();
    let (address, _, readiness) = asking.endpoints[0];
    // The service is never ready with its answer, as the application is not.
    let service = Endpoint {
        key: EndpointKey { container: "auth".into(), address: Address::Ip(address.ip(), address.port()) },
        name: "auth-1".into(),
        scheme: Scheme::Http,
        transport: Arc::default(),
        host: None,
        readiness,
        weight: 1,
        is_of_operator: false,
    };
    let forward = ForwardAuth {
        service: "auth".into(),
        product: None,
        target: "/check".into(),
        identity: Box::default(),
        rules: None,
    };
    let authentication = Authentication { method: LoginMethod::Forward(forward), skip: Vec::new() };
    asking.middlewares = vec![Middleware::Authentication(Arc::new(authentication))];
    asking.change = Box::new(|route| route.auth_services = vec![vec![service]]);
    cut.plane.serve(vec![asking]).await;

    let mut client = TcpStream::connect(cut.plane.plane.listening().plain()[0]).await.expect("connected");
    client.write_all(format!("GET /asked-h1 HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await.expect("sent");
    cut.app.has_got("X-Forwarded-Uri: /asked-h1").await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
    drop(client);
    let connection = cut.connect(Speaks::H2).await;
    let mut beside = connection.beside().expect("HTTP/2 asks side by side");
    let request = tokio::spawn(async move { beside.get("/asked-h2").await.map(drop) });
    cut.app.has_got("X-Forwarded-Uri: /asked-h2").await;
    request.abort();
    for (_, name) in VERSIONS {
        let path = format!("/asked-{name}");
        cut.logged(&path).await;
        // A client that was waited for gets a 503 in the log, although it does not read it.
        assert_eq!(line_about(&cut.lines(), &path), (0, "client-gone".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_shutdown_leaves_a_line_of_each_request() {
    let cut = Cut::begin().await;
    let mut kept = Vec::new();
    for (speaks, name) in VERSIONS {
        let mut connection = cut.connect(speaks).await;
        let silent = format!("/silent-{name}");
        let path = silent.clone();
        tokio::spawn(async move { connection.get(&path).await.map(drop) });
        cut.app.has_got(&silent).await;
        let mut connection = cut.connect(speaks).await;
        let response = connection.begin("GET", &format!("/begun-{name}"), &[], "").await.expect("it begins");
        kept.push((connection, response));
    }
    let Cut { plane, log, _folder, .. } = cut;
    let registry = plane.registry.clone();
    plane.plane.shutdown(Duration::ZERO).await;
    for (_, name) in VERSIONS {
        assert_eq!(line_about(&lines(&log), &format!("/silent-{name}")), (0, "connection-cut".to_owned()));
        assert_eq!(line_about(&lines(&log), &format!("/begun-{name}")), (200, "connection-cut".to_owned()));
    }
    let families = registry.gather();
    let requests = families.iter().filter(|family| family.name() == "gangway_requests_total");
    let counted: f64 =
        requests.flat_map(prometheus::proto::MetricFamily::get_metric).map(|one| one.get_counter().get_value()).sum();
    assert_eq!(counted, 4.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_leaves_leaves_a_line_of_each_event_stream() {
    let mut cut = Cut::begin().await;
    let mut kept = Vec::new();
    for (speaks, name) in VERSIONS {
        let mut connection = cut.connect(speaks).await;
        let path = format!("/begun-{name}");
        let response = connection.begin("GET", &path, &[], "").await.expect("it begins");
        cut.app.has_got(&path).await;
        kept.push((connection, response));
    }
    let mut without = (cut.route)();
    for (_, scheme, readiness) in &mut without.endpoints {
        (*scheme, *readiness) = (Scheme::Http, Readiness::Leaving);
    }
    cut.plane.serve_table(vec![without]).await;
    for (_, name) in VERSIONS {
        let path = format!("/begun-{name}");
        // Over HTTP/1 it ends at once. Over HTTP/2 other requests share the connection, and it ends with its next event.
        if name == "h2" {
            cut.app.more.notify_waiters();
        }
        cut.logged(&path).await;
        assert_eq!(line_about(&cut.lines(), &path), (200, "endpoint-left".to_owned()));
    }
    drop(kept);
    cut.plane.plane.shutdown(Duration::ZERO).await;
    let lines = lines(&cut.log);
    assert_eq!(lines.len(), 2, "{lines:?}");
}
