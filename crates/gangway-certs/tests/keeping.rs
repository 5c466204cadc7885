//! The keeper on a real folder: its publications, their order, and its state after a restart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gangway_certs::{
    CertificateReport, KeepSettings, KeeperOutputs, VolumeLoss, WantedCertificates, WantedExport, WantedIssuer,
    WantedName, keep, root_pem,
};
use gangway_diagnostic::codes;
use gangway_publish::{Publisher, Reader, channel};
use gangway_tls::{Bundle, CertificateResolver, Mint, Origin, Store};

struct Keeping {
    names: Publisher<WantedCertificates>,
    certificates: CertificateResolver,
    report: Reader<CertificateReport>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeping {
    fn start(settings: KeepSettings) -> Self {
        let (names, names_reader) = channel(WantedCertificates::default());
        let (store, stores) = channel(Store::default());
        let (report_tx, report) = channel(CertificateReport::default());
        let mint = Arc::new(Mint::new());
        let certificates = CertificateResolver::new(stores, Arc::clone(&mint), None);
        let task = tokio::spawn(async move {
            keep(settings, names_reader, KeeperOutputs { store, mint, demand: None, report: report_tx }).await;
        });
        Self { names, certificates, report, task }
    }

    fn on(folder: &Path) -> Self {
        Self::start(KeepSettings { data: folder.to_owned(), ..KeepSettings::default() })
    }

    fn want(&mut self, names: &[&str]) {
        let wanted = |name: &&str| WantedName { name: (**name).into(), issuer: WantedIssuer::Auto };
        self.names
            .publish(WantedCertificates { names: names.iter().map(wanted).collect(), ..WantedCertificates::default() });
    }

    async fn until(&self, is_so: impl Fn(&CertificateResolver) -> bool) -> CertificateResolver {
        let mut store = self.certificates.store().clone();
        let wait = async {
            while !is_so(&self.certificates) {
                store.changed().await.expect("keeps publishing");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("comes true");
        self.certificates.clone()
    }

    async fn until_told(&self, is_so: impl Fn(&CertificateReport) -> bool) -> CertificateReport {
        let mut report = self.report.clone();
        let wait = async {
            while !is_so(&report.load()) {
                report.changed().await.expect("keeps publishing");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("comes true");
        self.report.load().clone()
    }
}

fn origin(store: &CertificateResolver, name: &str) -> Option<Origin> {
    store.origin(name)
}

/// The certificate that a handshake would have made.
fn made(store: &CertificateResolver, name: &str) -> Arc<Bundle> {
    store.make(name, gangway_tls::UnixTime::now()).expect("may have one")
}

fn put(path: &Path, text: &str) {
    use std::io::Write;
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("is ours");
}

#[tokio::test]
async fn each_name_gets_what_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    keeping.want(&["a.localhost", "nas", "*.localhost", "b.example.org", "budget.*"]);
    let store =
        keeping.until(|store| store.serves("nas") && store.serves("b.example.org") && store.serves("budget.lan")).await;
    assert_eq!(origin(&store, "a.localhost"), Some(Origin::Internal));
    assert_eq!(origin(&store, "nas"), Some(Origin::Internal));
    assert_eq!(origin(&store, "b.example.org"), Some(Origin::Placeholder));
    assert!(store.serves("any.localhost") && !store.serves("c.example.org") && !store.serves("pi"));
    let report = keeping.until_told(|report| report.certificates.len() == 5).await;
    let troubles: Vec<_> =
        report.certificates.iter().filter(|status| status.trouble.is_some()).map(|s| &*s.name).collect();
    assert_eq!(troubles, ["b.example.org"]);
    assert!(!report.degraded && report.findings.is_empty());
}

#[tokio::test]
async fn the_root_is_printed_and_what_was_signed_is_trusted_by_it() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(root_pem(folder.path()).is_err());
    let mut keeping = Keeping::on(folder.path());
    keeping.want(&["nas"]);
    let store = keeping.until(|store| store.serves("nas")).await;
    let permits = || {
        root_pem(folder.path()).is_ok_and(|pem| {
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
            let root = pem.parse_x509().expect("a certificate");
            format!("{:?}", root.name_constraints()).contains("\"nas\"")
        })
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while !permits() {
        ticks.tick().await;
    }
    let leaf = made(&store, "nas").key.cert[0].clone();
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).expect("a certificate");
    let pem = root_pem(folder.path()).expect("is there");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let root = pem.parse_x509().expect("a certificate");
    assert_eq!(leaf.issuer(), root.subject());
}

#[tokio::test]
async fn unaffected_bundles_are_the_same_objects_after_a_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    keeping.want(&["a.localhost", "b.localhost"]);
    let before = keeping.until(|store| store.serves("a.localhost") && store.serves("b.localhost")).await;
    let [first_a, first_b] = ["a.localhost", "b.localhost"].map(|name| made(&before, name));
    keeping.want(&["a.localhost", "c.localhost"]);
    let after = keeping.until(|store| store.serves("c.localhost")).await;
    assert!(Arc::ptr_eq(&first_a, &made(&after, "a.localhost")));
    assert!(!after.serves("b.localhost"), "nobody wants it");
    keeping.want(&["b.localhost"]);
    let again = keeping.until(|store| store.serves("b.localhost")).await;
    assert!(Arc::ptr_eq(&first_b, &made(&again, "b.localhost")), "a container that is made anew gets the one it had");
}

#[tokio::test]
async fn files_are_preferred_followed_and_given_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    keeping.want(&["a.localhost"]);
    keeping.until(|store| origin(store, "a.localhost") == Some(Origin::Internal)).await;
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params =
        rcgen::CertificateParams::new(["a.localhost".to_owned(), "other.example.org".into()]).expect("names");
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let certificate = params.self_signed(&key).expect("signs");
    let (crt, key_file) = (folder.path().join("certs/own.crt"), folder.path().join("certs/own.key"));
    put(&crt, &certificate.pem());
    put(&key_file, &key.serialize_pem());
    let store = keeping.until(|store| matches!(origin(store, "a.localhost"), Some(Origin::Folder(_)))).await;
    assert!(store.serves("other.example.org"));
    let report = keeping.until_told(|report| report.certificates.len() == 2).await;
    assert_eq!(report.certificates[1].origin, Some(Origin::Folder("certs/own.crt".into())));
    put(&crt, "cut");
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::CERTIFICATE_FILE_UNUSABLE);
    assert!(matches!(origin(&keeping.certificates, "a.localhost"), Some(Origin::Folder(_))));
    fs::remove_file(crt).and_then(|()| fs::remove_file(key_file)).expect("is ours");
    keeping.until(|store| origin(store, "a.localhost") == Some(Origin::Internal)).await;
    keeping.until_told(|report| report.findings.is_empty()).await;
}

#[tokio::test]
async fn two_keepers_on_one_folder_use_one_ca() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, mut second) = (Keeping::on(folder.path()), Keeping::on(folder.path()));
    first.want(&["a.localhost", "nas"]);
    second.want(&["b.localhost", "pi"]);
    let first_store = first.until(|store| store.serves("a.localhost") && store.serves("nas")).await;
    let second_store = second.until(|store| store.serves("b.localhost") && store.serves("pi")).await;
    let issuers: BTreeSet<_> =
        [(&first_store, "nas"), (&second_store, "pi")].map(|(store, name)| made(store, name).issuer.clone()).into();
    assert_eq!(issuers.len(), 1);
    // One of the two may still be writing to its temporary file, whose name begins with a dot.
    let entries = fs::read_dir(folder.path().join("ca")).expect("is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    let finished: BTreeSet<_> = names.filter(|name| !name.starts_with('.')).collect();
    assert_eq!(finished, ["root.crt", "root.key"].map(String::from).into());
}

#[tokio::test]
async fn a_volume_that_cannot_be_used_is_said_and_names_are_served_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    put(&folder.path().join("file"), "not a folder");
    let mut keeping = Keeping::on(&folder.path().join("file"));
    keeping.want(&["a.localhost"]);
    keeping.until(|store| store.serves("a.localhost")).await;
    let report = keeping.until_told(|report| report.degraded).await;
    assert!(report.findings.iter().any(|finding| finding.code == codes::VOLUME_UNUSABLE));
}

#[tokio::test]
async fn the_default_certificate_is_kept_although_no_route_wants_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeping = Keeping::start(KeepSettings {
        data: folder.path().to_owned(),
        default_certificate: Some("127.0.0.1".into()),
        ..KeepSettings::default()
    });
    let store = keeping.until(|store| store.serves("127.0.0.1")).await;
    assert_eq!(origin(&store, "127.0.0.1"), Some(Origin::Internal));
}

#[tokio::test]
async fn ten_thousand_internal_hosts_are_ready_without_a_signature() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    // The root exists already, as after a restart.
    keeping.want(&["first.localhost"]);
    keeping.until(|store| store.serves("first.localhost")).await;
    let names: Vec<String> = (0..10_000).map(|number| format!("a{number:05}.localhost")).collect();
    let before = keeping.certificates.store().generation().count();
    let begun = tokio::time::Instant::now();
    keeping.want(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let store = keeping.until(|store| names.iter().all(|name| store.serves_well(name))).await;
    println!("figure: {} internal hosts are ready after {:?}", names.len(), begun.elapsed());
    assert!(names.iter().all(|name| store.find(name).is_none()), "none was signed for");
    assert!(keeping.certificates.store().generation().count() - before <= 3, "all came together");
    assert_eq!(*made(&store, "a00007.localhost").names, [Box::from("a00007.localhost")]);
    assert!(store.find("a00007.localhost").is_some() && store.find("a00008.localhost").is_none());
}

#[tokio::test]
async fn a_certificate_is_told_of_before_and_after_it_was_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    keeping.want(&["a.localhost"]);
    let is_internal = |report: &CertificateReport| {
        report.certificates.first().is_some_and(|one| one.origin == Some(Origin::Internal))
    };
    let before = keeping.until_told(is_internal).await.certificates.remove(0);
    assert!(before.issuer.starts_with("Gangway internal CA"), "{before:?}");
    assert_eq!((&*before.serial, before.not_after.seconds(), before.trouble), ("", 0, None));
    let bundle = made(&keeping.certificates, "a.localhost");
    let is_made = |report: &CertificateReport| report.certificates.first().is_some_and(|one| !one.serial.is_empty());
    let after = keeping.until_told(is_made).await.certificates.remove(0);
    assert_eq!((after.serial, after.not_after, after.issuer), (bundle.serial.clone(), bundle.not_after, before.issuer));
}

/// Every format ever written to the volume is read for ever.
#[tokio::test]
async fn the_first_format_of_the_ca_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("ca")).expect("is ours");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/ca-1");
    for file in ["root.crt", "root.key"] {
        fs::copy(sample.join(file), folder.path().join("ca").join(file)).expect("is there");
    }
    let mut keeping = Keeping::on(folder.path());
    keeping.want(&["nas"]);
    let store = keeping.until(|store| store.serves("nas")).await;
    assert_eq!(&*made(&store, "nas").issuer, "Gangway internal CA 72a63fee");
}

#[tokio::test]
async fn a_bundle_that_a_route_asks_for_is_handed_on_and_its_absence_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    keeping.names.publish(WantedCertificates { client_cas: ["family".into()].into(), ..WantedCertificates::default() });
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    let finding = &report.findings[0];
    assert_eq!((finding.code, finding.place.subject()), (codes::CLIENT_CA_UNUSABLE, Some("certs/clients/family")));
    let ca = gangway_tls::InternalCa::make(
        &gangway_tls::Scope::default(),
        gangway_tls::UnixTime::from_seconds(1_700_000_000),
    )
    .expect("makes a CA");
    fs::create_dir_all(folder.path().join("certs/clients")).expect("is ours");
    put(&folder.path().join("certs/clients/family.pem"), ca.root_pem());
    keeping.until(|store| store.store().load().client_ca("family").is_some()).await;
    keeping.until_told(|report| report.findings.is_empty()).await;
    fs::remove_file(folder.path().join("certs/clients/family.pem")).expect("is ours");
    keeping.until(|store| store.store().load().client_ca("family").is_none()).await;
}

#[tokio::test]
async fn a_certificate_is_exported_when_it_comes_and_again_when_it_is_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut keeping = Keeping::on(folder.path());
    let export = |name: &str| WantedExport { folder: "mail".into(), name: name.into() };
    let name = |name: &str| WantedName { name: name.into(), issuer: WantedIssuer::Auto };
    keeping.names.publish(WantedCertificates {
        names: vec![name("a.localhost"), name("mail.example.org")],
        exports: [export("a.localhost"), export("mail.example.org")].into(),
        ..WantedCertificates::default()
    });
    let read = |name: &str| fs::read_to_string(folder.path().join("mail").join(name)).unwrap_or_default();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while read("a.localhost.pem").is_empty() {
        ticks.tick().await;
    }
    let served =
        keeping.until(|store| store.serves("a.localhost")).await.find("a.localhost").expect("has one").chain_pem();
    assert_eq!(read("a.localhost.crt"), served);
    assert!(read("a.localhost.key").contains("PRIVATE KEY"));
    assert_eq!(read("mail.example.org.crt"), "", "a placeholder is of no use to anybody else");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["mail.example.org".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let certificate = params.self_signed(&key).expect("signs");
    put(&folder.path().join("certs/mail.crt"), &certificate.pem());
    put(&folder.path().join("certs/mail.key"), &key.serialize_pem());
    while read("mail.example.org.pem").is_empty() {
        ticks.tick().await;
    }
    assert!(read("mail.example.org.pem").contains(&key.serialize_pem().replace("\r\n", "\n")));
}

#[tokio::test]
async fn a_volume_that_forgets_is_told_of_as_long_as_names_need_public_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let issuers = vec![gangway_acme::Issuer::parse("https://127.0.0.1:1/dir").expect("a URL")];
    let acme = Some(gangway_acme::AcmeSettings { issuers, ..gangway_acme::AcmeSettings::default() });
    let mut keeping = Keeping::start(KeepSettings { data: folder.path().to_owned(), acme, ..KeepSettings::default() });
    let wanted = |name: &str, forgotten| WantedCertificates {
        names: vec![WantedName { name: name.into(), issuer: WantedIssuer::Auto }],
        forgotten,
        ..WantedCertificates::default()
    };
    let is_told =
        |report: &CertificateReport| report.findings.iter().any(|finding| finding.code == codes::VOLUME_NOT_KEPT);
    keeping.names.publish(wanted("a.example.org", Some(VolumeLoss::Anonymous)));
    let report = keeping.until_told(is_told).await;
    let found = report.findings.iter().find(|finding| finding.code == codes::VOLUME_NOT_KEPT).expect("is there");
    assert!(found.message.contains("anonymous volume") && found.help.contains("-v gangway:/data"), "{found:?}");
    keeping.names.publish(wanted("a.internal", Some(VolumeLoss::Anonymous)));
    keeping
        .until_told(|report| !is_told(report) && report.certificates.iter().any(|one| &*one.name == "a.internal"))
        .await;
    keeping.names.publish(wanted("a.example.org", Some(VolumeLoss::Unmounted)));
    keeping.until_told(is_told).await;
    keeping.names.publish(wanted("a.example.org", None));
    keeping.until_told(|report| !is_told(report)).await;
}
