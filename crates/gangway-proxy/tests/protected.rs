//! Hosts that ask more of a handshake: certificates of clients, and TLS 1.3.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Plane, RouteToServe, app, route};
use gangway_model::TlsVersion;
use gangway_tls::{Bundle, ClientCa, Origin, Store, UnixTime};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An authority for clients, as PEM, and a certificate of it.
struct Family {
    root: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Family {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key")).expect("a CA");
        let mut params = rcgen::CertificateParams::new(["ann".to_owned()]).expect("a name");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &ca).expect("signs").der().clone();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        Self { root: ca.pem(), certificate, key }
    }
}

/// A client that trusts the plane's authority.
fn client(plane: &Plane, family: Option<&Family>, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(plane.ca.root_pem().as_bytes()).expect("a root");
    roots.add(root).expect("a root");
    let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    Arc::new(match family {
        Some(family) => {
            let chain = vec![family.certificate.clone()];
            builder.with_client_auth_cert(chain, family.key.clone_key()).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    })
}

/// The status of a request for `host` by a handshake for `sni`, the same over both versions of HTTP; none where the
/// handshake failed.
async fn ask(plane: &Plane, client: &Arc<ClientConfig>, sni: &str, host: &str) -> Option<u16> {
    let one = async { ask_http1(connected(plane, client, "http/1.1", sni).await?, host).await }.await;
    let two = async { ask_http2(connected(plane, client, "h2", sni).await?, host).await }.await;
    assert_eq!(one, two, "{host} by a handshake for {sni}, over HTTP/1.1 and over HTTP/2");
    one
}

async fn connected(
    plane: &Plane,
    client: &Arc<ClientConfig>,
    protocol: &str,
    sni: &str,
) -> Option<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(plane.plane.listening().tls()[0]).await.expect("listens");
    let name = ServerName::try_from(sni.to_owned()).expect("a name");
    let mut config = ClientConfig::clone(client);
    config.alpn_protocols = vec![protocol.into()];
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()
}

async fn ask_http2(tls: TlsStream<TcpStream>, host: &str) -> Option<u16> {
    let (mut sender, connection) = h2::client::handshake(tls).await.ok()?;
    tokio::spawn(connection);
    let request = http::Request::get(format!("https://{host}/")).body(()).expect("valid");
    // With TLS 1.3 the server looks at the client's certificate after the client is done.
    Some(sender.send_request(request, true).ok()?.0.await.ok()?.status().as_u16())
}

async fn ask_http1(mut tls: TlsStream<TcpStream>, host: &str) -> Option<u16> {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn guarded(mut route: RouteToServe) -> RouteToServe {
    route.change = Box::new(|route| route.listener.client_ca = Some("family".into()));
    route
}

/// Puts a bundle in force beside the certificates.
fn with_family(plane: &mut Plane, hosts: &[&str], family: Option<&Family>) {
    let now = UnixTime::now();
    let bundles: Vec<Arc<Bundle>> =
        hosts.iter().map(|host| Arc::new(plane.ca.issue(host, now).expect("signs"))).collect();
    assert!(bundles.iter().all(|bundle| bundle.origin == Origin::Internal));
    let clients =
        family.map(|family| ("family".into(), Arc::new(ClientCa::from_pem(family.root.as_bytes()).expect("a bundle"))));
    let clients: BTreeMap<Box<str>, _> = clients.into_iter().collect();
    plane.store.publish(Store::new(bundles, now).with_clients(Arc::new(clients)));
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_the_bundle_is_let_in() {
    let (address, app) = app("one").await;
    let hosts = ["guarded.localhost", "open.localhost"];
    let mut plane = Plane::serving(vec![guarded(route(hosts[0], address)), route(hosts[1], address)]).await;
    let (family, strangers) = (Family::new(), Family::new());
    with_family(&mut plane, &hosts, Some(&family));
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let [ann, stranger, nobody] =
            [Some(&family), Some(&strangers), None].map(|family| client(&plane, family, versions));
        assert_eq!(ask(&plane, &ann, hosts[0], hosts[0]).await, Some(200));
        assert_eq!(ask(&plane, &stranger, hosts[0], hosts[0]).await, None, "somebody else's certificate");
        assert_eq!(ask(&plane, &nobody, hosts[0], hosts[0]).await, None, "no certificate");
        assert_eq!(ask(&plane, &nobody, hosts[1], hosts[1]).await, Some(200), "the open host asks for none");
        // By a connection to the other host, with or without a certificate, in both directions.
        assert_eq!(ask(&plane, &nobody, hosts[1], hosts[0]).await, Some(421));
        assert_eq!(ask(&plane, &ann, hosts[1], hosts[0]).await, Some(421));
        assert_eq!(ask(&plane, &ann, hosts[0], hosts[1]).await, Some(421));
        // A second time: a session that was begun at the open host is none at the other.
        assert_eq!(ask(&plane, &nobody, hosts[0], hosts[0]).await, None);
        assert_eq!(ask(&plane, &ann, hosts[0], hosts[0]).await, Some(200));
    }
    // Plain HTTP shows nothing.
    let mut plain = TcpStream::connect(plane.plane.listening().plain()[0]).await.expect("listens");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: guarded.localhost\r\nConnection: close\r\n\r\n").await.expect("takes it");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.expect("answers");
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    drop(app);
}

#[tokio::test]
async fn a_route_without_its_bundle_is_closed_and_a_new_bundle_shuts_the_old_clients_out() {
    let (address, _app) = app("one").await;
    let hosts = ["guarded.localhost"];
    let mut plane = Plane::serving(vec![guarded(route(hosts[0], address))]).await;
    let (old, new) = (Family::new(), Family::new());
    let (ann, bob) = (client(&plane, Some(&old), &BOTH), client(&plane, Some(&new), &BOTH));
    assert_eq!(ask(&plane, &ann, hosts[0], hosts[0]).await, Some(503), "there is no bundle");
    with_family(&mut plane, &hosts, Some(&old));
    assert_eq!(ask(&plane, &ann, hosts[0], hosts[0]).await, Some(200));
    with_family(&mut plane, &hosts, Some(&new));
    assert_eq!(ask(&plane, &ann, hosts[0], hosts[0]).await, None, "its session is not resumed either");
    assert_eq!(ask(&plane, &bob, hosts[0], hosts[0]).await, Some(200));
    with_family(&mut plane, &hosts, None);
    assert_eq!(ask(&plane, &bob, hosts[0], hosts[0]).await, Some(503));
}

#[tokio::test]
async fn a_path_of_a_guarded_wildcard_is_not_reached_by_an_open_name_below_it() {
    let (address, _app) = app("one").await;
    let mut below = route("open.guarded.localhost", address);
    below.path = "/public";
    let hosts = ["*.guarded.localhost", "open.guarded.localhost"];
    let mut plane = Plane::serving(vec![guarded(route(hosts[0], address)), below]).await;
    let family = Family::new();
    with_family(&mut plane, &hosts, Some(&family));
    let nobody = client(&plane, None, &BOTH);
    assert_eq!(
        ask(&plane, &nobody, hosts[1], hosts[1]).await,
        None,
        "the handshake is held to what all routes ask for"
    );
}

#[tokio::test]
async fn hosts_by_regular_expression_are_guarded_like_others() {
    let (address, _app) = app("one").await;
    let hosts = ["team-7.localhost", "team-x.localhost", "open.localhost"];
    let mut teams = guarded(route(hosts[0], address));
    teams.rule = Some("HostRegexp(`^team-[0-9]+\\.localhost$`)");
    let mut plane = Plane::serving(vec![teams, route(hosts[1], address), route(hosts[2], address)]).await;
    let family = Family::new();
    with_family(&mut plane, &hosts, Some(&family));
    let [ann, nobody] = [Some(&family), None].map(|family| client(&plane, family, &BOTH));
    assert_eq!(ask(&plane, &ann, hosts[0], hosts[0]).await, Some(200));
    assert_eq!(ask(&plane, &nobody, hosts[0], hosts[0]).await, None);
    assert_eq!(ask(&plane, &nobody, hosts[1], hosts[1]).await, Some(200), "the expression does not match it");
    assert_eq!(ask(&plane, &nobody, hosts[2], hosts[0]).await, Some(421));
    assert_eq!(ask(&plane, &ann, hosts[0], hosts[2]).await, Some(421));
}

#[tokio::test]
async fn a_host_may_refuse_tls_1_2() {
    let (address, _app) = app("one").await;
    let hosts = ["new.localhost", "any.localhost"];
    let mut strict = route(hosts[0], address);
    strict.change = Box::new(|route| route.listener.tls_min = TlsVersion::Tls13);
    let mut plane = Plane::serving(vec![strict, route(hosts[1], address)]).await;
    with_family(&mut plane, &hosts, None);
    let (old, new) = (client(&plane, None, &BOTH[1..]), client(&plane, None, &BOTH[..1]));
    assert_eq!(ask(&plane, &new, hosts[0], hosts[0]).await, Some(200));
    assert_eq!(ask(&plane, &old, hosts[0], hosts[0]).await, None);
    assert_eq!(ask(&plane, &old, hosts[1], hosts[1]).await, Some(200));
    assert_eq!(ask(&plane, &old, hosts[1], hosts[0]).await, Some(421), "nor by a connection to another host");
}
