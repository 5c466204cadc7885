//! The proxies that are compared, before the same backends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use gangway_testkit::app::self_signed_pem;
use gangway_testkit::client::Client;
use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::wait::eventually;
use tempfile::TempDir;

use crate::bench::clients::Target;
use crate::engines::played;
use crate::gangway::{free_addresses, replace_file};
use crate::process::{Process, output, resident_kib, tree};
use crate::{STUCK, artifact, root};

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The release binary.
    Gangway,
    /// nginx of Debian.
    Nginx,
    /// HAProxy of Debian.
    Haproxy,
    /// Caddy of Debian.
    Caddy,
    /// The release binary once more, for routes without what the scene is about.
    Bare,
    /// The release binary with one host.
    OneHost,
    /// The release binary with 100 hosts, each of a container of its own.
    HundredHosts,
    /// The release binary with 10,000 hosts of 100 containers.
    ManyHosts,
}

/// The proxies of most scenes.
pub const BESIDE_EACH_OTHER: &[Kind] = &[Kind::Gangway, Kind::Nginx, Kind::Haproxy, Kind::Caddy];

/// Gangway against itself.
pub const ONE_AGAINST_MANY: &[Kind] = &[Kind::ManyHosts, Kind::OneHost];

/// Gangway against itself, before the same number of containers: what is left is the cost of hosts.
pub const HUNDRED_AGAINST_MANY: &[Kind] = &[Kind::ManyHosts, Kind::HundredHosts];

/// Gangway with something and without it.
pub const WITH_AND_WITHOUT: &[Kind] = &[Kind::Gangway, Kind::Bare];

/// Where only Caddy can do the same.
pub const BESIDE_CADDY: &[Kind] = &[Kind::Gangway, Kind::Caddy];

/// The number of hosts of [`Kind::ManyHosts`].
const HOSTS: usize = 10_000;

/// The number of its containers, and of those of [`Kind::HundredHosts`].
const CONTAINERS: usize = HOSTS / HOSTS_OF_CONTAINER;

/// The hosts of [`Kind::ManyHosts`] that share a container. If each had one of its own, hardly a request would find a kept connection to its
/// container, and the scene would measure how connections are opened.
const HOSTS_OF_CONTAINER: usize = 100;

/// A proxy that runs.
#[derive(Debug)]
pub struct Proxy {
    /// Which it is.
    pub kind: Kind,
    process: Process,
    plain: SocketAddr,
    secure: SocketAddr,
}

/// Files, backends and ports that all proxies share.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
    certificate_pem: String,
    backend: SocketAddr,
    backend_tls: SocketAddr,
    auth: SocketAddr,
    app: SocketAddr,
    _processes: [Process; 2],
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gangway => "Gangway",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Bare => "Gangway, without",
            Self::OneHost => "Gangway, 1 host",
            Self::HundredHosts => "Gangway, 100 hosts",
            Self::ManyHosts => "Gangway, 10,000 hosts",
        }
    }

    /// If it is the release binary of this project.
    pub fn is_gangway(self) -> bool {
        match self {
            Self::Gangway | Self::Bare | Self::OneHost | Self::HundredHosts | Self::ManyHosts => true,
            Self::Nginx | Self::Haproxy | Self::Caddy => false,
        }
    }

    /// The hosts that it serves beside `localhost`.
    pub fn hosts(self) -> Vec<String> {
        let count = match self {
            Self::HundredHosts => CONTAINERS,
            Self::ManyHosts => HOSTS,
            Self::Gangway | Self::Bare | Self::Nginx | Self::Haproxy | Self::Caddy | Self::OneHost => 1,
        };
        (0..count).map(|number| format!("h{number:04}.test")).collect()
    }
}

impl Stage {
    /// Starts the backends: an nginx that serves files, and the test application for everything else.
    pub async fn set() -> Self {
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("gangway-bench-").tempdir_in(above).expect("a folder");
        let certificate_pem = make_files(folder.path());
        let [backend, backend_tls, auth, app] = free_addresses();
        let places = [("BACKEND", backend), ("BACKEND_TLS", backend_tls), ("AUTH", auth)];
        let config = configure("backend.conf", folder.path(), &places);
        let log = folder.path().join("backend.log");
        let files = Process::start(Command::new("nginx").args(["-e", "stderr", "-c", &config]), &log);
        let mut command = Command::new(artifact("app"));
        command.args(["--http", &app.to_string()]);
        let answering = Process::start(&mut command, &folder.path().join("app.log"));
        answers(backend, "localhost", "/1k").await;
        answers(app, "localhost", "/").await;
        Self { folder, certificate_pem, backend, backend_tls, auth, app, _processes: [files, answering] }
    }

    /// A file that requests can upload.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// A file that is written and read between two measurements.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("requests")
    }

    /// Starts a proxy and waits until it serves.
    pub async fn start(&self, kind: Kind) -> Proxy {
        let [plain, secure, admin] = free_addresses();
        let places = [
            ("BACKEND", self.backend),
            ("BACKEND_TLS", self.backend_tls),
            ("AUTH", self.auth),
            ("APP", self.app),
            ("PLAIN", plain),
            ("SECURE", secure),
        ];
        let folder = self.folder.path();
        let mut command = match kind {
            Kind::Gangway | Kind::Bare => {
                let mut command = self.gangway(kind, "none", [plain, secure, admin]);
                command.args(["--config", &configure("gangway.toml", folder, &places)]);
                command
            }
            Kind::OneHost | Kind::HundredHosts | Kind::ManyHosts => {
                self.gangway(kind, &self.engine_of(kind), [plain, secure, admin])
            }
            Kind::Nginx => {
                let mut command = Command::new("nginx");
                command.args(["-e", "stderr", "-c", &configure("nginx.conf", folder, &places)]);
                command
            }
            Kind::Haproxy => {
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f", &configure("haproxy.cfg", folder, &places)]);
                command
            }
            Kind::Caddy => {
                let mut command = Command::new("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config", &configure("Caddyfile", folder, &places)]);
                command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder).env("GOMAXPROCS", "2");
                command
            }
        };
        let log = folder.join(format!("{kind:?}.log"));
        let process = Process::start(&mut command, &log);
        let host = match kind {
            Kind::Gangway | Kind::Bare | Kind::Nginx | Kind::Haproxy | Kind::Caddy => "localhost".to_owned(),
            Kind::OneHost | Kind::HundredHosts | Kind::ManyHosts => kind.hosts().pop().expect("at least one"),
        };
        answers(plain, &host, "/1k").await;
        Proxy { kind, process, plain, secure }
    }

    /// What clients of this proxy have to know.
    pub fn target(&self, proxy: &Proxy) -> Target {
        Target {
            plain: proxy.plain,
            secure: proxy.secure,
            certificate_pem: self.certificate_pem.clone(),
            process: proxy.process.id(),
        }
    }

    /// An engine that is played, with containers for all hosts before the same backend. Where it answers.
    fn engine_of(&self, kind: Kind) -> String {
        let engine = Engine::default();
        let each = if kind == Kind::ManyHosts { HOSTS_OF_CONTAINER } else { 1 };
        for hosts in kind.hosts().chunks(each) {
            let container = Container::new(&hosts[0]).exposes(&[self.backend.port()]).address(self.backend.ip());
            engine.add(container.label("gangway.host", &hosts.join(", ")).label("gangway.tls", "off"));
        }
        // One of its own: to be trained on, a proxy is started anew for each scene. It goes with the stage.
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a folder can be made");
        played(&engine, &folder.keep())
    }

    fn gangway(&self, kind: Kind, engine: &str, [plain, secure, admin]: [SocketAddr; 3]) -> Command {
        let data = self.folder.path().join(format!("data-{kind:?}"));
        let certs = data.join("certs");
        std::fs::create_dir_all(&certs).expect("a fresh folder");
        for (from, to) in [("cert.pem", "bench.crt"), ("key.pem", "bench.key")] {
            std::fs::copy(self.folder.path().join(from), certs.join(to)).expect("a fresh folder");
        }
        let mut command = Command::new(artifact("gangway"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("GANGWAY_") || key == "DOCKER_HOST") {
            command.env_remove(key);
        }
        command.args(["serve", "--docker", engine, "--access-log", "off"]);
        for (flag, address) in [("--http", plain), ("--https", secure), ("--admin", admin)] {
            command.arg(flag).arg(address.to_string());
        }
        command.arg("--data").arg(data);
        command
    }
}

impl Proxy {
    /// Memory of all its processes now, in MiB.
    pub fn resident_mib(&self) -> u64 {
        tree(self.process.id()).iter().map(|id| resident_kib(*id)).sum::<u64>() / 1024
    }

    /// The URL of a path, over TLS or not.
    pub fn url(&self, is_secure: bool, path: &str) -> String {
        let (scheme, at) = if is_secure { ("https", self.secure) } else { ("http", self.plain) };
        format!("{scheme}://localhost:{}{path}", at.port())
    }

    /// Tells it to end, and waits for that.
    pub fn stop(self) {
        self.process.stop();
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The versions of those that are compared.
pub fn versions() -> String {
    let first_line = |program: &str, flag: &str| {
        let said = crate::process::outcome(Command::new(program).arg(flag));
        let said = [said.stdout, said.stderr].concat();
        String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
    };
    let version = |line: &str| {
        let word =
            line.split([' ', '/']).find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
        word.unwrap_or("?").to_owned()
    };
    format!(
        "Gangway {}, nginx {}, HAProxy {}, Caddy {}",
        version(&first_line(&artifact("gangway").display().to_string(), "--version")),
        version(&first_line("nginx", "-v")),
        version(&first_line("haproxy", "-v")),
        version(&first_line("caddy", "version")),
    )
}

/// Makes what is served and the certificate of `localhost`; the latter.
fn make_files(folder: &Path) -> String {
    let files = folder.join("files");
    std::fs::create_dir(&files).expect("a fresh folder");
    for (name, len) in [("1k", 1024), ("64k", 64 * 1024), ("1m", 1024 * 1024), ("message", 128)] {
        replace_file(&files.join(name), &"k".repeat(len));
    }
    for below in ["secure", "open", "basic", "lists", "forward"] {
        std::fs::create_dir(files.join(below)).expect("a fresh folder");
        replace_file(&files.join(below).join("1k"), &"k".repeat(1024));
    }
    // What compresses as real text does.
    let text =
        std::fs::read_to_string(root().join("docs/reference/diagnostics.md")).expect("a page of this repository");
    replace_file(&files.join("text"), &text.chars().filter(char::is_ascii).take(64 * 1024).collect::<String>());
    let (certificate, key) = self_signed_pem(&["localhost"]);
    replace_file(&folder.join("cert.pem"), &certificate);
    replace_file(&folder.join("key.pem"), &key);
    replace_file(&folder.join("both.pem"), &format!("{certificate}{key}"));
    // Workers of nginx run as a plain user and read the files.
    output("chmod", ["-R", "a+rX", &folder.display().to_string()]);
    certificate
}

/// Writes a configuration of `tests/bench/` with its places filled in; where.
fn configure(name: &str, folder: &Path, places: &[(&str, SocketAddr)]) -> String {
    let mut text = std::fs::read_to_string(root().join("tests/bench").join(name)).expect("a file of this repository");
    text = text.replace("@FOLDER@", &folder.display().to_string());
    for (key, address) in places {
        text = text.replace(&format!("@{key}@"), &address.port().to_string());
    }
    let path = folder.join(name);
    replace_file(&path, &text);
    path.display().to_string()
}

async fn answers(address: SocketAddr, host: &str, path: &str) {
    let client = Client::plain(address);
    eventually(&format!("{address} answers {path}"), STUCK, async || {
        client.get(host, path).await.ok().filter(|answer| answer.status == 200).map(drop)
    })
    .await;
}
