//! What the others lose where one container is recreated: the same scene, by turns, in one run.

use std::time::Duration;

use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use gangway_tests::STUCK;
use gangway_tests::calm::Calm;
use gangway_tests::docker::{Compose, Docker};
use gangway_tests::engine_events::EngineEvents;
use gangway_tests::figures::{figure, millis};
use gangway_tests::gangway::Options;
use gangway_tests::load::{Load, Outcome};
use gangway_tests::peers::{Kind, Peer, Site};
use gangway_tests::run;
use gangway_tests::scene::{is_thorough, lasting, shop};
use tokio::task::block_in_place;

/// One of those that are compared, and what its clients saw.
struct Compared {
    name: &'static str,
    client: Client,
    calm: Calm,
    saw: Outcome,
    peer: Option<Peer>,
}

impl Compared {
    async fn new(name: &'static str, client: Client, calm: &str, peer: Option<Peer>) -> Self {
        let calm = Calm::begin(&client, calm).await;
        Self { name, client, calm, saw: Outcome::default(), peer }
    }

    /// Recreates the one container while this one's clients ask for it.
    async fn recreated(&mut self, shop: &Compose, host: &str) {
        let load = Load::through(&self.client, host);
        block_in_place(|| shop.command(["up", "-d", "--force-recreate"]));
        eventually("it is served again", STUCK, async || {
            self.client.get(host, "/").await.ok().filter(|answer| answer.status == 200).map(drop)
        })
        .await;
        self.saw.join(load.end().await);
    }
}

#[test]
fn what_others_lose_where_one_container_is_recreated() {
    run(async {
        let docker = Docker::shared();
        let (host, calm) = (docker.name("compared.test"), docker.name("calm.test"));
        let shop = shop(&docker, &host, lasting(Duration::from_secs(3), Duration::from_millis(700)));
        block_in_place(|| docker.app("calm").label("gangway.host", &calm).start());
        let gangway = Options::docker(&docker.url()).start().await;
        gangway.served(&host, "/").await;
        gangway.served(&calm, "/").await;
        let service = format!("com.docker.compose.project={}", shop.project());
        let sites = [
            Site { host: host.clone(), label: service },
            Site { host: calm.clone(), label: format!("gangway.host={calm}") },
        ];
        let mut all = vec![Compared::new("Gangway", gangway.secure(), &calm, None).await];
        let patient = Kind::Caddy { try_for: Duration::from_secs(10) };
        for (name, kind) in [
            ("nginx, reloaded", Kind::Nginx),
            ("Caddy, by its API", Kind::Caddy { try_for: Duration::ZERO }),
            ("Caddy, by its API, with lb_try_duration 10s", patient),
        ] {
            let peer = Peer::start(kind, &docker.url(), &docker.label(), &sites).await;
            all.push(Compared::new(name, peer.client(), &calm, Some(peer)).await);
        }
        let turns = if is_thorough() { 5 } else { 1 };
        let events = EngineEvents::of_project(&docker.url(), shop.project());
        for _ in 0..turns {
            for one in &mut all {
                one.recreated(&shop, &host).await;
            }
        }
        let longest = events.gaps().into_iter().max().unwrap_or_default();
        figure(format!("one replica recreated {turns} times each, by turns; longest gap {}:", millis(longest)));
        for one in all {
            let cut = one.calm.disturbed().await.len();
            let crashes = one.peer.as_ref().map_or(0, Peer::crashes);
            let crashed = if crashes > 0 { format!("; it crashed {crashes} times") } else { String::new() };
            let (name, told) = (one.name, one.saw.told());
            figure(format!("  {name}: {told}; {cut} of a neighbour's 25 WebSockets and streams cut{crashed}"));
            match one.peer {
                None => one.saw.is_whole(),
                Some(_) => assert!(one.saw.answered > 0, "{name} was not set up as it should be: {told}"),
            }
        }
    });
}
