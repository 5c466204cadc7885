//! Plain HTTP for a public host whose certificate has not come yet.

mod common;

use std::sync::Arc;

use common::{Plane, app, route};
use gangway_proxy::PlainFallback;
use gangway_testkit::client::Speaks;
use gangway_tls::{Placeholders, Store, UnixTime};

const HOST: &str = "new.shop.test";

/// What a plain request is answered while there is a placeholder only, and once there is a certificate.
async fn answers(fallback: PlainFallback, https_redirect: bool) -> [(u16, String); 2] {
    let (address, _app) = app("a").await;
    let mut plane = Plane::start_with(|settings| settings.plain_fallback = fallback);
    let mut served = route(HOST, address);
    served.change = Box::new(move |route| route.listener.https_redirect = https_redirect);
    plane.serve(vec![served]).await;
    let bundle = Arc::clone(plane.store.reader().load_full().find(HOST).expect("has one"));
    let placeholder = Placeholders::new().expect("a key").bundle(HOST, UnixTime::now()).expect("signs");
    let clients = [Speaks::H1, Speaks::H2].map(|speaks| plane.http().speaking(speaks));
    let ask = async || {
        let [one, two] = &clients;
        let (one, two) = (one.get(HOST, "/").await.expect("an answer"), two.get(HOST, "/").await.expect("an answer"));
        assert_eq!(one.status, two.status);
        (one.status.as_u16(), one.text())
    };
    plane.store.publish(Store::new(vec![Arc::new(placeholder)], UnixTime::now()));
    let without = ask().await;
    plane.store.publish(Store::new(vec![bundle], UnixTime::now()));
    [without, ask().await]
}

#[tokio::test]
async fn it_is_answered_in_the_clear_until_there_is_a_certificate() {
    let [without, with] = answers(PlainFallback::Serve, true).await;
    assert_eq!((without.0, with.0), (200, 308));
}

#[tokio::test]
async fn it_is_refused_where_that_was_asked_for() {
    let [without, with] = answers(PlainFallback::Refuse, true).await;
    assert_eq!((without.0, with.0), (503, 308));
    assert!(without.1.contains("no-certificate"), "{}", without.1);
}

#[tokio::test]
async fn a_route_that_wants_plain_http_has_it_either_way() {
    for fallback in [PlainFallback::Serve, PlainFallback::Refuse] {
        let [without, with] = answers(fallback, false).await;
        assert_eq!((without.0, with.0), (200, 200), "{fallback:?}");
    }
}
