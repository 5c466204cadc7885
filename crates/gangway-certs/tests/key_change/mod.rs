//! Accounts that get another key: the old key becomes invalid, and the account is never lost.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gangway_acme::want_new_account_keys;
use gangway_diagnostic::codes;

use crate::support::{Between, Ca, Keeping, Mood, Outputs, PATIENCE, Reply, account_files, put, settings, through};

/// The one account's file.
fn account(data: &Path) -> serde_json::Value {
    let files = account_files(data);
    assert_eq!(files.len(), 1, "no account was made anew");
    let text = fs::read_to_string(&files[0]).expect("is there");
    serde_json::from_str(&text).expect("JSON")
}

async fn until_settled(data: &Path) -> serde_json::Value {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
    let wait = async {
        loop {
            ticks.tick().await;
            let account = account(data);
            if account.get("new_key_wanted").is_none() && account.get("next_key").is_none() {
                return account;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("is settled")
}

#[tokio::test]
async fn an_account_gets_another_key_and_goes_on_with_it_in_every_instance() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let mood = Mood { bad_nonces: 30, ..Mood::default() };
    let (_door, ca, [first, second]) = crate::support::scene(&mood).await;
    let mut one = Keeping::start(settings(data, &[&ca]), first);
    let mut two = Keeping::start(settings(data, &[&ca]), second);
    one.want(&["a.example.org"]);
    one.until_issued(&["a.example.org"]).await;
    two.want(&["a.example.org", "b.example.org"]);
    two.until_issued(&["b.example.org"]).await;
    let before = account(data);
    let marked = want_new_account_keys(data).await.expect("can be written");
    assert_eq!(marked, std::slice::from_ref(&ca.directory));
    let after = until_settled(data).await;
    assert_ne!(before["key"], after["key"]);
    assert_eq!(before["id"], after["id"]);
    one.want(&["a.example.org", "c.example.org"]);
    one.until_issued(&["c.example.org"]).await;
    two.want(&["a.example.org", "b.example.org", "d.example.org"]);
    two.until_issued(&["d.example.org"]).await;
    assert_eq!(account(data), after);
    // The old key belongs to no account any more.
    drop((one, two));
    put(&account_files(data)[0], &before.to_string());
    let mut keeping = Keeping::start(settings(data, &[&ca]), Outputs::new());
    keeping.want(&["e.example.org"]);
    keeping.until_told(|report| !report.findings.is_empty()).await;
}

/// A keeper that has an account and must change its key, and the account's file before the change.
async fn wanting_another(data: &Path, ca: &Ca, between: &Between, outputs: Outputs) -> (Keeping, serde_json::Value) {
    let mut keeping = Keeping::start(through(data, ca, between), outputs);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    let before = account(data);
    want_new_account_keys(data).await.expect("can be written");
    (keeping, before)
}

/// Stops between two steps in every way: whatever the CA has done, the account stays usable.
#[tokio::test]
async fn whenever_it_is_stopped_the_account_is_not_lost() {
    for (stop, is_taken) in [("before the CA is asked", false), ("before its answer arrives", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let between = Between::start(&ca, move |asked| match &*asked.path {
            "/rollover-account-key" if count.fetch_add(1, Ordering::SeqCst) == 0 => match is_taken {
                true => Reply::Lose,
                false => Reply::Hang,
            },
            _ => Reply::Pass,
        });
        let between = between.await;
        let (keeping, before) = wanting_another(data, &ca, &between, outputs).await;
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        let wait = async {
            while between.unanswered("/rollover-account-key") < 1 {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the CA is asked");
        drop(keeping);
        let half = account(data);
        assert!(half["next_key"].is_string() && half["key"] == before["key"], "{stop}: both keys are there");
        let outputs = Outputs::new();
        drop(_door);
        let mut keeping = Keeping::start(through(data, &ca, &between), outputs);
        keeping.want(&["a.example.org"]);
        let after = until_settled(data).await;
        assert_eq!((&after["key"], &after["id"]), (&half["next_key"], &before["id"]), "{stop}");
        assert_eq!(asked.load(Ordering::SeqCst), if is_taken { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_ca_that_refuses_leaves_the_key_in_force_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let between = Between::start(&ca, |asked| match &*asked.path {
        "/rollover-account-key" => {
            let body = r#"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"not today"}"#;
            Reply::Answer("403 Forbidden\r\nContent-Type: application/problem+json".into(), body.into())
        }
        _ => Reply::Pass,
    });
    let between = between.await;
    let (mut keeping, before) = wanting_another(data, &ca, &between, outputs).await;
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::ACME_ACCOUNT_KEY_KEPT);
    assert!(report.findings[0].message.contains("not today"), "{report:?}");
    assert_eq!(until_settled(data).await, before);
    keeping.want(&["a.example.org", "b.example.org"]);
    keeping.until_issued(&["b.example.org"]).await;
}
