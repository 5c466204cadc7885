//! Whatever is written into labels and files, the rest is served and the mistake is reported.

use gangway_testkit::app::{self, App};
use gangway_testkit::wait::eventually;
use gangway_tests::docker::Docker;
use gangway_tests::figures::figure;
use gangway_tests::gangway::{Options, replace_file};
use gangway_tests::{STUCK, run};

#[test]
fn a_host_is_kept_through_everything_and_given_up_only_by_its_owner() {
    run(async {
        let docker = Docker::shared();
        let mut gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("mine.test");
        let (one, two) = (docker.name("p1"), docker.name("p2"));
        let owner = |name: &str| docker.app(name).service(&one, "web").label("gangway.host", &host).start();
        let older = owner("older");
        gangway.served(&host, "/").await;
        let newer = docker.app("newer").service(&two, "web").label("gangway.host", &host).start();
        let page =
            docker.app("page").service(&two, "page").label("gangway.host", &host).label("gangway.path", "=/").start();
        let said = gangway.diagnosed(&["G301", &older.name, &newer.name]).await;
        assert!(said.contains(&host), "{said}");
        gangway.diagnosed(&["G301", &older.name, &page.name]).await;
        let client = gangway.secure();
        let answered = async || client.get(&host, "/").await.map(|answer| answer.text()).unwrap_or_default();
        for _ in 0..50 {
            assert!(answered().await.starts_with("older "), "another one got a byte");
        }
        // Paused, stopped, started and recreated: the one that waits beside it gets nothing.
        docker.command(["pause", &older.name]);
        docker.command(["unpause", &older.name]);
        assert!(answered().await.starts_with("older "));
        docker.command(["stop", "-t", "0", &older.name]);
        gangway.restart().await;
        let client = gangway.secure();
        let answered = async || client.get(&host, "/").await.map(|answer| answer.text()).unwrap_or_default();
        assert!(!answered().await.starts_with("newer "), "after a restart while its holder is stopped");
        docker.command(["rm", "-f", &older.name]);
        assert!(!answered().await.starts_with("newer "), "within the minute");
        owner("recreated");
        eventually("the holder is back", STUCK, async || answered().await.starts_with("recreated ").then_some(()))
            .await;
        eventually("who holds it is written down", STUCK, async || {
            let (_, held, _) = gangway.cli(["hosts"]);
            let states =
                |state: &str| held.lines().filter(|line| line.contains(&host) && line.ends_with(state)).count();
            ((states("holder"), states("refused")) == (1, 2)).then_some(())
        })
        .await;
        // Its owner gives it up, the one that waited longest has it, and the other way round it is kept as well.
        let (code, said, _) = gangway.cli(["release", &host]);
        assert_eq!(code, 0, "{said}");
        // The other project asks for the very path as well.
        eventually("the host is given up", STUCK, async || answered().await.starts_with("page ").then_some(())).await;
        // Which of its containers is named as the holder depends on the second in which they were created.
        eventually("it is told who has the host now", STUCK, async || {
            let found = gangway.api("diagnostics").await.to_string();
            let of_loser = found.contains("recreated");
            (of_loser && [&newer, &page].iter().any(|holder| found.contains(&holder.name))).then_some(())
        })
        .await;
    });
}

#[test]
fn every_bad_label_is_named_and_costs_only_itself() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (good, fair) = (docker.name("good.test"), docker.name("fair.test"));
        docker.app("good").label("gangway.host", &good).start();
        docker
            .app("fair")
            .label("gangway.host", &fair)
            .label("gangway.hots", "x.test")
            .label("gangway.timeout.connect", "soon")
            .label("gangway.body-limit", "-5")
            .label("gangway.response.header.X-Bad", "a\u{7}b")
            .label("gangway.priority", "99999999999999999999")
            .label("gangaway.host", "x.test")
            .label("gangway.routes..host", "x.test")
            .label("gangway.sleep.after", "5m")
            .start();
        docker.app("none").label("gangway.host", "exa mple..test").start();
        docker.app("rule").label("gangway.rule", "Host(`a.test`) && (PathPrefix(`/x`").start();
        docker.app("port").label("gangway.host", &docker.name("port.test")).label("gangway.port", "web").start();
        gangway.served(&fair, "/").await;
        gangway.served(&good, "/").await;
        for words in [
            ["fair", "gangway.hots"],
            ["fair", "gangway.timeout.connect"],
            ["fair", "gangway.body-limit"],
            ["fair", "gangway.response.header"],
            ["fair", "gangway.priority"],
            ["fair", "gangaway.host"],
            ["fair", "gangway.routes..host"],
            ["fair", "gangway.sleep.after"],
            ["none", "gangway.host"],
            ["rule", "gangway.rule"],
            ["port", "gangway.port"],
        ] {
            gangway.diagnosed(&words).await;
        }
        let (code, said, _) = gangway.cli(["status"]);
        assert!(code == 0 || code == 1, "{said}");
    });
}

#[test]
fn a_protecting_label_that_cannot_be_applied_closes_its_route() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        for (name, key, value) in [
            ("basic", "gangway.auth.basic", "user:not-a-hash"),
            ("allow", "gangway.allow", "10.0.0.0/999"),
            ("rate", "gangway.rate-limit", "many"),
            ("client", "gangway.client-ca", "../../etc/passwd"),
        ] {
            let host = docker.name(&format!("{name}.test"));
            let app = docker.app(name).label("gangway.host", &host).label(key, value).start();
            gangway.diagnosed(&[&app.name, key]).await;
            let answer = gangway.plain().get(&host, "/").await.unwrap();
            assert!(!answer.status.is_success(), "{name}: {}", answer.status);
            if let Ok(answer) = gangway.secure().get(&host, "/").await {
                assert!(
                    !answer.status.is_success() && !answer.text().contains(" on "),
                    "{name} let somebody in: {answer:?}"
                );
            }
        }
    });
}

#[test]
fn huge_and_countless_labels_hurt_nobody_else() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let good = docker.name("good.test");
        docker.app("good").label("gangway.host", &good).start();
        gangway.served(&good, "/").await;
        let before = gangway.process.resident_kib();
        let one = |key: &str, value: String| vec![(key.to_owned(), value)];
        let many =
            (0..5000).map(|number| (format!("gangway.routes.r{number}.host"), format!("h{number}.test"))).collect();
        for (name, labels) in [
            ("huge", one("gangway.host", "a".repeat(10 * 1024 * 1024))),
            ("many", many),
            ("nested", one("gangway.rule", format!("{}Host(`a.test`){}", "(".repeat(1500), ")".repeat(1500)))),
            ("bomb", one("gangway.path", "~^/((a{1,500}){1,500}){1,500}$".into())),
        ] {
            let app = docker.start_with_labels(name, &labels);
            let said = gangway.diagnosed(&[&app.name]).await;
            assert!(said.len() < 64 * 1024, "a diagnostic repeats {} bytes of a label", said.len());
            gangway.served(&good, "/").await;
        }
        let grown = gangway.process.resident_kib().saturating_sub(before) / 1024;
        figure(format!("10 MB label, 5,000 labels, nested rule, pattern bomb: {grown} MiB more memory, all diagnosed"));
        assert!(gangway.process.log().lines().all(|line| !line.contains("panicked")), "a panic");
    });
}

#[test]
fn a_config_file_cut_in_half_leaves_the_last_table_in_force() {
    run(async {
        let (address, _) = app::spawn(App::new("file")).await.unwrap();
        let route =
            |name: &str| format!("[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"http://{address}\"\n\n");
        let whole = format!("{}{}", route("first"), route("second"));
        let gangway = Options::docker("none").config(&whole).start().await;
        gangway.served("first.test", "/").await;
        gangway.served("second.test", "/").await;
        // Cut inside a string, so that no half of it is a file by itself.
        let cut = &whole[..whole.rfind("http").unwrap()];
        replace_file(&gangway.config_file(), cut);
        gangway.diagnosed(&["G9"]).await;
        gangway.served("first.test", "/").await;
        gangway.served("second.test", "/").await;
        replace_file(&gangway.config_file(), &format!("{whole}{}", route("third")));
        gangway.served("third.test", "/").await;
        gangway.served("second.test", "/").await;
    });
}

#[test]
fn hostile_requests_are_refused_and_the_next_client_is_served() {
    run(async {
        let (address, app) = app::spawn(App::new("calm")).await.unwrap();
        let config =
            format!("[routes.calm]\nhost = \"calm.test\"\nupstream = \"http://{address}\"\nhttps-redirect = false\n");
        let gangway = Options::docker("none").config(&config).start().await;
        gangway.answers("calm.test", 200).await;
        let served = app.served();
        let host = "Host: calm.test\r\n";
        for (what, head, status) in [
            (
                "two lengths",
                format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
                "400",
            ),
            ("listed lengths", format!("POST / HTTP/1.1\r\n{host}Content-Length: 5, 5\r\n\r\nhello"), "400"),
            (
                "length and coding",
                format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                "400",
            ),
            (
                "another coding",
                format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
                "400",
            ),
            ("no host", "GET / HTTP/1.1\r\n\r\n".into(), "400"),
            ("two hosts", format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), "400"),
            ("host with a path", "GET / HTTP/1.1\r\nHost: calm.test/x\r\n\r\n".into(), "400"),
            ("host with a user", "GET / HTTP/1.1\r\nHost: a@calm.test\r\n\r\n".into(), "400"),
            ("target of another host", format!("GET http://other.test/ HTTP/1.1\r\n{host}\r\n"), "400"),
            ("control byte", format!("GET / HTTP/1.1\r\n{host}X-A: a\u{1}b\r\n\r\n"), "400"),
            ("space before the colon", format!("GET / HTTP/1.1\r\n{host}X-A : a\r\n\r\n"), "400"),
            ("folded field", format!("GET / HTTP/1.1\r\n{host}X-A: a\r\n b\r\n\r\n"), "400"),
            ("fragment", format!("GET /#x HTTP/1.1\r\n{host}\r\n"), "400"),
            ("connect", format!("CONNECT calm.test:80 HTTP/1.1\r\n{host}\r\n"), "405"),
            ("trace", format!("TRACE / HTTP/1.1\r\n{host}\r\n"), "405"),
            ("long target", format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(9000)), "414"),
            ("long head", format!("GET / HTTP/1.1\r\n{host}X-A: {}\r\n\r\n", "a".repeat(40_000)), "431"),
            ("many fields", format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X-A: a\r\n".repeat(150)), "431"),
        ] {
            let answer = gangway.plain().raw("calm.test", head.as_bytes()).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{what}: {}",
                answer.lines().next().unwrap_or("nothing")
            );
            assert_eq!(app.served(), served, "{what} reached the app");
        }
        gangway.answers("calm.test", 200).await;
    });
}
