//! Certificates for addresses, and certificates of a chosen profile.

use std::net::{IpAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use gangway_acme::ChallengeKind;
use gangway_diagnostic::codes;
use gangway_testkit::wait::eventually;
use serde_json::json;

use crate::support::{Between, Ca, FrontDoor, Keeping, Mood, Outputs, Reply, through};

/// Debian's Pebble knows no profiles, so a proxy lists them and sees which one an order asks for.
async fn offering(ca: &Ca, profiles: &'static [&'static str]) -> Between {
    Between::start(ca, move |asked| match &*asked.path {
        "/dir" => Reply::Change(Box::new(move |directory| {
            let page = |name: &&str| ((*name).to_owned(), json!("https://ca.test/profiles"));
            directory["meta"]["profiles"] = profiles.iter().map(page).collect::<serde_json::Map<_, _>>().into();
        })),
        _ => Reply::Pass,
    })
    .await
}

/// An address that looks public and leads to this machine until it is dropped.
struct Address(IpAddr);

impl Address {
    /// `None` if the system refuses, as it does without root.
    async fn add(address: &str) -> Option<Self> {
        // An address left over from a killed test serves as well.
        let outcome = Command::new("ip").args(["addr", "replace", address, "dev", "lo"]).output().expect("iproute2");
        if !outcome.status.success() {
            return None;
        }
        let added = Self(address.parse().expect("an address"));
        // The kernel lets nobody use an IPv6 address for a moment, even on the loopback device.
        let can_be_used = async || TcpListener::bind((added.0, 0)).ok();
        eventually("the address can be used", Duration::from_secs(10), can_be_used).await;
        Some(added)
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["addr", "del", &format!("{}/{}", self.0, if self.0.is_ipv4() { 32 } else { 128 }), "dev", "lo"])
            .status();
    }
}

#[tokio::test]
async fn an_address_gets_a_certificate_of_the_kind_that_addresses_get() {
    for (text, challenge) in [("198.51.100.77", ChallengeKind::Http01), ("2001:db8::77", ChallengeKind::TlsAlpn01)] {
        let Some(address) = Address::add(text).await else {
            println!("figure: none, adding an address is refused to who is not root");
            return;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let outputs = Outputs::new();
        let door = FrontDoor::open_on(address.0, vec![outputs.certificates.clone()], true, true).await;
        let ca = Ca::start(door.ports(), &Mood::default()).await;
        let between = offering(&ca, &["classic", "shortlived"]).await;
        let mut settings = through(folder.path(), &ca, &between);
        settings.acme.as_mut().expect("is there").challenges = vec![challenge];
        let mut keeping = Keeping::start(settings, outputs);
        keeping.want(&[text]);
        let bundle = keeping.until_issued(&[text]).await.remove(0);
        assert_eq!(*bundle.names, [Box::from(text)]);
        let orders = between.orders();
        assert_eq!(orders.len(), 1);
        assert_eq!(orders[0]["identifiers"], json!([{"type": "ip", "value": text}]));
        assert_eq!(orders[0]["profile"], "shortlived");
    }
}

#[tokio::test]
async fn the_profile_that_was_asked_for_is_asked_for_and_one_that_the_ca_does_not_offer_is_told() {
    let cases: [(&str, &[&str]); 3] =
        [("shortlived", &["classic", "shortlived"]), ("shortlived", &["classic"]), ("short", &[])];
    for (wanted, offered) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let (_door, ca, outputs) = crate::scene(&Mood::default()).await;
        let between = offering(&ca, offered).await;
        let mut settings = through(folder.path(), &ca, &between);
        settings.acme.as_mut().expect("is there").profile = Some(wanted.into());
        let mut keeping = Keeping::start(settings, outputs);
        keeping.want(&["a.example.org"]);
        keeping.until_issued(&["a.example.org"]).await;
        let is_offered = offered.contains(&wanted);
        assert_eq!(between.orders()[0].get("profile").is_some_and(|profile| profile == wanted), is_offered);
        let report = keeping.until_told(|report| report.findings.is_empty() == is_offered).await;
        if let Some(finding) = report.findings.first() {
            assert_eq!(finding.code, codes::ACME_PROFILE_UNKNOWN);
            assert!(offered.iter().all(|one| finding.help.contains(one)), "{finding:?}");
        }
    }
}
