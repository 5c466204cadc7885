//! The files under `deploy/`, used as they are: the image, the three compose files, the guarded socket.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::pebble::certify_api;
use gangway_testkit::relay::{Relay, promised};
use gangway_testkit::wait::eventually;
use gangway_tests::docker::{Compose, Docker, SOCKET};
use gangway_tests::figures::figure;
use gangway_tests::gangway::replace_file;
use gangway_tests::load::{keep_asking, together};
use gangway_tests::process::outcome;
use gangway_tests::{STUCK, run};

/// Waits until the host is served with the root that the container prints.
async fn served(compose: &Compose, host: &str, http: SocketAddr, https: SocketAddr) {
    eventually(&format!("https://{host}/ is served"), STUCK, async || {
        let root = compose.command(["exec", "-T", "gangway", "/gangway", "ca"]);
        let client = Client::tls(https, &root).ok()?;
        client.get(host, "/").await.ok().filter(|answer| answer.status == 200).map(drop)
    })
    .await;
    let plain = Client::plain(http).get(host, "/").await.expect("plain HTTP answers");
    assert_eq!(plain.status, 308);
}

/// The same at the ports that the compose file publishes.
async fn published(compose: &Compose, host: &str) {
    served(compose, host, compose.address("gangway", 80), compose.address("gangway", 443)).await;
}

async fn healthy(docker: &Docker, compose: &Compose) {
    let id = compose.container("gangway");
    eventually("the image's own health check passes", Duration::from_secs(60), async || {
        (docker.command(["inspect", "-f", "{{.State.Health.Status}}", &id]) == "healthy").then_some(())
    })
    .await;
}

/// People read the port that the engine gave, which the container itself does not know.
async fn told_with_the_published_port(compose: &Compose, host: &str) {
    let url = format!("https://{host}:{}", compose.address("gangway", 443).port());
    eventually(&format!("the log says `serving {url}`"), STUCK, async || {
        compose.command(["logs", "--no-color", "gangway"]).contains(&format!("serving {url} →")).then_some(())
    })
    .await;
    let asked = format!("http://{host}/a?b");
    let said = compose.command(["exec", "-T", "gangway", "/gangway", "explain", &asked]);
    assert!(said.contains(&format!("308: redirected to {url}/a?b\n")), "{said}");
    let log = compose.command(["logs", "--no-color", "gangway"]);
    assert!(!log.contains(&format!("serving https://{host} ")), "a port that nobody reaches was told before: {log}");
}

/// What people type to see what there is, in the container that serves.
fn typing_our_name_inside_is_harmless(docker: &Docker, id: &str) {
    let help = docker.command(["exec", id, "/gangway"]);
    assert!(help.contains("Usage: gangway"), "{help}");
    assert!(docker.command(["exec", id, "gangway", "routes"]).contains("ready"), "it is where it is looked for");
    let second = outcome(Command::new("docker").args(["exec", id, "gangway", "serve"]));
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("[::]:80") && said.contains("(process 1)") && said.contains("--take-over"), "{said}");
}

/// Two ports of loopback below 1024, where only a capability lets a process listen.
fn low_ports() -> [SocketAddr; 2] {
    let free = (81..1024)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .filter(|address| TcpListener::bind(address).is_ok());
    let free: Vec<_> = free.take(2).collect();
    [free[0], free[1]]
}

#[test]
fn the_plain_compose_file_serves_without_any_privilege() {
    run(async {
        let docker = Docker::shared();
        let compose = docker.compose("deploy");
        compose.command(["up", "-d"]);
        let host = docker.name("plain.test");
        docker.app("plain").options(["--network", &compose.network()]).label("gangway.host", &host).start();
        published(&compose, &host).await;
        told_with_the_published_port(&compose, &host).await;
        healthy(&docker, &compose).await;
        let id = compose.container("gangway");
        typing_our_name_inside_is_harmless(&docker, &id);
        published(&compose, &host).await;
        let facts = docker.command([
            "inspect",
            "-f",
            "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Privileged}}",
            &id,
        ]);
        assert_eq!(facts, "true [ALL] [no-new-privileges:true] false");
        // What was made on the volume survives a new container: browsers that trust the root keep trusting.
        let before = compose.command(["exec", "-T", "gangway", "/gangway", "ca"]);
        compose.command(["up", "-d", "--force-recreate"]);
        published(&compose, &host).await;
        assert_eq!(compose.command(["exec", "-T", "gangway", "/gangway", "ca"]), before);
        docker.clear();
    });
}

/// A folder of a plain user with these rights, as `mkdir` leaves it.
fn folder_of_a_user(path: &std::path::Path, mode: &str) {
    std::fs::create_dir(path).expect("a folder of ours");
    for (program, how) in [("chmod", mode), ("chown", "1000:1000")] {
        assert!(outcome(Command::new(program).arg(how).arg(path)).status.success());
    }
}

#[test]
fn a_folder_of_another_user_does_as_well_as_a_volume_with_a_name() {
    run(async {
        let docker = Docker::shared();
        let compose = docker.compose("deploy");
        let file = compose.folder().join("compose.yaml");
        let original = std::fs::read_to_string(&file).unwrap();
        let mounted = original.replace("- data:/data", "- ./data:/data");
        assert_ne!(original, mounted);
        replace_file(&file, &mounted);
        let data = compose.folder().join("data");
        folder_of_a_user(&data, "0755");
        // Keys that nobody but their owner may read.
        let host = docker.name("bind.test");
        folder_of_a_user(&data.join("certs"), "0700");
        let pair = tempfile::tempdir().unwrap();
        certify_api(pair.path());
        for (name, from) in [("own.crt", "api.pem"), ("own.key", "api.key")] {
            std::fs::copy(pair.path().join(from), data.join("certs").join(name)).unwrap();
            for (program, how) in [("chmod", "0600"), ("chown", "1000:1000")] {
                assert!(outcome(Command::new(program).arg(how).arg(data.join("certs").join(name))).status.success());
            }
        }
        compose.command(["up", "-d"]);
        let app = docker.app("bind").options(["--network", &compose.network()]).label("gangway.host", &host).start();
        published(&compose, &host).await;
        eventually("the key is taken up", STUCK, async || {
            compose.command(["logs", "--no-color", "gangway"]).contains("took up a certificate").then_some(())
        })
        .await;
        assert!(data.join("ca/root.crt").exists(), "it is kept there");
        // The network goes with the last that is attached to it.
        docker.command(["rm", "-f", &app.name]);
        compose.command(["down"]);

        // Without the capability, or with a read-only mount, the message names the line to write.
        let hardened = mounted.replace(", DAC_OVERRIDE]", "]").replace("restart: unless-stopped", "restart: \"no\"");
        for (rights, text, words) in [
            ("0755", hardened.clone(), ["belongs to user 1000 with mode 0755", "cap_add: [DAC_OVERRIDE]"]),
            ("0755", hardened.replace("./data:/data", "./data:/data:ro"), ["mounted read-only", "without `:ro`"]),
        ] {
            std::fs::remove_dir_all(&data).unwrap();
            folder_of_a_user(&data, rights);
            replace_file(&file, &text);
            compose.command(["up", "-d"]);
            let said = eventually("it says why it does not start", STUCK, async || {
                let said = compose.command(["logs", "--no-color", "gangway"]);
                said.contains("failed to use the data folder").then_some(said)
            })
            .await;
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
            compose.command(["down"]);
        }
        docker.clear();
    });
}

#[test]
fn a_volume_that_the_next_container_does_not_get_is_told_of() {
    run(async {
        let docker = Docker::shared();
        let network = docker.network("forgotten");
        docker.app("forgotten").options(["--network", &network]).label("gangway.host", "forgotten.example.org").start();
        let label = docker.label();
        let volume = docker.name("kept");
        docker.command(["volume", "create", "--label", &label, &volume]);
        let start = |name: &str, options: &[&str]| {
            let mut words = vec!["run", "-d", "--name", name, "--label", &label, "--network", &network];
            words.extend(["-v", "/var/run/docker.sock:/var/run/docker.sock:ro"]);
            words.extend(options);
            words.extend(["gangway", "serve", "--acme-ca", "https://127.0.0.1:1/directory"]);
            docker.command(words);
        };
        let logs = |name: &str| {
            let said = outcome(Command::new("docker").args(["logs", name]));
            String::from_utf8_lossy(&said.stderr).into_owned()
        };
        let (nameless, named) = (docker.name("nameless"), docker.name("named"));
        start(&nameless, &[]);
        start(&named, &["-v", &format!("{volume}:/data")]);
        eventually("the anonymous volume is told of", STUCK, async || logs(&nameless).contains("G545").then_some(()))
            .await;
        eventually("the other one has got as far", STUCK, async || logs(&named).contains("G527").then_some(())).await;
        assert!(!logs(&named).contains("G545"), "{}", logs(&named));
        docker.command(["rm", "-f", "-v", &nameless, &named]);
        docker.command(["volume", "rm", &volume]);
        docker.clear();
    });
}

#[test]
fn an_app_on_another_network_is_diagnosed_with_the_line_to_add() {
    run(async {
        let docker = Docker::shared();
        let compose = docker.compose("deploy");
        compose.command(["up", "-d"]);
        let (host, network) = (docker.name("apart.test"), docker.network("elsewhere"));
        let app = docker.app("apart").options(["--network", &network]).label("gangway.host", &host).start();
        let said = eventually("the networks of both sides are named", STUCK, async || {
            let said = compose.command(["logs", "--no-color", "gangway"]);
            (said.contains(&app.name) && said.contains(&network)).then_some(said)
        })
        .await;
        assert!(said.contains("G4"), "{said}");
        docker.command(["network", "connect", &compose.network(), &app.name]);
        published(&compose, &host).await;
        docker.clear();
    });
}

#[test]
fn the_host_compose_file_reaches_every_bridge() {
    run(async {
        let docker = Docker::shared();
        let compose = docker.compose("deploy").file("compose.host.yaml");
        // The host's own 80 and 443 may be taken; what matters is that these too need the capability.
        let [http, https] = low_ports();
        let file = compose.folder().join("compose.host.yaml");
        let listen = format!(
            "    network_mode: host\n    environment:\n      GANGWAY_HTTP: {http}\n      GANGWAY_HTTPS: {https}\n"
        );
        let text = std::fs::read_to_string(&file).unwrap().replace("    network_mode: host\n", &listen);
        replace_file(&file, &text);
        compose.command(["up", "-d"]);
        let (host, network) = (docker.name("host.test"), docker.network("own"));
        docker.app("host").options(["--network", &network]).label("gangway.host", &host).start();
        served(&compose, &host, http, https).await;
        healthy(&docker, &compose).await;

        let first = compose.container("gangway");
        let client = Client::tls(https, &compose.command(["exec", "-T", "gangway", "/gangway", "ca"])).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let load = [Speaks::H1, Speaks::H2]
            .map(|speaks| keep_asking(&client.clone().speaking(speaks), &host, "/slow/20", &stop));
        compose.command(["up", "-d", "--no-recreate", "--scale", "gangway=2"]);
        eventually("the second container has taken over", STUCK, async || {
            compose.command(["logs", "--no-color", "gangway"]).contains("has taken over").then_some(())
        })
        .await;
        docker.command(["stop", &first]);
        stop.store(true, Ordering::SeqCst);
        let (good, bad) = together(load.into()).await;
        figure(format!("upgrade by a second container in the host's network: {good} answered, {} lost", bad.len()));
        assert!(bad.is_empty() && good > 0, "{:?}", bad.first());
        assert_eq!(client.get(&host, "/").await.unwrap().status, 200);
    });
}

#[test]
fn behind_the_guarded_socket_a_plain_user_serves() {
    run(async {
        let docker = Docker::shared();
        let compose = docker
            .compose("deploy")
            .file("compose.socket-proxy.yaml")
            .variable("SOCKET_PROXY_IMAGE", "gangway-test/haproxy");
        compose.command(["up", "-d"]);
        let host = docker.name("guard.test");
        let app = docker.app("guard").options(["--network", &compose.network()]).label("gangway.host", &host).start();
        published(&compose, &host).await;
        docker.command(["stop", "-t", "1", &app.name]);
        docker.command(["start", &app.name]);
        published(&compose, &host).await;

        let guard = compose.container("socket-proxy");
        let log = compose.command(["logs", "--no-color", "socket-proxy"]);
        let asked: Vec<&str> =
            log.lines().filter(|line| line.contains(" \"GET ") || line.contains(" \"HEAD ")).collect();
        assert!(!asked.is_empty(), "the guard writes down what is asked: {log}");
        let refused: Vec<_> = asked.iter().filter(|line| line.contains(" 403 ")).collect();
        assert!(refused.is_empty(), "Gangway asked for more than is listed: {refused:?}");

        // The guard itself, from the host, which reaches every bridge.
        let address =
            docker.command(["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &guard]);
        let client = Client::plain(format!("{address}:2375").parse().unwrap());
        let mut engine = client.connect("engine").await.unwrap();
        for (method, path, status) in [
            ("GET", "/_ping", 200),
            ("GET", "/v1.41/containers/json", 200),
            ("GET", &format!("/containers/{}/json", app.id), 200),
            ("GET", &format!("/containers/{}/logs?stdout=1", app.id), 403),
            ("GET", &format!("/containers/{}/archive?path=/", app.id), 403),
            ("GET", "/images/json", 403),
            ("GET", "/v1.41/containers/json/../../images/json", 403),
            ("POST", "/containers/create", 403),
            ("POST", &format!("/containers/{}/kill", app.id), 403),
            ("DELETE", &format!("/containers/{}", app.id), 403),
        ] {
            let answer = engine.ask(method, path, &[], "").await.unwrap();
            assert_eq!(answer.status, status, "{method} {path}");
        }
        docker.clear();
    });
}

#[test]
fn the_group_of_the_socket_does_not_matter() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let _relay = Relay::start(&socket, SOCKET.as_ref(), promised).unwrap();
        for change in [["chgrp", "54321"], ["chmod", "0660"]] {
            assert!(outcome(Command::new(change[0]).arg(change[1]).arg(&socket)).status.success());
        }
        let docker = Docker::shared();
        let network = docker.network("group");
        let name = docker.name("gangway");
        let (label, mount) = (docker.label(), format!("{}:/var/run/docker.sock:ro", socket.display()));
        let mut words = vec![
            "run",
            "-d",
            "--name",
            &name,
            "--label",
            &label,
            "--network",
            &network,
            "--read-only",
            "--cap-drop",
            "ALL",
        ];
        words.extend(["--security-opt", "no-new-privileges:true", "-v", &mount, "-p", "127.0.0.1::443", "gangway"]);
        docker.command(words);
        let host = docker.name("group.test");
        docker.app("group").options(["--network", &network]).label("gangway.host", &host).start();
        let address = docker.command(["port", &name, "443/tcp"]);
        let address = address.lines().next().unwrap().parse().unwrap();
        eventually("the host is served", STUCK, async || {
            let pem = outcome(Command::new("docker").args(["exec", &name, "/gangway", "ca"]));
            let client = Client::tls(address, &String::from_utf8_lossy(&pem.stdout)).ok()?;
            client.get(&host, "/").await.ok().filter(|answer| answer.status == 200).map(drop)
        })
        .await;
    });
}
