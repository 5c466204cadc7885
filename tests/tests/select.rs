//! Two instances share one engine, and neither says a word about what is the other's.

use gangway_testkit::wait::eventually;
use gangway_tests::docker::{AppBuilder, Docker};
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::{STUCK, run};
use serde_json::Value;

/// A label of the user's own, by which one of the two selects its containers.
const EDGE: &str = "com.example.edge";

#[test]
fn two_instances_share_one_engine_without_a_word_about_each_others_apps() {
    run(async {
        let docker = Docker::shared();
        let project = docker.name("outside");
        let both = docker.name("both.test");
        let host = |name: &str| format!("{}.test", docker.name(name));
        let inside = |name: &str| docker.app(name).label(EDGE, "inside");
        let outside = |name: &str| docker.app(name).service(&project, &docker.name(name));
        // Each has something to complain of, and both ask for one host.
        for (app, name) in [(inside("inside"), "inside"), (outside("outside"), "outside")] {
            let hosts = format!("{},{both}", host(name));
            app.label("gangway.host", &hosts).label("gangway.hots", "typo").start();
        }
        docker.app("nobodys").label("gangway.host", &host("nobodys")).start();
        let select = |expression: &str| Options::docker(&docker.url()).flag("--select", expression);
        let one = select(&format!("{},{EDGE}=inside", docker.label())).start().await;
        let other = select(&format!("project={project}")).start().await;
        served_by(&one, &docker, "inside", &both).await;
        served_by(&other, &docker, "outside", &both).await;

        // Containers that come while they run. Events keep their order, so an instance that serves the last knows the others.
        let start = |app: AppBuilder<'_>, name: &str| app.label("gangway.host", &host(name)).start();
        let gone = [start(inside("inside-gone"), "inside-gone"), start(outside("outside-gone"), "outside-gone")];
        gone.iter().for_each(|app| drop(docker.command(["rm", "-f", &app.name])));
        start(outside("outside-late"), "outside-late");
        start(inside("inside-last"), "inside-last");
        one.served(&host("inside-last"), "/").await;
        start(outside("outside-last"), "outside-last");
        other.served(&host("outside-last"), "/").await;

        one.diagnosed(&["gangway.hots", "inside"]).await;
        other.diagnosed(&["gangway.hots", "outside"]).await;
        says_nothing_of(&one, &docker, &["outside", "nobodys"]).await;
        says_nothing_of(&other, &docker, &["inside", "nobodys"]).await;
    });
}

async fn served_by(gangway: &Gangway, docker: &Docker, name: &str, both: &str) {
    for host in [&format!("{}.test", docker.name(name)), both] {
        assert!(gangway.served(host, "/").await.text().starts_with(&format!("{name} on ")), "{host}");
    }
}

/// Neither in its answers, nor on its volume, nor in its log.
async fn says_nothing_of(gangway: &Gangway, docker: &Docker, names: &[&str]) {
    // Who holds a host is written down a moment after it is served.
    let hosts = eventually("hosts are remembered", STUCK, async || {
        let (code, listed, _) = gangway.cli(["hosts"]);
        (code == 0 && listed.contains(&docker.name("both.test"))).then_some(listed)
    })
    .await;
    for name in names {
        let name = docker.name(name);
        let host = format!("{name}.test");
        assert_eq!(gangway.plain().get(&host, "/").await.expect("answered").status, 404);
        let explained: Value = gangway.api(&format!("explain?url=https://{host}/")).await;
        assert!(explained["route"].is_null() && explained["named"] == serde_json::json!([]), "{explained}");
        for what in ["routes", "containers", "certificates", "diagnostics"] {
            let told = gangway.api(what).await.to_string();
            assert!(!told.contains(&name), "{what} speak of `{name}`: {told}");
        }
        assert!(!hosts.contains(&name), "hosts of `{name}`: {hosts}");
        let log = gangway.process.log();
        assert!(!log.contains(&name), "the log speaks of `{name}`: {log}");
    }
}
