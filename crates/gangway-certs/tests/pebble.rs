//! A real CA: certificates are obtained, kept and shared, and survive failures.

mod accounts;
mod caddy;
mod dns_records;
mod failing_volumes;
mod faults;
mod key_change;
mod next_ca;
mod on_demand;
mod profiles;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::Arc;

use gangway_acme::{ChallengeKind, ExternalAccount};
use gangway_certs::{WantedCertificates, WantedIssuer, WantedName};
use gangway_diagnostic::codes;
use gangway_tls::Origin;
use support::{Between, Ca, FrontDoor, Keeping, Mood, Outputs, PATIENCE, Reply, is_issued, issuer, put, settings};

/// A scene for one keeper.
async fn scene(mood: &Mood) -> (FrontDoor, Ca, Outputs) {
    let (door, ca, [outputs]) = support::scene(mood).await;
    (door, ca, outputs)
}

#[tokio::test]
async fn a_public_name_gets_a_certificate_and_keeps_it_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    keeping.want(&["a.example.org"]);
    keeping.until(|store| store.serves("a.example.org")).await;
    let first = keeping.until_issued(&["a.example.org"]).await;
    let report = keeping.until_told(|report| report.certificates.iter().all(|status| status.trouble.is_none())).await;
    assert!(report.findings.is_empty() && report.certificates[0].next.is_some());
    drop(keeping);
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), Outputs::new());
    keeping.want(&["a.example.org"]);
    let second = keeping.until_issued(&["a.example.org"]).await;
    assert_eq!(first[0].serial, second[0].serial);
    assert_eq!((ca.issued(), ca.orders()), (1, 1));
}

#[tokio::test]
async fn a_name_is_shown_to_be_ours_in_the_handshake_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = Outputs::new();
    let door = FrontDoor::open(vec![outputs.certificates.clone()], false, true).await;
    let ca = Ca::start(door.ports(), &Mood::default()).await;
    let mut settings = settings(folder.path(), &[&ca]);
    settings.acme.as_mut().expect("is there").challenges = vec![ChallengeKind::TlsAlpn01];
    let mut keeping = Keeping::start(settings, outputs);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    let store = keeping.until(|store| store.store().load().challenge("a.example.org").is_none()).await;
    assert!(is_issued(&store, "a.example.org"), "the answer is not in force for longer than it is needed");
}

#[tokio::test]
async fn after_a_failure_the_other_challenge_is_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = Outputs::new();
    let door = FrontDoor::open(vec![outputs.certificates.clone()], false, true).await;
    let ca = Ca::start(door.ports(), &Mood::default()).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    keeping.want(&["a.example.org"]);
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert!(report.findings[0].message.contains("(HTTP-01)"), "{:?}", report.findings);
    keeping.until_issued(&["a.example.org"]).await;
    keeping.until_told(|report| report.findings.is_empty()).await;
    assert_eq!(ca.orders(), 2);
}

#[tokio::test]
async fn a_name_that_fails_is_told_in_the_cas_words_and_stops_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    ca.lead("lost.example.org", "127.0.0.9").await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    keeping.want(&["lost.example.org", "a.example.org", "b.example.org", "*.example.net", "bad_name.example.org"]);
    keeping.until_issued(&["a.example.org", "b.example.org"]).await;
    let report = keeping.until_told(|report| report.findings.len() == 3).await;
    let codes: BTreeSet<_> =
        report.findings.iter().map(|finding| (finding.code, finding.place.subject().unwrap())).collect();
    let expected = [
        (codes::CA_CANNOT_CONNECT, "lost.example.org"),
        (codes::NAME_REJECTED_BY_CA, "bad_name.example.org"),
        (codes::ACME_CHALLENGE_MISSING, "*.example.net"),
    ];
    assert_eq!(codes, expected.into());
    let lost =
        report.findings.iter().find(|finding| finding.place.subject() == Some("lost.example.org")).expect("is told");
    assert!(lost.message.contains("connection refused") && lost.effect.contains("tried again at"), "{lost:?}");
    assert!(keeping.certificates.serves("lost.example.org"), "a placeholder answers");
}

#[tokio::test]
async fn half_of_all_numbers_refused_costs_no_certificate() {
    let issued = issue_with_bad_nonces(50, 20).await;
    println!("figure: with 50 % of all numbers refused {issued} of 20 were issued");
}

#[tokio::test]
async fn nine_of_ten_numbers_refused_cost_at_most_one() {
    let issued = issue_with_bad_nonces(90, 19).await;
    println!("figure: with 90 % of all numbers refused {issued} of 20 were issued");
}

async fn issue_with_bad_nonces(bad_nonces: u32, enough: usize) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood { bad_nonces, ..Mood::default() }).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    let names: Vec<String> = (0..20).map(|number| format!("n{number}.example.org")).collect();
    keeping.want(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let issued = |store: &gangway_tls::CertificateResolver| names.iter().filter(|name| is_issued(store, name)).count();
    let store = keeping.until(|store| issued(store) >= enough).await;
    issued(&store)
}

#[tokio::test]
async fn an_account_that_the_ca_has_forgotten_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, mut ca, outputs) = scene(&Mood::default()).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    ca.restart().await;
    keeping.want(&["a.example.org", "b.example.org"]);
    keeping.until_issued(&["b.example.org"]).await;
    let accounts = fs::read_dir(folder.path().join("acme/accounts")).expect("a folder").count();
    assert_eq!(accounts, 2, "the old one is set aside");
}

#[tokio::test]
async fn a_ca_that_asks_for_an_account_of_its_own_gets_it_or_says_so() {
    let external = ExternalAccount {
        id: "kid-1".into(),
        key: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".into(),
    };
    let mood = Mood { external_account: Some((external.id.to_string(), external.key.to_string())), ..Mood::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&mood).await;
    let mut settings_without = settings(folder.path(), &[&ca]);
    let mut settings_with = settings_without.clone();
    settings_without.data = folder.path().join("without");
    let mut keeping = Keeping::start(settings_without, Outputs::new());
    keeping.want(&["a.example.org"]);
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::ACME_ACCOUNT_REFUSED);
    settings_with.acme.as_mut().expect("is there").issuers[0].external_account = Some(external);
    let mut keeping = Keeping::start(settings_with, outputs);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
}

#[tokio::test]
async fn the_next_ca_is_asked_where_the_first_is_down_or_unwilling() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = Outputs::new();
    let door = FrontDoor::open(vec![outputs.certificates.clone()], true, true).await;
    let unwilling = Ca::start(door.ports(), &Mood { blocked: vec!["a.example.org".into()], ..Mood::default() }).await;
    let mut down = Ca::start(door.ports(), &Mood::default()).await;
    down.stop().await;
    let good = Ca::start(door.ports(), &Mood::default()).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&unwilling, &down, &good]), outputs);
    keeping.want(&["a.example.org", "b.example.org"]);
    keeping.until_issued(&["a.example.org", "b.example.org"]).await;
    assert_eq!((unwilling.issued(), good.issued()), (1, 1));
}

#[tokio::test]
async fn two_instances_on_one_volume_order_once_and_both_serve() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, [one, two]) = support::scene(&Mood::default()).await;
    let mut one = Keeping::start(settings(folder.path(), &[&ca]), one);
    let mut two = Keeping::start(settings(folder.path(), &[&ca]), two);
    let names: Vec<String> = (0..10).map(|number| format!("n{number}.example.org")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    one.want(&names);
    two.want(&names);
    let serials =
        |bundles: Vec<Arc<gangway_tls::Bundle>>| bundles.iter().map(|bundle| bundle.serial.clone()).collect::<Vec<_>>();
    assert_eq!(serials(one.until_issued(&names).await), serials(two.until_issued(&names).await));
    assert_eq!((ca.orders(), ca.issued()), (10, 10));
    println!("figure: two instances, one volume, {} names: {} orders", names.len(), ca.orders());
}

#[tokio::test]
async fn nothing_is_ordered_that_could_not_be_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    put(&folder.path().join("file"), "not a folder");
    let mut keeping = Keeping::start(settings(&folder.path().join("file"), &[&ca]), outputs);
    keeping.want(&["a.example.org"]);
    let report = keeping.until_told(|report| {
        report
            .findings
            .iter()
            .any(|finding| finding.code == codes::VOLUME_UNUSABLE && finding.place.subject() != Some("locks/ca.lock"))
    });
    assert!(report.await.degraded);
    keeping.until(|store| store.serves("a.example.org")).await;
    assert_eq!(ca.orders(), 0);
}

#[tokio::test]
async fn a_damaged_certificate_is_set_aside_and_costs_only_its_own_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    let names = ["a.example.org", "b.example.org"];
    keeping.want(&names);
    let before = keeping.until_issued(&names).await;
    drop(keeping);
    put(&folder.path().join("acme/certificates/a.example.org.pem"), "half");
    put(&folder.path().join("acme/names/b.example.org.json"), "{");
    let outputs = Outputs::new();
    let door = FrontDoor::open(vec![outputs.certificates.clone()], true, true).await;
    let second = Ca::start(door.ports(), &Mood::default()).await;
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca, &second]), outputs);
    keeping.want(&names);
    let report = keeping.until_told(|report| report.findings.len() >= 2).await;
    assert!(report.findings.iter().any(|finding| finding.code == codes::CERTIFICATE_DAMAGED));
    let after = keeping.until_issued(&["b.example.org"]).await;
    assert_eq!(before[1].serial, after[0].serial);
    let aside = fs::read_dir(folder.path().join("acme/certificates")).expect("a folder").flatten();
    assert_eq!(aside.filter(|entry| entry.file_name().to_string_lossy().contains(".corrupt-")).count(), 1);
}

#[tokio::test]
async fn an_ending_certificate_is_served_until_the_next_one_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    fs::create_dir_all(folder.path().join("acme/certificates")).expect("is ours");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["a.example.org".to_owned()]).expect("a name");
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(80), now + time::Duration::days(10));
    let chain = params.self_signed(&key).expect("signs").pem();
    let head = format!(r##"# gangway certificate {{"version":1,"directory":"{}","account":""}}"##, ca.directory);
    let file = folder.path().join("acme/certificates/a.example.org.pem");
    put(&file, &format!("{head}\n{}{chain}", key.serialize_pem()));
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    let old = keeping.until_issued(&["a.example.org"]).await;
    keeping.want(&["a.example.org"]);
    let store =
        keeping.until(|store| store.find("a.example.org").is_some_and(|bundle| bundle.serial != old[0].serial)).await;
    assert_eq!(store.find("a.example.org").map(|bundle| bundle.origin.clone()), Some(Origin::Acme));
    assert_eq!(ca.issued(), 1);
    assert!(fs::read_to_string(file).expect("is there").contains("BEGIN PRIVATE KEY"));
}

#[tokio::test]
async fn a_certificate_in_the_folder_is_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    fs::create_dir_all(folder.path().join("certs")).expect("is ours");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["*.example.org".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let chain = params.self_signed(&key).expect("signs").pem();
    put(&folder.path().join("certs/own.pem"), &format!("{}{chain}", key.serialize_pem()));
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    keeping.want(&["a.example.org", "b.example.net"]);
    keeping.until_issued(&["b.example.net"]).await;
    assert!(matches!(keeping.certificates.find("a.example.org").expect("has one").origin, Origin::Folder(_)));
    assert_eq!(ca.orders(), 1);
}

/// Not a test of its own: the next test starts and kills this.
#[tokio::test]
async fn instance_to_be_killed() {
    let Ok(task) = std::env::var("GANGWAY_TEST_INSTANCE") else { return };
    let [data, directory, root, http, tls, name] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let outputs = Outputs::new();
    let ports = [http, tls].map(|port| port.parse().expect("a port"));
    let _door = FrontDoor::open_at(ports, vec![outputs.certificates.clone()], true, true).await;
    let acme = gangway_acme::AcmeSettings {
        issuers: vec![gangway_acme::Issuer::parse(directory).expect("a URL")],
        root_pem: Some(fs::read_to_string(root).expect("is there").into()),
        challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        ..gangway_acme::AcmeSettings::default()
    };
    let settings =
        gangway_certs::KeepSettings { data: data.into(), acme: Some(acme), ..gangway_certs::KeepSettings::default() };
    let mut keeping = Keeping::start(settings, outputs);
    keeping.want(&[name]);
    keeping.until_issued(&[name]).await;
}

/// Set `GANGWAY_TEST_KILLS=100` for the full test.
#[tokio::test]
async fn whenever_it_is_killed_nothing_is_lost_and_at_most_one_order_is() {
    let kills: u64 = std::env::var("GANGWAY_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let folder = tempfile::tempdir().expect("a folder");
    let door = FrontDoor::open(Vec::new(), false, false).await;
    let ca = Ca::start(door.ports(), &Mood::default()).await;
    let (http, tls) = (door.http.port(), door.tls.port());
    drop(door);
    let root = folder.path().join("root.pem");
    put(&root, &ca.api_root);
    let data = folder.path().join("data");
    let start = |name: &str| {
        let task = format!("{} {} {} {http} {tls} {name}", data.display(), ca.directory, root.display());
        tokio::process::Command::new(std::env::current_exe().expect("is running"))
            .args(["instance_to_be_killed", "--exact", "--nocapture"])
            .env("GANGWAY_TEST_INSTANCE", task)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("is there")
    };
    let begun = std::time::SystemTime::now();
    assert!(start("first.example.org").wait().await.expect("ends").success());
    let whole = begun.elapsed().expect("time goes on");
    let mut extra = 0;
    for kill in 0..kills {
        let (name, before) = (format!("n.d{kill}.example"), ca.orders());
        // The kills are spread over the whole issuance, and never twice at the same point.
        let until = whole.mul_f64((kill as f64 * 0.618_034).fract());
        let mut doomed = start(&name);
        if tokio::time::timeout(until, doomed.wait()).await.is_err() {
            doomed.kill().await.expect("is ours");
        }
        let ended =
            tokio::time::timeout(2 * PATIENCE, start(&name).wait_with_output()).await.expect("in time").expect("ends");
        assert!(ended.status.success(), "after a kill at {until:?}: {}", String::from_utf8_lossy(&ended.stderr));
        let orders = ca.orders() - before;
        assert!(orders <= 2, "{orders} orders after a kill at {until:?}");
        extra += orders - 1;
    }
    println!("figure: {kills} kills cost {extra} orders more than one a name");
    let accounts: Vec<_> = fs::read_dir(data.join("acme/accounts")).expect("a folder").flatten().collect();
    assert_eq!(accounts.len(), 1, "{accounts:?}");
}

#[tokio::test]
async fn a_ca_that_asks_to_be_left_alone_is_and_the_next_one_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    let unwilling = Between::start(&ca, |asked| match &*asked.path {
        "/dir" => Reply::Pass,
        _ => Reply::Answer(
            "429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Type: text/html".into(),
            "<h1>slow down, please".into(),
        ),
    });
    let unwilling = unwilling.await;
    let refusals = || unwilling.asked().iter().filter(|asked| asked.path != "/dir").count();
    let mut settings = settings(folder.path(), &[&ca]);
    let acme = settings.acme.as_mut().expect("is there");
    acme.issuers.insert(0, issuer(&unwilling.directory));
    acme.root_pem = Some(format!("{}{}", ca.api_root, unwilling.api_root).into());
    let mut keeping = Keeping::start(settings, outputs);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    assert_eq!(refusals(), 1);
    keeping.want(&["a.example.org", "b.example.org"]);
    keeping.until_issued(&["b.example.org"]).await;
    assert_eq!(refusals(), 1, "it said in an hour");
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::CA_UNREACHABLE);
    assert!(report.findings[0].message.contains("429 Too Many Requests"), "{:?}", report.findings);
}

/// Set `GANGWAY_TEST_NAMES=200` for the full test, which takes minutes: ten orders are begun in ten seconds.
#[tokio::test]
async fn many_names_at_once_are_served_within_the_limits_and_block_nobody() {
    let count: usize = std::env::var("GANGWAY_TEST_NAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    let between = Between::start(&ca, |_| Reply::Pass).await;
    let mut keeping = Keeping::start(support::through(folder.path(), &ca, &between), outputs);
    let names: Vec<String> = (0..count).map(|number| format!("n{number}.d{number}.example")).collect();
    let (lost, good): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.starts_with("n1."));
    for name in &lost {
        ca.lead(name, "127.0.0.9").await;
    }
    let begun = std::time::SystemTime::now();
    keeping.want(&names.iter().map(String::as_str).collect::<Vec<_>>());
    keeping.until(|store| good.iter().any(|name| is_issued(store, name))).await;
    let first = begun.elapsed().expect("time goes on");
    // Wait as long as there is progress, however slow.
    let mut issued = 0;
    while issued < good.len() {
        let count =
            |store: &gangway_tls::CertificateResolver| good.iter().filter(|name| is_issued(store, name)).count();
        issued = count(&keeping.until(|store| count(store) > issued).await);
    }
    let last = begun.elapsed().expect("time goes on");
    let asked = between.asked();
    let orders: Vec<_> =
        asked.iter().filter(|asked| asked.path.starts_with("/order-plz")).map(|asked| asked.at).collect();
    let within = |start: &std::time::SystemTime, seconds: u64| {
        let is_within = |at: &&std::time::SystemTime| {
            at.duration_since(*start).is_ok_and(|since| since < std::time::Duration::from_secs(seconds))
        };
        orders.iter().filter(is_within).count()
    };
    let most = orders.iter().map(|start| within(start, 10)).max().unwrap_or_default();
    println!(
        "figure: the first of {count} names after {first:?}, the last after {last:?}; {} orders, at most {most} in 10 s",
        orders.len()
    );
    // One order is begun at the beginning of a second and another at its end.
    assert!(most <= 12, "{most}");
    assert_eq!(ca.issued(), good.len());
    let attempts = orders.len() - good.len();
    assert!((1..=5).contains(&attempts), "{attempts} for a name that fails");
}

#[tokio::test]
async fn what_was_imported_is_served_and_not_ordered_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Some CA");
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key"));
    let authority = authority.expect("a CA");
    let import = |name: &str, names: &[&str], days: [i64; 2]| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(days[0]);
        params.not_after = now + time::Duration::days(days[1]);
        let live = folder.path().join("import/live").join(name);
        fs::create_dir_all(&live).expect("is ours");
        put(&live.join("fullchain.pem"), &params.signed_by(&key, &authority).expect("signs").pem());
        put(&live.join("privkey.pem"), &key.serialize_pem());
    };
    import("both", &["a.example.org", "b.example.org"], [10, 80]);
    import("due", &["due.example.org"], [80, 10]);
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    keeping.want(&["a.example.org", "b.example.org", "due.example.org", "c.example.org"]);
    let store = keeping
        .until(|store| {
            let is_renewed = store.find("due.example.org").is_some_and(|bundle| !bundle.issuer.starts_with("Some CA"));
            is_renewed && is_issued(store, "due.example.org") && is_issued(store, "c.example.org")
        })
        .await;
    for name in ["a.example.org", "b.example.org"] {
        assert!(store.find(name).expect("has one").issuer.starts_with("Some CA"));
    }
    assert_eq!((ca.orders(), ca.issued()), (2, 2));
}

#[tokio::test]
async fn nothing_is_ordered_for_a_name_out_of_reach_and_what_it_has_is_renewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, outputs) = scene(&Mood::default()).await;
    support::put_ending(folder.path(), &ca.directory, "old.example.org");
    let mut keeping = Keeping::start(settings(folder.path(), &[&ca]), outputs);
    let wanted = |name: &str| WantedName { name: name.into(), issuer: WantedIssuer::Auto };
    let names: Vec<WantedName> = ["old.example.org", "far.example.org", "near.example.org"].map(wanted).into();
    let out_of_reach = ["old.example.org", "far.example.org"].map(Into::into).into();
    keeping.names.publish(WantedCertificates { names: names.clone(), out_of_reach, ..WantedCertificates::default() });
    keeping.until_issued(&["near.example.org"]).await;
    let is_renewed = |store: &gangway_tls::CertificateResolver| {
        is_issued(store, "old.example.org")
            && store.find("old.example.org").is_some_and(|one| one.issuer.contains("Pebble"))
    };
    let store = keeping.until(is_renewed).await;
    assert!(!is_issued(&store, "far.example.org") && store.serves("far.example.org"), "its page still shows");
    assert_eq!(ca.orders(), 2);
    let report = keeping.report.load_full();
    let far = report.certificates.iter().find(|one| &*one.name == "far.example.org").expect("is listed");
    assert!(far.trouble.as_deref().is_some_and(|why| why.contains("share no network")), "{far:?}");
    keeping.names.publish(WantedCertificates { names, ..WantedCertificates::default() });
    keeping.until_issued(&["far.example.org"]).await;
}
