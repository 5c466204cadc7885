//! An instance, an engine that is played, and apps that are real processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::wait::eventually;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::block_in_place;

use crate::engines::played;
use crate::gangway::{Gangway, Options};
use crate::process::Process;
use crate::scene::lasts;
use crate::{STUCK, artifact};

/// The app whose container stays all the time, over TLS.
pub const STEADY: &str = "steady.test";

/// An app that stays like [`STEADY`], and is spoken to by TLS.
pub const HTTPS: &str = "https.test";
/// An app that stays like [`STEADY`], and is spoken to by HTTP/2 without TLS.
pub const H2C: &str = "h2c.test";

/// An app without TLS.
pub const PLAIN: &str = "plain.test";

/// The app whose container is replaced again and again, and lets its requests end.
pub const TURNING: &str = "turning.test";

/// The app that is killed again and again.
pub const CRASHING: &str = "crashing.test";

/// An app may take this long to let its requests end.
const DRAIN_MAX: Duration = Duration::from_secs(300);

/// A busy machine stalls for a while now and then, which must not end half an hour of figures.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything that the soak runs.
pub struct Stage {
    /// The instance under test.
    pub gangway: Gangway,
    /// The engine that it follows.
    pub engine: Engine,
    folder: TempDir,
    _staying: [App; 4],
    turning: App,
    crashing: App,
    made: u32,
}

/// An app with its container.
struct App {
    container: String,
    address: SocketAddr,
    process: Process,
}

impl Stage {
    /// Starts everything and waits until all is served.
    pub async fn set() -> Self {
        let folder =
            tempfile::Builder::new().prefix("gangway-soak-").tempdir().expect("a temporary folder can be made");
        let engine = Engine::default();
        let url = played(&engine, folder.path());
        let gangway = Options::docker(&url).start().await;
        let app = async |name: &str, host: &str, tls: &str, scheme: &str| {
            let address = app_address();
            let process = serve(&folder, address, scheme).await;
            let container = container(name, address).label("gangway.host", host).label("gangway.tls", tls);
            let container = container.label("gangway.scheme", scheme).label("gangway.verify", "false");
            App { container: engine.run(container), address, process }
        };
        let staying = [
            app("steady", STEADY, "internal", "http").await,
            app("https", HTTPS, "internal", "https").await,
            app("h2c", H2C, "internal", "h2c").await,
            app("plain", PLAIN, "off", "http").await,
        ];
        let turning = app("turning-0", TURNING, "internal", "http").await;
        let crashing = app("crashing", CRASHING, "internal", "http").await;
        for host in [STEADY, HTTPS, H2C, TURNING, CRASHING] {
            gangway.served(host, "/").await;
        }
        gangway.answers(PLAIN, 200).await;
        Self { gangway, engine, folder, _staying: staying, turning, crashing, made: 0 }
    }

    /// Replaces the container of [`TURNING`] by a new one, as `docker compose up` does: the old one ends first.
    pub async fn replace_turning(&mut self) {
        let old = &mut self.turning;
        self.engine.signal(&old.container, 15);
        old.process.signal("TERM");
        old.process.end(DRAIN_MAX).await;
        self.engine.end(&old.container);
        self.engine.remove(&old.container);
        self.made += 1;
        let address = app_address();
        let process = serve(&self.folder, address, "http").await;
        let new = container(&format!("turning-{}", self.made), address);
        let new = new.label("gangway.host", TURNING).label("gangway.tls", "internal");
        self.turning = App { container: self.engine.run(new), address, process };
        self.gangway.served_within(PATIENCE, TURNING, "/").await;
    }

    /// Kills the app of [`CRASHING`] and starts it again in the same container.
    pub async fn crash(&mut self) {
        let app = &mut self.crashing;
        app.process.signal("KILL");
        app.process.end(PATIENCE).await;
        self.engine.end(&app.container);
        app.process = serve(&self.folder, app.address, "http").await;
        self.engine.start(&app.container);
        self.gangway.served_within(PATIENCE, CRASHING, "/").await;
    }

    /// Makes a container with a route and removes it again: two tables.
    pub async fn swap_tables(&mut self) {
        self.made += 1;
        let host = format!("passing-{}.test", self.made);
        let passing = container(&format!("passing-{}", self.made), self.turning.address);
        let id = self.engine.run(passing.label("gangway.host", &host).label("gangway.tls", "off"));
        self.gangway.answers_within(PATIENCE, &host, 200).await;
        self.engine.stop(&id);
        self.engine.remove(&id);
    }

    /// Lets the engine hang for a while.
    pub async fn freeze_engine(&self, span: Duration) {
        self.engine.freeze();
        lasts(span).await;
        self.engine.revive();
    }

    /// Ends the engine and starts it again after a while.
    pub async fn kill_engine(&self, span: Duration) {
        self.engine.die();
        lasts(span).await;
        self.engine.revive();
    }
}

fn container(name: &str, address: SocketAddr) -> Container {
    Container::new(name)
        .service("soak", name.split('-').next().unwrap_or(name))
        .exposes(&[address.port()])
        .address(address.ip())
}

/// An address for an app. No connection has it as its own end, so the port is still free when the app listens, and when it
/// listens again after a crash.
fn app_address() -> SocketAddr {
    let held = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a loopback port is free");
    held.local_addr().expect("a bound listener has an address")
}

/// Starts an app and waits until it listens.
async fn serve(folder: &TempDir, address: SocketAddr, scheme: &str) -> Process {
    let mut command = Command::new(artifact("app"));
    let listener = if scheme == "https" { "--tls" } else { "--http" };
    command.args([listener, &address.to_string(), "--on-term", "drain"]);
    let process = block_in_place(|| Process::start(&mut command, &folder.path().join("apps.log")));
    eventually("the app listens", STUCK, async || TcpStream::connect(address).await.ok().map(drop)).await;
    process
}
