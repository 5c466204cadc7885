//! The engine dies, falls silent, restarts behind a mounted socket: nothing that worked is lost meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gangway_testkit::fault::Fault;
use gangway_testkit::wait::eventually;
use gangway_tests::docker::Docker;
use gangway_tests::engines::OwnDocker;
use gangway_tests::figures::millis;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::process::{outcome, output};
use gangway_tests::scene::{UnderLoad, command, lasting, lasts, replica};
use gangway_tests::{STUCK, run};
use serde_json::Value;
use tokio::time::Instant;

/// The names of the containers that run, as the instance has read them.
async fn read(gangway: &Gangway) -> BTreeSet<String> {
    let all = gangway.api("containers").await;
    let running =
        all["containers"].as_array().into_iter().flatten().filter(|container| container["state"] == "running");
    running.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
}

/// Waits until the engine knows who is gone, and the instance has read what the engine says; how long after
/// `since` that was.
async fn equal(docker: &Docker, gangway: &Gangway, gone: &Doomed, since: Instant) -> Duration {
    eventually("what was read is what there is", STUCK, async || {
        let running: BTreeSet<_> =
            command(docker, &["ps", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
        let is_known = !running.contains(&gone.name);
        (is_known && read(gangway).await == running).then(|| since.elapsed())
    })
    .await
}

/// Why an engine cannot be read, as soon as it cannot be.
async fn troubled(gangway: &Gangway) -> String {
    eventually("the engine's trouble is told", STUCK, async || trouble(&gangway.api("status").await)).await
}

fn trouble(status: &Value) -> Option<String> {
    status["engines"].as_array()?.iter().find_map(|engine| Some(engine["trouble"].as_str()?.to_owned()))
}

/// A container that ends while nobody can say so.
struct Doomed {
    name: String,
    process: String,
}

impl Doomed {
    fn start(docker: &Docker) -> Self {
        let name = replica(docker, "doomed", &docker.name("doomed.test"), "doomed", Duration::ZERO).name;
        let process = command(docker, &["inspect", "-f", "{{.State.Pid}}", &name]);
        Self { name, process }
    }

    fn end(&self) {
        output("kill", ["-KILL", &self.process]);
    }
}

/// Ends the load; one loss is not a flood of warnings.
async fn end(scene: UnderLoad, fault: &mut Fault) {
    let gangway = scene.end(fault).await;
    let log = gangway.process.log();
    let warnings = log.lines().filter(|line| line.contains("WARN") && line.contains("engine")).count();
    fault.saw(format!("{warnings} warnings"));
    assert!(warnings <= 3, "{warnings} warnings about one loss");
}

#[test]
fn a_killed_engine_costs_no_request_and_is_followed_again() {
    run(async {
        let mut fault = Fault::begin(
            1,
            "engine killed, away, started again",
            "0 lost; state equal <= 3 s after it answers; <= 3 warnings",
        );
        let mut engine = OwnDocker::start(81).await;
        let docker = engine.docker();
        let doomed = Doomed::start(&docker);
        let scene = UnderLoad::begin(&docker, &docker.url()).await;
        engine.kill();
        troubled(&scene.gangway).await;
        doomed.end();
        lasts(lasting(Duration::from_secs(20), Duration::from_secs(2))).await;
        assert_eq!(scene.gangway.admin("/readyz").await.unwrap().status, 200, "what worked keeps working");
        engine.start_again().await;
        let back = equal(&docker, &scene.gangway, &doomed, Instant::now()).await;
        fault.saw(format!("state equal {} after it answered", millis(back)));
        assert!(back <= Duration::from_secs(3), "{back:?}");
        end(scene, &mut fault).await;
        fault.withstood();
    });
}

#[test]
fn a_silent_engine_costs_no_request_and_is_caught_up_with() {
    run(async {
        let silence = lasting(Duration::from_secs(60), Duration::from_secs(15));
        let mut fault = Fault::begin(
            3,
            "engine stopped by SIGSTOP",
            "noticed <= 20 s; 0 lost; state equal <= 3 s after it answers",
        );
        let engine = OwnDocker::start(82).await;
        let docker = engine.docker();
        let doomed = Doomed::start(&docker);
        let scene = UnderLoad::begin(&docker, &docker.url()).await;
        engine.process().signal("STOP");
        let begun = Instant::now();
        doomed.end();
        troubled(&scene.gangway).await;
        let noticed = begun.elapsed();
        fault.saw(format!("noticed after {}", millis(noticed)));
        assert!(noticed <= Duration::from_secs(20), "{noticed:?}");
        lasts(silence.saturating_sub(noticed)).await;
        engine.process().signal("CONT");
        command(&docker, &["version"]);
        let back = equal(&docker, &scene.gangway, &doomed, Instant::now()).await;
        fault.saw(format!("silent for {silence:?}, state equal {} after it answered", millis(back)));
        assert!(back <= Duration::from_secs(3), "{back:?}");
        end(scene, &mut fault).await;
        fault.withstood();
    });
}

/// Something shown at another place; dropped, it is so no longer.
struct Mount(PathBuf);

impl Mount {
    fn of(what: &Path, at: &Path) -> Self {
        output("mount", [Path::new("--bind"), what, at]);
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = outcome(Command::new("umount").arg("-l").arg(&self.0));
    }
}

#[test]
fn a_socket_that_is_mounted_as_a_file_dies_with_its_engine_and_is_named() {
    run(async {
        let mut fault = Fault::begin(
            2,
            "engine restarted politely; its socket is mounted as a file, and as a folder",
            "file: named in log and health degraded <= 15 s, 0 lost; folder: state equal <= 3 s",
        );
        let mut engine = OwnDocker::start(83).await;
        let places = tempfile::tempdir().unwrap();
        let (file, folder) = (places.path().join("docker.sock"), places.path().join("run"));
        std::fs::File::create(&file).unwrap();
        std::fs::create_dir(&folder).unwrap();
        let _file = Mount::of(&engine.socket(), &file);
        let _folder = Mount::of(engine.socket().parent().unwrap(), &folder);
        let at_folder = Options::docker(&format!("unix://{}", folder.join("docker.sock").display())).start().await;
        let docker = engine.docker();
        let doomed = Doomed::start(&docker);
        let scene = UnderLoad::begin(&docker, &format!("unix://{}", file.display())).await;

        engine.stop();
        doomed.end();
        let begun = Instant::now();
        let told = eventually("the dead mount is named and health is degraded", STUCK, async || {
            let health = scene.gangway.admin("/healthz").await.ok()?.text();
            let is_named = scene.gangway.process.log().contains("mounted as a single file")
                || scene.gangway.process.log().contains("the mount of the socket is dead");
            (health.starts_with("degraded") && is_named).then(|| begun.elapsed())
        })
        .await;
        fault.saw(format!("file: named after {}", millis(told)));
        assert!(told <= Duration::from_secs(15), "{told:?}");
        engine.start_again().await;
        let back = equal(&docker, &at_folder, &doomed, Instant::now()).await;
        fault.saw(format!("folder: state equal {} after the engine answered", millis(back)));
        assert!(back <= Duration::from_secs(3), "{back:?}");
        eventually("health is well again", STUCK, async || {
            at_folder.admin("/healthz").await.ok().filter(|answer| answer.text() == "alive\n").map(drop)
        })
        .await;
        let trouble = troubled(&scene.gangway).await;
        assert!(trouble.contains("mount"), "{trouble}");
        end(scene, &mut fault).await;
        fault.withstood();
    });
}
