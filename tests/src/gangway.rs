//! The product under test: the release binary, started as its users start it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gangway_testkit::client::{Answer, Client};
use gangway_testkit::wait::eventually;
use serde_json::Value;
use tempfile::TempDir;

use crate::cgroup::MemoryCgroup;
use crate::process::{Process, outcome};
use crate::{STUCK, artifact};

/// What the log of an instance says once it is alone at the sockets of another.
const TAKEN_OVER: &str = "has taken over";

/// The options of an instance.
#[derive(Debug)]
pub struct Options {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    is_socket_held: bool,
    is_output_read: bool,
    open_files: Option<u32>,
    /// The file that takes the processes of a control group.
    group: Option<PathBuf>,
}

/// A running instance. It is killed on drop.
#[derive(Debug)]
pub struct Gangway {
    /// The process.
    pub process: Process,
    command: Command,
    /// Sockets that are held for it, as systemd holds the sockets of a socket unit.
    _sockets: Vec<TcpListener>,
    /// The plain listener.
    pub http: SocketAddr,
    /// The TLS listener.
    pub https: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// Its volume, its configuration file `gangway.toml` and its log.
    pub folder: TempDir,
}

impl Options {
    /// Follows the engine at this address; `none` for no engine.
    pub fn docker(url: &str) -> Self {
        Self {
            arguments: vec!["--docker".into(), url.into()],
            environment: Vec::new(),
            config: None,
            is_socket_held: false,
            is_output_read: true,
            open_files: None,
            group: None,
        }
    }

    /// Adds a flag with its value.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// With sockets that listen before it does and while it is started again, as those of a socket unit.
    #[must_use]
    pub fn held_sockets(mut self) -> Self {
        self.is_socket_held = true;
        self
    }

    /// Limits the number of open files.
    #[must_use]
    pub fn open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Starts it in a control group with a bound on its memory.
    #[must_use]
    pub fn within(mut self, group: &MemoryCgroup) -> Self {
        self.group = Some(group.processes());
        self
    }

    /// Starts it with outputs that are never read.
    #[must_use]
    pub fn unread_output(mut self) -> Self {
        self.is_output_read = false;
        self
    }

    /// Starts it and waits until a table is in force.
    pub async fn start(self) -> Gangway {
        let gangway = self.start_unready();
        gangway.ready().await;
        gangway
    }

    /// Starts it without waiting.
    pub fn start_unready(self) -> Gangway {
        let folder =
            tempfile::Builder::new().prefix("gangway-test-").tempdir().expect("a temporary folder can be made");
        let [http, https, admin] = free_addresses();
        let config = folder.path().join("gangway.toml");
        let data = folder.path().join("data");
        let sockets = if self.is_socket_held { [http, https].map(held_socket).into() } else { Vec::new() };
        let mut command = started_with(&sockets);
        if let Some(most) = self.open_files {
            command = Command::new("prlimit");
            command.arg(format!("--nofile={most}:{most}")).arg(artifact("gangway"));
        }
        if let Some(processes) = &self.group {
            command = Command::new("bash");
            command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(processes).arg(artifact("gangway"));
        }
        // Variables of the surroundings must not configure the instance.
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("GANGWAY_") || key == "DOCKER_HOST") {
            command.env_remove(key);
        }
        command.arg("serve");
        for (flag, address) in [("--http", http), ("--https", https), ("--admin", admin)] {
            command.arg(flag).arg(address.to_string());
        }
        command.arg("--data").arg(&data);
        if let Some(text) = &self.config {
            replace_file(&config, text);
            command.arg("--config").arg(&config);
        }
        command.args(&self.arguments).envs(self.environment);
        let process = if self.is_output_read {
            Process::start(&mut command, &folder.path().join("log"))
        } else {
            Process::start_unread(&mut command)
        };
        Gangway { process, command, _sockets: sockets, http, https, admin, folder }
    }
}

impl Gangway {
    /// Waits until a table is in force.
    pub async fn ready(&self) {
        eventually("a table is in force", STUCK, async || {
            let answer = self.admin("/readyz").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("gangway.toml")
    }

    /// The volume.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Sends a GET to the admin listener.
    pub async fn admin(&self, path: &str) -> std::io::Result<Answer> {
        Client::plain(self.admin).get(&self.admin.to_string(), path).await
    }

    /// An answer of the admin API.
    pub async fn api(&self, what: &str) -> Value {
        self.admin(&format!("/api/v1/{what}")).await.expect("the admin listener answers").json()
    }

    /// A client for the plain listener.
    pub fn plain(&self) -> Client {
        Client::plain(self.http)
    }

    /// A client for the TLS listener that trusts the internal root and nothing else.
    pub fn secure(&self) -> Client {
        Client::tls(self.https, &self.root_pem()).expect("the root is a certificate")
    }

    /// The internal root, as the command line prints it.
    pub fn root_pem(&self) -> String {
        let output = self.cli(["ca"]);
        assert!(output.0 == 0 && output.1.contains("BEGIN CERTIFICATE"), "gangway ca: {output:?}");
        output.1
    }

    /// Runs a client command against this instance: exit code, standard output, standard error.
    pub fn cli<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> (i32, String, String) {
        let mut command = Command::new(artifact("gangway"));
        command.args(arguments).env("GANGWAY_ADMIN", self.admin.to_string()).env("GANGWAY_DATA", self.data());
        let output = outcome(&mut command);
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Waits until the host answers 200 over https with the internal root; the answer.
    pub async fn served(&self, host: &str, path: &str) -> Answer {
        self.served_within(STUCK, host, path).await
    }

    /// Like [`Self::served`], with a bound of its own.
    pub async fn served_within(&self, most: Duration, host: &str, path: &str) -> Answer {
        let client = self.secure();
        eventually(&format!("https://{host}{path} answers 200"), most, async || {
            client.get(host, path).await.ok().filter(|answer| answer.status == 200)
        })
        .await
    }

    /// Waits until plain HTTP answers this status to this host.
    pub async fn answers(&self, host: &str, status: u16) -> Answer {
        self.answers_within(STUCK, host, status).await
    }

    /// Like [`Self::answers`], with a bound of its own.
    pub async fn answers_within(&self, most: Duration, host: &str, status: u16) -> Answer {
        let client = self.plain();
        eventually(&format!("http://{host}/ answers {status}"), most, async || {
            client.get(host, "/").await.ok().filter(|answer| answer.status == status)
        })
        .await
    }

    /// Waits until a diagnostic whose text contains all of these words is reported; its text.
    pub async fn diagnosed(&self, words: &[&str]) -> String {
        eventually(&format!("a diagnostic with {words:?}"), STUCK, async || {
            let all = self.api("diagnostics").await;
            all.as_array()
                .or_else(|| all["diagnostics"].as_array())?
                .iter()
                .map(ToString::to_string)
                .find(|text| words.iter().all(|word| text.contains(word)))
        })
        .await
    }

    /// Our own part of the time from an event to the table that it led to, at a quantile of the metrics.
    pub async fn reaction_millis(&self, quantile: &str) -> f64 {
        let text = self.admin("/metrics").await.expect("the admin listener answers").text();
        let quantile = format!("quantile=\"{quantile}\"");
        let line = text.lines().find(|line| {
            line.starts_with("gangway_engine_reaction_seconds{")
                && line.contains("part=\"ours\"")
                && line.contains(&quantile)
        });
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).map_or(f64::NAN, |seconds| seconds * 1000.0)
    }

    /// Stops it and starts it again, on the same addresses and the same volume.
    pub async fn restart(&mut self) {
        self.process.signal("TERM");
        assert!(self.process.end(Duration::from_secs(40)).await.success());
        self.process = Process::start(&mut self.command, &self.folder.path().join("log"));
    }

    /// Starts another one beside it, with the same command, and waits until that has taken over. Returns the one that
    /// leaves.
    pub async fn succeed(&mut self) -> Process {
        let successor = self.successor(&["--take-over"]);
        let already = successor.log().matches(TAKEN_OVER).count();
        eventually("the successor has taken over", STUCK, async || {
            (successor.log().matches(TAKEN_OVER).count() > already).then_some(())
        })
        .await;
        std::mem::replace(&mut self.process, successor)
    }

    /// Starts another one beside it, with the same command and these arguments.
    pub fn successor(&mut self, arguments: &[&str]) -> Process {
        let mut command = Command::new(self.command.get_program());
        command.args(self.command.get_args()).args(arguments);
        for (key, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        Process::start(&mut command, &self.folder.path().join("log"))
    }

    /// Stops it. Returns whether it exited with status 0.
    pub async fn stop(mut self) -> bool {
        self.process.signal("TERM");
        self.process.end(Duration::from_secs(40)).await.success()
    }
}

/// A listening socket that a child process inherits.
fn held_socket(address: SocketAddr) -> TcpListener {
    let socket = socket2::Socket::from(TcpListener::bind(address).expect("nobody listens there"));
    socket.set_cloexec(false).expect("it is our own");
    socket.into()
}

/// The product, given these sockets by the protocol of `sd_listen_fds(3)`.
fn started_with(sockets: &[TcpListener]) -> Command {
    let [http, https] = sockets else { return Command::new(artifact("gangway")) };
    let numbers = [http, https].map(std::os::fd::AsRawFd::as_raw_fd);
    assert!(numbers.iter().all(|number| *number > 4), "the first two places are those that sockets are passed in");
    let mut command = Command::new("bash");
    command.args(["-c", r#"exec 3<&"$0" 4<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=2 exec "$@""#]);
    command.args(numbers.map(|number| number.to_string())).arg(artifact("gangway"));
    command
}

/// Replaces a whole file at once, as editors and deployments do.
pub fn replace_file(path: &Path, text: &str) {
    use std::io::Write as _;
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside).expect("a temporary folder can be written");
    file.write_all(text.as_bytes()).expect("a temporary folder can be written");
    std::fs::rename(&beside, path).expect("a temporary folder can be written");
}

/// Loopback addresses without a listener, that were given to nobody before: who got one may not listen yet.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    // No holder of the lock leaves the set in a bad state.
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Those that were refused are held as well. Otherwise the system could hand out the same ones again.
    let mut held = Vec::new();
    [(); N].map(|()| {
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
            let address = listener.local_addr().expect("a bound listener has an address");
            held.push(listener);
            if given.insert(address) {
                return address;
            }
        }
    })
}
