//! The page of Gangway itself on a route: whom it lets in, and what stands there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use gangway_testkit::client::{Answer, Client};
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK, ended, gangway, put};

const HOST: &str = "status.home.test";
const NEIGHBOUR: &str = "192.168.1.9";
const STRANGER: &str = "203.0.113.9";
const FRIEND: &str = "198.51.100.7";

/// An instance behind a proxy on this machine.
async fn behind_proxy(options: Options) -> Instance {
    options.flag("--trusted-proxies", "127.0.0.1").start().await
}

/// The answer over TLS to a client for which the proxy asks.
async fn answer(instance: &Instance, client: &str, method: &str, path: &str) -> Answer {
    let mut connection = Client::tls_unverified(instance.https).unwrap().connect(HOST).await.unwrap();
    connection.ask(method, path, &[("x-forwarded-for", client)], "").await.unwrap()
}

/// The statuses that a neighbour, a stranger and a friend get.
async fn statuses(instance: &Instance) -> [u16; 3] {
    let mut statuses = [0; 3];
    for (status, client) in statuses.iter_mut().zip([NEIGHBOUR, STRANGER, FRIEND]) {
        *status = answer(instance, client, "GET", "/").await.status.as_u16();
    }
    statuses
}

async fn gives(instance: &Instance, expected: [u16; 3]) {
    let what = format!("a neighbour, a stranger and a friend get {expected:?}");
    eventually(&what, STUCK, async || (statuses(instance).await == expected).then_some(())).await;
}

#[tokio::test]
async fn the_page_alone_stands_on_its_host_for_the_local_network_alone() {
    let instance = behind_proxy(Options::default().flag("--page", HOST)).await;
    assert_eq!(statuses(&instance).await, [200, 403, 403]);
    let overview = answer(&instance, NEIGHBOUR, "GET", "/").await;
    let page = overview.text();
    assert!(page.contains("Overview") && page.contains(HOST), "{page}");
    assert!(!page.contains("data-events"), "it listens to a stream that nothing answers");
    assert_eq!((overview.header("x-frame-options"), overview.header("cache-control")), ("DENY", "no-store"));
    assert!(overview.header("content-security-policy").starts_with("default-src 'none'"));
    let style = page.split("href=\"").find_map(|link| link.split('"').next().filter(|link| link.ends_with(".css")));
    assert_eq!(answer(&instance, NEIGHBOUR, "GET", &format!("/{}", style.unwrap())).await.status, 200);
    assert_eq!(answer(&instance, STRANGER, "GET", &format!("/{}", style.unwrap())).await.status, 403);
    for view in ["/explain?url=https%3A%2F%2Fstatus.home.test%2F", "/certificates", "/containers", "/log"] {
        assert_eq!(answer(&instance, NEIGHBOUR, "GET", view).await.status, 200, "{view}");
        assert_eq!(answer(&instance, STRANGER, "GET", view).await.status, 403, "{view}");
    }
    let about = answer(&instance, NEIGHBOUR, "GET", "/about").await.text();
    assert!(about.contains(HOST) && about.contains("127.0.0.1"), "the settings in force are not shown: {about}");
    assert!(!about.contains(&instance.admin.to_string()), "it tells where the admin listener is: {about}");
    for path in ["/api/v1/status", "/api/v1/events", "/metrics", "/healthz", "/x"] {
        assert_eq!(answer(&instance, NEIGHBOUR, "GET", path).await.status, 404, "{path}");
    }
    assert_eq!(answer(&instance, NEIGHBOUR, "POST", "/").await.status, 405);
    assert_eq!(Client::plain(instance.http).get("other.home.test", "/").await.unwrap().status, 404);
    let plain = Client::plain(instance.http).get(HOST, "/").await.unwrap();
    assert!(plain.status.is_redirection() && plain.header("location").starts_with("https://"), "{plain:?}");
}

#[tokio::test]
async fn a_table_of_its_name_gives_it_keys_and_follows_the_file() {
    let file = |more: &str| format!("page = \"{HOST}\"\n{more}");
    let allow = "[routes.page]\nallow = \"203.0.113.0/24\"\n";
    let instance = behind_proxy(Options::config(&file(allow))).await;
    assert_eq!(statuses(&instance).await, [403, 200, 403]);
    let used = "[routes.page]\nuse = \"friends\"\n[middlewares.friends]\nallow = \"198.51.100.0/24\"\n";
    instance.put_config(&file(used));
    gives(&instance, [403, 403, 200]).await;
    // What names nobody who may come in leaves it to the local network.
    instance.put_config(&file("[routes.page]\ndeny = \"203.0.113.0/24\"\n"));
    gives(&instance, [200, 403, 403]).await;
    // What cannot be read opens it to nobody.
    instance.put_config(&file("[routes.page]\nallow = \"lann\"\n"));
    gives(&instance, [503, 503, 503]).await;
    instance.put_config(&file(""));
    gives(&instance, [200, 403, 403]).await;
    // A table may not say what the setting says, and the last one stays in force.
    instance.put_config(&file("[routes.page]\nupstream = \"http://127.0.0.1:9\"\nallow = \"0.0.0.0/0\"\n"));
    instance.diagnosed(&["G902"]).await;
    assert_eq!(statuses(&instance).await, [200, 403, 403]);
}

#[tokio::test]
async fn names_in_domains_of_others_and_settings_that_contradict_do_not_open_it() {
    let rule = format!("rule = \"Host(`{HOST}`) || PathPrefix(`/`)\"");
    let any = format!("[routes.status]\n{rule}\nupstream = \"page@internal\"\nallow = \"0.0.0.0/0\"\n");
    let instance = behind_proxy(Options::config(&any)).await;
    instance.diagnosed(&["G260"]).await;
    assert_eq!(statuses(&instance).await, [503, 503, 503]);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gangway.toml");
    put(&config, "[routes.page]\nhost = \"page.example.org\"\nupstream = \"http://127.0.0.1:9\"\n");
    let serve = ["serve", "--docker", "none", "--admin", "127.0.0.1:0", "--page", HOST];
    let (code, _, log) = ended(gangway().args(serve).arg("--config").arg(&config));
    assert!(code != 0 && log.contains("G902") && log.contains("routes.page.host"), "{code}: {log}");
}

#[tokio::test]
async fn the_start_page_stands_beside_it_under_the_same_rules() {
    const START: &str = "start.home.test";
    let nas =
        "[routes.nas]\nhost = \"nas.home.test\"\nupstream = \"http://127.0.0.1:9\"\npage.name = \"<b>Store</b>\"\n";
    let file = |more: &str| format!("page = \"{HOST}\"\nstart-page = \"{START}\"\n{nas}{more}");
    let instance = behind_proxy(Options::config(&file(""))).await;
    let ask = async |client: &str, path: &str| {
        let mut connection = Client::tls_unverified(instance.https).unwrap().connect(START).await.unwrap();
        connection.ask("GET", path, &[("x-forwarded-for", client)], "").await.unwrap()
    };
    let page = ask(NEIGHBOUR, "/").await.text();
    assert!(page.contains("&lt;b&gt;Store&lt;/b&gt;") && page.contains("https://nas.home.test"), "{page}");
    assert!(!page.contains(HOST) && !page.contains("data-events") && !page.contains("127.0.0.1"), "{page}");
    for (client, path, status) in
        [(STRANGER, "/", 403), (NEIGHBOUR, "/log", 404), (NEIGHBOUR, "/about", 404), (NEIGHBOUR, "/api/v1/routes", 404)]
    {
        assert_eq!(ask(client, path).await.status, status, "{client} {path}");
    }
    // What opens one of them does not open the other.
    instance.put_config(&file("[routes.start-page]\nallow = \"198.51.100.0/24\"\n"));
    eventually("a friend sees the start page", STUCK, async || (ask(FRIEND, "/").await.status == 200).then_some(()))
        .await;
    assert_eq!(ask(NEIGHBOUR, "/").await.status, 403);
    assert_eq!(statuses(&instance).await, [200, 403, 403]);
}
