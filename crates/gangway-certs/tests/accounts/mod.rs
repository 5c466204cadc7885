//! Registration of accounts, and the facts about them that CAs get.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gangway_acme::{AdoptedAccount, DirectoryUrl, ExternalAccount};

use crate::support::{Between, Keeping, Mood, Outputs, PATIENCE, Reply, account_files, through};

/// The one account's file.
fn account(data: &Path) -> Option<serde_json::Value> {
    let files = account_files(data);
    assert!(files.len() < 2, "no account was made anew");
    let text = fs::read_to_string(files.first()?).ok()?;
    serde_json::from_str(&text).ok()
}

async fn until(is_so: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    let wait = async {
        while !is_so() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("comes true");
}

#[tokio::test]
async fn a_key_that_the_ca_has_bound_is_on_the_volume_before_it_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let external = ExternalAccount {
        id: "kid-1".into(),
        key: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".into(),
    };
    let mood = Mood { external_account: Some((external.id.to_string(), external.key.to_string())), ..Mood::default() };
    let (door, ca, outputs) = crate::scene(&mood).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let between = Between::start(&ca, move |asked| match &*asked.path {
        "/sign-me-up" if count.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Lose,
        _ => Reply::Pass,
    })
    .await;
    let settings = || {
        let mut settings = through(data, &ca, &between);
        settings.acme.as_mut().expect("is there").issuers[0].external_account = Some(external.clone());
        settings
    };
    let mut keeping = Keeping::start(settings(), outputs);
    keeping.want(&["a.example.org"]);
    until(|| between.unanswered("/sign-me-up") == 1).await;
    drop(keeping);
    let half = account(data).expect("the key is there");
    assert_eq!(half["id"], "");
    drop(door);
    let mut keeping = Keeping::start(settings(), Outputs::new());
    keeping.want(&["a.example.org"]);
    until(|| account(data).is_some_and(|account| account["id"] != "")).await;
    assert_eq!(account(data).expect("is there")["key"], half["key"]);
    let asked = between.asked();
    let is_bound =
        |payload: &serde_json::Value| payload.get("externalAccountBinding").is_some_and(|one| !one.is_null());
    let bound = asked.iter().filter(|asked| asked.payload.as_ref().is_some_and(is_bound)).count();
    assert_eq!(bound, 1, "a key identifier may be good for one use");
}

#[tokio::test]
async fn an_e_mail_address_that_was_changed_is_told_to_the_ca_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
    let between = Between::start(&ca, |_| Reply::Pass).await;
    let settings = |email: Option<&str>| {
        let mut settings = through(data, &ca, &between);
        settings.acme.as_mut().expect("is there").email = email.map(Into::into);
        settings
    };
    let told = || {
        let contacts = between.asked().into_iter().filter(|asked| asked.path.starts_with("/my-account/"));
        let contacts = contacts.filter_map(|asked| Some(asked.payload?.get("contact")?.clone()));
        contacts.collect::<Vec<_>>()
    };
    let mut keeping = Keeping::start(settings(Some("a@example.org")), outputs);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    drop(keeping);
    let first = account(data).expect("is there");
    assert_eq!(first["contact"], "a@example.org");
    let mut expected = vec![serde_json::json!(["mailto:a@example.org"])];
    assert_eq!(told(), expected);
    for (email, contact) in [(Some("b@example.org"), vec!["mailto:b@example.org"]), (None, vec![])] {
        for _ in 0..2 {
            let mut keeping = Keeping::start(settings(email), Outputs::new());
            keeping.want(&["a.example.org"]);
            until(|| account(data).is_some_and(|account| account["contact"] == email.unwrap_or_default())).await;
            keeping.until_issued(&["a.example.org"]).await;
        }
        expected.push(serde_json::json!(contact));
        assert_eq!(told(), expected, "told, and not told again");
    }
    assert_eq!(account(data).expect("is there")["id"], first["id"]);
}

#[tokio::test]
async fn an_account_of_other_software_is_used_with_its_own_key_and_none_is_made() {
    let (before, after) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let external = ExternalAccount {
        id: "kid-1".into(),
        key: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".into(),
    };
    let mood = Mood { external_account: Some((external.id.to_string(), external.key.to_string())), ..Mood::default() };
    let (_door, ca, [first, second]) = crate::support::scene(&mood).await;
    let between = Between::start(&ca, |_| Reply::Pass).await;
    // An RSA key, as Traefik makes them, is registered first. This account's registration was begun and not finished.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key").serialize_der();
    let mut settings = through(before.path(), &ca, &between);
    let issuer = &mut settings.acme.as_mut().expect("is there").issuers[0];
    issuer.external_account = Some(external);
    let directory: DirectoryUrl = issuer.directory.clone();
    let name = directory.as_str().trim_start_matches("https://").replace(['/', ':'], "-");
    let begun = serde_json::json!({
        "version": 1, "directory": directory.as_str(), "id": "", "key": BASE64_URL_SAFE_NO_PAD.encode(&key),
    });
    let folder = before.path().join("acme/accounts");
    fs::create_dir_all(&folder).expect("is ours");
    gangway_testkit::pebble::put(&folder.join(format!("{name}.json")), &begun.to_string());
    let mut keeping = Keeping::start(settings, first);
    keeping.want(&["a.example.org"]);
    until(|| account(before.path()).is_some_and(|account| account["id"] != "")).await;
    let url = account(before.path()).expect("is there")["id"].as_str().expect("a URL").to_owned();
    drop(keeping);

    let registrations = || between.asked().iter().filter(|asked| &*asked.path == "/sign-me-up").count();
    let (known, orders) = (registrations(), ca.issued());
    let mut settings = through(after.path(), &ca, &between);
    // Traefik keeps the key in PKCS #1, which is the end of PKCS #8.
    settings.adopted_accounts =
        vec![AdoptedAccount { directory, url: url.as_str().into(), key: key[26..].to_vec(), email: "".into() }];
    let mut keeping = Keeping::start(settings, second);
    keeping.want(&["b.example.org"]);
    until(|| ca.issued() > orders).await;
    assert_eq!((registrations(), account(after.path()).expect("is there")["id"].as_str()), (known, Some(&*url)));
}
