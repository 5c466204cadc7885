//! The command line and the admin listener, as people and programs use them beside a running instance.

use std::io::Write as _;
use std::process::{Command, Stdio};

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::wait::eventually;
use gangway_tests::docker::Docker;
use gangway_tests::engines::played;
use gangway_tests::gangway::{Options, replace_file};
use gangway_tests::process::outcome;
use gangway_tests::{STUCK, artifact, root, run};

#[test]
fn a_running_instance_tells_its_routes_certificates_and_reasons() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("told.test");
        let app = docker.app("told").label("gangway.host", &host).label("gangway.path", "/here").start();
        gangway.served(&host, "/here").await;
        for command in ["routes", "certs", "status"] {
            let (code, people, errors) = gangway.cli([command]);
            assert!(code == 0 || code == 1, "{command}: {people}{errors}");
            let (_, programs, _) = gangway.cli([command, "--format", "json"]);
            let json: serde_json::Value =
                serde_json::from_str(&programs).unwrap_or_else(|error| panic!("{command}: {error}: {programs}"));
            assert!(json.is_array() || json.is_object());
            if command != "status" {
                assert!(people.contains(&host), "{command} does not show {host}:\n{people}");
                assert!(programs.contains(&host), "{command} --format json does not show {host}");
            }
        }
        let (code, said, errors) = gangway.cli(["explain", &format!("https://{host}/here/x")]);
        assert_eq!(code, 0, "{said}{errors}");
        assert!(said.contains(&app.name) || said.contains("told"), "{said}");
        let near = host.replace("told", "tolb");
        let (_, said, errors) = gangway.cli(["explain", &format!("https://{near}/")]);
        assert!(said.contains(&host), "the nearest host is named: {said}{errors}");
        let (_, said, _) = gangway.cli(["explain", &format!("https://{host}/elsewhere")]);
        assert!(said.contains("/here"), "the route that nearly took it is named: {said}");
    });
}

#[test]
fn the_admin_listener_reads_only_and_knows_its_name() {
    run(async {
        let (address, _) = app::spawn(App::new("quiet")).await.unwrap();
        let config = format!("[routes.quiet]\nhost = \"quiet.test\"\nupstream = \"http://{address}\"\n");
        let gangway = Options::docker("none").config(&config).start().await;
        gangway.served("quiet.test", "/").await;
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(gangway.admin(path).await.unwrap().status, 200, "{path}");
        }
        for what in ["status", "routes", "containers", "certificates", "diagnostics"] {
            let answer = gangway.admin(&format!("/api/v1/{what}")).await.unwrap();
            assert_eq!(answer.status, 200, "{what}");
            assert!(answer.json().is_array() || answer.json().is_object(), "{what}: {}", answer.text());
            assert!(!answer.text().contains("PRIVATE KEY"), "{what} shows a secret");
        }
        let client = Client::plain(gangway.admin);
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let mut connection = client.connect(&gangway.admin.to_string()).await.unwrap();
            let answer = connection.ask(method, "/api/v1/routes", &[], "").await.unwrap();
            assert_eq!(answer.status, 405, "{method}");
        }
        let strange = client.get("evil.example.org", "/api/v1/routes").await.unwrap();
        assert!(strange.status.is_client_error(), "a foreign Host reads the admin API: {}", strange.status);
        // Nothing of it stands on a public listener.
        for path in ["/healthz", "/metrics", "/api/v1/routes"] {
            assert_eq!(gangway.plain().get("nobody.test", path).await.unwrap().status, 404, "{path}");
        }
        let metrics = gangway.admin("/metrics").await.unwrap().text();
        assert!(metrics.lines().any(|line| line.starts_with("gangway_")), "{metrics}");
    });
}

#[test]
fn no_label_leads_to_our_own_listeners() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let docker = played(&engine, folder.path());
        let gangway = Options::docker(&docker).start().await;
        let thief = |name: &str, port: u16| {
            let thief = Container::new(name).network_mode("host").label("gangway.host", &format!("{name}.test"));
            thief.label("gangway.port", &port.to_string()).label("gangway.host-header", "localhost")
        };
        engine.run(thief("admin", gangway.admin.port()));
        engine.run(thief("loop", gangway.http.port()));
        for host in ["admin.test", "loop.test"] {
            let refused = async || {
                let answer = gangway.secure().get(host, "/api/v1/status").await.ok()?;
                assert!(!answer.status.is_success(), "{host}: {}", answer.text());
                (answer.status == 503).then_some(())
            };
            eventually(host, STUCK, refused).await;
        }
        let diagnostics = gangway.admin("/api/v1/diagnostics").await.unwrap().text();
        assert_eq!(diagnostics.matches("\"code\":\"G413\"").count(), 2, "{diagnostics}");
    });
}

#[test]
fn the_health_check_follows_the_instance() {
    run(async {
        let gangway = Options::docker("none").config("").start().await;
        assert_eq!(gangway.cli(["healthcheck"]).0, 0);
        gangway.process.signal("STOP");
        assert_eq!(gangway.cli(["healthcheck"]).0, 1, "an instance that does not answer is not healthy");
        gangway.process.signal("CONT");
        assert_eq!(gangway.cli(["healthcheck"]).0, 0);
        assert!(gangway.stop().await, "a polite end is a good one");
    });
}

#[test]
fn requests_under_way_are_finished_when_it_is_told_to_end() {
    run(async {
        let (address, slow) = app::spawn(App::new("slow")).await.unwrap();
        let config = format!("[routes.slow]\nhost = \"slow.test\"\nupstream = \"http://{address}\"\n");
        let gangway = Options::docker("none").config(&config).start().await;
        gangway.served("slow.test", "/").await;
        let client = gangway.secure();
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.get("slow.test", "/slow/1500").await })
            })
            .collect();
        eventually("all are under way", STUCK, async || (slow.under_way() == 20).then_some(())).await;
        assert!(gangway.stop().await);
        for task in asking {
            assert_eq!(task.await.unwrap().unwrap().status, 200, "a request under way was lost");
        }
    });
}

#[test]
fn compose_files_are_checked_without_an_engine() {
    let gangway = |arguments: &[&str], input: &str| {
        let mut command = Command::new(artifact("gangway"));
        command
            .args(arguments)
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), said)
    };
    for entry in std::fs::read_dir(root().join("examples")).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let file = entry.path().join("compose.yaml").display().to_string();
        let (code, said) = gangway(&["check", &file], "");
        // Of a stack of Traefik that is left as it is, the guide shows what is said.
        let warnings = usize::from(entry.file_name() == "traefik-stack");
        assert_eq!(
            (said.matches("warning[G705]").count(), code),
            (warnings, i32::from(warnings > 0)),
            "{file}: {said}"
        );
    }
    let bad = "services:\n  web:\n    image: nginx\n    labels:\n      gangway.hots: a.test\n      gangway.port: web\n";
    let (code, said) = gangway(&["check", "-"], bad);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("gangway.host") && said.contains(":5") && said.contains('^'),
        "nearest key, line and caret: {said}"
    );
    let (code, said) = gangway(&["check", "--format", "json", "-"], bad);
    assert_eq!(code, 1, "{said}");
    assert!(serde_json::from_str::<serde_json::Value>(&said).is_ok(), "{said}");
    assert_eq!(gangway(&["check", "/nowhere/compose.yaml"], "").0, 2);
    let (code, said) = gangway(&["serve", "--hhtp", "127.0.0.1:1"], "");
    assert!(code == 2 && said.contains("--http"), "{code}: {said}");
    let (code, hash) = gangway(&["hash"], "secret\n");
    assert!(code == 0 && hash.contains("$argon2"), "{code}: {hash}");
    let (code, hash) = gangway(&["hash", "--compose"], "secret\n");
    assert!(code == 0 && hash.contains("$$argon2"), "{code}: {hash}");
}

#[test]
fn an_unknown_variable_or_key_is_an_error_that_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gangway.toml");
    replace_file(&config, "acess-log = \"off\"\n");
    let data = folder.path().join("data").display().to_string();
    let serve = [
        "serve",
        "--docker",
        "none",
        "--http",
        "127.0.0.1:0",
        "--https",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--data",
        &data,
    ];
    let mut by_variable = Command::new(artifact("gangway"));
    by_variable.args(serve).env("GANGWAY_ACESS_LOG", "off");
    let mut by_file = Command::new(artifact("gangway"));
    by_file.args(serve).arg("--config").arg(&config);
    for (mut command, nearest) in [(by_variable, "GANGWAY_ACCESS_LOG"), (by_file, "access-log")] {
        let output = outcome(&mut command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(nearest), "{said}");
    }
}
