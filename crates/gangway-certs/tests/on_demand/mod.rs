//! Names that no route lists: asked about, ordered if permitted, refused on doubt.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gangway_acme::{OnDemandSettings, Takes};
use gangway_certs::KeepSettings;
use gangway_diagnostic::codes;
use gangway_tls::{Demand, DemandAnswer, DemandCounts, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Ca, Keeping, Mood, Outputs, PATIENCE, is_issued, put_ending, settings};

/// A service that decides which names may have certificates.
struct Doorkeeper {
    url: String,
    /// The number of requests for each target.
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Doorkeeper {
    /// Starts a service that answers by the name; without a status it never answers.
    async fn start(answer: impl Fn(&str) -> Option<u16> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/ask?key=secret", listener.local_addr().expect("is bound"));
        let asked = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let (counts, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (counts, answer) = (Arc::clone(&counts), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.expect("a whole head"));
                    }
                    let head = String::from_utf8(head).expect("text");
                    let name = head.split(' ').nth(1).and_then(|target| target.strip_prefix("/ask?key=secret&domain="));
                    let name = name.expect("asks for a name");
                    *counts.lock().expect("is whole").entry(name.to_owned()).or_default() += 1;
                    let Some(status) = answer(name) else { return std::future::pending().await };
                    // A client that follows the redirect gets permission.
                    let text = format!(
                        "HTTP/1.1 {status} X\r\nLocation: /yes\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    );
                    let _ = stream.write_all(text.as_bytes()).await;
                });
            }
        });
        Self { url, asked, task }
    }

    fn asked(&self) -> BTreeMap<String, usize> {
        self.asked.lock().expect("is whole").clone()
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The settings that the binary would make for a route that takes every host.
fn asking(data: &Path, ca: &Ca, ask: &str) -> KeepSettings {
    let on_demand = OnDemandSettings { ask: ask.into(), takes: Takes::new(|name| !name.starts_with("untaken.")) };
    KeepSettings { on_demand: Some(on_demand), ..settings(data, &[ca]) }
}

async fn demand(keeping: &Keeping) -> Arc<Demand> {
    let store = keeping.until(|store| store.demand().is_some()).await;
    Arc::clone(store.demand().expect("is there"))
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// The outcome of a handshake, which waits as the front door does.
async fn shake(keeping: &Keeping, demand: &Demand, name: &str) -> DemandAnswer {
    let (mut store, mut decisions) = (keeping.certificates.store().clone(), demand.decisions());
    let mut answer = demand.want(name, now());
    while let DemandAnswer::Wait(until) = answer {
        if is_issued(&keeping.certificates, name) {
            return DemandAnswer::Allowed;
        }
        tokio::select! {
            _ = store.changed() => {}
            _ = decisions.changed() => {}
            () = tokio::time::sleep_until(tokio::time::Instant::from_std(until)) => {}
        }
        answer = demand.answer(name, now());
    }
    answer
}

#[tokio::test]
async fn what_is_permitted_gets_a_certificate_within_the_first_handshake() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let doorkeeper = Doorkeeper::start(|name| Some(if name.starts_with("good") { 204 } else { 302 })).await;
    let mut keeping = Keeping::start(asking(folder.path(), &ca, &doorkeeper.url), outputs);
    keeping.want(&["listed.example.org", "*.example.org"]);
    let demand = demand(&keeping).await;
    let begun = std::time::SystemTime::now();
    let names = ["good.example.org", "good.example.net", "bad.example.org"];
    let ten = (0..10).map(|_| shake(&keeping, &demand, names[0]));
    let (ten, other, bad) = tokio::join!(
        futures::future::join_all(ten),
        shake(&keeping, &demand, names[1]),
        shake(&keeping, &demand, names[2]),
    );
    println!("figure: ten handshakes for one name on demand waited {:?}", begun.elapsed().expect("time goes on"));
    assert!(ten.iter().all(|stance| *stance == DemandAnswer::Allowed));
    assert_eq!((other, bad), (DemandAnswer::Allowed, DemandAnswer::Refused));
    keeping.until_issued(&["listed.example.org", names[0], names[1]]).await;
    assert_eq!(shake(&keeping, &demand, "bad.example.org").await, DemandAnswer::Refused);
    assert_eq!(doorkeeper.asked(), names.map(|name| (name.to_owned(), 1)).into(), "once each, and none that is listed");
    assert_eq!(ca.orders(), 3);
    assert_eq!(demand.counts(), DemandCounts { allowed: 2, refused: 1, ..DemandCounts::default() });
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings.len(), 1, "the wildcard is no trouble: {:?}", report.findings);
    assert_eq!(report.findings[0].code, codes::ON_DEMAND_REFUSED);
    let told = format!("{:?}", report.findings);
    assert!(told.contains("bad.example.org") && told.contains("302") && !told.contains("secret"), "{told}");
    let on_demand = report.certificates.iter().filter(|one| one.on_demand).map(|one| &*one.name);
    assert_eq!(on_demand.collect::<Vec<_>>(), ["good.example.net", "good.example.org"]);
}

#[tokio::test]
async fn a_certificate_on_demand_is_served_after_a_restart_without_a_question() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let doorkeeper = Doorkeeper::start(|_| Some(200)).await;
    let keeping = Keeping::start(asking(folder.path(), &ca, &doorkeeper.url), outputs);
    let name = "good.example.org";
    let demand = demand(&keeping).await;
    assert_eq!(shake(&keeping, &demand, name).await, DemandAnswer::Allowed);
    drop(keeping);
    let mut keeping = Keeping::start(asking(folder.path(), &ca, "http://127.0.0.1:1/"), Outputs::new());
    keeping.until_issued(&[name]).await;
    keeping.want(&["*"]);
    let report = keeping.until_told(|report| report.certificates.iter().any(|one| one.on_demand)).await;
    assert!(report.certificates.iter().any(|one| &*one.name == name && one.next.is_some()), "{report:?}");
    assert_eq!((ca.orders(), doorkeeper.asked()[name]), (1, 1));
}

#[tokio::test]
async fn a_certificate_on_demand_is_renewed_while_a_route_takes_it_and_only_if_it_is_permitted_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let doorkeeper = Doorkeeper::start(|name| Some(if name.starts_with("good") { 200 } else { 404 })).await;
    let names = ["good.example.org", "gone.example.org", "untaken.example.org"];
    names.iter().for_each(|name| put_ending(folder.path(), &ca.directory, name));
    let keeping = Keeping::start(asking(folder.path(), &ca, &doorkeeper.url), outputs);
    let is_renewed = |store: &gangway_tls::CertificateResolver| {
        store.find(names[0]).is_some_and(|bundle| bundle.issuer.contains("Pebble"))
    };
    let store = keeping.until(is_renewed).await;
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::ON_DEMAND_REFUSED);
    assert!(names.iter().all(|name| store.serves_well(name)), "what is left of the others is served");
    assert_eq!(doorkeeper.asked().into_keys().collect::<Vec<_>>(), [names[1], names[0]].map(str::to_owned).to_vec());
    assert_eq!((ca.orders(), ca.issued()), (1, 1));
}

#[tokio::test]
async fn nobody_is_asked_about_what_no_ca_signs_for_and_silence_is_a_no() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let doorkeeper = Doorkeeper::start(|name| (!name.starts_with("silent")).then_some(500)).await;
    let keeping = Keeping::start(asking(folder.path(), &ca, &doorkeeper.url), outputs);
    let demand = demand(&keeping).await;
    let long = format!("{}.example.org", ["a123456789"; 24].join("."));
    let names =
        ["192.0.2.1", "co.uk", "duckdns.org", "x.internal", "nodots", "bad_name.example.org", "untaken.org", &long];
    for name in names {
        assert_eq!(shake(&keeping, &demand, name).await, DemandAnswer::Refused, "{name}");
    }
    assert!(doorkeeper.asked().is_empty(), "{:?}", doorkeeper.asked());
    let names = ["silent.example.org", "failing.example.org"];
    let (silent, failing) = tokio::join!(shake(&keeping, &demand, names[0]), shake(&keeping, &demand, names[1]));
    assert_eq!((silent, failing), (DemandAnswer::Refused, DemandAnswer::Refused));
    let counts = demand.counts();
    assert_eq!((counts.refused, counts.unknown, ca.orders()), (8, 2, 0));
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::ON_DEMAND_UNANSWERED);
}

#[tokio::test]
async fn a_flood_of_names_costs_a_bounded_rate_of_questions_and_no_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let doorkeeper = Doorkeeper::start(|name| Some(if name.starts_with("good") { 200 } else { 403 })).await;
    let mut keeping = Keeping::start(asking(folder.path(), &ca, &doorkeeper.url), outputs);
    let demand = demand(&keeping).await;
    let begun = std::time::SystemTime::now();
    for number in 0..100_000 {
        demand.want(&format!("n{number}.example.org"), now());
    }
    keeping.want(&["listed.example.org"]);
    keeping.until_issued(&["listed.example.org"]).await;
    let mut decisions = demand.decisions();
    let wait = async {
        while demand.counts().refused < 100 {
            decisions.changed().await.expect("goes on");
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("they are asked about");
    let took = begun.elapsed().expect("time goes on");
    let counts = demand.counts();
    println!(
        "figure: of 100000 names on demand {} were asked about in {took:?}, {} refused at once",
        counts.refused, counts.overrun
    );
    assert!(took >= Duration::from_millis(1900), "at most fifty a second: {took:?}");
    assert!(counts.overrun >= 99_000 && ca.orders() == 1, "{counts:?}");
    // When the flood is over, the next name is decided.
    let wait = async {
        while shake(&keeping, &demand, "good.example.org").await != DemandAnswer::Allowed {
            decisions.changed().await.expect("goes on");
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("is heard");
    let report = keeping.report.load().clone();
    assert!(report.findings.iter().any(|finding| finding.code == codes::ON_DEMAND_OVERRUN), "{report:?}");
    assert!(matches!(keeping.certificates.find("good.example.org"), Some(bundle) if bundle.origin == Origin::Acme));
}

#[tokio::test]
async fn while_the_ca_fails_nobody_waits_longer_than_for_the_first_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, mut ca, outputs) = crate::scene(&Mood::default()).await;
    ca.stop().await;
    let doorkeeper = Doorkeeper::start(|_| Some(200)).await;
    let keeping = Keeping::start(asking(folder.path(), &ca, &doorkeeper.url), outputs);
    let demand = demand(&keeping).await;
    let name = "good.example.org";
    assert_eq!(shake(&keeping, &demand, name).await, DemandAnswer::Allowed);
    let store = keeping.until(|store| store.serves(name)).await;
    assert_eq!(store.origin(name), Some(Origin::Placeholder));
    assert_eq!(demand.want(name, now()), DemandAnswer::Allowed, "at once");
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::CA_UNREACHABLE);
}
