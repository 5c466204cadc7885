//! A CA and its surroundings on loopback: Pebble, its mock of the DNS, and our answers to challenges.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gangway_acme::{AcmeSettings, ChallengeKind, Issuer};
use gangway_certs::{
    CertificateReport, KeepSettings, KeeperOutputs, WantedCertificates, WantedIssuer, WantedName, keep,
};
use gangway_publish::{Publisher, Reader, channel};
pub(crate) use gangway_testkit::pebble::{Between, Ca, Mood, PATIENCE, Reply, answers, post, put};
use gangway_tls::{
    Bundle, CertificateResolver, Demand, Mint, Origin, Store, challenge_config, is_challenge, normal_name,
    server_config,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

/// A server that answers challenges from the stores in force.
pub(crate) struct FrontDoor {
    pub(crate) http: SocketAddr,
    pub(crate) tls: SocketAddr,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl FrontDoor {
    /// The ports at which a CA must validate.
    pub(crate) fn ports(&self) -> [u16; 2] {
        [self.http.port(), self.tls.port()]
    }
}

/// A running keeper.
pub(crate) struct Keeping {
    pub(crate) names: Publisher<WantedCertificates>,
    pub(crate) certificates: CertificateResolver,
    pub(crate) report: Reader<CertificateReport>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl FrontDoor {
    /// Opens a front door that answers from all of these stores: they are instances behind one address.
    pub(crate) async fn open(stores: Vec<CertificateResolver>, has_http: bool, has_tls: bool) -> Self {
        Self::open_at([0, 0], stores, has_http, has_tls).await
    }

    /// Opens it at an address of this machine that is not a loopback address.
    pub(crate) async fn open_on(
        address: IpAddr,
        stores: Vec<CertificateResolver>,
        has_http: bool,
        has_tls: bool,
    ) -> Self {
        Self::listen([0, 0].map(|port| (address, port).into()), stores, has_http, has_tls).await
    }

    /// Opens it on the given ports, the one for plain HTTP first.
    pub(crate) async fn open_at(
        ports: [u16; 2],
        stores: Vec<CertificateResolver>,
        has_http: bool,
        has_tls: bool,
    ) -> Self {
        Self::listen(ports.map(|port| ([127, 0, 0, 1], port).into()), stores, has_http, has_tls).await
    }

    async fn listen(at: [SocketAddr; 2], stores: Vec<CertificateResolver>, has_http: bool, has_tls: bool) -> Self {
        let listen = |address: SocketAddr| async move { TcpListener::bind(address).await.expect("a free port") };
        let (http, tls) = (listen(at[0]).await, listen(at[1]).await);
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

async fn answer_http(mut stream: TcpStream, stores: Vec<CertificateResolver>) {
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
        let store = store.store().load();
        store.http_challenge(&normal_name(host), token).map(str::to_owned)
    });
    let (status, body) = found.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn answer_tls(stream: TcpStream, stores: Vec<CertificateResolver>) {
    let Ok(start) = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await else { return };
    let name = start.client_hello().server_name().map(|name| normal_name(name).into_owned()).unwrap_or_default();
    let is_challenge = is_challenge(&start.client_hello());
    let has = |certificates: &&CertificateResolver| {
        if is_challenge { certificates.store().load().challenge(&name).is_some() } else { certificates.serves(&name) }
    };
    let Some(store) = stores.iter().find(has).cloned() else { return };
    let config = if is_challenge { challenge_config(store.store().clone()) } else { server_config(&store, None) };
    if let Ok(mut tls) = start.into_stream(config).await {
        let _ = tls.shutdown().await;
    }
}

/// A store whose reader is available before the first publication.
pub(crate) struct Outputs {
    pub(crate) store: Publisher<Store>,
    pub(crate) mint: Arc<Mint>,
    pub(crate) demand: Arc<Demand>,
    pub(crate) certificates: CertificateResolver,
    pub(crate) report: (Publisher<CertificateReport>, Reader<CertificateReport>),
}

impl Outputs {
    pub(crate) fn new() -> Self {
        let ((store, stores), mint, demand) =
            (channel(Store::default()), Arc::new(Mint::new()), Arc::new(Demand::new()));
        let certificates = CertificateResolver::new(stores, Arc::clone(&mint), Some(Arc::clone(&demand)));
        Self { store, mint, demand, certificates, report: channel(CertificateReport::default()) }
    }
}

pub(crate) fn settings(data: &Path, cas: &[&Ca]) -> KeepSettings {
    let acme = AcmeSettings {
        issuers: cas.iter().map(|ca| issuer(&ca.directory)).collect(),
        root_pem: Some(cas.iter().map(|ca| ca.api_root.as_str()).collect::<String>().into()),
        challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        ..AcmeSettings::default()
    };
    KeepSettings { data: PathBuf::from(data), acme: Some(acme), ..KeepSettings::default() }
}

pub(crate) fn issuer(directory: &str) -> Issuer {
    Issuer::parse(directory).expect("a URL")
}

impl Keeping {
    pub(crate) fn start(settings: KeepSettings, outputs: Outputs) -> Self {
        let (names, names_reader) = channel(WantedCertificates::default());
        let Outputs { store, mint, demand, certificates, report: (report_tx, report) } = outputs;
        let outputs = KeeperOutputs { store, mint, demand: Some(demand), report: report_tx };
        let task = tokio::spawn(async move {
            keep(settings, names_reader, outputs).await;
        });
        Self { names, certificates, report, task }
    }

    pub(crate) fn want(&mut self, names: &[&str]) {
        let wanted = |name: &&str| WantedName { name: (**name).into(), issuer: WantedIssuer::Auto };
        self.names
            .publish(WantedCertificates { names: names.iter().map(wanted).collect(), ..WantedCertificates::default() });
    }

    pub(crate) async fn until(&self, is_so: impl Fn(&CertificateResolver) -> bool) -> CertificateResolver {
        let mut store = self.certificates.store().clone();
        let wait = async {
            while !is_so(&self.certificates) {
                store.changed().await.expect("keeps publishing");
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("did not come true: {:#?}", self.report.load());
        }
        self.certificates.clone()
    }

    pub(crate) async fn until_told(&self, is_so: impl Fn(&CertificateReport) -> bool) -> CertificateReport {
        let mut report = self.report.clone();
        let wait = async {
            while !is_so(&report.load()) {
                report.changed().await.expect("keeps publishing");
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("did not come true: {:#?}", self.report.load());
        }
        self.report.load().clone()
    }

    pub(crate) async fn until_issued(&self, names: &[&str]) -> Vec<Arc<Bundle>> {
        let store = self.until(|store| names.iter().all(|name| is_issued(store, name))).await;
        names.iter().map(|name| store.find(name).expect("has one")).collect()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn is_issued(store: &CertificateResolver, name: &str) -> bool {
    store.find(name).is_some_and(|bundle| bundle.origin == Origin::Acme)
}

/// Settings with the CA behind a proxy.
pub(crate) fn through(data: &Path, ca: &Ca, between: &Between) -> KeepSettings {
    let mut settings = settings(data, &[ca]);
    let acme = settings.acme.as_mut().expect("is there");
    acme.issuers = vec![issuer(&between.directory)];
    acme.root_pem = Some(between.api_root.as_str().into());
    settings
}

/// The account files, without temporary files of a write.
pub(crate) fn account_files(data: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(data.join("acme/accounts")).into_iter().flatten().flatten();
    files.filter(|file| !file.file_name().to_string_lossy().starts_with('.')).map(|file| file.path()).collect()
}

/// Writes a certificate to the volume with ten days left, so that it is due for renewal.
pub(crate) fn put_ending(data: &Path, directory: &str, name: &str) {
    std::fs::create_dir_all(data.join("acme/certificates")).expect("is ours");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(80), now + time::Duration::days(10));
    let chain = params.self_signed(&key).expect("signs").pem();
    let head = format!(r##"# gangway certificate {{"version":1,"directory":"{directory}","account":""}}"##);
    put(&data.join(format!("acme/certificates/{name}.pem")), &format!("{head}\n{}{chain}", key.serialize_pem()));
}

/// A CA with a front door that answers from the stores of `N` keepers, which run one after the other or together.
pub(crate) async fn scene<const N: usize>(mood: &Mood) -> (FrontDoor, Ca, [Outputs; N]) {
    let outputs = [(); N].map(|()| Outputs::new());
    let door = FrontDoor::open(outputs.iter().map(|one| one.certificates.clone()).collect(), true, true).await;
    let ca = Ca::start(door.ports(), mood).await;
    (door, ca, outputs)
}
