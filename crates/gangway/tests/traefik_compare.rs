//! `gangway traefik --compare`, the real binary beside a fake engine and an answer as Traefik gives it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::net::IpAddr;

use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::scripted::Scripted;
use running::{Ended, ended, gangway};
use serde_json::{Value, json};

const SAME: &str = include_str!("traefik_compare/same.json");

/// What the command says of the containers beside this answer.
async fn compared(containers: Vec<Container>, rawdata: &str) -> Ended {
    compared_with(&[], &[], containers, rawdata).await
}

/// The same with further flags and variables.
async fn compared_with(flags: &[&str], variables: &[(&str, &str)], containers: Vec<Container>, rawdata: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let engine = Engine::default();
    for container in containers {
        engine.run(container);
    }
    let serving = engine.clone();
    let path = socket.clone();
    tokio::spawn(async move { serving.listen_unix(&path).await });
    let body = rawdata.to_owned();
    let traefik = Scripted::answering(move |asked| {
        let is_asked =
            asked.head.starts_with("GET /api/rawdata ") && asked.field("authorization") == "Basic bWU6c2VjcmV0";
        let (status, body) = if is_asked { ("200 OK", body.as_str()) } else { ("401 Unauthorized", "") };
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    })
    .await
    .unwrap();
    let url = format!("http://me:secret@{}", traefik.address);
    let mut command = gangway();
    command.args([
        "traefik",
        "--compare",
        &url,
        "--entrypoints.web.address=:80",
        "--entrypoints.websecure.address=:443",
    ]);
    command.args(["--providers.docker.exposedbydefault=false", "--certificatesresolvers.le.acme.email=a@example.org"]);
    command.arg(format!("--providers.docker.endpoint=unix://{}", socket.display()));
    command.args(flags).envs(variables.iter().copied()).current_dir(folder.path());
    tokio::task::spawn_blocking(move || ended(&mut command)).await.unwrap()
}

fn web() -> Container {
    router()
        .label("traefik.http.middlewares.limit.ratelimit.average", "10")
        .label("traefik.http.middlewares.limit.ratelimit.burst", "20")
}

/// It names a middleware that is not there yet.
fn router() -> Container {
    Container::new("web")
        .service("shop", "web")
        .network("shop_default")
        .address(IpAddr::from([172, 30, 0, 5]))
        .exposes(&[8080])
        .label("traefik.enable", "true")
        .label("traefik.http.routers.web.rule", "Host(`web.example.org`) && PathPrefix(`/app`)")
        .label("traefik.http.routers.web.entrypoints", "websecure")
        .label("traefik.http.routers.web.tls.certresolver", "le")
        .label("traefik.http.routers.web.middlewares", "limit")
        .label("traefik.http.services.web.loadbalancer.server.port", "8080")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_served_alike_is_the_same() {
    let (code, out, err) = compared(vec![web()], SAME).await;
    assert_eq!((code, out.as_str()), (0, "same     web@docker\n1 router is the same\n"), "{err}");
}

/// A router that names no entry point, of which `websecure` alone asks for TLS: Traefik tells it as two.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_entry_points_split_is_one_on_both_sides() {
    let app = Container::new("app")
        .service("shop", "app")
        .network("shop_default")
        .address(IpAddr::from([172, 30, 0, 5]))
        .exposes(&[8080])
        .label("traefik.enable", "true")
        .label("traefik.http.routers.a.rule", "Host(`a.example.org`)");
    let mut raw: Value = serde_json::from_str(SAME).unwrap();
    let router = |entry_point: &str| {
        json!({"entryPoints": [entry_point], "service": "app-shop", "rule": "Host(`a.example.org`)", "priority": 21,
            "status": "enabled", "using": [entry_point]})
    };
    let mut over_tls = router("websecure");
    over_tls["tls"] = json!({"options": "default", "certResolver": "le"});
    raw["routers"] = json!({"a@docker": router("web"), "websecure-a@docker": over_tls});
    raw["services"] = json!({"app-shop@docker": raw["services"]["web@docker"]});
    let flags = &["--entrypoints.websecure.http.tls.certresolver=le"];
    let (code, out, err) = compared_with(flags, &[], vec![app.clone()], &raw.to_string()).await;
    assert_eq!((code, out.as_str()), (0, "same     a@docker\n1 router is the same\n"), "{err}");
    // What holds at one entry point only is not the same as what holds at both.
    raw["routers"]["websecure-a@docker"]["priority"] = json!(7);
    let (code, out, err) = compared_with(flags, &[], vec![app], &raw.to_string()).await;
    assert_eq!(code, 1, "{err}");
    let shown = "differs  a@docker\n           priority\n             Traefik: 21 at web, 7 at websecure\n             Gangway: 21\n";
    assert!(out.starts_with(shown), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_gangway_count_as_they_do_where_it_serves() {
    let mut raw: Value = serde_json::from_str(SAME).unwrap();
    raw["middlewares"]["limit@docker"] = json!({"plugin": {"geoblock": {"countries": ["DE"]}}, "status": "enabled"});
    let guarded = router().label("traefik.http.middlewares.limit.plugin.geoblock.countries", "DE");
    let flags = &["--experimental.plugins.geoblock.modulename=github.com/example/geoblock"];
    let (code, out, err) = compared_with(flags, &[], vec![guarded.clone()], &raw.to_string()).await;
    assert!(code == 1 && out.contains("Gangway: closed"), "{out}{err}");
    let variables = &[("GANGWAY_GEOIP", "/countries.mmdb")];
    let (code, out, err) = compared_with(flags, variables, vec![guarded.clone()], &raw.to_string()).await;
    assert_eq!((code, out.as_str()), (0, "same     web@docker\n1 router is the same\n"), "{err}");
    let (code, _, err) = compared_with(flags, &[("GANGWAY_GEOPI", "x")], vec![guarded], &raw.to_string()).await;
    assert!(code == 2 && err.contains("unknown variable `GANGWAY_GEOPI`"), "{err}");
}

/// Nothing is made beside the file of certificates, as it is where Gangway serves.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--certificatesresolvers.le.acme.storage={}/acme.json", folder.path().display());
    let (code, _, err) = compared_with(&[&flag], &[], vec![web()], SAME).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_named_with_both_sides() {
    let mut raw: Value = serde_json::from_str(SAME).unwrap();
    raw["routers"]["web@docker"]["entryPoints"] = json!(["web", "websecure"]);
    raw["middlewares"]["limit@docker"]["rateLimit"]["average"] = json!(5);
    raw["services"]["web@docker"]["loadBalancer"]["servers"][0]["url"] = json!("http://172.30.0.6:8080");
    raw["routers"]["web@docker"]["priority"] = json!(7);
    raw["routers"]["old@docker"] = json!({"rule": "Host(`old.example.org`)", "service": "web", "status": "disabled", "error": ["no such service"]});
    let fresh = Container::new("fresh")
        .network("shop_default")
        .address(IpAddr::from([172, 30, 0, 9]))
        .exposes(&[80])
        .label("traefik.enable", "true")
        .label("traefik.http.routers.fresh.rule", "Host(`fresh.example.org`)");
    let (code, out, err) = compared(vec![web(), fresh], &raw.to_string()).await;
    assert_eq!(code, 1, "{out}{err}");
    insta::assert_snapshot!("differs", out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_closed_here_is_told() {
    let plugin = web().label("traefik.http.middlewares.limit.ratelimit.averag", "1");
    let (code, out, err) = compared(vec![plugin], SAME).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("status\n             Traefik: served\n             Gangway: closed"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_ends_with_2_and_shows_no_password() {
    for raw in ["<html>", "{}", "[]"] {
        let (code, out, err) = compared(vec![web()], raw).await;
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("--compare: the answer is"), "{err}");
    }
    let (code, _, err) = ended(gangway().args(["traefik", "--compare=http://me:secret@127.0.0.1:1"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("failed to reach 127.0.0.1:1") && !err.contains("secret"), "{err}");
}
