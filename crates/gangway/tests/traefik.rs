//! Gangway in Traefik's place: the real binary, started with what Traefik is started with.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use gangway_testkit::acme_json::AcmeJson;
use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::engine::{Container, Engine, Flavour};
use gangway_testkit::pebble::{Ca, Mood, PATIENCE};
use gangway_testkit::ports;
use gangway_testkit::wait::eventually;
use running::{Instance, Options};

/// Flags for two entry points and a resolver of the name `le`.
fn flags(options: Options, [http, https]: [u16; 2], storage: &Path) -> Options {
    options
        .flag(&format!("--entrypoints.web.address=127.0.0.1:{http}"), "")
        .flag(&format!("--entrypoints.websecure.address=127.0.0.1:{https}"), "")
        .flag(&format!("--certificatesresolvers.le.acme.storage={}", storage.display()), "")
        .flag("--certificatesresolvers.le.acme.email=me@example.org", "")
        .flag("--certificatesresolvers.le.acme.httpchallenge.entrypoint=web", "")
}

fn router(host: &str, app: SocketAddr) -> String {
    format!(
        "http:\n  routers:\n    shop:\n      rule: Host(`{host}`)\n      entryPoints: [websecure]\n      service: shop\n      \
         tls:\n        certResolver: letsencrypt\n        domains: [{{main: further.example.org}}]\n  services:\n    shop:\n      \
         loadBalancer:\n        servers: [{{url: 'http://{app}'}}]\n"
    )
}

/// The first answer of 200 for a host.
async fn served(address: SocketAddr, root: &str, host: &str) {
    let client = Client::tls(address, root).unwrap();
    eventually(&format!("{host} is served"), PATIENCE, async || {
        client.get(host, "/").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
}

#[tokio::test]
async fn a_resolver_orders_what_acme_json_lacks_and_adopts_what_it_has() {
    let (app, _served) = app::spawn(App::new("shop")).await.unwrap();
    let public = [ports::free().await, ports::free().await];
    let ca = Ca::start(public, &Mood::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (storage, dynamic) = (path("acme.json"), path("dynamic.yml"));
    let held = AcmeJson::of("le", ["held.example.org"]);
    running::put(&storage, &held.text);
    running::put(&path("root.pem"), &ca.api_root);
    running::put(&dynamic, &router("held.example.org", app));
    let modified = || std::fs::metadata(&storage).unwrap().modified().unwrap();
    let before = modified();
    let options = flags(Options::default(), public, &storage)
        .flag(&format!("--certificatesresolvers.le.acme.caserver={}", ca.directory), "")
        .flag(&format!("--certificatesresolvers.le.acme.cacertificates={}", path("root.pem").display()), "")
        .flag(&format!("--providers.file.filename={}", dynamic.display()), "");
    let instance = options.start_in_traefiks_place(folder).await;
    let https = SocketAddr::from(([127, 0, 0, 1], public[1]));
    served(https, &held.root, "held.example.org").await;
    // The resolver that the router names is not defined. The name that no rule has is ordered all the same.
    eventually("the further name has a certificate", PATIENCE, async || (ca.issued() == 1).then_some(())).await;
    let certificates = instance.api("certificates").await.to_string();
    assert!(certificates.contains("further.example.org"), "{certificates}");
    assert_eq!(ca.orders(), 1, "nothing is ordered anew");
    assert!(instance.folder.path().join("gangway/acme/certificates/held.example.org.pem").is_file());
    instance.diagnosed(&["G705"]).await;

    // A file that is broken keeps what it gave, and a changed one is in force.
    running::put(&dynamic, "http: [");
    instance.diagnosed(&["G705", "G603"]).await;
    served(https, &held.root, "held.example.org").await;
    running::put(&dynamic, &router("new.example.org", app).replace("letsencrypt", "le"));
    instance.diagnosed(&[]).await;
    served(https, &ca.root().await, "new.example.org").await;
    assert_eq!(ca.orders(), 2);
    assert_eq!((std::fs::read_to_string(&storage).unwrap(), modified()), (held.text, before));
}

#[tokio::test]
async fn nothing_that_traefik_would_take_keeps_the_process_from_starting() {
    let public = [ports::free().await, ports::free().await];
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("acme.json");
    running::put(&storage, "{\"le\": SECRET");
    let options = flags(Options::default(), public, &storage)
        .flag("--certificatesresolvers.le.acme.caserver=http://127.0.0.1:9/directory", "")
        .flag("--certificatesresolvers.le.acme.dnschallenge.provider=inwx", "")
        .flag("--providers.docker.endpoint=ssh://engine", "")
        .flag("--log.level=NOISE", "");
    let mut instance = options.start_in_traefiks_place(folder).await;
    let found = instance.api("diagnostics").await.to_string();
    for part in [
        "certificatesResolvers.le.acme.caServer",
        "certificatesResolvers.le.acme.storage",
        "certificatesResolvers.le.acme.dnsChallenge.provider",
        "providers.docker.endpoint",
        "log.level",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    instance.signal(rustix::process::Signal::TERM);
    assert_eq!(instance.exit_code().await, Some(0));
    assert!(!found.contains("SECRET") && !instance.log().contains("SECRET"));
}

#[tokio::test]
async fn an_application_is_trusted_by_the_root_of_its_transport_and_by_nothing_before_that_is_there() {
    let (config, root) = app::self_signed(&["nas.internal"], &["http/1.1"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nas = listener.local_addr().unwrap();
    let app = std::sync::Arc::new(App::new("nas"));
    tokio::spawn(app::serve_tls(listener, std::sync::Arc::clone(&app), config));
    let public = [ports::free().await, ports::free().await];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (dynamic, pem) = (path("dynamic.yml"), path("root.pem"));
    let text = format!(
        "http:\n  routers:\n    nas: {{rule: Host(`nas.test`), entryPoints: [web], service: nas}}\n  services:\n    nas:\n      \
         loadBalancer: {{serversTransport: internal, servers: [{{url: 'https://{nas}'}}]}}\n  serversTransports:\n    \
         internal: {{serverName: nas.internal, rootCAs: ['{}']}}\n",
        pem.display()
    );
    running::put(&dynamic, &text);
    let options = flags(Options::default(), public, &path("acme.json"))
        .flag(&format!("--providers.file.filename={}", dynamic.display()), "");
    let instance = options.start_in_traefiks_place(folder).await;
    let client = Client::plain(SocketAddr::from(([127, 0, 0, 1], public[0])));
    let status = async || client.get("nas.test", "/").await.map(|answer| answer.status.as_u16()).ok();
    instance.diagnosed(&["G546"]).await;
    eventually("it is not trusted", PATIENCE, async || (status().await == Some(502)).then_some(())).await;
    assert_eq!(app.served(), 0);
    running::put(&pem, &root);
    instance.diagnosed(&[]).await;
    assert_eq!(status().await, Some(200));
    // What the file held stays in force.
    running::put(&pem, "nothing");
    instance.diagnosed(&["G546"]).await;
    assert_eq!(status().await, Some(200));
}

/// The time until the first answer for the last of 30 containers, each with two names and their certificates.
async fn first_answer(start: impl AsyncFnOnce() -> Instance, https: SocketAddr, root: &str) -> (Duration, Instance) {
    let client = Client::tls(https, root).unwrap();
    let begun = tokio::time::Instant::now();
    let started = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !client.get("b29.example.org", "/").await.is_ok_and(|answer| answer.status == 200) {
            ticks.tick().await;
        }
        begun.elapsed()
    };
    let (instance, time) = tokio::join!(start(), started);
    (time, instance)
}

#[tokio::test]
async fn figure_of_a_cold_start_with_what_traefik_has() {
    let (app, _served) = app::spawn(App::new("shop")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> =
        (0..30).flat_map(|at| [format!("a{at}.example.org"), format!("b{at}.example.org")]).collect();
    let held = AcmeJson::of("le", names.iter().map(String::as_str));
    let storage = folder.path().join("acme.json");
    running::put(&storage, &held.text);
    let engines = [Engine::new(Flavour::Docker2020), Engine::new(Flavour::Docker2020)];
    let sockets = ["traefik.sock", "ours.sock"].map(|name| folder.path().join(name));
    for at in 0..30 {
        let container = |name: &str| {
            Container::new(&format!("{name}{at}")).address(IpAddr::V4(Ipv4Addr::LOCALHOST)).exposes(&[app.port()])
        };
        let (rule, ours) = (
            format!("Host(`a{at}.example.org`) || Host(`b{at}.example.org`)"),
            format!("a{at}.example.org, b{at}.example.org"),
        );
        let labelled = container("t")
            .label(&format!("traefik.http.routers.r{at}.rule"), &rule)
            .label(&format!("traefik.http.routers.r{at}.entrypoints"), "websecure")
            .label(&format!("traefik.http.routers.r{at}.tls.certresolver"), "le");
        engines[0].add(labelled);
        engines[1].add(container("o").label("gangway.host", &ours).label("gangway.port", &app.port().to_string()));
    }
    for (engine, socket) in engines.iter().cloned().zip(sockets.clone()) {
        tokio::spawn(async move { engine.listen_unix(&socket).await });
    }
    let public = [ports::free().await, ports::free().await];
    let https = SocketAddr::from(([127, 0, 0, 1], public[1]));
    let file = folder.path().join("traefik.yml");
    running::put(
        &file,
        &format!(
            "entryPoints: {{web: {{address: '127.0.0.1:{}'}}, websecure: {{address: '127.0.0.1:{}'}}}}\n\
             providers: {{docker: {{endpoint: 'unix://{}'}}}}\n\
             certificatesResolvers: {{le: {{acme: {{storage: '{}', caServer: 'https://127.0.0.1:9/dir', httpChallenge: {{entryPoint: web}}}}}}}}\n",
            public[0],
            public[1],
            sockets[0].display(),
            storage.display()
        ),
    );
    let options = Options::default().flag(&format!("--configFile={}", file.display()), "");
    let (of_traefik, instance) =
        first_answer(async || options.start_in_traefiks_place(folder).await, https, &held.root).await;
    let certificates = instance.folder.path().join("gangway");
    let options = Options::default()
        .flag("--http", &format!("127.0.0.1:{}", public[0]))
        .flag("--https", &https.to_string())
        .flag("--docker", &format!("unix://{}", sockets[1].display()))
        .flag("--acme-ca", "https://127.0.0.1:9/dir");
    let kept = tempfile::tempdir().unwrap();
    copy(&certificates.join("acme/certificates"), &kept.path().join("acme/certificates"));
    let options = options.variable("GANGWAY_DATA", &kept.path().display().to_string());
    let folder_of_first = stopped(instance).await;
    let (ours, _instance) = first_answer(async || options.start_with_variables().await, https, &held.root).await;
    println!(
        "figure: the first 200 with a traefik.yml, 30 containers and an acme.json of 60 certificates after {of_traefik:?}; with our own labels and volume after {ours:?}"
    );
    drop(folder_of_first);
}

/// Stops an instance and keeps its folder.
async fn stopped(mut instance: Instance) -> tempfile::TempDir {
    instance.signal(rustix::process::Signal::KILL);
    instance.exit_code().await;
    std::mem::replace(&mut instance.folder, tempfile::tempdir().unwrap())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
