//! Containers that come and go all the time, beside others that stay and notice nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gangway_testkit::fault::Fault;
use gangway_testkit::relay::tell;
use gangway_testkit::wait::eventually;
use gangway_tests::docker::{APP, Docker, SOCKET};
use gangway_tests::engine_events::EngineEvents;
use gangway_tests::figures::{millis, quantile};
use gangway_tests::gangway::Gangway;
use gangway_tests::process::{outcome, output};
use gangway_tests::scene::{UnderLoad, command, is_thorough, lasting, lasts, replica};
use gangway_tests::{STUCK, run};
use serde_json::{Value, json};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::Instant;

/// Memory and open files of an instance, from time to time.
#[derive(Debug, Default)]
struct Watch {
    kib: Vec<u64>,
    files: Vec<usize>,
}

impl Watch {
    /// Looks ten times in this while, after a fifth of it in which pools and caches fill.
    async fn during(gangway: &Gangway, span: Duration) -> Self {
        let mut watch = Self::default();
        lasts(span / 5).await;
        for _ in 0..10 {
            lasts(span * 4 / 50).await;
            watch.kib.push(gangway.process.resident_kib());
            watch.files.push(gangway.process.open_files());
        }
        watch
    }

    /// By how much the second half needs more than the first, in KiB: noise of single moments is none.
    fn growth_kib(&self) -> i64 {
        let middle = |half: &[u64]| {
            let mut half = half.to_vec();
            half.sort_unstable();
            i64::try_from(half[half.len() / 2]).unwrap_or(i64::MAX)
        };
        let (first, second) = self.kib.split_at(self.kib.len() / 2);
        middle(second) - middle(first)
    }

    fn told(&self) -> String {
        let (kib, files) = (&self.kib, &self.files);
        format!(
            "memory {} to {} MiB (second half {:+} KiB), {} to {} files open",
            kib.iter().min().unwrap_or(&0) / 1024,
            kib.iter().max().unwrap_or(&0) / 1024,
            self.growth_kib(),
            files.iter().min().unwrap_or(&0),
            files.iter().max().unwrap_or(&0)
        )
    }
}

/// How often each container is named in the log.
fn lines_by_container(gangway: &Gangway, containers: &[String]) -> BTreeMap<String, usize> {
    let log = gangway.process.log();
    containers
        .iter()
        .map(|name| {
            // Not those about another one whose name begins alike.
            let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
            let names = |line: &&str| line.match_indices(name.as_str()).any(|(at, _)| ends(&line[at + name.len()..]));
            (name.clone(), log.lines().filter(names).count())
        })
        .collect()
}

#[test]
fn a_crash_loop_disturbs_nobody_else() {
    run(async {
        let mut fault = Fault::begin(
            7,
            "20 containers in a crash loop beside it",
            "0 lost, 0 WebSockets closed, memory flat (+-5 MiB), <= 1 line of log per container and minute, beside the \
             one that says that it is served",
        );
        let span = lasting(Duration::from_secs(120), Duration::from_secs(20));
        let docker = Docker::shared();
        let label = format!("testkit.loop={}", docker.name("loop"));
        let events = EngineEvents::of(&docker.url(), &label);
        let looping: Vec<String> = (0..20).map(|number| docker.name(&format!("loop-{number}"))).collect();
        for number in 0..looping.len() {
            let app = docker.app(&format!("loop-{number}")).options(["--restart", "always", "--label", &label]);
            // It ends at once, because its command does not exist.
            let app = app.label("gangway.host", &docker.name(&format!("loop-{number}.test")));
            block_in_place(|| app.arguments(["--on-term", "fail"]).start());
        }
        let begun = Instant::now();
        let scene = UnderLoad::begin(&docker, &docker.url()).await;
        let stop = Arc::new(AtomicBool::new(false));
        let kicking = spawn_blocking({
            let (url, looping, stop) = (docker.url(), looping.clone(), Arc::clone(&stop));
            move || kick(&url, &looping, &stop)
        });
        let watch = Watch::during(&scene.gangway, span).await;
        stop.store(true, Ordering::SeqCst);
        kicking.await.unwrap();
        let starts = events.heard().iter().filter(|event| event.action == "start").count();
        let lines = lines_by_container(&scene.gangway, &looping);
        // All of its time, which on a busy machine is longer than the span.
        let minutes = usize::try_from(begun.elapsed().as_secs().div_ceil(60)).unwrap();
        let most = lines.values().max().copied().unwrap_or_default();
        fault.saw(format!("{} s, {starts} starts", span.as_secs()));
        fault.saw(watch.told());
        fault.saw(format!("at most {most} lines of log about one in {minutes} minutes begun"));
        scene.end(&mut fault).await;
        assert!(watch.growth_kib() <= 5 * 1024, "{watch:?}");
        assert!(most <= minutes + 1, "{lines:?}");
        fault.withstood();
    });
}

/// Starts them anew, one after the other, all the time: the engine itself waits ever longer before it does.
fn kick(url: &str, containers: &[String], stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        for name in containers.iter().take_while(|_| !stop.load(Ordering::SeqCst)) {
            let _ = outcome(std::process::Command::new("docker").args(["--host", url, "restart", "-t", "0", name]));
        }
    }
}

#[test]
fn a_storm_of_events_delays_nobody() {
    run(async {
        let mut fault = Fault::begin(
            6,
            "storm of `create`, `rename` and `destroy` on a real engine",
            "0 lost; a start meanwhile is served <= 2 s after it; <= 4 listings a second; memory +< 50 MiB",
        );
        let span = lasting(Duration::from_secs(30), Duration::from_secs(8));
        let docker = Docker::shared();
        let scene = UnderLoad::begin(&docker, &docker.url()).await;
        let before = (scene.gangway.process.resident_kib(), reads(&scene.gangway).await);
        let (stop, events) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let storms: Vec<_> = (0..4)
            .map(|number| {
                let (name, run) =
                    (docker.name(&format!("storm-{number}")), docker.name("").trim_end_matches('-').to_owned());
                tokio::spawn(storm(name, run, Arc::clone(&stop), Arc::clone(&events)))
            })
            .collect();
        let begun = Instant::now();
        let mut served = Vec::new();
        for number in 0.. {
            if begun.elapsed() >= span {
                break;
            }
            let late = docker.name(&format!("late-{number}.test"));
            let app = replica(&docker, &late, &late, &format!("late-{number}"), Duration::ZERO);
            let started = Instant::now();
            scene.gangway.served(&late, "/").await;
            served.push(started.elapsed());
            command(&docker, &["rm", "-f", &app.name]);
        }
        stop.store(true, Ordering::SeqCst);
        for one in storms {
            one.await.unwrap();
        }
        let took = begun.elapsed();
        let listings = reads(&scene.gangway).await - before.1;
        let grown = scene.gangway.process.resident_kib().saturating_sub(before.0) / 1024;
        let slowest = quantile(&served, 1.0);
        fault.saw(format!(
            "{} events beside {} starts in {:.0} s; a start served after {} at most; {listings} listings; +{grown} MiB",
            events.load(Ordering::SeqCst),
            served.len(),
            took.as_secs_f64(),
            millis(slowest),
        ));
        scene.end(&mut fault).await;
        assert!(slowest <= Duration::from_secs(2), "{served:?}");
        assert!(grown < 50, "{grown} MiB");
        assert!(listings <= 4 * took.as_secs() + 4, "{listings} in {took:?}");
        fault.withstood();
    });
}

async fn reads(gangway: &Gangway) -> u64 {
    gangway.api("status").await["engines"][0]["reads"].as_u64().unwrap_or_default()
}

/// Makes, renames and removes containers that never run, by the engine's API, until told to stop.
async fn storm(name: String, run: String, stop: Arc<AtomicBool>, events: Arc<AtomicUsize>) {
    let socket = Path::new(SOCKET);
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (one, other) = (format!("{name}-{number}"), format!("{name}-{number}-b"));
        let labels = json!({ "testkit.run": run, "gangway.host": format!("{one}.test") });
        let made = json!({ "Image": APP, "Labels": labels }).to_string();
        for (method, path, body) in [
            ("POST", format!("/containers/create?name={one}"), &*made),
            ("POST", format!("/containers/{one}/rename?name={other}"), ""),
            ("DELETE", format!("/containers/{other}"), ""),
        ] {
            let (status, said) = tell(socket, method, &path, body).await.expect("the engine answers");
            assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
            events.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn churn_for_long_leaves_no_trace() {
    run(async {
        let mut fault = Fault::begin(
            29,
            "soak: a container comes and one goes all the time (3 minutes, 24 h in the list)",
            "0 lost, memory flat (+-5 MiB between its halves), files flat",
        );
        let span = lasting(Duration::from_secs(180), Duration::from_secs(10));
        let docker = Docker::shared();
        let churned = docker.name("churn");
        let scene = UnderLoad::begin(&docker, &docker.url()).await;
        let stop = Arc::new(AtomicBool::new(false));
        let churning = spawn_blocking({
            let (url, label, name, stop) = (docker.url(), docker.label(), churned.clone(), Arc::clone(&stop));
            move || churn(&url, &label, &name, &stop)
        });
        let watch = Watch::during(&scene.gangway, span).await;
        stop.store(true, Ordering::SeqCst);
        let came = churning.await.unwrap();
        fault.saw(format!("{} s, {came} containers came and went", span.as_secs()));
        fault.saw(watch.told());
        let gangway = scene.end(&mut fault).await;
        if is_thorough() {
            assert!(watch.growth_kib() <= 5 * 1024, "{watch:?}");
        }
        let (least, most) = (watch.files.iter().min().unwrap(), watch.files.iter().max().unwrap());
        assert!(most - least <= 40, "{watch:?}");
        eventually("what went is gone", STUCK, async || {
            let routes = gangway.api("routes").await;
            let stays = |route: &Value| route["id"].as_str().is_some_and(|id| id.contains(&churned));
            (!routes["routes"].as_array()?.iter().any(stays)).then_some(())
        })
        .await;
        fault.withstood();
    });
}

/// Runs a container after another, and removes each; how many.
fn churn(url: &str, label: &str, name: &str, stop: &AtomicBool) -> usize {
    let mut came = 0;
    while !stop.load(Ordering::SeqCst) {
        let name = format!("{name}-{came}");
        let labels = [label.to_owned(), format!("gangway.host={name}.test"), "gangway.hold=1s".to_owned()];
        let mut words = vec!["--host", url, "run", "-d", "--name", &name];
        words.extend(labels.iter().flat_map(|label| ["--label", label]));
        words.push(APP);
        output("docker", words);
        output("docker", ["--host", url, "rm", "-f", &name]);
        came += 1;
    }
    came
}
