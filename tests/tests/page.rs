//! The page in a real browser: every view in both colour schemes and on a phone, what it tells, and that it is live.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;

use gangway_testkit::app::{self, App};
use gangway_testkit::wait::eventually;
use gangway_tests::docker::Docker;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::openid::part;
use gangway_tests::webdriver::{Screen, WebDriver};
use gangway_tests::{STUCK, root, run};
use serde_json::Value;

const DESKTOP: Screen = Screen { width: 1280, height: 900, scheme: "light", is_phone: false };
const SCREENS: [(&str, Screen); 3] = [
    ("light", DESKTOP),
    ("dark", Screen { scheme: "dark", ..DESKTOP }),
    ("phone", Screen { width: 390, height: 844, scheme: "light", is_phone: true }),
];

/// The views, by the names of their pictures.
const VIEWS: [(&str, &str); 7] = [
    ("overview", ""),
    ("site", "site?route=shop"),
    ("explain", "explain?url=https%3A%2F%2Fshop.home.test%2Fcart&from=203.0.113.7"),
    ("certificates", "certificates"),
    ("containers", "containers"),
    ("log", "log"),
    ("about", "about"),
];

fn at(gangway: &Gangway, view: &str) -> String {
    format!("http://{}/{view}", gangway.admin)
}

/// Routes of a household, one of them behind a list and one whose application is not there.
fn household(app: SocketAddr) -> String {
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

#[test]
fn every_view_is_without_errors_and_barriers_on_every_screen() {
    run(async {
        let docker = Docker::shared();
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let gangway = Options::docker(&docker.url()).config(&household(app)).start().await;
        docker.app("backup").start();
        let pictures = root().join("target/screenshots");
        fs::create_dir_all(&pictures).unwrap();
        let browser = WebDriver::start("home.test").await;
        for (screen, look) in SCREENS {
            browser.look(look).await;
            for (name, view) in VIEWS {
                browser.open(&at(&gangway, view)).await;
                browser.sees("Gangway").await;
                let mut file = fs::File::create(pictures.join(format!("{name}-{screen}.png"))).unwrap();
                file.write_all(&browser.picture().await).unwrap();
                assert_eq!(barriers(&browser).await, Vec::<String>::new(), "{name} {screen}");
                let wide = "return document.documentElement.scrollWidth > window.innerWidth";
                assert_eq!(browser.run(wide).await, Value::Bool(false), "{name} is wider than the {screen} screen");
                assert_eq!(browser.console().await, Vec::<String>::new(), "{name} {screen}");
                let kept = "return [document.cookie, localStorage.length, sessionStorage.length].join()";
                assert_eq!(browser.run(kept).await, ",0,0", "{name} keeps something");
            }
        }
    });
}

#[test]
fn a_person_reads_states_filters_and_follows_an_explanation() {
    run(async {
        let (app, _) = app::spawn(App::new("shop")).await.unwrap();
        let gangway = Options::docker("none").config(&household(app)).start().await;
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
