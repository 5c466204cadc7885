//! The page of Gangway itself on a route: whom it lets in, and what stands there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use gangway_testkit::client::{Answer, Client};
use gangway_testkit::scripted::{Asked, Scripted, reply};
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

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n a picture";
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

/// An application whose page names an icon, with the answers of this path alone changed.
async fn app(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Scripted {
    let page = "<html><head><link rel=\"icon\" href=\"static/icon.png\"></head><body>hello</body></html>";
    let script = move |asked: &Asked| {
        let path = asked.head.split(' ').nth(1).unwrap_or_default();
        answer(path).unwrap_or_else(|| match path {
            "/" => reply("302 Found", &[("Location", "/web/")], ""),
            "/web/" => reply("200 OK", &[("Content-Type", "text/html")], page),
            "/web/static/icon.png" => picture(),
            _ => reply("404 Not Found", &[], ""),
        })
    };
    Scripted::answering(script).await.unwrap()
}

fn picture() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n", PNG.len());
    [head.as_bytes(), PNG].concat()
}

/// The paths that an application was asked for, in order.
fn paths(app: &Scripted) -> Vec<String> {
    app.asked().iter().map(|asked| asked.head.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn the_start_page_shows_the_icons_that_applications_give_themselves() {
    const START: &str = "start.home.test";
    let photos = app(|_| None).await;
    let vector = app(|path| {
        Some(match path {
            "/favicon.ico" => reply("200 OK", &[("Content-Type", "image/svg+xml")], SVG),
            _ => reply("401 Unauthorized", &[], ""),
        })
    })
    .await;
    let elsewhere = app(|_| None).await;
    let away = elsewhere.address;
    let astray = app(move |path| {
        let to = format!("http://{away}{path}");
        Some(reply("302 Found", &[("Location", &to)], ""))
    })
    .await;
    let guarded = app(|_| Some(reply("401 Unauthorized", &[("WWW-Authenticate", "Basic")], SVG))).await;
    let chosen = app(|path| (path == "/i.png?a").then(picture)).await;
    let emoji = app(|_| None).await;
    let shut = app(|_| None).await;
    let route = |name: &str, app: &Scripted, more: &str| {
        format!("[routes.{name}]\nhost = \"{name}.home.test\"\nupstream = \"http://{}\"\n{more}\n", app.address)
    };
    let file = [
        format!("start-page = \"{START}\"\n"),
        route("photos", &photos, "request.header.Authorization = \"Basic c2VjcmV0\"\nauth.basic = \"@family\""),
        route("vector", &vector, ""),
        route("astray", &astray, ""),
        route("guarded", &guarded, ""),
        route("chosen", &chosen, "page.icon = \"/i.png?a\""),
        route("emoji", &emoji, "page.icon = \"📷\""),
        route("shut", &shut, "allow = \"nonsense\""),
    ];
    let instance = behind_proxy(Options::config(&file.concat())).await;
    let ask = async |client: &str, path: &str| {
        let mut connection = Client::tls_unverified(instance.https).unwrap().connect(START).await.unwrap();
        connection.ask("GET", path, &[("x-forwarded-for", client)], "").await.unwrap()
    };
    // The last of them in the order in which they are looked for.
    let page = eventually("three icons are there", STUCK, async || {
        let page = ask(NEIGHBOUR, "/").await.text();
        (page.matches("src=\"icons/").count() == 3).then_some(page)
    })
    .await;
    let pictures: Vec<&str> = page.split("src=\"").filter_map(|rest| rest.split('"').next()).collect();
    let pictures: Vec<&str> = pictures.into_iter().filter(|one| one.starts_with("icons/")).collect();
    let mut kinds = Vec::new();
    for picture in pictures {
        let answer = ask(NEIGHBOUR, &format!("/{picture}")).await;
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let expected: &[u8] = if answer.header("content-type") == "image/svg+xml" { SVG.as_bytes() } else { PNG };
        assert_eq!(&*answer.body, expected);
        kinds.push(answer.header("content-type").to_owned());
        assert_eq!(ask(STRANGER, &format!("/{picture}")).await.status, 403);
    }
    kinds.sort();
    assert_eq!(kinds, ["image/png", "image/png", "image/svg+xml"]);
    assert_eq!(paths(&photos), ["/", "/web/", "/web/static/icon.png"]);
    for asked in photos.asked() {
        assert_eq!((asked.field("host"), asked.field("x-forwarded-proto")), ("photos.home.test", "https"));
        assert_eq!([asked.field("authorization"), asked.field("cookie")], ["", ""], "{}", asked.head);
    }
    assert_eq!(paths(&chosen), ["/i.png?a"]);
    assert_eq!((paths(&elsewhere).len(), paths(&emoji).len(), paths(&shut).len()), (0, 0, 0));
    // Another table asks nobody again.
    instance.put_config(&file.concat().replace("📷", "🎬"));
    eventually("the new table is there", STUCK, async || ask(NEIGHBOUR, "/").await.text().contains('🎬').then_some(()))
        .await;
    let page = ask(NEIGHBOUR, "/").await.text();
    assert_eq!(page.matches("src=\"icons/").count(), 3, "{page}");
    assert_eq!(paths(&photos).len(), 3);
}

#[tokio::test]
async fn no_path_of_another_route_is_asked_for_through_one_that_is_open() {
    let shared = app(|path| {
        let page = "<link rel=icon href=/private/secret.png>";
        match path {
            "/" => Some(reply("200 OK", &[("Content-Type", "text/html")], page)),
            "/private/secret.png" => Some(picture()),
            _ => None,
        }
    })
    .await;
    let upstream = format!("upstream = \"http://{}\"", shared.address);
    let file = format!(
        "start-page = \"start.home.test\"\n[routes.open]\nhost = \"a.home.test\"\n{upstream}\n\
         [routes.private]\nhost = \"a.home.test\"\npath = \"/private\"\nauth.basic = \"@family\"\npage.icon = \"P\"\n{upstream}\n"
    );
    let _instance = behind_proxy(Options::config(&file)).await;
    eventually("the usual place is asked for", STUCK, async || {
        paths(&shared).iter().any(|path| path == "/favicon.ico").then_some(())
    })
    .await;
    assert_eq!(paths(&shared), ["/", "/favicon.ico"]);
}
