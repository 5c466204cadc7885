//! Volumes that fail and clocks that are wrong, with a real CA: existing certificates are still served.
#![expect(clippy::print_stdout, reason = "figures of the tests are for people")]

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gangway_acme::Clock;
use gangway_acme::stored_certificate::StoredCertificate;
use gangway_certs::{CertificateReport, KeepSettings};
use gangway_diagnostic::codes;
use gangway_tls::{CertificateResolver, UnixTime};
use tempfile::TempDir;

use crate::support::{Ca, Keeping, Mood, Outputs, is_issued, put, scene, settings};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// A clock that is wrong by this number of seconds.
#[derive(Clone, Default)]
struct Wrong(Arc<AtomicI64>);

impl Wrong {
    fn by(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let (system, off) = (Clock::system(), Arc::clone(&self.0));
        Clock::new(move || UnixTime::from_seconds(system.now().seconds() + off.load(Ordering::SeqCst)))
    }
}

fn keep(clock: Clock, settings: KeepSettings, outputs: Outputs) -> Keeping {
    Keeping::start(KeepSettings { clock, ..settings }, outputs)
}

/// Writes a certificate of the CA to the volume, valid for 90 days, `age` of which are over.
fn put_certificate(data: &Path, ca: &Ca, name: &str, age: i64) {
    fs::create_dir_all(data.join("acme/certificates")).expect("is ours");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(age);
    params.not_after = params.not_before + time::Duration::days(90);
    let chain = params.self_signed(&key).expect("signs").pem();
    let head = format!(r##"# gangway certificate {{"version":1,"directory":"{}","account":""}}"##, ca.directory);
    put(&data.join(format!("acme/certificates/{name}.pem")), &format!("{head}\n{}{chain}", key.serialize_pem()));
}

fn is_of_the_ca(store: &CertificateResolver, name: &str) -> bool {
    is_issued(store, name) && store.find(name).is_some_and(|bundle| bundle.issuer.contains("Pebble"))
}

/// A mounted volume, which is unmounted when it is dropped.
struct Volume {
    folder: TempDir,
    /// The path at which it is mounted.
    data: PathBuf,
}

impl Volume {
    /// `None` if the system refuses to mount, as it does without root.
    fn mount(arguments: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, source) = (folder.path().join("data"), folder.path().join("source"));
        fs::create_dir(&data).and_then(|()| fs::create_dir(&source)).expect("is ours");
        let volume = Self { folder, data };
        volume.run(&[arguments, &[&*source.to_string_lossy()]].concat()).then_some(volume)
    }

    fn run(&self, arguments: &[&str]) -> bool {
        let outcome = Command::new("mount").args(arguments).arg(&self.data).output().expect("every system has it");
        if !outcome.status.success() {
            println!("figure: none, mounting is refused: {}", String::from_utf8_lossy(&outcome.stderr).trim());
        }
        outcome.status.success()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.data).status();
        debug_assert!(self.data.starts_with(self.folder.path()));
    }
}

/// Every file below `acme/`, with its size.
fn files(data: &Path) -> Vec<(PathBuf, u64)> {
    let folders = ["accounts", "certificates", "names"].map(|folder| data.join("acme").join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("is there").flatten());
    let mut files: Vec<_> = entries.map(|entry| (entry.path(), entry.metadata().expect("is there").len())).collect();
    files.sort();
    files
}

/// Checks the cost of a volume that cannot be written: all certificates are still served, no file is lost, and no
/// order is begun until the need is pressing.
async fn outlive(volume: &Volume, stop: impl FnOnce(&Volume), go_on: impl FnOnce(&Volume)) {
    let (_door, ca, [first, second]) = scene(&Mood::default()).await;
    let data = &volume.data;
    let mut keeping = keep(Clock::system(), settings(data, &[&ca]), first);
    keeping.want(&["kept.example.org"]);
    keeping.until_issued(&["kept.example.org"]).await;
    drop(keeping);
    put_certificate(data, &ca, "ending.example.org", 80);
    put_certificate(data, &ca, "due.example.org", 61);
    stop(volume);
    let before = files(data);

    let wrong = Wrong::default();
    let mut keeping = keep(wrong.clock(), settings(data, &[&ca]), second);
    let names = ["kept.example.org", "ending.example.org", "due.example.org", "new.example.org"];
    keeping.want(&names);
    let is_told = |report: &CertificateReport| {
        report.degraded && report.findings.iter().any(|finding| finding.code == codes::VOLUME_UNUSABLE)
    };
    keeping.until_told(is_told).await;
    let store = keeping.until(|store| names.iter().all(|name| store.serves(name))).await;
    assert!(names[..3].iter().all(|name| store.serves_well(name)), "what was there is served");
    assert_eq!(ca.orders(), 1, "who is started again and again must not order again and again");
    // The process proves not to be one that restarts again and again.
    wrong.by(11 * MINUTE);
    let store = keeping.until(|store| is_of_the_ca(store, "ending.example.org")).await;
    assert!(!is_of_the_ca(&store, "due.example.org") && !is_issued(&store, "new.example.org"), "those do not press");
    assert_eq!(ca.orders(), 2);
    assert!(is_told(&keeping.report.load()), "it is in memory only");
    assert_eq!(files(data), before, "no half file, and none lost");
    go_on(volume);
    let begun = std::time::SystemTime::now();
    keeping.until_told(|report| !report.degraded).await;
    let file = fs::read_to_string(data.join("acme/certificates/ending.example.org.pem")).expect("is there");
    assert!(StoredCertificate::read(&file).expect("is whole").bundle.issuer.contains("Pebble"));
    println!("figure: written {:?} after the volume could be", begun.elapsed().expect("time goes on"));
    keeping.until(|store| names.iter().all(|name| is_of_the_ca(store, name))).await;
    assert_eq!(ca.orders(), 4);
}

#[tokio::test]
async fn a_full_disk_stops_nothing_that_serves() {
    let Some(volume) = Volume::mount(&["-t", "tmpfs", "-o", "size=1m"]) else { return };
    let fill = |volume: &Volume| {
        let mut file = fs::File::create(volume.data.join("filler")).expect("is ours");
        let error = loop {
            if let Err(error) = file.write_all(&[7; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    };
    outlive(&volume, fill, |volume| fs::remove_file(volume.data.join("filler")).expect("is ours")).await;
}

#[tokio::test]
async fn a_volume_that_turns_read_only_stops_nothing_that_serves() {
    let Some(volume) = Volume::mount(&["--bind"]) else { return };
    let remount = |volume: &Volume, mode: &str| assert!(volume.run(&["-o", &format!("remount,bind,{mode}")]));
    outlive(&volume, |volume| remount(volume, "ro"), |volume| remount(volume, "rw")).await;
}

#[tokio::test]
async fn a_wrong_clock_gives_no_burst_of_orders_and_passes_nothing_off_as_good() {
    for (first, then) in [(-365 * DAY, 0), (0, 91 * DAY), (91 * DAY, -365 * DAY)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_door, ca, [outputs]) = scene(&Mood::default()).await;
        put_certificate(folder.path(), &ca, "held.example.org", 1);
        let wrong = Wrong::default();
        let mut keeping = keep(wrong.clock(), settings(folder.path(), &[&ca]), outputs);
        let names = ["held.example.org", "new.example.org"];
        for off in [first, then, first, 0] {
            wrong.by(off);
            // This wakes the keeper, which otherwise looks at the clock each minute.
            keeping.want(&["held.example.org"]);
            keeping.want(&names);
            let now = wrong.clock().now();
            let is_honest = |report: &CertificateReport| {
                report.certificates.len() == 2
                    && report.certificates.iter().all(|one| {
                        one.origin.is_some()
                            && (one.trouble.is_some() || (one.not_before..one.not_after).contains(&now))
                    })
            };
            keeping.until_told(is_honest).await;
            keeping.until(|store| is_issued(store, "new.example.org")).await;
        }
        // The jumps are over: the certificates issued meanwhile are valid.
        keeping.until(|store| names.iter().all(|name| store.serves_well(name))).await;
        println!("figure: {} orders for {} names by a clock {first} s off, then {then} s", ca.orders(), names.len());
        assert!(ca.orders() <= names.len(), "{} orders", ca.orders());
    }
}

#[tokio::test]
async fn a_clock_that_jumps_while_it_runs_stops_no_timer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca, [outputs]) = scene(&Mood::default()).await;
    let wrong = Wrong::default();
    let mut keeping = keep(wrong.clock(), settings(folder.path(), &[&ca]), outputs);
    wrong.by(400 * DAY);
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    wrong.by(-400 * DAY);
    keeping.want(&["a.example.org", "b.example.org"]);
    let wait = keeping.until_issued(&["b.example.org"]);
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .expect("it does not sleep until the clock is where it was");
    assert_eq!(ca.orders(), 2);
}
