//! A CA with everything around it, on loopback: Pebble, its mock of the DNS, our answers to challenges.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use gangway_acme::{
    AcmeSettings, CertificateReport, ChallengeKind, ExternalAccount, Issuer, KeepSettings, Wanted, WantedIssuer,
    WantedName, keep,
};
use gangway_publish::{Publisher, Reader, channel};
use gangway_tls::{Bundle, Origin, Store, challenge_config, is_challenge, normal_name, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_rustls::LazyConfigAcceptor;

/// How Pebble is to behave.
#[derive(Clone, Default)]
pub(crate) struct Mood {
    /// So many of a hundred numbers are refused.
    pub(crate) bad_nonces: u32,
    /// Names that it refuses.
    pub(crate) blocked: Vec<String>,
    /// Accounts must be tied to this one.
    pub(crate) external_account: Option<ExternalAccount>,
    /// The port of the name server that it asks instead of its mock.
    pub(crate) name_server: Option<u16>,
}

/// Where challenges are answered, from whichever store is in force.
pub(crate) struct FrontDoor {
    pub(crate) http: SocketAddr,
    pub(crate) tls: SocketAddr,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// A running CA.
pub(crate) struct Ca {
    pub(crate) directory: String,
    dns_management: u16,
    api: u16,
    dns: u16,
    bad_nonces: u32,
    /// Of its API, not of what it issues.
    pub(crate) api_root: String,
    folder: tempfile::TempDir,
    pebble: Child,
    _dns: Child,
}

/// A running keeper.
pub(crate) struct Keeping {
    pub(crate) names: Publisher<Wanted>,
    pub(crate) store: Reader<Store>,
    pub(crate) report: Reader<CertificateReport>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

/// For as long as a condition may take to come true on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

impl FrontDoor {
    /// Answers from all of these: they are instances behind one address.
    pub(crate) async fn open(stores: Vec<Reader<Store>>, has_http: bool, has_tls: bool) -> Self {
        Self::open_at([0, 0], stores, has_http, has_tls).await
    }

    /// On the given ports, the one for plain HTTP first.
    pub(crate) async fn open_at(ports: [u16; 2], stores: Vec<Reader<Store>>, has_http: bool, has_tls: bool) -> Self {
        let listen = |port: u16| async move { TcpListener::bind(("127.0.0.1", port)).await.expect("a free port") };
        let (http, tls) = (listen(ports[0]).await, listen(ports[1]).await);
        let addresses = (http.local_addr().expect("is bound"), tls.local_addr().expect("is bound"));
        let mut tasks = Vec::new();
        if has_http {
            let stores = stores.clone();
            tasks.push(tokio::spawn(async move {
                while let Ok((stream, _)) = http.accept().await {
                    tokio::spawn(answer_http(stream, stores.clone()));
                }
            }));
        }
        if has_tls {
            tasks.push(tokio::spawn(async move {
                while let Ok((stream, _)) = tls.accept().await {
                    tokio::spawn(answer_tls(stream, stores.clone()));
                }
            }));
        }
        Self { http: addresses.0, tls: addresses.1, tasks }
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn answer_http(mut stream: TcpStream, stores: Vec<Reader<Store>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16_384 {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let host = head.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or_default();
    let found = stores.iter().find_map(|store| {
        let store = store.load();
        store.value.http_challenge(&normal_name(host), token).map(str::to_owned)
    });
    let (status, body) = found.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn answer_tls(stream: TcpStream, stores: Vec<Reader<Store>>) {
    let Ok(start) = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await else { return };
    let name = start.client_hello().server_name().map(|name| normal_name(name).into_owned()).unwrap_or_default();
    let is_challenge = is_challenge(&start.client_hello());
    let has = |store: &&Reader<Store>| {
        let store = store.load();
        if is_challenge { store.value.challenge(&name).is_some() } else { store.value.serves(&name) }
    };
    let Some(store) = stores.iter().find(has).cloned() else { return };
    let config = if is_challenge { challenge_config(store) } else { server_config(store, None) };
    if let Ok(mut tls) = start.into_stream(config).await {
        let _ = tls.shutdown().await;
    }
}

impl Ca {
    pub(crate) async fn start(door: &FrontDoor, mood: &Mood) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let api_root = certify_api(folder.path());
        let (api, management, dns, dns_management) = (port().await, port().await, port().await, port().await);
        let external = mood.external_account.as_ref();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{api}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("api.pem"),
            "privateKey": folder.path().join("api.key"),
            "httpPort": door.http.port(),
            "tlsPort": door.tls.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": external.is_some(),
            "externalAccountMACKeys": external.map(|account| serde_json::json!({&*account.id: &*account.key})),
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
        let pebble = run(folder.path(), dns, mood.bad_nonces);
        let bad_nonces = mood.bad_nonces;
        let ca = Self { directory, dns_management, api, dns, bad_nonces, api_root, folder, pebble, _dns: dns_child };
        answers(api).await;
        answers(dns_management).await;
        ca
    }

    /// It forgets everything when it starts again, accounts included.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.pebble = run(self.folder.path(), self.dns, self.bad_nonces);
        answers(self.api).await;
    }

    /// Where the CA finds a name.
    pub(crate) async fn lead(&self, name: &str, address: &str) {
        self.tell_dns("/add-a", &format!(r#"{{"host":"{name}.","addresses":["{address}"]}}"#)).await;
    }

    /// Changes what the CA finds in the DNS.
    pub(crate) async fn tell_dns(&self, path: &str, body: &str) {
        let answer = post(self.dns_management, path, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Where the DNS that it asks is changed.
    pub(crate) fn dns_management(&self) -> u16 {
        self.dns_management
    }

    /// The name server that it asks.
    pub(crate) fn name_server(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.dns).into()
    }

    pub(crate) fn issuer(&self) -> Issuer {
        Issuer::parse(&self.directory).expect("a URL")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("is there")
    }

    /// How many certificates it has given out.
    pub(crate) fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    /// How many orders were placed.
    pub(crate) fn orders(&self) -> usize {
        self.log().lines().filter(|line| line.contains("Added order")).count()
    }

    pub(crate) async fn stop(&mut self) {
        self.pebble.kill().await.expect("is ours");
    }
}

/// What is answered there.
pub(crate) async fn post(port: u16, path: &str, body: &str) -> String {
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

fn run(folder: &Path, dns: u16, bad_nonces: u32) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("is ours");
    Command::new("pebble")
        .args(["-config", "pebble.json", "-dnsserver", &format!("127.0.0.1:{dns}")])
        .current_dir(folder)
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_AUTHZREUSE", "0")
        .env("PEBBLE_WFE_NONCEREJECT", bad_nonces.to_string())
        .stdout(log.try_clone().expect("is ours"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("Debian's package `pebble`")
}

/// Of a CA of its own, for the CA's API.
fn certify_api(folder: &Path) -> String {
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

pub(crate) async fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a free port").port()
}

pub(crate) async fn answers(port: u16) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("starts to listen");
}

pub(crate) fn put(path: &Path, text: &str) {
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("is ours");
}

/// A store whose reader can be had before anybody publishes.
pub(crate) struct Outputs {
    pub(crate) store: (Publisher<Store>, Reader<Store>),
    pub(crate) report: (Publisher<CertificateReport>, Reader<CertificateReport>),
}

impl Outputs {
    pub(crate) fn new() -> Self {
        Self { store: channel(Store::default()), report: channel(CertificateReport::default()) }
    }
}

pub(crate) fn settings(data: &Path, cas: &[&Ca]) -> KeepSettings {
    let acme = AcmeSettings {
        issuers: cas.iter().map(|ca| ca.issuer()).collect(),
        root_pem: Some(cas.iter().map(|ca| ca.api_root.as_str()).collect::<String>().into()),
        challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        ..AcmeSettings::default()
    };
    KeepSettings { data: PathBuf::from(data), acme: Some(acme), ..KeepSettings::default() }
}

impl Keeping {
    pub(crate) fn start(settings: KeepSettings, outputs: Outputs) -> Self {
        let (names, names_reader) = channel(Wanted::default());
        let ((store_tx, store), (report_tx, report)) = (outputs.store, outputs.report);
        let task = tokio::spawn(async move {
            keep(settings, names_reader, store_tx, report_tx).await;
        });
        Self { names, store, report, task }
    }

    pub(crate) fn want(&mut self, names: &[&str]) {
        let wanted = |name: &&str| WantedName { name: (**name).into(), issuer: WantedIssuer::Auto };
        self.names.publish(Wanted { names: names.iter().map(wanted).collect(), ..Wanted::default() });
    }

    pub(crate) async fn until(&self, is_so: impl Fn(&Store) -> bool) -> Store {
        let mut store = self.store.clone();
        let wait = async {
            while !is_so(&store.load().value) {
                store.changed().await.expect("keeps publishing");
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("did not come true: {:#?}", self.report.load().value);
        }
        self.store.load().value.clone()
    }

    pub(crate) async fn until_told(&self, is_so: impl Fn(&CertificateReport) -> bool) -> CertificateReport {
        let mut report = self.report.clone();
        let wait = async {
            while !is_so(&report.load().value) {
                report.changed().await.expect("keeps publishing");
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("did not come true: {:#?}", self.report.load().value);
        }
        self.report.load().value.clone()
    }

    pub(crate) async fn until_issued(&self, names: &[&str]) -> Vec<Arc<Bundle>> {
        let store = self.until(|store| names.iter().all(|name| is_issued(store, name))).await;
        names.iter().map(|name| Arc::clone(store.find(name).expect("has one"))).collect()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn is_issued(store: &Store, name: &str) -> bool {
    store.find(name).is_some_and(|bundle| bundle.origin == Origin::Acme)
}

/// A CA that has had enough: its directory answers, everything else is refused for an hour.
pub(crate) struct Stub {
    pub(crate) directory: String,
    pub(crate) api_root: String,
    refusals: Arc<std::sync::atomic::AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Stub {
    pub(crate) async fn start(folder: &Path) -> Self {
        let folder = folder.join("stub");
        fs::create_dir(&folder).expect("is ours");
        let api_root = certify_api(&folder);
        let text = |name: &str| fs::read(folder.join(name)).expect("is there");
        let bundle = Bundle::from_pem(&text("api.pem"), &text("api.key"), Origin::Acme).expect("a bundle");
        let (mut publisher, store) = channel(Store::default());
        publisher.publish(Store::new([Arc::new(bundle)], i64::from(u32::MAX)));
        let acceptor = tokio_rustls::TlsAcceptor::from({
            let mut config = (*server_config(store, None)).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("https://localhost:{}", listener.local_addr().expect("is bound").port());
        let refusals = Arc::<std::sync::atomic::AtomicUsize>::default();
        let (counter, url) = (Arc::clone(&refusals), base.clone());
        let task = tokio::spawn(async move {
            let _publisher = publisher;
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter, url) = (acceptor.clone(), Arc::clone(&counter), url.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let answer = if head.starts_with(b"GET /dir ") {
                        let body = format!(
                            r#"{{"newNonce":"{url}/nonce","newAccount":"{url}/account","newOrder":"{url}/order"}}"#
                        );
                        format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                            body.len()
                        )
                    } else {
                        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Type: text/html\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<h1>slow down, please".into()
                    };
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { directory: format!("{base}/dir"), api_root, refusals, task }
    }

    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}
