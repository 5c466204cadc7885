//! A second CA, and a first one that stops serving in the middle of an order.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gangway_certs::KeepSettings;
use gangway_testkit::pebble::Asked;

use crate::support::{Between, Ca, Keeping, Mood, Reply, is_issued, issuer, scene, through};

/// Settings with the first CA behind a proxy, and another CA after it.
fn both(data: &Path, first: (&Ca, &Between), second: &Ca) -> KeepSettings {
    let mut settings = through(data, first.0, first.1);
    let acme = settings.acme.as_mut().expect("is there");
    acme.issuers.push(issuer(&second.directory));
    acme.root_pem = Some(format!("{}{}", first.1.api_root, second.api_root).into());
    settings
}

fn busy(status: &str) -> Reply {
    Reply::Answer(format!("{status}\r\nContent-Type: text/html"), "<h1>come back later</h1>".into())
}

#[tokio::test]
async fn the_next_ca_is_asked_at_whatever_step_the_first_stops_serving() {
    let (_door, first, outputs) = scene::<6>(&Mood::default()).await;
    let second = Ca::start(_door.ports(), &Mood::default()).await;
    let steps = [
        ("/order-plz", "503 Service Unavailable"),
        ("/authZ/", "503 Service Unavailable"),
        ("/authZ/", "429 Too Many Requests"),
        ("/chalZ/", "502 Bad Gateway"),
        ("/finalize-order/", "503 Service Unavailable"),
        ("/certZ/", "500 Internal Server Error"),
    ];
    for ((step, status), outputs) in steps.into_iter().zip(outputs) {
        let folder = tempfile::tempdir().expect("a folder");
        let decide = move |asked: &Asked| if asked.path.starts_with(step) { busy(status) } else { Reply::Pass };
        let between = Between::start(&first, decide).await;
        let before = second.issued();
        let mut keeping = Keeping::start(both(folder.path(), (&first, &between), &second), outputs);
        keeping.want(&["a.example.org"]);
        keeping.until_issued(&["a.example.org"]).await;
        assert_eq!(second.issued(), before + 1, "{status} at {step}");
        assert!(between.asked().iter().any(|asked| asked.path.starts_with(step)), "the first was asked first");
    }
}

#[tokio::test]
async fn an_order_at_a_ca_that_went_away_is_kept_aside_and_taken_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, first, [one, two]) = scene(&Mood::default()).await;
    let second = Ca::start(_door.ports(), &Mood::default()).await;
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let between = Between::start(&first, move |asked| match asked.path.starts_with("/authZ/") {
        true if down.load(Ordering::Relaxed) => busy("503 Service Unavailable"),
        _ => Reply::Pass,
    })
    .await;
    let beyond = Between::start(&second, |asked| match asked.path.starts_with("/order-plz") {
        true => busy("503 Service Unavailable"),
        false => Reply::Pass,
    })
    .await;
    let settings = || {
        let mut settings = both(folder.path(), (&first, &between), &second);
        let acme = settings.acme.as_mut().expect("is there");
        acme.issuers[1] = issuer(&beyond.directory);
        acme.root_pem = Some(format!("{}{}", between.api_root, beyond.api_root).into());
        settings
    };
    let mut keeping = Keeping::start(settings(), one);
    keeping.want(&["a.example.org"]);
    keeping.until_told(|report| report.findings.len() == 2).await;
    drop(keeping);
    let journal = folder.path().join("acme/names/a.example.org.json");
    let text = std::fs::read_to_string(&journal).expect("is there");
    assert!(text.contains("/my-order/") && !text.contains(r#""url": """#), "{text}");
    assert!(!text.contains("interrupted"), "a CA that is busy is no crash of ours: {text}");

    is_down.store(false, Ordering::Relaxed);
    let mut keeping = Keeping::start(settings(), two);
    keeping.want(&["a.example.org"]);
    let store = keeping.until(|store| is_issued(store, "a.example.org")).await;
    assert!(store.serves("a.example.org"));
    assert_eq!((between.orders().len(), first.issued(), second.issued()), (1, 1, 0));
}
