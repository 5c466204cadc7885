//! What surrounds the routers where Gangway runs in Traefik's place: pages, metrics, access log and commands.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::net::SocketAddr;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Answer, Client};
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK, ended, gangway, put};
use serde_json::Value;

/// Where an entry point is open.
async fn address(instance: &Instance, name: &str) -> SocketAddr {
    let status = instance.api("status").await;
    let listeners = status["listening"]["listeners"].as_array().unwrap();
    let found = listeners.iter().find(|listener| listener["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no `{name}` in {status}"));
    found["addresses"][0].as_str().unwrap().parse().unwrap()
}

async fn get(at: SocketAddr, host: &str, path: &str) -> Answer {
    Client::plain(at).get(host, path).await.unwrap()
}

const ROUTERS: &str = "\
http:
  routers:
    shop:
      rule: Host(`shop.test`)
      entryPoints: [web]
      service: shop
    quiet:
      rule: Host(`quiet.test`)
      entryPoints: [web]
      service: shop
      observability: {accessLogs: false}
    page:
      rule: Host(`page.test`)
      entryPoints: [web]
      service: api@internal
      middlewares: [auth]
    rest:
      rule: Host(`rest.test`)
      entryPoints: [web]
      service: rest@internal
    ping:
      rule: PathPrefix(`/`)
      entryPoints: [traefik]
      service: shop
  services:
    shop:
      loadBalancer:
        servers:
          - url: http://APP
  middlewares:
    headers:
      headers:
        customRequestHeaders: {X-Set: '1'}
    auth:
      basicAuth:
        users: ['ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=']
";

#[tokio::test]
async fn pages_metrics_and_access_log_are_there_and_what_protects_a_page_is_in_force() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (dynamic, log) = (folder.path().join("dynamic.yml"), folder.path().join("access.log"));
    put(&dynamic, &ROUTERS.replace("APP", &app.to_string()));
    let flags = [
        "--entrypoints.web.address=127.0.0.1:0".to_owned(),
        "--entrypoints.traefik.address=127.0.0.1:0".to_owned(),
        format!("--providers.file.filename={}", dynamic.display()),
        "--ping".to_owned(),
        "--api.insecure".to_owned(),
        "--metrics.prometheus.addrouterslabels".to_owned(),
        format!("--accesslog.filepath={}", log.display()),
        "--accesslog.format=json".to_owned(),
        "--accesslog.filters.statuscodes=200-299".to_owned(),
        "--accesslog.fields.names.ClientAddr=drop".to_owned(),
        "--accesslog.fields.headers.names.X-Keep=keep".to_owned(),
        "--accesslog.fields.headers.names.Content-Type=keep".to_owned(),
        "--entrypoints.web.http.middlewares=headers@file".to_owned(),
        "--entrypoints.web.transport.respondingtimeouts.idletimeout=90s".to_owned(),
    ];
    let instance = Options { flags: flags.into(), ..Options::default() }
        .variable("GANGWAY_DATA", &folder.path().join("data").display().to_string())
        .start_in_traefiks_place(folder)
        .await;
    let (web, own) = (address(&instance, "web").await, address(&instance, "traefik").await);

    // Its router asks for no line.
    assert_eq!(get(web, "quiet.test", "/echo").await.status, 200);
    assert_eq!(get(web, "shop.test", "/echo").await.status, 200);
    // Traefik's own routers come before a router of the user on the entry point.
    let ping = get(own, "x.test", "/ping").await;
    assert_eq!((ping.status.as_u16(), &*ping.text()), (200, "OK"));
    let version = get(own, "x.test", "/api/version").await;
    assert_eq!((version.status.as_u16(), version.header("content-type")), (200, "application/json; charset=UTF-8"));
    let root = get(own, "x.test", "/").await;
    assert_eq!((root.status.as_u16(), root.header("location")), (301, "http://x.test/dashboard/"));
    let page = get(own, "x.test", "/dashboard/").await.text();
    assert!(page.contains("shop.test") && !page.contains("href=\"log\""), "{page}");
    let raw: Value = get(own, "x.test", "/api/rawdata").await.json();
    assert_eq!(raw["routers"]["shop@file"]["service"], "shop", "{raw}");
    assert!(!raw.to_string().contains("qvTGHdzF6KLavt4PO0gs2a6pQ00"), "{raw}");
    let entry_point: Value = get(own, "x.test", "/api/entrypoints/web").await.json();
    assert_eq!(entry_point["http"]["middlewares"][0], "headers@file", "{entry_point}");
    assert_eq!(entry_point["transport"]["respondingTimeouts"]["idleTimeout"], "1m30s", "{entry_point}");
    // The same API by a router that asks for a password.
    assert_eq!(get(web, "page.test", "/api/version").await.status, 401);
    let mut known = Client::plain(web).connect("page.test").await.unwrap();
    let ann = [("authorization", "Basic YW5uOmhlbGxv"), ("x-keep", "kept")];
    assert_eq!(known.ask("GET", "/api/version", &ann, "").await.unwrap().status, 200);
    assert_eq!(get(web, "rest.test", "/api/version").await.status, 503);

    let metrics = get(own, "x.test", "/metrics").await.text();
    for line in [
        r#"traefik_entrypoint_requests_total{code="200",method="GET",protocol="http",entrypoint="web"} 3"#,
        r#"traefik_router_requests_total{code="200",method="GET",protocol="http",router="shop@file",service="shop@file"} 1"#,
        r#"traefik_service_requests_total{code="200",method="GET",protocol="http",service="shop@file"} 2"#,
    ] {
        assert!(metrics.lines().any(|read| read == line), "{line} is missing: {metrics}");
    }
    assert!(metrics.contains("gangway_ready 1"), "{metrics}");

    let lines = eventually("two lines are logged", STUCK, async || {
        let text = std::fs::read_to_string(&log).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    assert_eq!(lines.len(), 2, "401, 503, internal routers and one that asks for none have none: {lines:?}");
    let (shop, page) = (&lines[0], &lines[1]);
    assert_eq!((&shop["RouterName"], &shop["ServiceName"]), (&"shop@file".into(), &"shop@file".into()), "{shop}");
    assert_eq!(shop["ServiceURL"], format!("http://{app}"), "{shop}");
    assert_eq!((&shop["entryPointName"], &shop["ClientAddr"]), (&"web".into(), &Value::Null), "{shop}");
    assert_eq!(shop["downstream_Content-Type"], "application/json", "{shop}");
    assert_eq!((&page["ClientUsername"], &page["request_X-Keep"]), (&"ann".into(), &"kept".into()), "{page}");
    assert_eq!(page["request_Authorization"], Value::Null, "{page}");

    let flag = format!("--entrypoints.traefik.address={own}");
    let (code, said, error) = ended(gangway().args(["traefik", "healthcheck", "--ping", &flag]));
    assert_eq!((code, &*said), (0, "OK"), "{error}");
    let (code, ..) = ended(gangway().args(["traefik", "healthcheck", &flag]));
    assert_eq!(code, 1, "`ping` is not switched on");
    let (code, said, _) = ended(gangway().args(["traefik", "version"]));
    assert!(code == 0 && said.starts_with("Version: "), "{said}");
}
