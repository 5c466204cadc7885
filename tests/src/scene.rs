//! Scenes under load: containers that come and go, and others beside them.

use std::time::Duration;

use gangway_testkit::client::Client;
use gangway_testkit::fault::Fault;
use gangway_testkit::wait::eventually;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::STUCK;
use crate::calm::Calm;
use crate::docker::{APP, Compose, Container, Docker};
use crate::gangway::{Gangway, Options};
use crate::load::Load;

/// How often each thing is done; `FAULT_TURNS` says how often instead, as `make faults` does.
pub fn turns() -> usize {
    crate::turns(2)
}

/// Whether there is time for all that the list of faults asks for.
pub fn is_thorough() -> bool {
    turns() > 2
}

/// What the list of faults asks for, or as much of it as every run of the tests has time for.
pub fn lasting(thorough: Duration, quick: Duration) -> Duration {
    if is_thorough() { thorough } else { quick }
}

/// Waits; for what lasts as long as it lasts, such as a fault.
pub async fn lasts(span: Duration) {
    let begun = Instant::now();
    eventually("it has lasted", span + STUCK, async || (begun.elapsed() >= span).then_some(())).await;
}

/// A replica that takes its time to listen, and lets requests under way end before it does.
pub fn replica(docker: &Docker, project: &str, host: &str, name: &str, delay: Duration) -> Container {
    let delay = delay.as_millis().to_string();
    block_in_place(|| {
        docker
            .app(name)
            .service(project, "web")
            .label("gangway.host", host)
            .arguments(["--on-term", "drain", "--start-delay", &delay])
            .start()
    })
}

/// A command of the engine that may take its time.
pub fn command(docker: &Docker, words: &[&str]) -> String {
    block_in_place(|| docker.command(words.iter().copied()))
}

/// Waits until a container listens, asked past Gangway; when that was.
pub async fn listens(docker: &Docker, container: &Container) -> Instant {
    let format = "{{.NetworkSettings.IPAddress}}";
    let address = command(docker, &["inspect", "-f", format, &container.name]);
    let itself = Client::plain(format!("{address}:8080").parse().expect("an address"));
    eventually("it listens", STUCK, async || itself.get("x", "/").await.ok().map(|_| Instant::now())).await
}

/// Another app, whose connections must not be disturbed.
pub async fn neighbour(docker: &Docker, gangway: &Gangway) -> Calm {
    let host = docker.name("calm.test");
    block_in_place(|| docker.app("calm").label("gangway.host", &host).start());
    gangway.served(&host, "/").await;
    Calm::begin(&gangway.secure(), &host).await
}

/// An app that stays, its clients, and a neighbour's WebSockets and streams: what must not notice anything.
#[derive(Debug)]
pub struct UnderLoad {
    /// The instance that serves them.
    pub gangway: Gangway,
    calm: Calm,
    load: Load,
}

impl UnderLoad {
    /// Begins with containers of this engine, read at this address.
    pub async fn begin(docker: &Docker, url: &str) -> Self {
        let gangway = Options::docker(url).start().await;
        let host = docker.name("steady.test");
        replica(docker, "steady", &host, "steady", Duration::ZERO);
        gangway.served(&host, "/").await;
        let calm = neighbour(docker, &gangway).await;
        let load = Load::begin(&gangway, &host);
        Self { gangway, calm, load }
    }

    /// Ends the load and says of the fault what became of it; the instance, to be asked more.
    ///
    /// # Panics
    ///
    /// Where a request was lost, or a connection that lasts was disturbed.
    pub async fn end(self, fault: &mut Fault) -> Gangway {
        let outcome = self.load.end().await;
        fault.saw(outcome.told());
        outcome.is_whole();
        self.calm.is_undisturbed().await;
        self.gangway
    }
}

/// A compose project with one service, `web`, of one container with a health check, as its users write it;
/// it takes this long to become healthy.
pub fn shop(docker: &Docker, host: &str, delay: Duration) -> Compose {
    let (run, delay) = (docker.label(), delay.as_millis());
    let shop = docker.compose_of(
        "shop",
        &format!(
            r#"version: "2.4"
services:
  web:
    image: {APP}
    command: ["--name", "web", "--start-delay", "{delay}", "--on-term", "drain", "--drain-max", "500"]
    healthcheck: {{ test: [CMD, /app, hc], interval: 200ms, timeout: 5s, retries: 1, start_period: 60s }}
    labels: ["{run}", "gangway.host={host}"]
networks:
  default:
    labels: ["{run}"]
"#
        ),
    );
    block_in_place(|| shop.command(["up", "-d"]));
    shop
}
