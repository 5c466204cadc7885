//! https to a host that nobody claims: who may see why is shown a page, everybody else gets an alert.

mod common;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{Plane, app, route};
use gangway_model::UnknownNames;
use gangway_proxy::{ProxySettings, TrustedProxies, Whereabouts};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::wait::eventually;
use gangway_tls::{InternalCa, Placeholders, Promises};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// One that serves `app.localhost`, and whose internal CA can sign for more.
async fn plane(change: impl FnOnce(&mut ProxySettings)) -> Plane {
    let (address, _) = app("app").await;
    let mut plane = Plane::start_with(change);
    let mut plain = route("plain.localhost", address);
    plain.change = Box::new(|route| route.listener.tls = gangway_model::TlsMode::Off);
    plane.serve(vec![route("app.localhost", address), plain]).await;
    let ca = InternalCa::load(plane.ca.root_pem(), &plane.ca.key_pem()).expect("is one");
    let placeholders = Placeholders::new().ok().map(Arc::new);
    let promises = Promises { internal: ["app.localhost".into()].into(), ..Promises::default() };
    plane.mint.promise(Some(Arc::new(ca)), placeholders, &promises);
    plane.store.publish(gangway_tls::Store::default());
    plane
}

async fn error(client: Client, host: &str) -> String {
    format!("{:?}", client.get(host, "/").await.expect_err("no certificate for it"))
}

#[tokio::test]
async fn somebody_local_is_shown_a_page_that_explains_it() {
    let plane = plane(|_| {}).await;
    for client in [plane.https(), plane.https().speaking(Speaks::H2)] {
        let answer = client.get("typo.localhost", "/").await.expect("the internal root is trusted for it");
        let text = answer.text();
        assert_eq!(answer.status, 404);
        assert!(text.contains("typo.localhost") && text.contains("gangway explain"), "{text}");
    }
    assert_eq!(plane.metric("gangway_tls_unclaimed_hosts_total"), 2.0);
    assert_eq!(plane.metric("gangway_tls_handshake_failures_total"), 0.0);
    let error = error(plane.https(), "typo.example.org").await;
    assert!(error.contains("UnknownIssuer"), "a placeholder, which a person may accept: {error}");
    assert_eq!(plane.https().get("app.localhost", "/").await.expect("is claimed").status, 200);
    assert_eq!(plane.metric("gangway_tls_unclaimed_hosts_total"), 3.0);
}

#[tokio::test]
async fn whoever_may_not_see_inside_gets_an_alert_and_so_does_who_names_no_host() {
    let trusted = plane(|settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("an address");
    })
    .await;
    let mut behind = plane(|_| {}).await;
    behind.whereabouts.publish(Whereabouts { gateways: vec![LOOPBACK], ..Whereabouts::default() });
    for plane in [&trusted, &behind] {
        let error = error(plane.https(), "typo.localhost").await;
        assert!(error.contains("UnrecognisedName"), "{error}");
        assert_eq!(plane.metric("gangway_tls_unclaimed_hosts_total"), 1.0);
        eventually("it is counted among those that failed", Duration::from_secs(5), async || {
            (plane.metric("gangway_tls_handshake_failures_total") == 1.0).then_some(())
        })
        .await;
        assert_eq!(plane.https().get("app.localhost", "/").await.expect("is claimed").status, 200);
    }
    let plane = plane(|_| {}).await;
    assert!(error(plane.https(), "127.0.0.1").await.contains("UnrecognisedName"), "an address is no name");
    assert_eq!(plane.metric("gangway_tls_unclaimed_hosts_total"), 0.0);
}

#[tokio::test]
async fn a_host_that_somebody_claims_without_https_is_not_unclaimed() {
    let plane = plane(|_| {}).await;
    let error = error(plane.https(), "plain.localhost").await;
    assert!(error.contains("UnrecognisedName"), "{error}");
    assert_eq!(plane.metric("gangway_tls_unclaimed_hosts_total"), 0.0);
}

/// As Traefik does: a tunnel asks by the name of the service, and a router without a host is for every name.
#[tokio::test]
async fn in_traefiks_place_unknown_names_get_the_default_certificate_and_go_by_their_host() {
    let (address, _) = app("app").await;
    let mut plane = plane(|settings| {
        settings.default_certificate = Some("app.localhost".into());
        // A trusted peer is no client that is shown a page.
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("an address");
    })
    .await;
    let mut any = route("*", address);
    any.path = "/any";
    let mut plain = route("plain.localhost", address);
    plain.change = Box::new(|route| route.listener.tls = gangway_model::TlsMode::Off);
    let routes = vec![route("app.localhost", address), plain, any];
    plane.serve_with_unknown_names(routes, UnknownNames::Answer).await;
    for speaks in [Speaks::H1, Speaks::H2] {
        let error = error(plane.https().speaking(speaks), "tunnel").await;
        assert!(error.contains("NotValidForName"), "it is one of another name: {error}");
    }
    for (host, path, status) in
        [("app.localhost", "/", 200), ("other.example.org", "/any", 200), ("other.example.org", "/", 404)]
    {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = plane.https_unverified().raw("tunnel", request.as_bytes()).await.expect("answered");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {path}: {answer}");
    }
    let error = error(plane.https(), "plain.localhost").await;
    assert!(error.contains("UnrecognisedName"), "a host that is served in clear alone: {error}");
    assert_eq!(plane.metric("gangway_tls_unclaimed_hosts_total"), 0.0);
}
