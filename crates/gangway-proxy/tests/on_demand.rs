//! Handshakes for hosts that no route lists, while somebody decides about them.

mod common;

use std::sync::Arc;

use common::{Plane, RouteToServe, app, route};
use gangway_testkit::wait::eventually;
use gangway_tls::{Demand, DemandDecision, Origin, Placeholders, Store, UnixTime};

const HOST: &str = "customer.shop.test";

/// A plane whose routes take hosts by pattern, without any certificate, and the demand beside it.
async fn plane(routes: Vec<RouteToServe>) -> (Plane, Arc<Demand>) {
    let demand = Arc::new(Demand::new());
    let mut plane = Plane::serving_on_demand(routes, Arc::clone(&demand)).await;
    plane.store.publish(Store::default());
    (plane, demand)
}

/// The next question, which stays open.
async fn question(demand: &Demand) -> Box<str> {
    let mut questions = demand.questions();
    loop {
        match demand.take(now()) {
            Some(name) => return name,
            None => drop(questions.changed().await),
        }
    }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[tokio::test]
async fn handshakes_wait_for_the_certificate_and_hold_up_no_other() {
    let (address, _app) = app("a").await;
    let (mut plane, demand) = plane(vec![route("*.shop.test", address), route("listed.test", address)]).await;
    let ask = |client: gangway_testkit::client::Client| tokio::spawn(async move { client.get(HOST, "/").await });
    let asking: Vec<_> = (0..5).map(|_| ask(plane.https())).collect();
    assert_eq!(&*question(&demand).await, HOST);
    demand.decide(HOST, DemandDecision::Allowed, now());
    // Others are served while these wait.
    let listed = Arc::new(plane.ca.issue("listed.test", UnixTime::now()).expect("signs"));
    let store = |bundles: Vec<_>| Store::new(bundles, UnixTime::now());
    plane.store.publish(store(vec![Arc::clone(&listed)]));
    eventually("the listed host is served", std::time::Duration::from_secs(5), async || {
        plane.https().get("listed.test", "/").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    assert!(
        !asking.iter().any(tokio::task::JoinHandle::is_finished) && demand.take(now()).is_none(),
        "one question for all"
    );
    let bundle = plane.ca.issue(HOST, UnixTime::now()).expect("signs");
    plane.store.publish(store(vec![listed, Arc::new(gangway_tls::Bundle { origin: Origin::Acme, ..bundle })]));
    for one in asking {
        assert_eq!(one.await.expect("no panic").expect("served").status, 200);
    }
}

#[tokio::test]
async fn who_is_refused_gets_an_alert_and_nobody_is_asked_about_a_listed_host() {
    let (address, _app) = app("a").await;
    let (mut plane, demand) = plane(vec![route("*.shop.test", address), route("listed.shop.test", address)]).await;
    let client = plane.https();
    let asking = tokio::spawn(async move { client.get(HOST, "/").await });
    assert_eq!(&*question(&demand).await, HOST);
    demand.decide(HOST, DemandDecision::Refused, now());
    for error in [asking.await.expect("no panic"), plane.https().get(HOST, "/").await] {
        let error = format!("{:?}", error.expect_err("it is refused"));
        assert!(error.contains("UnrecognisedName"), "{error}");
    }
    assert!(plane.https().get("unknown.test", "/").await.is_err());
    let placeholder = Placeholders::new().expect("a key").bundle("listed.shop.test", UnixTime::now()).expect("signs");
    plane.store.publish(Store::new([Arc::new(placeholder)], UnixTime::now()));
    let error = format!("{:?}", plane.https().get("listed.shop.test", "/").await.expect_err("nobody trusts it"));
    assert!(!error.contains("UnrecognisedName"), "the placeholder is served: {error}");
    assert_eq!(demand.take(now()), None);
}

#[tokio::test]
async fn who_is_permitted_and_gets_none_is_served_the_placeholder() {
    let (address, _app) = app("a").await;
    let (mut plane, demand) = plane(vec![route("*.shop.test", address)]).await;
    let client = plane.https();
    let asking = tokio::spawn(async move { client.get(HOST, "/").await });
    assert_eq!(&*question(&demand).await, HOST);
    demand.decide(HOST, DemandDecision::Allowed, now());
    let placeholder = Placeholders::new().expect("a key").bundle(HOST, UnixTime::now()).expect("signs");
    plane.store.publish(Store::new([Arc::new(placeholder)], UnixTime::now()));
    demand.give_up(HOST);
    let error = format!("{:?}", asking.await.expect("no panic").expect_err("nobody trusts it"));
    assert!(!error.contains("UnrecognisedName"), "{error}");
}

#[tokio::test]
async fn before_the_volume_is_read_nobody_is_asked_about_a_name_that_may_have_a_certificate() {
    let (address, _app) = app("a").await;
    let demand = Arc::new(Demand::new());
    let mut plane = Plane::starting_on_demand(Arc::clone(&demand));
    plane.serve_table(vec![route("*.shop.test", address)]).await;
    let client = plane.https();
    let asking = client.get(HOST, "/");
    let mut asking = std::pin::pin!(asking);
    let waits = tokio::time::timeout(std::time::Duration::from_millis(200), &mut asking).await;
    assert!(waits.is_err(), "the handshake waits for the store");
    let bundle = plane.ca.issue(HOST, UnixTime::now()).expect("signs");
    plane
        .store
        .publish(Store::new([Arc::new(gangway_tls::Bundle { origin: Origin::Acme, ..bundle })], UnixTime::now()));
    assert_eq!(asking.await.expect("served").status, 200);
    assert!(demand.take(now()).is_none());
}
