//! What becomes of requests where descriptors, memory or a reader of the log are wanting.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Speaks, Stream};
use gangway_testkit::engine::{Container, Engine, Flavour};
use gangway_testkit::fault::Fault;
use gangway_testkit::wait::eventually;
use gangway_tests::engines::played;
use gangway_tests::figures::millis;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::load::{keep_asking, together};
use gangway_tests::process::cpu_seconds;
use gangway_tests::{STUCK, run};
use tokio::time::Instant;

fn container(name: &str, app: std::net::SocketAddr) -> Container {
    Container::new(name)
        .label("gangway.host", &format!("{name}.test"))
        .label("gangway.port", &app.port().to_string())
        .address(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Clients that connect and say nothing, from addresses of their own.
async fn silent(gangway: &Gangway, count: usize) -> Vec<Stream> {
    let clients = (0..count).map(|number| {
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 50, u8::try_from(number / 200 + 1).expect("few")));
        let client = gangway.plain().leaving_from(from);
        tokio::spawn(async move { client.stream("calm.test").await })
    });
    let mut open = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        open.extend(client.await.expect("no panic").ok());
    }
    open
}

#[test]
fn with_all_descriptors_taken_those_inside_are_served_and_the_engine_is_followed() {
    const FILES: u32 = 256;
    run(async {
        let mut fault = Fault::begin(
            25,
            "1000 clients at 256 descriptors",
            "those inside served, the engine followed, accepting takes < 30 % of a CPU, all served once they leave",
        );
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(Flavour::Docker2020);
        let url = played(&engine, folder.path());
        let (address, _) = app::spawn(App::new("calm")).await.unwrap();
        engine.add(container("calm", address));
        let gangway = Options::docker(&url).open_files(FILES).start().await;
        gangway.served("calm.test", "/").await;
        let mut kept = gangway.secure().speaking(Speaks::H2).connect("calm.test").await.unwrap();
        assert_eq!(kept.get("/").await.unwrap().status, 200);

        let crowd = silent(&gangway, 1000).await;
        eventually("every place is taken", STUCK, async || {
            let metrics = gangway.admin("/metrics").await.ok()?.text();
            let open = metrics.lines().filter(|line| line.starts_with("gangway_connections{"));
            let open: f64 = open.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
            // Each listener waits with a place for the next one.
            (open >= f64::from(FILES / 5 * 4 - 4)).then_some(())
        })
        .await;
        let (cpu, began) = (cpu_seconds(gangway.process.id()), Instant::now());
        let mut answered = 0;
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while began.elapsed() < Duration::from_secs(2) {
            assert_eq!(kept.get("/").await.expect("it was there before").status, 200);
            answered += 1;
            tick.tick().await;
        }
        let busy = (cpu_seconds(gangway.process.id()) - cpu) / began.elapsed().as_secs_f64();
        engine.add(container("late", address));
        eventually("a container that started meanwhile has its route", STUCK, async || {
            gangway.api("routes").await.to_string().contains("late.test").then_some(())
        })
        .await;
        drop(crowd);
        let left = Instant::now();
        gangway.served("calm.test", "/").await;
        fault.saw(format!(
            "{answered} answered inside, {:.0} % of a CPU, the next client served after {}",
            busy * 100.0,
            millis(left.elapsed())
        ));
        assert!(busy < 0.3, "accepting in vain: {busy}");
        fault.withstood();
    });
}

#[test]
fn nobody_who_reads_the_log_holds_a_request_up() {
    run(async {
        let mut fault = Fault::begin(27, "nobody reads the log", "0 lost; the lines that are dropped are counted");
        let (address, _) = app::spawn(App::new("calm")).await.unwrap();
        let route = "[routes.calm]\nhost = \"calm.test\"\nhttps-redirect = false";
        let config = format!("{route}\nupstream = \"http://{address}\"\n");
        let options = Options::docker("none").config(&config).flag("--access-log", "-").flag("--log-level", "debug");
        let gangway = options.unread_output().start().await;
        gangway.served("calm.test", "/").await;
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = (0..8).map(|_| keep_asking(&gangway.plain(), "calm.test", "/", &stop)).collect();
        let dropped = eventually("lines are dropped", STUCK, async || {
            let metrics = gangway.admin("/metrics").await.ok()?.text();
            let line = metrics.lines().find(|line| line.starts_with("gangway_access_log_dropped_total"))?;
            line.rsplit_once(' ')?.1.parse::<f64>().ok().filter(|dropped| *dropped > 1000.0)
        })
        .await;
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(load).await;
        fault.saw(format!("{good} answered, {} lost, {dropped} lines dropped", bad.len()));
        assert!(bad.is_empty(), "{:?}", bad.first());
        fault.withstood();
    });
}
