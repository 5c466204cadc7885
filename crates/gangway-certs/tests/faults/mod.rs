//! CAs and files that fail: existing certificates are still served, and no budget is spent.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gangway_diagnostic::{Code, Diagnostic, codes};
use gangway_tls::CertificateResolver;

use crate::support::{
    Between, Keeping, Mood, Reply, account_files, is_issued, put, put_ending, scene, settings, through,
};

fn corrupt(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("is there").flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().contains(".corrupt-")).count()
}

#[tokio::test]
async fn damaged_files_of_every_kind_cost_only_what_they_held() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, [first, second]) = scene(&Mood::default()).await;
    let data = folder.path();
    let mut keeping = Keeping::start(settings(data, &[&ca]), first);
    let names = ["another-key", "empty", "half", "noise", "journal", "good"].map(|name| format!("{name}.example.org"));
    let names = names.each_ref().map(String::as_str);
    keeping.want(&names);
    let before = keeping.until_issued(&names).await;
    drop(keeping);
    let file = |name: &str| data.join(format!("acme/certificates/{name}.example.org.pem"));
    let text = |name: &str| fs::read_to_string(file(name)).expect("is there");
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let chain = text("another-key");
    let (head, rest) = chain.split_once('\n').expect("lines");
    let chain = rest.split_once("-----END PRIVATE KEY-----\n").expect("a key").1;
    put(&file("another-key"), &format!("{head}\n{key}{chain}"));
    put(&file("empty"), "");
    let half = text("half");
    put(&file("half"), &half[..half.len() / 2]);
    put(&file("noise"), &"\u{0}\u{7f}".repeat(4096));
    put(&data.join("acme/names/journal.example.org.json"), r#"{"version": "one"}"#);
    put(&account_files(data)[0], "{");
    put(&data.join("tickets/keys.json"), "[]");
    put(&data.join("ca/root.key"), "-----BEGIN PRIVATE KEY-----\n");
    fs::create_dir_all(data.join("certs")).expect("is ours");
    put(&data.join("certs/own.pem"), "nothing");

    let mut keeping = Keeping::start(settings(data, &[&ca]), second);
    keeping.want(&[&names[..], &["x.internal"]].concat());
    let after = keeping.until_issued(&names).await;
    keeping.until(|store| store.serves_well("x.internal")).await;
    let same: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before.serial == after.serial).collect();
    assert_eq!(same, [false, false, false, false, true, true]);
    assert_eq!(ca.orders(), names.len() + 4);
    let codes = [codes::CERTIFICATE_FILE_UNUSABLE, codes::INTERNAL_CA_DAMAGED, codes::CERTIFICATE_DAMAGED];
    let is_told = |code: &Code, findings: &[Diagnostic]| findings.iter().any(|one| one.code == *code);
    keeping.until_told(|report| codes.iter().all(|code| is_told(code, &report.findings))).await;
    let aside = ["acme/certificates", "acme/names", "acme/accounts", "ca"].map(|folder| corrupt(&data.join(folder)));
    assert_eq!(aside[..3], [4, 1, 1], "nothing is overwritten that was not understood");
    assert!(aside[3] >= 1);
    assert_eq!(fs::read_to_string(data.join("certs/own.pem")).expect("is there"), "nothing", "that is not ours");
}

#[tokio::test]
async fn a_ca_that_is_down_in_whatever_way_takes_nothing_away_and_is_left_alone() {
    for mode in ["fails", "hangs", "is not trusted"] {
        let reply = move || match mode {
            "fails" => Reply::Answer("500 Oops\r\nContent-Type: text/html".into(), "<h1>".into()),
            "hangs" => Reply::Hang,
            _ => Reply::Pass,
        };
        let folder = tempfile::tempdir().expect("a folder");
        let (_door, ca, [outputs, _]) = scene(&Mood::default()).await;
        let between = Between::start(&ca, move |_| reply()).await;
        put_ending(folder.path(), &between.directory, "old.example.org");
        let mut settings = through(folder.path(), &ca, &between);
        if mode == "is not trusted" {
            settings.acme.as_mut().expect("is there").root_pem = None;
        }
        let mut keeping = Keeping::start(settings, outputs);
        let names = ["old.example.org", "new.example.org", "x.internal"];
        keeping.want(&names);
        let store = keeping.until(|store| names.iter().all(|name| store.serves(name))).await;
        assert!(store.serves_well(names[0]) && store.serves_well(names[2]), "a CA that {mode}");
        if mode == "hangs" {
            continue;
        }
        keeping.until_told(|report| report.findings.iter().any(|finding| finding.code == codes::CA_UNREACHABLE)).await;
        for _ in 0..20 {
            keeping.want(&names[..2]);
            keeping.want(&names);
            tokio::task::yield_now().await;
        }
        keeping.until_told(|report| report.certificates.len() == 3).await;
        // Two orders had begun before the first failure was known.
        assert!(between.asked().len() <= 2, "a CA that {mode} is asked again in a minute: {:?}", between.asked());
    }
}

#[tokio::test]
async fn what_was_shown_to_be_ours_before_need_not_be_shown_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, [first, second]) = scene(&Mood { reused: 100, ..Mood::default() }).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), first);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    drop(keeping);
    fs::remove_file(folder.path().join("acme/certificates/a.example.org.pem")).expect("is there");
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), second);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    assert_eq!((ca.orders(), ca.issued()), (2, 2));
    assert_eq!(ca.log().matches("Pulled a task from the Tasks queue").count(), 1, "one validation");
}

#[tokio::test]
async fn a_ca_that_takes_its_time_keeps_nobody_else_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, [outputs, _]) = scene(&Mood { sleep: 6, ..Mood::default() }).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    let begun = std::time::SystemTime::now();
    let names = ["a.example.org", "b.example.org", "c.example.org", "d.example.org"];
    keeping.want(&[&names[..], &["x.internal"]].concat());
    let store = keeping.until(|store| store.serves_well("x.internal")).await;
    assert!(!names.iter().all(|name| is_issued(&store, name)));
    keeping.until(|store| names.iter().any(|name| is_issued(store, name))).await;
    let first = begun.elapsed().expect("time goes on");
    keeping.until_issued(&names).await;
    let last = begun.elapsed().expect("time goes on");
    println!("figure: validations of up to 6 s each: the first of 4 names after {first:?}, the last after {last:?}");
    assert!(last < Duration::from_secs(4 * 6), "not one after the other: {last:?}");
    assert_eq!(ca.orders(), 4);
}

#[tokio::test]
async fn a_certificate_that_the_ca_wants_replaced_is_without_a_break() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, [first, second]) = scene(&Mood::default()).await;
    // Debian's Pebble has no renewal information, so a proxy adds it, and repeats `replaces`.
    let between = async |is_revoked: bool| {
        Between::start(&ca, move |asked| {
            if asked.path == "/dir" {
                return Reply::Change(Box::new(|directory| {
                    let base = directory["newOrder"].as_str().expect("a URL").replace("/order-plz", "/renewal");
                    directory["renewalInfo"] = base.into();
                }));
            }
            if asked.path.starts_with("/renewal/") {
                let year = if is_revoked { 2020 } else { 2090 };
                let window = format!(r#"{{"start":"{year}-01-01T00:00:00Z","end":"{year}-01-02T00:00:00Z"}}"#);
                let body = format!(r#"{{"suggestedWindow":{window},"explanationURL":"https://ca.test/why"}}"#);
                return Reply::Answer("200 OK\r\nContent-Type: application/json\r\nRetry-After: 21600".into(), body);
            }
            let replaces = asked.payload.as_ref().and_then(|order| order.get("replaces").cloned());
            match replaces {
                Some(id) => Reply::Change(Box::new(move |order| order["replaces"] = id)),
                None => Reply::Pass,
            }
        })
        .await
    };
    let calm = between(false).await;
    let mut keeping = Keeping::start(through(folder.path(), &ca, &calm), first);
    keeping.want(&["a.example.org"]);
    let before = keeping.until_issued(&["a.example.org"]).await;
    keeping.until_told(|report| report.certificates.iter().any(|one| one.renewal_window.is_some())).await;
    drop(keeping);
    // Gangway takes it for the same CA as before, once the port is replaced: the tests tell CAs apart by their
    // port.
    let urgent = between(true).await;
    let port = |between: &Between| between.directory.replace("https://localhost:", "").replace("/dir", "");
    let account = |between: &Between| folder.path().join(format!("acme/accounts/localhost-{}-dir.json", port(between)));
    let moved = |file: &Path| fs::read_to_string(file).expect("is there").replace(&port(&calm), &port(&urgent));
    let file = folder.path().join("acme/certificates/a.example.org.pem");
    put(&file, &moved(&file));
    put(&account(&urgent), &moved(&account(&calm)));
    let mut keeping = Keeping::start(through(folder.path(), &ca, &urgent), second);
    keeping.want(&["a.example.org"]);
    let is_replaced =
        |store: &CertificateResolver| store.find("a.example.org").is_some_and(|now| now.serial != before[0].serial);
    let is_broken = std::cell::Cell::new(false);
    let is_placeholder = |store: &CertificateResolver| store.is_placeheld("a.example.org");
    let store = keeping
        .until(|store| {
            is_broken.set(is_broken.get() || is_placeholder(store));
            is_replaced(store)
        })
        .await;
    assert!(!is_broken.get() && is_issued(&store, "a.example.org"));
    let orders = urgent.orders();
    assert_eq!((orders.len(), ca.issued()), (1, 2));
    assert!(orders[0]["replaces"].as_str().is_some_and(|id| id.contains('.')), "{orders:?}");
}
