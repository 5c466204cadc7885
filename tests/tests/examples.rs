//! Every folder of `examples/` is started as it is and asked what its page promises.
//!
//! Only the images are stand-ins: no registry is asked, so the test application answers under the name,
//! and on the port, of what the example means.

use std::collections::BTreeSet;
use std::process::Command;

use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use gangway_tests::docker::{APP, Compose, Docker};
use gangway_tests::process::Process;
use gangway_tests::{STUCK, artifact, root, run};

/// Folders that a test below starts.
const STARTED: &[&str] = &[
    "actual-budget",
    "grpc",
    "immich",
    "jellyfin",
    "non-docker-upstream",
    "path-prefix",
    "plain-app",
    "protected",
    "quickstart",
    "several-hosts",
    "stash",
    "traefik-stack",
    "websocket",
];

/// An example beside Gangway from `deploy/compose.yaml`, whose network it joins.
struct Scene {
    example: Compose,
    gangway: Compose,
}

impl Scene {
    fn start(docker: &Docker, folder: &str, variables: &[(&str, &str)]) -> Self {
        let gangway = docker.compose("deploy");
        gangway.command(["up", "-d"]);
        let example = start(docker, folder, Some(&gangway.network()), variables);
        Self { example, gangway }
    }

    async fn client(&self) -> Client {
        client(&self.gangway).await
    }

    /// The first 200 that this path of the host answers.
    async fn served(&self, host: &str, path: &str) -> Answer {
        served(&self.client().await, host, path).await
    }
}

fn start(docker: &Docker, folder: &str, network: Option<&str>, variables: &[(&str, &str)]) -> Compose {
    let mut example = docker.compose(&format!("examples/{folder}"));
    if let Some(network) = network {
        example.rename_network("gangway", network);
    }
    let standard = [("APP_IMAGE", APP), ("HTTP_PORT", "127.0.0.1:"), ("HTTPS_PORT", "127.0.0.1:")];
    for (key, value) in standard.iter().chain(variables) {
        example = example.variable(key, value);
    }
    example.command(["up", "-d"]);
    example
}

/// A client of a Gangway in a container, that trusts its root.
async fn client(compose: &Compose) -> Client {
    let root = eventually("the root is printed", STUCK, async || {
        let said = compose.attempt(["exec", "-T", "gangway", "/gangway", "ca"])?;
        said.contains("BEGIN CERTIFICATE").then_some(said)
    })
    .await;
    Client::tls(compose.address("gangway", 443), &root).expect("the root is a certificate")
}

async fn served(client: &Client, host: &str, path: &str) -> Answer {
    eventually(&format!("https://{host}{path} answers 200"), STUCK, async || {
        client.get(host, path).await.ok().filter(|answer| answer.status == 200)
    })
    .await
}

#[test]
fn every_folder_has_a_test() {
    let folders = std::fs::read_dir(root().join("examples")).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let folders: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(folders, STARTED.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn quickstart() {
    run(async {
        let docker = Docker::shared();
        let example = start(&docker, "quickstart", None, &[]);
        let client = client(&example).await;
        served(&client, "hello.localhost", "/").await;
        let notes = served(&client, "notes.localhost", "/").await.text();
        let plain = Client::plain(example.address("gangway", 80));
        assert_eq!(plain.get("hello.localhost", "/").await.unwrap().status, 308);
        let nobody = plain.get("nobody.localhost", "/").await.unwrap();
        assert_eq!(nobody.status, 404);
        let example = example.variable("HELLO_HOST", "hi.localhost");
        example.command(["up", "-d"]);
        served(&client, "hi.localhost", "/").await;
        assert_eq!(served(&client, "notes.localhost", "/").await.text(), notes, "the other app was not touched");
        let said = example.command(["exec", "-T", "gangway", "/gangway", "explain", "https://hi.localhost/"]);
        assert!(said.contains("hello"), "{said}");
    });
}

#[test]
fn plain_app() {
    run(async {
        let docker = Docker::shared();
        let scene = Scene::start(&docker, "plain-app", &[]);
        scene.served("hello.localhost", "/").await;
    });
}

#[test]
fn protected() {
    /// `ann:correct horse`
    const ANN: (&str, &str) = ("authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2U=");
    const BOB: (&str, &str) = ("authorization", "Basic Ym9iOmNvcnJlY3QgaG9yc2U=");
    const KEPT: &str = "/bytes/5000?type=text/plain&cache-control=max-age=600";
    run(async {
        let docker = Docker::shared();
        let scene = Scene::start(&docker, "protected", &[]);
        scene.served("wiki.localhost", "/health").await;
        let client = scene.client().await;
        let mut wiki = client.connect("wiki.localhost").await.unwrap();
        let mut asked = async |fields: &[(&str, &str)]| wiki.ask("GET", "/page", fields, "").await.unwrap();
        let nobody = asked(&[]).await;
        assert_eq!((nobody.status.as_u16(), nobody.header("www-authenticate").is_empty()), (401, false));
        assert_eq!(asked(&[BOB]).await.status, 401);
        let ann = asked(&[ANN]).await;
        assert_eq!((ann.status.as_u16(), ann.header("x-content-type-options")), (200, "nosniff"));
        assert!(!ann.text().contains("YW5u"), "the app sees the password: {}", ann.text());

        let mut last = scene.served("api.localhost", "/").await;
        for _ in 0..10 {
            last = client.get("api.localhost", "/").await.unwrap();
        }
        assert_eq!((last.status.as_u16(), last.header("retry-after").is_empty()), (429, false));

        let first = scene.served("assets.localhost", KEPT).await;
        assert!(!first.header("cache-status").contains("hit"), "{first:?}");
        let mut assets = client.connect("assets.localhost").await.unwrap();
        let second = assets.ask("GET", KEPT, &[("accept-encoding", "gzip")], "").await.unwrap();
        assert!(second.header("cache-status").contains("hit"), "{second:?}");
        assert_eq!(second.header("content-encoding"), "gzip");
    });
}

#[test]
fn actual_budget() {
    run(async {
        let docker = Docker::shared();
        let _stand_in = docker.stand_in("actualbudget/actual-server:latest", &[5006]);
        let scene = Scene::start(&docker, "actual-budget", &[]);
        scene.served("budget.localhost", "/").await;
    });
}

#[test]
fn immich() {
    run(async {
        let docker = Docker::shared();
        let _stand_in = docker.stand_in("immich-app/immich-server:release", &[2283]);
        let others = [("IMMICH_ML_IMAGE", APP), ("REDIS_IMAGE", APP), ("DB_IMAGE", APP)];
        let scene = Scene::start(&docker, "immich", &others);
        scene.served("photos.localhost", "/").await;
    });
}

#[test]
fn jellyfin() {
    run(async {
        let docker = Docker::shared();
        // The real image exposes only the first of the two ports that its server listens on.
        let _stand_in = docker.stand_in("jellyfin/jellyfin", &[8096]);
        let scene = Scene::start(&docker, "jellyfin", &[]);
        let answer = scene.served("films.localhost", "/socket?api_key=secret").await;
        assert_eq!(answer.json()["target"], "/socket?api_key=secret");
        let log = scene.gangway.command(["logs", "--no-color", "gangway"]);
        assert!(!log.contains("secret"), "a key reached the log");
    });
}

#[test]
fn stash() {
    run(async {
        let docker = Docker::shared();
        let _stand_in = docker.stand_in("stashapp/stash:latest", &[9999]);
        let scene = Scene::start(&docker, "stash", &[]);
        let told = scene.served("media.localhost", "/stash/scenes").await.json();
        assert_eq!(told["target"], "/scenes");
        let client = scene.client().await;
        let mut connection = client.connect("media.localhost").await.unwrap();
        let told = connection.ask("GET", "/stash/x", &[("x-forwarded-prefix", "/evil")], "").await.unwrap().text();
        let told = told.to_ascii_lowercase();
        assert!(told.contains(r#"["x-forwarded-prefix","/stash"]"#) && !told.contains("/evil"), "{told}");
        let bare = client.get("media.localhost", "/stash").await.unwrap();
        assert!(bare.status.is_redirection() && bare.header("location").ends_with("/stash/"), "{bare:?}");
        assert_eq!(client.get("media.localhost", "/stashed").await.unwrap().status, 404);
    });
}

#[test]
fn several_hosts() {
    run(async {
        let docker = Docker::shared();
        let scene = Scene::start(&docker, "several-hosts", &[]);
        scene.served("blog.localhost", "/").await;
        scene.served("anne.blog.localhost", "/").await;
        let moved = scene.client().await.get("journal.localhost", "/2019/").await.unwrap();
        assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "https://blog.localhost/2019/"));
    });
}

#[test]
fn path_prefix() {
    run(async {
        let docker = Docker::shared();
        let scene = Scene::start(&docker, "path-prefix", &[]);
        let name = |service: &str| scene.example.container(service)[..12].to_owned();
        let wiki = scene.served("home.localhost", "/wiki/page").await.json();
        assert_eq!(
            (wiki["target"].as_str(), wiki["hostname"].as_str()),
            (Some("/wiki/page"), Some(name("wiki").as_str()))
        );
        let notes = scene.served("home.localhost", "/notes/page").await.json();
        assert_eq!(
            (notes["target"].as_str(), notes["hostname"].as_str()),
            (Some("/page"), Some(name("notes").as_str()))
        );
        let start = scene.served("home.localhost", "/wikipedia").await.json();
        assert_eq!(start["hostname"].as_str(), Some(name("start").as_str()));
    });
}

#[test]
fn traefik_stack() {
    run(async {
        let docker = Docker::shared();
        let _stand_in = docker.stand_in("actualbudget/actual-server:latest", &[5006]);
        let example = start(&docker, "traefik-stack", None, &[]);
        let command = ["exec", "-T", "traefik", "/gangway", "ca", "--data", "/letsencrypt/gangway"];
        let root = eventually("the root is printed", STUCK, async || {
            let said = example.attempt(command)?;
            said.contains("BEGIN CERTIFICATE").then_some(said)
        })
        .await;
        let client = Client::tls(example.address("traefik", 443), &root).expect("the root is a certificate");
        served(&client, "budget.localhost", "/").await;
        let plain = Client::plain(example.address("traefik", 80));
        let moved = plain.get("budget.localhost", "/accounts").await.unwrap();
        assert_eq!((moved.status.as_u16(), moved.header("location")), (301, "https://budget.localhost/accounts"));
        assert_eq!(client.get("nobody.localhost", "/").await.map_or(404, |answer| answer.status.as_u16()), 404);
        let log = example.command(["logs", "--no-color", "traefik"]);
        assert!(log.contains("runs in Traefik's place, as `/etc/traefik/traefik.yaml` says"), "{log}");
        assert!(log.contains("no certificate resolver `le`"), "{log}");
    });
}

#[test]
fn websocket() {
    run(async {
        let docker = Docker::shared();
        let scene = Scene::start(&docker, "websocket", &[]);
        scene.served("chat.localhost", "/").await;
        let stream = scene.client().await.stream("chat.localhost").await.unwrap();
        let mut socket = WebSocket::open(stream, "chat.localhost", "/ws").await.unwrap();
        assert_eq!(socket.ask("hello").await.unwrap(), "hello");
    });
}

#[test]
fn grpc() {
    run(async {
        let docker = Docker::shared();
        let scene = Scene::start(&docker, "grpc", &[("APP_PORT", "8080")]);
        scene.served("grpc.localhost", "/").await;
        let client = scene.client().await.speaking(Speaks::H2);
        let mut connection = client.connect("grpc.localhost").await.unwrap();
        let call = [("content-type", "application/grpc"), ("te", "trailers")];
        let answer = connection.ask("POST", "/hello.Greeter/Say", &call, &b"\0\0\0\0\x02hi"[..]).await.unwrap();
        assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
    });
}

#[test]
fn non_docker_upstream() {
    run(async {
        let docker = Docker::shared();
        // The host as containers see it stands for the machine that is no container.
        // A container is asked for it: of the network itself, an engine on its first day does not tell it.
        let neighbour = docker.app("neighbour").start();
        let gateway = docker.command(["inspect", "-f", "{{.NetworkSettings.Gateway}}", &neighbour.id]);
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(artifact("app"));
        command.args(["--name", "nas", "--http", &format!("{gateway}:5000")]);
        let _nas = Process::start(&mut command, &folder.path().join("nas.log"));
        let example = start(&docker, "non-docker-upstream", None, &[("NAS_ADDRESS", &gateway)]);
        let client = client(&example).await;
        let answer = served(&client, "nas.localhost", "/").await;
        assert!(answer.text().starts_with("nas on "), "{}", answer.text());
        assert_eq!(answer.header("x-robots-tag"), "noindex");
    });
}
