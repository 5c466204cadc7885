//! Engines of single tests: a second Docker that can be killed, Podman's Docker-compatible service, and one
//! that is faked.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gangway_testkit::engine::Engine;
use gangway_testkit::relay;
use gangway_testkit::wait::eventually;
use tempfile::TempDir;

use crate::STUCK;
use crate::docker::{APP, Docker};
use crate::process::{Process, kill_tree, outcome, output};

/// Lets a fake engine listen in this folder. Returns its address.
pub fn played(engine: &Engine, folder: &Path) -> String {
    let (engine, socket) = (engine.clone(), folder.join("engine.sock"));
    let url = format!("unix://{}", socket.display());
    tokio::spawn(async move { engine.listen_unix(&socket).await });
    url
}

/// A Docker engine beside the shared one, without the packet filter and on a bridge of its own.
///
/// Told to have no bridge at all, an engine removes `docker0`, which is the shared one's.
#[derive(Debug)]
pub struct OwnDocker {
    process: Option<Process>,
    folder: TempDir,
    bridge: String,
}

impl OwnDocker {
    /// Starts it with the test application's image; `third` is the third part of its addresses.
    pub async fn start(third: u8) -> Self {
        let bridge = format!("gwt{third}");
        let _ = outcome(Command::new("ip").args(["link", "del", &bridge]));
        output("ip", ["link", "add", "name", &bridge, "type", "bridge"]);
        output("ip", ["addr", "add", &format!("10.213.{third}.1/24"), "dev", &bridge]);
        output("ip", ["link", "set", &bridge, "up"]);
        let folder =
            tempfile::Builder::new().prefix("gangway-engine-").tempdir().expect("a temporary folder can be made");
        let mut engine = Self { process: None, folder, bridge };
        engine.start_again().await;
        let load = format!(
            "docker --host unix://{} save {APP} | docker --host unix://{} load",
            crate::docker::SOCKET,
            engine.socket().display()
        );
        output("bash", ["-o", "pipefail", "-c", &load]);
        engine
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// The part of a test on it.
    pub fn docker(&self) -> Docker {
        Docker::at(&self.socket())
    }

    /// The process itself, to be stopped and continued.
    ///
    /// # Panics
    ///
    /// Panics if it was killed.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Kills it. Its containers go on running.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it like its service manager does for a restart: the file of its socket is removed.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }

    /// Starts it again on the same data.
    pub async fn start_again(&mut self) {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        // A killed engine leaves its files behind; the next one would refuse to start, or wait for the dead.
        for file in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(at(file));
        }
        let mut command = Command::new("dockerd");
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        command.args(["--host", &format!("unix://{}", self.socket().display()), "--live-restore"]);
        command.args(["--bridge", &self.bridge, "--iptables=false", "--ip6tables=false"]);
        self.process = Some(Process::start(&mut command, &self.folder.path().join("log")));
        answers(&self.socket()).await;
    }
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        self.stop();
        // What kept its containers alive while it was gone knows this folder by name.
        let below = self.folder.path().display().to_string();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if let Ok(id) = entry.file_name().to_string_lossy().parse()
                && String::from_utf8_lossy(&line).contains(&below)
            {
                kill_tree(id);
            }
        }
        let _ = outcome(Command::new("ip").args(["link", "del", &self.bridge]));
        // Layers stay mounted where an engine was killed.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for point in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|point| point.starts_with(&below))
        {
            let _ = outcome(Command::new("umount").args(["-l", point]));
        }
    }
}

/// Podman's service on a socket of its own.
#[derive(Debug)]
pub struct Podman {
    process: Option<Process>,
    folder: TempDir,
}

impl Podman {
    /// Starts it and brings the test application's image over.
    pub async fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("gangway-podman-").tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("podman.sock");
        let mut command = Command::new("podman");
        command.args(["system", "service", "--time", "0", &format!("unix://{}", socket.display())]);
        let process = Some(Process::start(&mut command, &folder.path().join("log")));
        let podman = Self { process, folder };
        answers(&podman.socket()).await;
        let load = format!("docker --host unix://{} save {APP} | podman load", crate::docker::SOCKET);
        output("bash", ["-o", "pipefail", "-c", &load]);
        podman
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("podman.sock")
    }

    /// Its address as Gangway's `--docker` takes it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }
}

async fn answers(socket: &Path) {
    eventually(&format!("an engine answers on {}", socket.display()), STUCK, async || {
        let is_socket = std::fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket());
        if !is_socket {
            return None;
        }
        relay::ask(socket, "/_ping").await.ok().filter(|(status, _)| *status == 200).map(drop)
    })
    .await;
}
