//! A second CA of another make: Caddy's, which is asked while the first one is down.
//!
//! Caddy validates at the real ports 80 and 443, so the test runs in a network namespace of its own, with its own
//! `/etc/hosts`.

use std::fs;
use std::process::Stdio;

use gangway_acme::{AcmeSettings, ChallengeKind, Issuer};
use gangway_certs::KeepSettings;
use tokio::process::Command;

use crate::support::{FrontDoor, Keeping, Outputs, PATIENCE, answers, put};

const NAME: &str = "a.example.org";

/// Not a test of its own: the next test starts this in its network namespace.
#[tokio::test]
async fn caddy_in_its_network() {
    let Ok(folder) = std::env::var("GANGWAY_TEST_CADDY") else { return };
    let folder = std::path::Path::new(&folder);
    let config = format!(
        "{{\n admin off\n skip_install_trust\n auto_https disable_redirects\n http_port 8080\n https_port 4443\n \
         storage file_system {}\n}}\nlocalhost:4443 {{\n tls internal\n acme_server\n}}\n",
        folder.join("caddy").display()
    );
    put(&folder.join("Caddyfile"), &config);
    let log = fs::File::create(folder.join("log")).expect("is ours");
    let _caddy = Command::new("caddy")
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("Caddyfile"))
        .env("HOME", folder)
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("Debian's package `caddy`");
    answers(4443).await;
    let root = folder.join("caddy/pki/authorities/local/root.crt");
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    while !fs::read_to_string(&root).is_ok_and(|text| text.contains("END CERTIFICATE")) {
        ticks.tick().await;
    }
    let outputs = Outputs::new();
    let _door = FrontDoor::open_at([80, 443], vec![outputs.certificates.clone()], true, true).await;
    let acme = AcmeSettings {
        // No server listens at the first one.
        issuers: ["https://localhost:14000/dir", "https://localhost:4443/acme/local/directory"]
            .map(|directory| Issuer::parse(directory).expect("a URL"))
            .into(),
        root_pem: Some(fs::read_to_string(root).expect("is there").into()),
        challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        ..AcmeSettings::default()
    };
    let settings = KeepSettings { data: folder.join("data"), acme: Some(acme), ..KeepSettings::default() };
    let mut keeping = Keeping::start(settings, outputs);
    keeping.want(&[NAME]);
    let bundles = keeping.until_issued(&[NAME]).await;
    assert!(bundles[0].issuer.contains("Caddy"), "{}", bundles[0].issuer);
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert!(report.findings[0].message.contains("localhost:14000"), "the one that is down is told of: {report:?}");
}

#[tokio::test]
async fn caddys_ca_is_asked_where_the_first_one_is_down() {
    let folder = tempfile::tempdir().expect("a folder");
    put(&folder.path().join("hosts"), &format!("127.0.0.1 localhost {NAME}\n"));
    let script = r#"ip link set lo up && mount --bind "$GANGWAY_TEST_CADDY/hosts" /etc/hosts && exec "$0" caddy::caddy_in_its_network --exact --nocapture"#;
    let inside = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().expect("is running"))
        .env("GANGWAY_TEST_CADDY", folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(2 * PATIENCE, inside).await.expect("in time").expect("util-linux is there");
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    assert!(ended.status.success() && said.contains("1 passed"), "{said}\n{log}");
    println!("figure: the first CA is down, Caddy's was asked and its certificate is served");
}
