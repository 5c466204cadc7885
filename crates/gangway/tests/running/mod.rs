//! The binary under test as a running instance, on ports that the system chooses.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gangway_testkit::client::{Answer, Client};
use gangway_testkit::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The time after which a test counts as stuck.
pub(crate) const STUCK: Duration = Duration::from_secs(60);

/// The result of a process: exit code, standard output, standard error.
pub(crate) type Ended = (i32, String, String);

/// The binary with an empty environment.
pub(crate) fn gangway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gangway"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Runs the binary to its end with these arguments.
pub(crate) fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    ended(gangway().args(arguments))
}

/// Puts a whole file in place at once, as editors do.
pub(crate) fn put(path: &Path, text: &str) {
    let beside = path.with_extension("beside");
    File::create(&beside).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// The way to start an instance.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) config: Option<String>,
    pub(crate) flags: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
}

/// A running instance without an engine; dropped, it is killed.
pub(crate) struct Instance {
    child: Child,
    lines: Receiver<String>,
    /// The lines that were taken from `lines`.
    seen: Vec<String>,
    pub(crate) folder: TempDir,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Options {
    pub(crate) fn config(text: &str) -> Self {
        Self { config: Some(text.to_owned()), ..Self::default() }
    }

    /// A flag with its value; an empty one is none.
    pub(crate) fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.push(flag.to_owned());
        self.flags.extend(Some(value.to_owned()).filter(|value| !value.is_empty()));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until a table is in force.
    pub(crate) async fn start(self) -> Instance {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gangway.toml");
        let mut command = gangway();
        command.args(["serve", "--docker", "none"]);
        for flag in ["--http", "--https", "--admin"] {
            if !self.flags.iter().any(|given| given == flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        command.arg("--data").arg(folder.path().join("data"));
        if let Some(text) = &self.config {
            put(&config, text);
            command.arg("--config").arg(&config);
        }
        command.args(&self.flags).envs(self.variables);
        Instance::of(command, folder).await
    }

    /// Starts it as `serve` with these flags and variables alone, and waits until a table is in force.
    pub(crate) async fn start_with_variables(self) -> Instance {
        let mut command = gangway();
        command.arg("serve").args(&self.flags).env("GANGWAY_ADMIN", "127.0.0.1:0").envs(self.variables);
        Instance::of(command, tempfile::tempdir().unwrap()).await
    }

    /// Starts it in Traefik's place, with flags of Traefik and its own folder, and waits until a table is in force.
    pub(crate) async fn start_in_traefiks_place(self, folder: TempDir) -> Instance {
        let mut command = gangway();
        command.arg("traefik").args(&self.flags).env("GANGWAY_ADMIN", "127.0.0.1:0").envs(self.variables);
        Instance::of(command, folder).await
    }
}

/// The lines of a log, read by a thread so that waiting for one has a bound.
fn lines(log: ChildStderr) -> Receiver<String> {
    let (lines_tx, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if lines_tx.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Instance {
    async fn of(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stderr.take().unwrap());
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut instance = Self { child, lines, seen: Vec::new(), folder, http: none, https: none, admin: none };
        let line = instance.logged("listening");
        // In Traefik's place no listener has the name of one of these.
        let field = |name: &str| {
            if let Ok(object) = serde_json::from_str::<Value>(&line) {
                return object[name.trim()].as_str().and_then(|text| text.parse().ok()).unwrap_or(none);
            }
            let value = line.split(&format!("{name}=")).nth(1).unwrap_or_default();
            value.trim_start_matches('"').split(['"', ' ']).next().and_then(|text| text.parse().ok()).unwrap_or(none)
        };
        (instance.http, instance.https, instance.admin) = (field(" http"), field("https"), field("admin"));
        eventually("a table is in force", STUCK, async || {
            instance.get("/readyz").await.ok().filter(|answer| answer.status == 200)
        })
        .await;
        instance
    }

    /// Waits for a line of the log that contains this text, after the lines that were waited for before.
    pub(crate) fn logged(&mut self, what: &str) -> String {
        loop {
            match self.lines.recv_timeout(STUCK) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(what) {
                        return line;
                    }
                }
                Err(_) => panic!("`{what}` is not logged, but:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Everything logged until the end of the process.
    pub(crate) fn log(&mut self) -> String {
        self.seen.extend(self.lines.iter());
        self.seen.join("\n")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("gangway.toml")
    }

    pub(crate) fn put_config(&self, text: &str) {
        put(&self.config_file(), text);
    }

    pub(crate) async fn get(&self, path: &str) -> std::io::Result<Answer> {
        Client::plain(self.admin).get(&self.admin.to_string(), path).await
    }

    pub(crate) async fn api(&self, what: &str) -> Value {
        self.get(&format!("/api/v1/{what}")).await.unwrap().json()
    }

    /// The names of the routes in force.
    pub(crate) async fn routes(&self) -> Vec<String> {
        let routes = self.api("routes").await;
        routes["routes"].as_array().unwrap().iter().map(|route| route["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until exactly these routes are in force.
    pub(crate) async fn serves(&self, names: &[&str]) {
        eventually(&format!("{names:?} are in force"), STUCK, async || (self.routes().await == names).then_some(()))
            .await;
    }

    /// Waits until the codes of the diagnostics are exactly these, and returns the answer.
    pub(crate) async fn diagnosed(&self, codes: &[&str]) -> Value {
        eventually(&format!("{codes:?} are found"), STUCK, async || {
            let found = self.api("diagnostics").await;
            let all = found["diagnostics"].as_array()?;
            let now: Vec<_> = all.iter().filter_map(|one| one["code"].as_str()).collect();
            (now == codes).then(|| found.clone())
        })
        .await
    }

    /// Runs a client command against it.
    pub(crate) fn ask<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ended {
        ended(gangway().args(arguments).env("GANGWAY_ADMIN", self.admin.to_string()))
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).unwrap();
    }

    /// Stops the process and waits until every thread has stopped, because the signal alone takes effect later.
    pub(crate) async fn freeze(&self) {
        self.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
        };
        eventually("it is stopped", STUCK, async || std::fs::read_dir(&threads).unwrap().all(is_stopped).then_some(()))
            .await;
    }

    /// Its exit code, once it has ended.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let child = std::cell::RefCell::new(&mut self.child);
        let status = eventually("it ends", STUCK, async || child.borrow_mut().try_wait().unwrap()).await;
        status.code()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
