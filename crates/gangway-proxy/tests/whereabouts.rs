//! Where Gangway stands decides who counts as local, which port is public, and whether anything is waited for.

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::{Plane, app, route};
use gangway_proxy::{TrustedProxies, Whereabouts};
use gangway_testkit::client::{Client, Speaks};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn behind_a_gateway() -> Whereabouts {
    Whereabouts { gateways: vec![LOOPBACK], ..Whereabouts::default() }
}

#[tokio::test]
async fn a_gateway_is_nobody() {
    let (address, _) = app("app").await;
    let mut plane = Plane::start_with(|settings| settings.limits.connections_per_address = 3);
    let mut lan = route("lan.localhost", address);
    lan.rule = Some("Host(`lan.localhost`) && ClientIP(`127.0.0.0/8`)");
    plane.serve(vec![route("app.localhost", address), lan]).await;
    let unknown = plane.http().get("other.localhost", "/").await.expect("answered").text();
    assert!(unknown.contains("gangway explain"), "somebody local is told: {unknown}");
    assert_eq!(plane.http().get("lan.localhost", "/").await.expect("answered").status, 200);
    assert_eq!(plane.plane.gateway_seen(), None);

    plane.whereabouts.publish(behind_a_gateway());
    for client in plane.clients() {
        // Many are behind it, so that it has no bound of its own.
        let mut held = Vec::new();
        for _ in 0..5 {
            let mut connection = client.connect("app.localhost").await.expect("not counted for its address");
            assert_eq!(connection.get("/echo").await.expect("answered").status, 200, "served as ever");
            held.push(connection);
        }
    }
    let unknown = plane.http().get("other.localhost", "/").await.expect("answered");
    let text = unknown.text();
    assert!(unknown.status == 404 && !text.contains("explain") && !text.contains("app.localhost"), "{text}");
    assert_eq!(plane.http().get("lan.localhost", "/").await.expect("answered").status, 404, "it is in no network");
    assert_eq!(plane.plane.gateway_seen(), Some(LOOPBACK));
}

#[tokio::test]
async fn a_gateway_that_is_trusted_speaks_for_others_and_for_nobody_else() {
    let mut plane = Plane::start_with(|settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("an address");
    });
    let (address, _) = app("app").await;
    plane.serve(vec![route("app.localhost", address)]).await;
    plane.whereabouts.publish(behind_a_gateway());
    for speaks in [Speaks::H1, Speaks::H2] {
        let mut connection = plane.http().speaking(speaks).connect("other.localhost").await.expect("connected");
        for (fields, is_local) in [
            (vec![("x-forwarded-for", "192.168.1.9")], true),
            (vec![("x-forwarded-for", "203.0.113.9")], false),
            (vec![("x-forwarded-for", "127.0.0.1")], false),
            (vec![], false),
        ] {
            let text = connection.ask("GET", "/", &fields, "").await.expect("answered").text();
            assert_eq!(text.contains("gangway explain"), is_local, "{speaks:?}: {fields:?}");
        }
    }
    assert_eq!(plane.plane.gateway_seen(), None, "nothing is to be put right");
}

#[tokio::test]
async fn redirects_lead_to_the_published_port() {
    let (address, _) = app("app").await;
    for (set, published, expected) in [
        (None, None, "https://app.localhost:TLS/x?y"),
        (None, Some(18443), "https://app.localhost:18443/x?y"),
        (Some(8443), Some(18443), "https://app.localhost:8443/x?y"),
        (Some(443), None, "https://app.localhost/x?y"),
    ] {
        let mut plane = Plane::start_with(|settings| settings.public_https_port = set);
        let mut redirecting = route("app.localhost", address);
        redirecting.change = Box::new(|route| route.listener.https_redirect = true);
        plane.serve(vec![redirecting]).await;
        let (http, https) = (plane.plane.listening().plain()[0].port(), plane.plane.listening().tls()[0].port());
        let mut named = http;
        if let Some(outside) = published {
            named = 18080;
            plane
                .whereabouts
                .publish(Whereabouts { published: vec![(http, named), (https, outside)], ..Whereabouts::default() });
        }
        let expected = expected.replace("TLS", &https.to_string());
        for speaks in [Speaks::H1, Speaks::H2] {
            let client = plane.http().speaking(speaks);
            let answer = client.get(&format!("app.localhost:{named}"), "/x?y").await.expect("answered");
            assert_eq!((answer.status.as_u16(), answer.header("location")), (308, &*expected), "{speaks:?}");
        }
    }
}

#[tokio::test]
async fn an_engine_that_cannot_be_read_is_said_at_once() {
    let mut plane = Plane::start_with(|_| {});
    let clients = [Speaks::H1, Speaks::H2].map(|speaks| plane.http().speaking(speaks));
    let ask = |client: Client| tokio::spawn(async move { client.get("app.localhost", "/").await });
    // Somebody has begun to wait already.
    let waiting = clients.clone().map(ask);
    plane.whereabouts.publish(Whereabouts {
        trouble: Some("the engine cannot be read at `x`: gone".into()),
        ..Whereabouts::default()
    });
    for answer in waiting.into_iter().chain(clients.map(ask)) {
        let answer = answer.await.expect("no panic").expect("answered");
        assert_eq!(answer.status, 503);
        assert!(
            answer.text().contains("the engine cannot be read at") && answer.text().contains(": gone"),
            "{}",
            answer.text()
        );
    }
    // As soon as it can, nothing of it is left.
    plane.whereabouts.publish(Whereabouts::default());
    let (address, _) = app("app").await;
    plane.serve(vec![route("app.localhost", address)]).await;
    let answer = tokio::time::timeout(Duration::from_secs(20), plane.http().get("app.localhost", "/")).await;
    assert_eq!(answer.expect("at once").expect("answered").status, 200);
}
