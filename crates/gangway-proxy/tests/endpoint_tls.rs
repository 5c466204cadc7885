//! Applications whose certificate, or whose wish for one of ours, is not the usual one: over real connections.

mod common;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{Plane, RouteToServe, route};
use gangway_model::{
    Address, Authentication, ClientCertificate, Endpoint, EndpointKey, ForwardAuth, LoginMethod, Middleware, PemSource,
    Readiness, Scheme, TransportSettings, Upstream,
};
use gangway_proxy::{EndpointTls, EndpointTlsSet, Threading};
use gangway_testkit::app::{self, App};
use gangway_testkit::client::Answer;
use gangway_testkit::raw::Raw;
use gangway_testkit::scripted::Scripted;
use gangway_testkit::wait::eventually;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};

const NAME: &str = "nas.internal";
const STUCK: Duration = Duration::from_secs(20);

/// An authority of a user's own, and certificates of it.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key")).expect("a CA"))
    }

    fn root(&self) -> PemSource {
        PemSource::Text(self.0.pem().into())
    }

    /// A certificate and its key, as PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        let key = rcgen::KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("signs").pem(), key.serialize_pem())
    }

    fn client_certificate(&self) -> ClientCertificate {
        let (chain, key) = self.sign("gangway");
        ClientCertificate { chain: PemSource::Text(chain.into()), key: PemSource::Text(key.into()) }
    }
}

/// An application with a certificate of the authority for [`NAME`]. With `clients` it lets those in alone who show one of
/// them.
async fn application(authority: &Authority, clients: Option<&Authority>) -> (SocketAddr, Arc<App>) {
    gangway_tls::install_crypto_provider();
    let (chain, key) = authority.sign(NAME);
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let builder = ServerConfig::builder();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let root = clients.0.pem();
            roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM")).expect("a root");
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("roots"))
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, app) = (listener.local_addr().expect("bound"), Arc::new(App::new("nas")));
    tokio::spawn(app::serve_tls(listener, Arc::clone(&app), Arc::new(config)));
    (address, app)
}

fn endpoint(address: SocketAddr, scheme: Scheme, settings: &TransportSettings) -> Endpoint {
    Endpoint {
        key: EndpointKey { container: "nas".into(), address: Address::Ip(address.ip(), address.port()) },
        name: "nas".into(),
        scheme,
        transport: Arc::new(settings.clone()),
        host: None,
        readiness: Readiness::Ready,
        weight: 1,
        is_of_operator: false,
    }
}

fn leading_to(endpoint: Endpoint) -> RouteToServe {
    let mut served = route("app.localhost", ([127, 0, 0, 1], 1).into());
    served.change = Box::new(|route| {
        route.upstream = Arc::new(Upstream { id: route.id.clone(), endpoints: vec![endpoint], ..Upstream::default() });
    });
    served
}

fn no_files(_path: &str) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

/// What the PEM of the settings gives, as the task that reads files publishes it.
fn known(settings: &TransportSettings) -> EndpointTlsSet {
    let tls = EndpointTls::new(settings, &no_files);
    let tls = tls.map(Arc::new).map_err(|error| error.to_string().into());
    EndpointTlsSet::new(BTreeMap::from([(Arc::new(settings.clone()), tls)]))
}

async fn ask(plane: &Plane) -> Answer {
    let mut connection = plane.http().connect("app.localhost").await.expect("connected");
    connection.ask("GET", "/echo", &[], "").await.expect("answered")
}

/// The status of a request to an application with these settings.
async fn status(address: SocketAddr, settings: &TransportSettings) -> u16 {
    let mut plane = Plane::start_with(|_| {});
    plane.endpoint_tls.publish(known(settings));
    plane.serve(vec![leading_to(endpoint(address, Scheme::Https, settings))]).await;
    ask(&plane).await.status.as_u16()
}

#[tokio::test]
async fn an_application_is_trusted_by_the_roots_and_the_name_that_are_written() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (address, app) = application(&ours, None).await;
    let settings = |roots: &[PemSource], name: &str| TransportSettings {
        roots: roots.into(),
        server_name: Some(name.into()),
        ..TransportSettings::default()
    };
    assert_eq!(status(address, &settings(&[other.root(), ours.root()], NAME)).await, 200);
    let served = app.served();
    assert_eq!(status(address, &settings(&[ours.root()], "other.internal")).await, 502);
    assert_eq!(status(address, &settings(&[other.root()], NAME)).await, 502);
    assert_eq!(status(address, &settings(&[], NAME)).await, 502, "the usual roots do not know it");
    let by_address = TransportSettings { roots: [ours.root()].into(), ..TransportSettings::default() };
    assert_eq!(status(address, &by_address).await, 502, "the certificate is not for the address");
    assert_eq!(app.served(), served, "nothing was asked of it");
}

#[tokio::test]
async fn an_application_that_asks_for_a_certificate_gets_ours() {
    let (ours, clients) = (Authority::new(), Authority::new());
    let (address, _app) = application(&ours, Some(&clients)).await;
    let settings = |verify: bool, certificates: &[ClientCertificate]| TransportSettings {
        verify,
        roots: [ours.root()].into(),
        server_name: Some(NAME.into()),
        certificates: certificates.into(),
        ..TransportSettings::default()
    };
    for verify in [true, false] {
        assert_eq!(status(address, &settings(verify, &[clients.client_certificate()])).await, 200);
        assert_eq!(status(address, &settings(verify, &[ours.client_certificate()])).await, 502);
        assert_eq!(status(address, &settings(verify, &[])).await, 502);
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_files_are_read_or_where_they_cannot_be_used() {
    let ours = Authority::new();
    let (address, app) = application(&ours, None).await;
    let settings = TransportSettings {
        roots: [ours.root()].into(),
        server_name: Some(NAME.into()),
        ..TransportSettings::default()
    };
    let front = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let front_address = front.local_addr().expect("bound");
    let (came, has_come) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = front.accept().await.expect("it listens");
        came.send(()).expect("waited for");
        let mut behind = TcpStream::connect(address).await.expect("it listens");
        tokio::io::copy_bidirectional(&mut client, &mut behind).await
    });
    let mut plane = Plane::start_with(|_| {});
    plane.serve(vec![leading_to(endpoint(front_address, Scheme::Https, &settings))]).await;
    let mut connection = plane.http().connect("app.localhost").await.expect("connected");
    let waiting = tokio::spawn(async move { connection.ask("GET", "/echo", &[], "").await.expect("answered") });
    has_come.await.expect("the connection is open");
    assert!(!waiting.is_finished() && app.served() == 0, "the handshake waits");
    plane.endpoint_tls.publish(EndpointTlsSet::default());
    plane.endpoint_tls.publish(known(&settings));
    assert_eq!(waiting.await.expect("no panic").status.as_u16(), 200);
    let file = TransportSettings { roots: [PemSource::File("/not/there.pem".into())].into(), ..settings };
    let served = app.served();
    plane.endpoint_tls.publish(known(&file));
    plane.serve(vec![leading_to(endpoint(address, Scheme::Https, &file))]).await;
    let refused = ask(&plane).await;
    assert_eq!((refused.status.as_u16(), app.served()), (502, served), "{}", refused.text());
}

#[tokio::test]
async fn http2_is_spoken_unless_it_is_switched_off() {
    let ours = Authority::new();
    let (address, _app) = application(&ours, None).await;
    for (offers_http2, version) in [(true, "HTTP/2"), (false, "HTTP/1.1")] {
        for roots in [vec![ours.root()], Vec::new()] {
            let settings = TransportSettings {
                verify: !roots.is_empty(),
                roots: roots.into(),
                server_name: Some(NAME.into()),
                offers_http2,
                ..TransportSettings::default()
            };
            let mut plane = Plane::start_with(|_| {});
            plane.endpoint_tls.publish(known(&settings));
            plane.serve(vec![leading_to(endpoint(address, Scheme::Https, &settings))]).await;
            assert_eq!(ask(&plane).await.json()["version"], version, "{settings:?}");
        }
    }
}

#[tokio::test]
async fn a_log_in_service_is_asked_by_its_own_roots() {
    let ours = Authority::new();
    let (auth, asked) = application(&ours, None).await;
    let (app, _) = app::spawn(App::new("app")).await.expect("a free port");
    for (roots, status) in [(vec![ours.root()], 200), (Vec::new(), 503)] {
        let settings =
            TransportSettings { roots: roots.into(), server_name: Some(NAME.into()), ..TransportSettings::default() };
        let service = endpoint(auth, Scheme::Https, &settings);
        let mut served = route("app.localhost", app);
        let method = LoginMethod::Forward(ForwardAuth {
            service: "https://nas.internal".into(),
            product: None,
            target: "/".into(),
            identity: Box::default(),
            rules: None,
        });
        let authentication = Arc::new(Authentication { method, skip: Vec::new() });
        served.middlewares = vec![Middleware::Authentication(authentication)];
        served.change = Box::new(|route| route.auth_services = vec![vec![service]]);
        let mut plane = Plane::start_with(|_| {});
        plane.endpoint_tls.publish(known(&settings));
        plane.serve(vec![served]).await;
        let before = asked.served();
        assert_eq!(ask(&plane).await.status.as_u16(), status);
        assert_eq!(asked.served() > before, status == 200);
    }
}

#[tokio::test]
async fn no_more_connections_are_kept_and_for_no_longer_than_is_written() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let turns = async |settings: TransportSettings, count: usize| {
        let upstream = Scripted::answering(|_| OK.into()).await.expect("a free port");
        let mut plane = Plane::start_with(|settings| settings.threading = Threading::PerCore(1));
        plane.serve(vec![leading_to(endpoint(upstream.address, Scheme::Http, &settings))]).await;
        let mut client = Raw::connect(plane.plane.listening().plain()[0]).await.expect("it listens");
        for _ in 0..count {
            let answer = client.ask("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await.expect("answered");
            assert_eq!(answer.status, 200);
        }
        (plane, upstream)
    };
    let numbers = |upstream: &Scripted| upstream.asked().iter().map(|asked| asked.connection).collect::<Vec<_>>();
    let (_plane, upstream) = turns(TransportSettings::default(), 3).await;
    assert_eq!(numbers(&upstream), [0, 0, 0]);
    let (_plane, upstream) = turns(TransportSettings { idle_max: Some(1), ..TransportSettings::default() }, 3).await;
    assert_eq!(numbers(&upstream), [0, 0, 0]);
    let (_plane, upstream) = turns(TransportSettings { idle_max: Some(0), ..TransportSettings::default() }, 3).await;
    assert_eq!(numbers(&upstream), [0, 1, 2]);
    let short = TransportSettings { idle_timeout: Some(Duration::from_millis(1)), ..TransportSettings::default() };
    let (_plane, upstream) = turns(short, 1).await;
    eventually("it is closed", STUCK, async || upstream.ended().contains(&0).then_some(())).await;
}
