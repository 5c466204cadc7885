//! DNS-01 with a real CA: by a program, by a web service, and by updates of a real name server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gangway_acme::{DnsProvider, DnsSettings};
use gangway_certs::KeepSettings;
use gangway_diagnostic::codes;
use gangway_testkit::ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::support::{Ca, FrontDoor, Keeping, Mood, Outputs, answers, post, put, settings};

/// A CA that can validate only by the DNS.
async fn scene(mood: &Mood) -> (FrontDoor, Ca) {
    let door = FrontDoor::open(Vec::new(), false, false).await;
    let ca = Ca::start(door.ports(), mood).await;
    (door, ca)
}

fn by(provider: &str, given: &[(&str, &str)]) -> DnsProvider {
    let given = |name: &str| Ok(given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()));
    DnsProvider::parse(provider, &given).expect("usable")
}

fn dns_settings(data: &Path, ca: &Ca, provider: DnsProvider, name_server: u16) -> KeepSettings {
    let mut settings = settings(data, &[ca]);
    let acme = settings.acme.as_mut().expect("is there");
    acme.dns = Some(DnsSettings {
        resolvers: vec![([127, 0, 0, 1], name_server).into()],
        port: name_server,
        wait: Duration::from_secs(30),
        ..DnsSettings::new(provider)
    });
    settings
}

/// A hook that changes the CA's name server and records its calls.
fn program(folder: &Path, ca: &Ca) -> String {
    let path = folder.join("hook");
    let text = format!(
        r#"#!/bin/bash
echo "$@" >>{log}
[ "$1" = present ] && act=set-txt || act=clear-txt
body="{{\"host\":\"$2\",\"value\":\"$3\"}}"
exec 3<>/dev/tcp/127.0.0.1/{port}
printf 'POST /%s HTTP/1.1\r\nHost: dns\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$act" "${{#body}}" "$body" >&3
grep -q '200 OK' <&3
"#,
        log = folder.join("calls").display(),
        port = ca.dns_management(),
    );
    put(&path, &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is ours");
    path.display().to_string()
}

fn calls(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("calls")).unwrap_or_default();
    // The values are different each time.
    text.lines().filter_map(|line| line.rsplit_once(' ').map(|(call, _)| call.to_owned())).collect()
}

#[tokio::test]
async fn a_program_makes_the_records_for_a_star_and_takes_them_away_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca) = scene(&Mood::default()).await;
    let provider = by(&format!("exec={}", program(folder.path(), &ca)), &[]);
    let mut settings = dns_settings(&folder.path().join("data"), &ca, provider, ca.name_server().port());
    settings.acme.as_mut().expect("is there").wildcards = vec!["example.org".into()];
    let mut keeping = Keeping::start(settings, Outputs::new());
    keeping.want(&["a.example.org", "b.example.org", "example.org", "c.example.net"]);
    let bundles = keeping.until_issued(&["a.example.org", "b.example.org", "example.org", "c.example.net"]).await;
    assert!(Arc::ptr_eq(&bundles[0], &bundles[1]) && Arc::ptr_eq(&bundles[0], &bundles[2]));
    assert_eq!((ca.orders(), ca.issued()), (2, 2), "one certificate with a star serves all names below it");
    let called = calls(folder.path());
    let of = |call: &str| called.iter().filter(|known| *known == call).count();
    assert_eq!(of("present _acme-challenge.example.org."), 2, "{called:?}");
    assert_eq!(of("cleanup _acme-challenge.example.org."), 2, "{called:?}");
    assert_eq!(of("cleanup _acme-challenge.c.example.net."), 1, "{called:?}");
}

#[tokio::test]
async fn a_delegated_name_has_its_record_made_where_it_leads() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca) = scene(&Mood::default()).await;
    ca.tell_dns("/set-cname", r#"{"host":"_acme-challenge.a.example.org.","target":"a.keeper.example.net."}"#).await;
    let provider = by(&format!("exec={}", program(folder.path(), &ca)), &[]);
    let settings = dns_settings(&folder.path().join("data"), &ca, provider, ca.name_server().port());
    let mut keeping = Keeping::start(settings, Outputs::new());
    keeping.want(&["a.example.org"]);
    keeping.until_issued(&["a.example.org"]).await;
    assert_eq!(calls(folder.path()), ["present a.keeper.example.net.", "cleanup a.keeper.example.net."]);
}

#[tokio::test]
async fn a_program_that_fails_is_told_in_its_own_words_and_another_challenge_is_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = Outputs::new();
    let door = FrontDoor::open(vec![outputs.certificates.clone()], true, true).await;
    let ca = Ca::start(door.ports(), &Mood::default()).await;
    let path = folder.path().join("hook");
    put(&path, "#!/bin/sh\necho the zone is locked >&2\nexit 3\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("is ours");
    let provider = by(&format!("exec={}", path.display()), &[]);
    let settings = dns_settings(&folder.path().join("data"), &ca, provider, ca.name_server().port());
    let mut keeping = Keeping::start(settings, outputs);
    keeping.want(&["a.example.org"]);
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    let finding = &report.findings[0];
    assert_eq!(finding.code, codes::DNS_PROVIDER_FAILED);
    assert!(
        finding.message.contains("the zone is locked") && finding.message.contains("exit status: 3"),
        "{finding:?}"
    );
    keeping.until_issued(&["a.example.org"]).await;
}

#[tokio::test]
async fn a_web_service_is_asked_in_legos_words_with_the_login_that_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_door, ca) = scene(&Mood::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("webhook=http://{}/dns/", listener.local_addr().expect("is bound"));
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let (seen, management) = (Arc::clone(&requests), ca.dns_management());
    let service = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                request.push(stream.read_u8().await.expect("goes on"));
            }
            let request = String::from_utf8(request).expect("text");
            let (head, body) = request.split_once("\r\n\r\n").expect("a body");
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let path = if head.starts_with("POST /dns/present ") { "/set-txt" } else { "/clear-txt" };
            let told = serde_json::json!({"host": body["fqdn"], "value": body["value"]});
            post(management, path, &told.to_string()).await;
            seen.lock().expect("is ours").push(head.to_owned());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
    });
    let provider = by(&url, &[("WEBHOOK_USERNAME", "gangway"), ("WEBHOOK_PASSWORD", "hush")]);
    let settings = dns_settings(&folder.path().join("data"), &ca, provider, ca.name_server().port());
    let mut keeping = Keeping::start(settings, Outputs::new());
    keeping.want(&["*.example.org"]);
    keeping.until_issued(&["*.example.org"]).await;
    let requests = requests.lock().expect("is ours").clone();
    assert!(requests[0].starts_with("POST /dns/present HTTP/1.1"), "{requests:?}");
    assert!(requests.iter().any(|head| head.starts_with("POST /dns/cleanup HTTP/1.1")), "{requests:?}");
    assert!(requests.iter().all(|head| head.contains("authorization: Basic Z2FuZ3dheTpodXNo")), "{requests:?}");
    service.abort();
}

/// Debian's `bind9`, authoritative for `example.org`, with a key that permits changes.
struct NameServer {
    port: u16,
    secret: &'static str,
    folder: tempfile::TempDir,
    _named: Child,
}

impl NameServer {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // The server drops its rights at the start and must still reach its files.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("is ours");
        let (port, secret) = (ports::free().await, "Z2FuZ3dheS10ZXN0cy1vbmx5LWEtc2VjcmV0LWtleSE=");
        let at = folder.path().display();
        let config = format!(
            r#"options {{ directory "{at}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; pid-file none; session-keyfile "{at}/session.key"; }};
controls {{ }};
key "gangway." {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "example.org" {{ type primary; file "zone"; allow-update {{ key "gangway."; }}; }};
"#
        );
        put(&folder.path().join("named.conf"), &config);
        let zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 600 60\n@ NS ns\nns A 127.0.0.1\n";
        put(&folder.path().join("zone"), zone);
        let log = fs::File::create(folder.path().join("log")).expect("is ours");
        let named = Command::new("/usr/sbin/named")
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's package `bind9`");
        answers(port).await;
        Self { port, secret, folder, _named: named }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("is there")
    }
}

#[tokio::test]
async fn a_name_server_is_updated_and_asked_until_it_has_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = NameServer::start().await;
    let (_door, ca) = scene(&Mood { name_server: Some(server.port), ..Mood::default() }).await;
    let at = format!("127.0.0.1:{}", server.port);
    let given = |secret| {
        [("RFC2136_NAMESERVER", at.as_str()), ("RFC2136_TSIG_KEY", "gangway."), ("RFC2136_TSIG_SECRET", secret)]
    };
    let mut settings = dns_settings(folder.path(), &ca, by("rfc2136", &given(server.secret)), server.port);
    settings.acme.as_mut().expect("is there").wildcards = vec!["example.org".into()];
    let mut keeping = Keeping::start(settings, Outputs::new());
    keeping.want(&["a.example.org", "deep.a.example.org"]);
    keeping.until_issued(&["a.example.org", "deep.a.example.org"]).await;
    let log = server.log();
    let changes = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!((changes("adding an RR"), changes("deleting an RR")), (3, 3), "{log}");
    // A client without the key is refused, and the refusal is reported.
    let wrong = dns_settings(&folder.path().join("wrong"), &ca, by("rfc2136", &given("d3Jvbmc=")), server.port);
    let mut keeping = Keeping::start(wrong, Outputs::new());
    keeping.want(&["b.example.org"]);
    let report = keeping.until_told(|report| !report.findings.is_empty()).await;
    assert_eq!(report.findings[0].code, codes::DNS_PROVIDER_FAILED);
    assert!(!format!("{report:?}").contains("d3Jvbmc="));
}
