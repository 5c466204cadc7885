//! A label on a container, and it is on the web: the whole way with a real engine and the real binary.

use std::collections::BTreeSet;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::sum::{Pattern, Sum};
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use gangway_tests::docker::Docker;
use gangway_tests::gangway::{Options, replace_file};
use gangway_tests::{STUCK, run};

#[test]
fn a_labelled_container_is_served_over_https_by_its_name() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("web.test");
        let app = docker.app("web").label("gangway.host", &host).start();
        let answer = gangway.served(&host, "/").await;
        assert_eq!(answer.text(), format!("web on {}\n", &app.id[..12]));
        let h2 = gangway.secure().speaking(Speaks::H2).get(&host, "/").await.unwrap();
        assert_eq!((h2.status.as_u16(), format!("{:?}", h2.version).as_str()), (200, "HTTP/2.0"));
        let plain = gangway.plain().get(&host, "/a?b=c").await.unwrap();
        assert_eq!(plain.status, 308);
        assert!(plain.header("location").starts_with(&format!("https://{host}")), "{plain:?}");
        assert!(plain.header("location").ends_with("/a?b=c"), "{plain:?}");
    });
}

#[test]
fn a_container_without_a_host_is_named_after_its_service() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).flag("--domain", "home.arpa").start().await;
        let (project, service) = (docker.name("p"), docker.name("notes"));
        docker.app("notes").service(&project, &service).label("gangway.enable", "true").start();
        gangway.served(&format!("{service}.home.arpa"), "/").await;
    });
}

#[test]
fn without_a_label_nothing_is_exposed_and_with_expose_all_it_is() {
    run(async {
        let docker = Docker::shared();
        let (project, service) = (docker.name("p"), docker.name("quiet"));
        docker.app("quiet").service(&project, &service).start();
        let labelled = Options::docker(&docker.url()).start().await;
        assert_eq!(labelled.answers(&format!("{service}.localhost"), 404).await.status, 404);
        drop(labelled);
        let all = Options::docker(&docker.url()).flag("--expose", "all").start().await;
        all.served(&format!("{service}.localhost"), "/").await;
    });
}

#[test]
fn an_unknown_host_is_a_404_of_our_own_by_http_and_by_https() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("known.test");
        docker.app("known").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        let mut connection = gangway.plain().connect("nobody.test").await.unwrap();
        let answer = connection.ask("GET", "/", &[("accept", "application/json")], "").await.unwrap();
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("no-route"), "{}", answer.text());
        assert!(!answer.header("x-request-id").is_empty());
        let answer = gangway.secure().get("nobody.test", "/").await.unwrap();
        assert_eq!(answer.status, 404, "somebody local is told by https as well");
        assert!(answer.text().contains("no-route"), "{}", answer.text());
    });
}

#[test]
fn what_the_app_receives_is_what_was_sent_with_one_of_each_forwarded_field() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("echo.test");
        docker.app("echo").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        let sent = format!(
            "POST /a%2Fb//c/../d?q=%20 HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: spoof\r\n\
             Remote-User: admin\r\nX_Under: 1\r\nX-Kept: yes\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nhello"
        );
        let raw = gangway.secure().raw(&host, sent.as_bytes()).await.unwrap();
        let told: serde_json::Value = serde_json::from_str(raw.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(told["target"], "/a%2Fb//c/../d?q=%20");
        assert_eq!(told["body_sum"], Sum::of(b"hello"));
        let fields: Vec<(String, String)> = serde_json::from_value(told["headers"].clone()).unwrap();
        let all = |name: &str| -> Vec<&str> {
            fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(all("host"), [host.as_str()]);
        assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(all("x-forwarded-proto"), ["https"]);
        assert_eq!(all("x-forwarded-host"), [host.as_str()]);
        assert_eq!(all("x-forwarded-port").len(), 1);
        assert_eq!(all("x-real-ip"), ["127.0.0.1"]);
        assert_eq!(all("x-kept"), ["yes"]);
        for dropped in ["remote-user", "x_under", "x-hop", "x-forwarded-prefix", "forwarded"] {
            assert!(all(dropped).is_empty(), "{dropped} reached the app: {fields:?}");
        }
    });
}

#[test]
fn websockets_events_early_answers_and_cut_answers_pass() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("live.test");
        docker.app("live").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        let client = gangway.secure();

        let mut socket = WebSocket::open(client.stream(&host).await.unwrap(), &host, "/ws").await.unwrap();
        assert_eq!(socket.ask("over and out").await.unwrap(), "over and out");
        socket.close().await.unwrap();

        let events = client.get(&host, "/stream?every=5&count=3").await.unwrap();
        assert_eq!(events.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");

        let head = format!("POST /early HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000000\r\n\r\n");
        let early = client.raw(&host, head.as_bytes()).await.unwrap();
        assert!(early.starts_with("HTTP/1.1 413 "), "{early}");

        for speaks in [Speaks::H1, Speaks::H2] {
            let cut = client.clone().speaking(speaks).get(&host, "/cut/50000").await;
            assert!(cut.is_err(), "a cut answer must look cut over {speaks:?}");
        }
    });
}

#[test]
fn bodies_pass_both_ways_unchanged() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("bulk.test");
        docker.app("bulk").label("gangway.host", &host).start();
        gangway.served(&host, "/").await;
        for speaks in [Speaks::H1, Speaks::H2] {
            let mut connection = gangway.secure().speaking(speaks).connect(&host).await.unwrap();
            for len in [0, 1, 4095, 65_536, 3_000_001] {
                let up = connection.ask("POST", "/upload", &[], Pattern::bytes(len)).await.unwrap();
                assert_eq!(up.json()["sum"], Sum::of_pattern(len as u64), "{len} bytes up over {speaks:?}");
                for path in [format!("/bytes/{len}"), format!("/bytes/{len}?chunked")] {
                    let down = connection.get(&path).await.unwrap();
                    assert_eq!(Sum::of(&down.body), Sum::of_pattern(len as u64), "{path} over {speaks:?}");
                }
            }
        }
    });
}

#[test]
fn grpc_reaches_an_h2c_app_with_its_trailers() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("grpc.test");
        docker.app("grpc").label("gangway.host", &host).label("gangway.scheme", "h2c").start();
        gangway.served(&host, "/").await;
        let mut connection = gangway.secure().speaking(Speaks::H2).connect(&host).await.unwrap();
        let call = [("content-type", "application/grpc"), ("te", "trailers")];
        let message = [&[0, 0, 0, 0, 5][..], b"hello"].concat();
        let answer = connection.ask("POST", "/echo.Echo/Say", &call, message.clone()).await.unwrap();
        assert_eq!(answer.body, message);
        let trailers = answer.trailers.expect("gRPC without trailers is an error for every client");
        assert_eq!(trailers["grpc-status"], "0");
    });
}

#[test]
fn an_https_upstream_is_verified_unless_a_label_says_otherwise() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (strict, lax) = (docker.name("strict.test"), docker.name("lax.test"));
        let app = |name: &str| docker.app(name).label("gangway.port", "8443").arguments(["--tls", "0.0.0.0:8443"]);
        app("strict").label("gangway.host", &strict).start();
        app("lax").label("gangway.host", &lax).label("gangway.verify", "false").start();
        gangway.served(&lax, "/").await;
        let refused = gangway.secure().get(&strict, "/").await.unwrap();
        assert_eq!(refused.status, 502, "a certificate of nobody's must not be believed");
    });
}

#[test]
fn middlewares_of_labels_are_in_force() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let host = docker.name("mix.test");
        docker
            .app("mix")
            .label("gangway.host", &host)
            .label("gangway.path", "/stash")
            .label("gangway.strip-prefix", "true")
            .label("gangway.request.header.X-From", "gangway")
            .label("gangway.response.header.X-Frame-Options", "DENY")
            .label("gangway.body-limit", "1KiB")
            .label("gangway.hsts", "true")
            .label("gangway.routes.old.host", &docker.name("old.test"))
            .label("gangway.routes.old.redirect", "302 https://{host}/new{path}")
            .start();
        let answer = gangway.served(&host, "/stash/a%2Fb?c").await;
        let told = answer.json();
        assert_eq!(told["target"], "/a%2Fb?c");
        let fields = told["headers"].to_string().to_ascii_lowercase();
        assert!(fields.contains(r#"["x-forwarded-prefix","/stash"]"#), "{fields}");
        assert!(fields.contains(r#"["x-from","gangway"]"#), "{fields}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{answer:?}");
        let mut connection = gangway.secure().connect(&host).await.unwrap();
        assert_eq!(connection.ask("POST", "/stash/upload", &[], vec![0; 2000]).await.unwrap().status, 413);
        let bare = gangway.secure().get(&host, "/stash").await.unwrap();
        assert!(bare.status.is_redirection() && bare.header("location").ends_with("/stash/"), "{bare:?}");
        let outside = gangway.secure().get(&host, "/stashed").await.unwrap();
        assert_eq!((outside.status.as_u16(), outside.header("x-frame-options")), (404, ""));
        let old = docker.name("old.test");
        let moved = gangway.secure().get(&old, "/x").await.unwrap();
        assert_eq!((moved.status.as_u16(), moved.header("location")), (302, format!("https://{old}/new/x").as_str()));
    });
}

#[test]
fn replicas_share_the_requests() {
    run(async {
        let docker = Docker::shared();
        let gangway = Options::docker(&docker.url()).start().await;
        let (host, project) = (docker.name("many.test"), docker.name("p"));
        for name in ["one", "two", "three"] {
            docker.app(name).service(&project, "web").label("gangway.host", &host).start();
        }
        gangway.served(&host, "/").await;
        let client = gangway.secure();
        let seen = std::cell::RefCell::new(BTreeSet::new());
        eventually("all three replicas are asked", STUCK, async || {
            let name = client.get(&host, "/").await.ok()?.text().split(' ').next()?.to_owned();
            seen.borrow_mut().insert(name);
            (seen.borrow().len() == 3).then_some(())
        })
        .await;
    });
}

#[test]
fn a_route_of_the_config_file_serves_what_is_no_container() {
    run(async {
        let (address, _) = app::spawn(App::new("outside")).await.unwrap();
        let config = format!(
            "[routes.budget]\nhost = \"budget.test\"\nupstream = \"http://{address}\"\n[routes.budget.response.header]\nX-By = \"file\"\n"
        );
        let gangway = Options::docker("none").config(&config).start().await;
        let answer = gangway.served("budget.test", "/").await;
        assert!(answer.text().starts_with("outside on "));
        assert_eq!(answer.header("x-by"), "file");
    });
}

#[test]
fn certificates_of_the_volume_are_used_and_followed() {
    run(async {
        let (address, _) = app::spawn(App::new("own")).await.unwrap();
        let config = format!("[routes.own]\nhost = \"own.example.org\"\nupstream = \"http://{address}\"\n");
        let gangway = Options::docker("none").config(&config).start().await;
        let certs = gangway.data().join("certs");
        std::fs::create_dir_all(&certs).unwrap();
        for turn in ["first", "second"] {
            let (certificate, key) = app::self_signed_pem(&["own.example.org"]);
            replace_file(&certs.join("own.key"), &key);
            replace_file(&certs.join("own.crt"), &certificate);
            let client = Client::tls(gangway.https, &certificate).unwrap();
            eventually(&format!("the {turn} certificate is shown"), STUCK, async || {
                client.get("own.example.org", "/").await.ok().filter(|answer| answer.status == 200).map(drop)
            })
            .await;
        }
    });
}
