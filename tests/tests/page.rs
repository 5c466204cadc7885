//! The page in a real browser: every view in both colour schemes and on a phone, what it tells, and that it is live.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use gangway_tests::docker::Docker;
use gangway_tests::figures::figure;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::household::Household;
use gangway_tests::openid::part;
use gangway_tests::process::cpu_seconds;
use gangway_tests::webdriver::{ENTER, Screen, TAB, WebDriver};
use gangway_tests::{STUCK, root, run};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

const DESKTOP: Screen = Screen { width: 1280, height: 900, scheme: "light", is_phone: false };
const SCREENS: [(&str, Screen); 3] = [
    ("light", DESKTOP),
    ("dark", Screen { scheme: "dark", ..DESKTOP }),
    ("phone", Screen { width: 390, height: 844, scheme: "light", is_phone: true }),
];

/// The views, by the names of their pictures.
const VIEWS: [(&str, &str); 7] = [
    ("overview", ""),
    ("site", "site?route=jellyfin"),
    ("explain", "explain?url=https%3A%2F%2Fha.home.test%2F&from=203.0.113.7"),
    ("certificates", "certificates"),
    ("containers", "containers"),
    ("log", "log"),
    ("about", "about"),
];

/// The pictures that pages of the documentation show.
const SHOWN: [(&str, &str); 7] = [
    ("overview", "light"),
    ("overview", "dark"),
    ("overview", "phone"),
    ("site", "light"),
    ("explain", "light"),
    ("start", "light"),
    ("start", "phone"),
];

/// The host of the start page.
const START: &str = "start.home.test";

fn at(gangway: &Gangway, view: &str) -> String {
    format!("http://{}/{view}", gangway.admin)
}

/// Routes of a household, one of them behind a list and one whose application is not there.
fn routes(app: SocketAddr) -> String {
    format!(
        "[routes.shop]\nhost = \"shop.home.test\"\nupstream = \"http://{app}\"\nallow = \"lan\"\ncompress = true\n\
         [routes.films]\nrule = \"Host(`media.home.test`) && PathPrefix(`/films`)\"\nupstream = \"http://{app}\"\n\
         [routes.gone]\nhost = \"gone.home.test\"\nupstream = \"http://127.0.0.1:9\"\n\
         [routes.shut]\nhost = \"shut.home.test\"\nupstream = \"http://{app}\"\nallow = \"nonsense\"\n"
    )
}

/// Looks for barriers as axe-core knows them; the rules that are broken, each with the first place.
async fn barriers(browser: &WebDriver) -> Vec<String> {
    let axe = fs::read_to_string(part("axe/node_modules/axe-core/axe.min.js")).unwrap();
    let found = browser
        .run(&format!(
            "{axe};\nconst {{ violations }} = await axe.run(document, {{ resultTypes: ['violations'] }});\n\
             return violations.map(one => one.id + ': ' + one.nodes[0].html + ' ' + one.nodes[0].failureSummary)"
        ))
        .await;
    let found = found.as_array().unwrap_or_else(|| panic!("axe has not run: {found}"));
    found.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
}

/// What is wrong with the view that a browser shows.
async fn faults(browser: &WebDriver) -> Vec<String> {
    let mut faults = barriers(browser).await;
    let wide = "return document.documentElement.scrollWidth > window.innerWidth";
    if browser.run(wide).await != Value::Bool(false) {
        faults.push("it is wider than the screen".to_owned());
    }
    let kept = "return [document.cookie, localStorage.length, sessionStorage.length].join()";
    if browser.run(kept).await != ",0,0" {
        faults.push("it keeps something".to_owned());
    }
    faults.extend(browser.console().await);
    faults
}

fn write_picture(folder: &Path, name: &str, picture: &[u8]) {
    fs::create_dir_all(folder).unwrap();
    fs::File::create(folder.join(name)).unwrap().write_all(picture).unwrap();
}

#[test]
fn every_view_is_without_errors_and_barriers_on_every_screen() {
    run(async {
        let household = Household::start().await;
        let gangway = Options::docker(&household.url()).flag("--start-page", START).start().await;
        gangway.served("photos.home.test", "/").await;
        household.visit(&gangway).await;
        // The documentation shows them, and `make docs` writes them again.
        let writes_docs = std::env::var_os("UPDATE_DOCS").is_some();
        let start = format!("https://{START}:{}/", gangway.https.port());
        let views = VIEWS.map(|(name, view)| (name, at(&gangway, view)));
        let browser = WebDriver::start("home.test").await;
        for (screen, look) in SCREENS {
            browser.look(look).await;
            for (name, url) in views.iter().map(|(name, url)| (*name, url)).chain([("start", &start)]) {
                browser.open(url).await;
                browser.sees("Gangway").await;
                if name == "start" {
                    has_icons(&browser).await;
                }
                let (picture, file) = (browser.picture().await, format!("{name}-{screen}.png"));
                write_picture(&root().join("target/screenshots"), &file, &picture);
                if writes_docs && SHOWN.contains(&(name, screen)) {
                    write_picture(&root().join("docs/images"), &file, &picture);
                }
                assert_eq!(faults(&browser).await, Vec::<String>::new(), "{name} {screen}");
            }
        }
    });
}

/// Waits until the applications of the household are shown with the icons that they give.
async fn has_icons(browser: &WebDriver) {
    let drawn = "return [...document.querySelectorAll('.tiles img')].filter(one => one.naturalWidth > 0).length";
    eventually("five icons are drawn", STUCK, async || (browser.run(drawn).await == 5).then_some(())).await;
}

#[test]
fn the_start_page_is_used_by_keyboard_and_leads_to_applications() {
    run(async {
        let household = Household::start().await;
        let gangway = Options::docker(&household.url()).flag("--start-page", START).start().await;
        gangway.served("photos.home.test", "/").await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        browser.open(&format!("https://{START}:{}/", gangway.https.port())).await;
        let told = browser.sees("Immich").await;
        for (name, untold) in [("Jellyfin", "media-jellyfin-1"), ("Home Assistant", "127.20"), ("Paperless", "Log")] {
            assert!(told.contains(name) && !told.contains(untold), "{told}");
        }
        let focused = "return document.activeElement.className + document.activeElement.getAttribute('href')";
        browser.press(TAB).await;
        assert_eq!(browser.run(focused).await, "skip#main");
        browser.press("/").await;
        assert_eq!(browser.run("return document.activeElement.name").await, "q");
        browser.press("jelly").await;
        let names = "return [...document.querySelectorAll('.tiles b')].map(one => one.innerText).join()";
        eventually("one tile is left", STUCK, async || (browser.run(names).await == "Jellyfin").then_some(())).await;
        let films = format!("https://films.home.test:{}/", gangway.https.port());
        // Behind the field is the first tile, for the button is only there where nothing runs.
        browser.press(TAB).await;
        assert_eq!(browser.run("return document.activeElement.href").await, films);
        let outline = "return getComputedStyle(document.activeElement).outlineStyle";
        assert_ne!(browser.run(outline).await, "none", "what has the focus is to be seen");
        browser.press(ENTER).await;
        browser.arrives(&films).await;
    });
}

#[test]
fn the_page_is_used_by_keyboard() {
    run(async {
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let gangway = Options::docker("none").config(&routes(app)).start().await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        browser.open(&at(&gangway, "")).await;
        browser.sees("shop.home.test").await;
        browser.press(&TAB.repeat(3)).await;
        assert_eq!(
            browser.run("return document.activeElement.innerText").await,
            "Overview",
            "the list of views comes first"
        );
        browser.press(&format!("{TAB}{ENTER}")).await;
        browser.arrives(&at(&gangway, "explain")).await;
        browser.open(&at(&gangway, "")).await;
        browser.press("/shop").await;
        let hosts = "return [...document.querySelectorAll('#sites tbody th .host')].map(one => one.innerText).join()";
        eventually("one site is left", STUCK, async || (browser.run(hosts).await == "shop.home.test").then_some(()))
            .await;
        browser.press(&TAB.repeat(2)).await;
        let focused = async || (browser.run("return document.activeElement.className").await == "host").then_some(());
        eventually("the site has the focus", STUCK, focused).await;
        browser.press(ENTER).await;
        browser.arrives(&at(&gangway, "site?route=")).await;
    });
}

#[test]
fn a_person_reads_states_filters_and_follows_an_explanation() {
    run(async {
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let gangway = Options::docker("none").config(&routes(app)).start().await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        browser.open(&at(&gangway, "")).await;
        let told = browser.sees("shop.home.test").await;
        for word in ["closed", "a protecting label could not be applied", "effect", "nonsense", "^^^"] {
            assert!(told.contains(word), "no `{word}` in {told}");
        }
        browser.write("input[name=q]", "films").await;
        let rows = "return [...document.querySelectorAll('#sites tbody th .host')].map(one => one.innerText).join()";
        let filtered = async || (browser.run(rows).await == "media.home.test").then_some(());
        eventually("one site is left", STUCK, filtered).await;
        assert!(browser.url().await.ends_with("?q=films"), "the filter is in the address");
        browser.click("#sites tbody th .host").await;
        browser.sees("Endpoints").await;
        browser.click(".beside a[href^=explain]").await;
        browser.sees("no route takes it").await;
        let told = browser.sees("is answered here").await;
        assert!(told.contains("PathPrefix(`/films`)"), "{told}");
        browser.run("document.querySelector('input[name=url]').value = ''; return null").await;
        browser.write("input[name=url]", "https://media.home.test/films/1").await;
        browser.click("form.explain button").await;
        browser.sees("served by").await;
        browser.run("document.querySelector('input[name=url]').value = ''; return null").await;
        browser.write("input[name=url]", "ftp://x").await;
        browser.click("form.explain button").await;
        browser.sees("is neither http nor https").await;
        assert_eq!(browser.console().await, Vec::<String>::new());
    });
}

#[test]
fn the_page_stands_on_a_route_of_its_own_without_the_api() {
    run(async {
        let host = "page.home.test";
        let password = "[routes.page]\nauth.basic = \"@nobody\"\n";
        let open = Options::docker("none").flag("--page", host).start().await;
        let shut = Options::docker("none").flag("--page", host).config(password).start().await;
        open.served(host, "/").await;
        assert_eq!(open.secure().get(host, "/api/v1/status").await.unwrap().status, 404);
        let refused = shut.secure().get(host, "/").await.unwrap();
        assert!(matches!(refused.status.as_u16(), 401 | 503), "{refused:?}");
        let browser = WebDriver::start("home.test").await;
        browser.open(&format!("https://{host}:{}/", open.https.port())).await;
        browser.sees("Overview").await;
        browser.sees(host).await;
        assert_eq!(browser.console().await, Vec::<String>::new());
    });
}

#[test]
fn a_container_is_on_the_page_as_soon_as_it_starts() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        browser.open(&at(&gangway, "")).await;
        browser.sees("Overview").await;
        // What is unfolded and written stays where it is.
        browser.write("input[name=q]", "late").await;
        browser.sees("No site").await;
        let host = docker.name("late.home.test");
        let app = docker.app("late").label("gangway.host", &host).start();
        browser.sees(&host).await;
        let written = browser.run("return document.querySelector('input[name=q]').value").await;
        assert_eq!(written, "late");
        docker.command(["rm", "--force", &app.name]);
        // Its host is kept, and requests wait for a while.
        let row = "return document.querySelector('#sites tbody').innerText";
        let is_held = async || browser.run(row).await.as_str()?.contains("held").then_some(());
        eventually("the site is held", STUCK, is_held).await;
        assert_eq!(browser.console().await, Vec::<String>::new());
    });
}

/// What a view may transfer at first, with all that it refers to.
const FIRST_PAINT_BYTES_MAX: f64 = 300_000.0;

#[test]
fn the_first_paint_of_500_sites_is_few_bytes() {
    run(async {
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let site = |at: usize| format!("[routes.n{at}]\nhost = \"n{at}.home.test\"\nupstream = \"http://{app}\"\n");
        let gangway = Options::docker("none").config(&(0..500).map(site).collect::<String>()).start().await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        browser.open(&at(&gangway, "")).await;
        browser.sees("of 500").await;
        // What is fetched again is not of the first paint.
        let painted = "const first = performance.getEntriesByName('first-contentful-paint')[0]; \
                       const all = ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind)) \
                         .filter(one => !one.name.includes('fragment=') && !one.name.includes('/events')); \
                       return first && [all.reduce((sum, one) => sum + one.transferSize, 0), first.startTime]";
        let (bytes, time) = eventually("it is painted", STUCK, async || {
            let told = browser.run(painted).await;
            Some((told[0].as_f64()?, told[1].as_f64()?))
        })
        .await;
        figure(format!("the page with 500 sites: {bytes} bytes transferred, first paint after {time:.0} ms"));
        assert!(bytes > 10_000.0 && bytes <= FIRST_PAINT_BYTES_MAX, "{bytes} bytes");
    });
}

/// Tabs in which the page is open.
const TABS: usize = 20;

/// The share of one core that Gangway takes in a while.
async fn cpu_share(gangway: &Gangway) -> f64 {
    const WHILE: Duration = Duration::from_secs(15);
    let (before, begun) = (cpu_seconds(gangway.process.id()), Instant::now());
    eventually("a while is over", STUCK, async || (begun.elapsed() >= WHILE).then_some(())).await;
    (cpu_seconds(gangway.process.id()) - before) / begun.elapsed().as_secs_f64()
}

#[test]
fn tabs_with_the_page_cost_little() {
    run(async {
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let gangway = Options::docker("none").config(&routes(app)).start().await;
        let idle = cpu_share(&gangway).await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        for tab in 0..TABS {
            if tab > 0 {
                browser.open_tab().await;
            }
            browser.open(&at(&gangway, "")).await;
            browser.sees("shop.home.test").await;
        }
        let tabs = cpu_share(&gangway).await;
        // Beside them, as many that are all in front: programs that listen and never look away.
        let host = gangway.admin.to_string();
        let mut streams = Vec::new();
        for _ in 0..TABS {
            let mut stream = Client::plain(gangway.admin).stream(&host).await.unwrap();
            let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            streams.push(tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await }));
        }
        let listening = async || {
            let text = gangway.admin("/metrics").await.ok()?.text();
            let line = text.lines().find(|line| line.starts_with("gangway_event_streams "))?.to_owned();
            (line.rsplit(' ').next()?.parse::<usize>().ok()? > TABS).then_some(())
        };
        eventually("all of them listen, and the tab in front", STUCK, listening).await;
        let with_streams = cpu_share(&gangway).await;
        streams.iter().for_each(tokio::task::JoinHandle::abort);
        let [idle, tabs, with_streams] = [idle, tabs, with_streams].map(|share| share * 100.0);
        figure(format!(
            "CPU of one core: {idle:.2} % idle, {tabs:.2} % with the page in {TABS} tabs, \
             {with_streams:.2} % with {TABS} streams of events more"
        ));
        // Not a measure of speed: far above it, every tab costs something all the time.
        assert!(tabs < 5.0 && with_streams < 10.0, "{tabs} % and {with_streams} %");
    });
}

#[test]
fn traffic_is_unhurt_by_the_page() {
    const TURNS: usize = 5;
    run(async {
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let plain = "[routes.plain]\nhost = \"plain.home.test\"\nhttps-redirect = false\n";
        let config = format!("{}{plain}upstream = \"http://{app}\"\n", routes(app));
        let gangway = Options::docker("none").config(&config).start().await;
        let browser = WebDriver::start("home.test").await;
        browser.look(DESKTOP).await;
        let mut spent = [(0.0, 0.0); 2];
        for _ in 0..TURNS {
            for (with_page, spent) in spent.iter_mut().enumerate() {
                if with_page == 1 {
                    browser.open(&at(&gangway, "")).await;
                    browser.sees("plain.home.test").await;
                } else {
                    browser.open("about:blank").await;
                }
                let (cpu, begun) = (cpu_seconds(gangway.process.id()), Instant::now());
                ask_much(&gangway).await;
                spent.0 += begun.elapsed().as_secs_f64();
                spent.1 += cpu_seconds(gangway.process.id()) - cpu;
            }
        }
        let [without, with] = spent;
        let (time, cpu) = (with.0 / without.0, with.1 / without.1);
        figure(format!("the same requests with the page open against without: time × {time:.3}, CPU × {cpu:.3}"));
        // The browser takes its share of the machine, so the time says little; far above, something waits for the page.
        assert!(time < 3.0 && cpu < 1.5, "time {time}, CPU {cpu}");
    });
}

/// Asks a number of times on a few connections.
async fn ask_much(gangway: &Gangway) {
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 3000;
    let clients = (0..CONNECTIONS).map(|_| {
        let client = gangway.plain();
        tokio::spawn(async move {
            let mut connection = client.connect("plain.home.test").await.unwrap();
            for _ in 0..REQUESTS {
                assert_eq!(connection.get("/").await.unwrap().status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}
