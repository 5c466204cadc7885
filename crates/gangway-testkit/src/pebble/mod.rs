//! A certificate authority with everything around it, on loopback: Debian's Pebble and its mock of the DNS.
//!
//! It validates for real, at the ports it is given, and forgets everything when it is started again.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

mod between;

pub use between::{Asked, Between, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::ports;

/// For as long as a condition may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How Pebble is to behave.
#[derive(Clone, Default)]
pub struct Mood {
    /// So many of a hundred numbers are refused.
    pub bad_nonces: u32,
    /// Names that it refuses.
    pub blocked: Vec<String>,
    /// Accounts must be tied to this one: its identifier and its key.
    pub external_account: Option<(String, String)>,
    /// The port of the name server that it asks instead of its mock.
    pub name_server: Option<u16>,
    /// Of a hundred authorizations that are still good, so many are used again.
    pub reused: u32,
    /// It takes so many seconds at most to look at a challenge.
    pub sleep: u32,
}

/// A running CA.
pub struct Ca {
    /// Where its API begins.
    pub directory: String,
    dns_management: u16,
    management: u16,
    api: u16,
    dns: u16,
    mood: Mood,
    /// Of its API, not of what it issues.
    pub api_root: String,
    folder: tempfile::TempDir,
    pebble: Child,
    _dns: Child,
}

impl Ca {
    /// Validates at these ports: for plain HTTP, and for TLS.
    pub async fn start([http, tls]: [u16; 2], mood: &Mood) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let api_root = certify_api(folder.path());
        let (api, management, dns, dns_management) =
            (ports::free().await, ports::free().await, ports::free().await, ports::free().await);
        let external = mood.external_account.as_ref();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{api}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("api.pem"),
            "privateKey": folder.path().join("api.key"),
            "httpPort": http,
            "tlsPort": tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": external.is_some(),
            "externalAccountMACKeys": external.map(|(id, key)| serde_json::json!({id: key})),
            "domainBlocklist": mood.blocked,
        }});
        put(&folder.path().join("pebble.json"), &config.to_string());
        let dns_child = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{dns_management}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's package `pebble` brings pebble-challtestsrv");
        let directory = format!("https://localhost:{api}/dir");
        let dns = mood.name_server.unwrap_or(dns);
        let pebble = run(folder.path(), dns, mood);
        let mood = mood.clone();
        let ca =
            Self { directory, management, dns_management, api, dns, mood, api_root, folder, pebble, _dns: dns_child };
        answers(api).await;
        answers(dns_management).await;
        ca
    }

    /// It forgets everything when it starts again, accounts included.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.pebble = run(self.folder.path(), self.dns, &self.mood);
        answers(self.api).await;
    }

    /// Where the CA finds a name.
    pub async fn lead(&self, name: &str, address: &str) {
        self.tell_dns("/add-a", &format!(r#"{{"host":"{name}.","addresses":["{address}"]}}"#)).await;
    }

    /// Changes what the CA finds in the DNS.
    pub async fn tell_dns(&self, path: &str, body: &str) {
        let answer = post(self.dns_management, path, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Where the DNS that it asks is changed.
    pub fn dns_management(&self) -> u16 {
        self.dns_management
    }

    /// The name server that it asks.
    pub fn name_server(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.dns).into()
    }

    /// What vouches for what it issues; another one each time it is started.
    pub async fn root(&self) -> String {
        between::get(self.management, "/roots/0", &self.api_root).await
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("is there")
    }

    /// How many certificates it has given out.
    pub fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    /// How many orders were placed.
    pub fn orders(&self) -> usize {
        self.log().lines().filter(|line| line.contains("Added order")).count()
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        self.pebble.kill().await.expect("is ours");
    }
}

/// What is answered there.
pub async fn post(port: u16, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: dns\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answers");
    answer
}

fn run(folder: &Path, dns: u16, mood: &Mood) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("is ours");
    Command::new("pebble")
        .args(["-config", "pebble.json", "-dnsserver", &format!("127.0.0.1:{dns}")])
        .current_dir(folder)
        .env("PEBBLE_VA_NOSLEEP", if mood.sleep == 0 { "1" } else { "0" })
        .env("PEBBLE_VA_SLEEPTIME", mood.sleep.to_string())
        .env("PEBBLE_AUTHZREUSE", mood.reused.to_string())
        .env("PEBBLE_WFE_NONCEREJECT", mood.bad_nonces.to_string())
        .stdout(log.try_clone().expect("is ours"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("Debian's package `pebble`")
}

/// Writes `api.pem` and `api.key` for a server at localhost, and gives the root that vouches for it.
pub fn certify_api(folder: &Path) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let ca = rcgen::CertifiedIssuer::self_signed(params, key).expect("a CA");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".into()]).expect("names");
    put(&folder.join("api.pem"), &params.signed_by(&key, &ca).expect("signs").pem());
    put(&folder.join("api.key"), &key.serialize_pem());
    ca.pem()
}

/// Waits until somebody listens there.
pub async fn answers(port: u16) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("starts to listen");
}

/// A file of a test's own.
pub fn put(path: &Path, text: &str) {
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("is ours");
}
