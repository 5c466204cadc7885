//! A running instance: its settings, its config file, its admin listener and its end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Answer, Client};
use gangway_testkit::openid::{CLIENT, OpenIdProvider};
use gangway_testkit::ports;
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK, ended, gangway};
use rustix::process::Signal;

fn route(name: &str) -> String {
    format!("[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"http://127.0.0.1:9\"\n")
}

async fn hosts(instance: &Instance) -> String {
    instance.api("routes").await["routes"][0]["hosts"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn flags_take_precedence_over_variables_and_those_over_the_file() {
    let file = "domain = \"file.test\"\n[routes.a]\nupstream = \"http://127.0.0.1:9\"\n";
    let by_file = Options::config(file).start().await;
    assert_eq!(hosts(&by_file).await, "a.file.test");
    let by_variable = Options::config(file).variable("GANGWAY_DOMAIN", "variable.test").start().await;
    assert_eq!(hosts(&by_variable).await, "a.variable.test");
    let by_flag = Options::config(file).variable("GANGWAY_DOMAIN", "variable.test").flag("--domain", "flag.test");
    assert_eq!(hosts(&by_flag.start().await).await, "a.flag.test");
    let by_empty_variable = Options::config(file).variable("GANGWAY_DOMAIN", "").start().await;
    assert_eq!(hosts(&by_empty_variable).await, "a.file.test");
}

#[tokio::test]
async fn the_config_file_is_followed_and_half_of_one_leaves_the_last_in_force() {
    let whole = route("first") + &route("second");
    let mut instance = Options::config(&whole).start().await;
    instance.serves(&["first", "second"]).await;
    instance.put_config(&whole[..whole.rfind("127").unwrap()]);
    let found = instance.diagnosed(&["G904"]).await;
    assert!(found["diagnostics"][0]["shown"].as_str().unwrap().contains("gangway.toml:6"), "{found}");
    assert_eq!(instance.routes().await, ["first", "second"]);
    instance.logged("G904");
    let (code, said, _) = instance.ask(["status"]);
    assert!(code == 1 && said.contains("G904") && said.contains("not in force as it stands"), "{code}: {said}");
    let metrics = instance.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("gangway_diagnostics{code=\"G904\",severity=\"error\"} 1"), "{metrics}");
    assert!(metrics.contains("gangway_config_in_force 0"), "{metrics}");
    std::fs::remove_file(instance.config_file()).unwrap();
    instance.diagnosed(&["G903"]).await;
    assert_eq!(instance.routes().await, ["first", "second"]);
    instance.put_config(&(whole + &route("third")));
    instance.serves(&["first", "second", "third"]).await;
    instance.diagnosed(&[]).await;
    instance.logged("resolved");
}

#[tokio::test]
async fn a_file_written_in_place_is_followed_too() {
    let instance = Options::config(&route("first")).start().await;
    // Like a single file that is mounted: the inode stays.
    std::io::Write::write_all(&mut std::fs::File::create(instance.config_file()).unwrap(), route("other").as_bytes())
        .unwrap();
    instance.serves(&["other"]).await;
}

#[tokio::test]
async fn other_settings_of_the_file_need_a_restart_and_a_diagnostic_reports_it() {
    let instance = Options::config(&route("a")).start().await;
    instance.put_config(&format!("log-level = \"debug\"\n{}", route("b")));
    let found = instance.diagnosed(&["G906"]).await;
    let shown = found["diagnostics"][0]["shown"].as_str().unwrap();
    assert!(shown.contains("`log-level`") && shown.contains("restart"), "{shown}");
    instance.serves(&["b"]).await;
    instance.put_config(&format!("log-level = \"loud\"\n{}", route("c")));
    instance.diagnosed(&["G902", "G906"]).await;
    assert_eq!(instance.routes().await, ["b"]);
}

#[tokio::test]
async fn a_bad_key_of_a_route_is_named_and_a_protecting_one_closes_it() {
    let text =
        route("good") + &route("fair") + "hots = \"x\"\n" + &route("shut") + "\"auth.basic\" = \"bob:hunter2\"\n";
    let mut instance = Options::config(&text).start().await;
    instance.serves(&["fair", "good", "shut"]).await;
    let found = instance.api("diagnostics").await.to_string();
    assert!(found.contains("gangway.toml:7") && found.contains("did you mean `host`"), "{found}");
    assert!(!found.contains("hunter2"), "{found}");
    let routes = instance.api("routes").await;
    let closed = |at: usize| routes["routes"][at]["closed"].as_bool().unwrap();
    assert_eq!([closed(0), closed(1), closed(2)], [false, false, true]);
    instance.signal(Signal::TERM);
    instance.exit_code().await;
    let log = instance.log();
    assert!(!log.contains("hunter2") && log.contains("gangway.toml:7"), "{log}");
}

#[tokio::test]
async fn a_shared_definition_protects_its_routes_and_closes_them_once_it_is_gone_or_broken() {
    let (address, _) = app::spawn(App::new("nas")).await.unwrap();
    let text = |definition: &str, other: &str| {
        let route = format!("upstream = \"http://{address}\"\ntls = \"off\"\n");
        let used = format!("[routes.nas]\nhost = \"nas.test\"\n{route}use = \"doors\"\n{definition}");
        format!("{used}[routes.{other}]\nhost = \"{other}.test\"\n{route}")
    };
    let instance = Options::config(&text("[middlewares.doors]\ndeny = \"192.0.2.1\"\n", "a")).start().await;
    let status = async |host: &str| Client::plain(instance.http).get(host, "/").await.unwrap().status.as_u16();
    assert_eq!((status("nas.test").await, status("a.test").await), (200, 200));
    // A definition that changes changes its routes.
    instance.put_config(&text("[middlewares.doors]\ndeny = \"127.0.0.0/8\"\n", "b"));
    instance.serves(&["b", "nas"]).await;
    eventually("it keeps clients out", STUCK, async || (status("nas.test").await == 403).then_some(())).await;
    assert_eq!(status("b.test").await, 200);
    // Half a file changes nothing.
    instance.put_config("[middlewares.doors]\ndeny = \"127.0");
    instance.diagnosed(&["G904"]).await;
    assert_eq!(status("nas.test").await, 403);
    for (definition, codes) in [
        ("", &["G220"][..]),
        ("[middlewares.dors]\ndeny = \"127.0.0.0/8\"\n", &["G220"]),
        ("[middlewares.doors]\ndenny = \"127.0.0.0/8\"\n", &["G012", "G221"]),
        ("[middlewares.doors]\ndeny = \"127.0.0.0/99\"\n", &["G125", "G221"]),
        ("[middlewares.doors]\nuse = \"others\"\n", &["G014", "G221"]),
        ("[middlewares.doors]\n\"auth.oidc\" = \"our company\"\n", &["G064", "G221"]),
        ("[middlewares.doors]\n\"auth.skip\" = \"/\"\n", &["G048"]),
    ] {
        instance.put_config(&text(definition, "c"));
        instance.diagnosed(codes).await;
        eventually("it is closed", STUCK, async || (status("nas.test").await == 503).then_some(())).await;
        assert_eq!(status("c.test").await, 200, "{definition}");
    }
    instance.put_config(&text("[middlewares.doors]\ndeny = \"192.0.2.1\"\n", "d"));
    instance.diagnosed(&[]).await;
    eventually("it serves again", STUCK, async || (status("nas.test").await == 200).then_some(())).await;
}

#[tokio::test]
async fn a_list_of_users_in_the_config_file_lets_in_those_and_nobody_once_it_is_gone_or_doubtful() {
    let (address, _) = app::spawn(App::new("nas")).await.unwrap();
    let route = format!(
        "[routes.nas]\nhost = \"nas.test\"\nupstream = \"http://{address}\"\ntls = \"off\"\nauth.basic = \"@friends\"\n"
    );
    // The hash of `secret`.
    let users = "[users.friends]\nann = \"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\"\n";
    let instance = Options::config(&format!("{route}{users}")).start().await;
    let status = async |credentials: &str| {
        let mut connection = tokio::net::TcpStream::connect(instance.http).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: nas.test\r\nauthorization: Basic {credentials}\r\nconnection: close\r\n\r\n"
        );
        tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().to_owned()
    };
    let (right, wrong) = ("YW5uOnNlY3JldA==", "YW5uOndyb25n");
    let becomes = async |expected: &str| {
        eventually(&format!("it answers {expected}"), STUCK, async || (status(right).await == expected).then_some(()))
            .await;
    };
    becomes("200").await;
    assert_eq!(status(wrong).await, "401");
    let folder = instance.folder.path().join("data/auth");
    std::fs::create_dir_all(&folder).unwrap();
    running::put(&folder.join("friends"), "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    becomes("503").await;
    instance.diagnosed(&["G204"]).await;
    std::fs::remove_file(folder.join("friends")).unwrap();
    becomes("200").await;
    instance.put_config(&route);
    becomes("503").await;
    instance.put_config(&format!("{route}{users}"));
    becomes("200").await;
    instance.put_config(&format!("{route}[users.friends]\nann = \"secret\"\n"));
    becomes("401").await;
    let found = instance.diagnosed(&["G204"]).await.to_string();
    assert!(!found.contains("secret"), "{found}");
}

#[tokio::test]
async fn an_openid_provider_in_the_config_file_is_where_browsers_are_sent_and_without_it_the_route_is_closed() {
    let (address, _) = app::spawn(App::new("nas")).await.unwrap();
    let provider = OpenIdProvider::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    running::put(&secret, "s3cret\n");
    let route = format!(
        "[routes.nas]\nhost = \"nas.test\"\nupstream = \"http://{address}\"\ntls = \"off\"\nauth.oidc = \"home\"\n"
    );
    let table = |issuer: &str| {
        let secret = secret.display();
        format!("{route}[oidc.home]\nissuer = \"{issuer}\"\nclient-id = \"x\"\nclient-secret-file = \"{secret}\"\n")
    };
    let instance = Options::config(&table(&provider.issuer)).start().await;
    let page = async || {
        let mut connection = Client::plain(instance.http).connect("nas.test").await.unwrap();
        connection.ask("GET", "/", &[("accept", "text/html")], "").await.unwrap()
    };
    let becomes = async |expected: u16| {
        let wanted = async || (page().await.status == expected).then_some(());
        eventually(&format!("it answers {expected}"), STUCK, wanted).await;
    };
    becomes(302).await;
    let location = page().await.header("location").to_owned();
    assert!(location.starts_with(&format!("{}/authorize?", provider.issuer)), "{location}");
    assert!(instance.folder.path().join("data/oidc/keys.json").is_file());
    instance.diagnosed(&[]).await;
    instance.put_config(&route);
    becomes(503).await;
    instance.diagnosed(&["G211"]).await;
    instance.put_config(&table("https://127.0.0.1:1"));
    instance.diagnosed(&["G212"]).await;
    becomes(503).await;
    std::fs::remove_file(&secret).unwrap();
    let found = instance.diagnosed(&["G211"]).await.to_string();
    assert!(found.contains("client-secret-file") && !found.contains("s3cret"), "{found}");
    running::put(&secret, "s3cret\n");
    instance.put_config(&table(&provider.issuer));
    becomes(302).await;
    instance.diagnosed(&[]).await;
}

#[tokio::test]
async fn who_is_logged_in_is_listed_and_logged_out_on_the_volume() {
    let (address, _) = app::spawn(App::new("nas")).await.unwrap();
    let provider = OpenIdProvider::start().await.unwrap();
    let (client, secret) = CLIENT;
    let config = format!(
        "[routes.nas]\nhost = \"nas.test\"\nupstream = \"http://{address}\"\ntls = \"off\"\nauth.oidc = \"home\"\n\
         [oidc.home]\nissuer = \"{}\"\nclient-id = \"{client}\"\nclient-secret-env = \"OIDC_SECRET\"\n",
        provider.issuer
    );
    let instance = Options::config(&config).variable("OIDC_SECRET", secret).start().await;
    let get = async |path: &str, cookie: &str| {
        let mut connection = Client::plain(instance.http).connect("nas.test").await.unwrap();
        connection.ask("GET", path, &[("accept", "text/html"), ("cookie", cookie)], "").await.unwrap()
    };
    let cookie = |answer: &Answer| answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    eventually("it sends to the provider", STUCK, async || (get("/", "").await.status == 302).then_some(())).await;
    let log_in = async || {
        let asked = get("/", "").await;
        let back = provider.authorize(asked.header("location"));
        let (_, path) = back.split_once("/.gangway").expect("the way back");
        let answer = get(&format!("/.gangway{path}"), &cookie(&asked)).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        cookie(&answer)
    };
    let sessions = [log_in().await, log_in().await];
    let data = instance.folder.path().join("data").display().to_string();
    let listed = || {
        let (code, printed, said) = running::run(["sessions", "--format", "json", "--data", &data]);
        assert_eq!((code, &*said), (0, ""));
        let rows: Vec<serde_json::Value> = serde_json::from_str(&printed).unwrap();
        let of_row = |row: &serde_json::Value| {
            assert_eq!(
                (&row["user"], &row["provider"], &row["host"]),
                (&"ann".into(), &"home".into(), &"nas.test".into())
            );
            row["session"].as_str().unwrap().to_owned()
        };
        rows.iter().map(of_row).collect::<Vec<_>>()
    };
    let ids = eventually("both are listed", STUCK, async || Some(listed()).filter(|ids| ids.len() == 2)).await;
    let (code, printed, _) = running::run(["sessions", "revoke", &*ids[0], "--data", &data]);
    assert_eq!((code, printed), (0, format!("{}: ann is logged out of nas.test\n", ids[0])));
    let is_out = async |cookie: &str| (get("/", cookie).await.status == 302).then_some(());
    // Those of one second are listed by their names, so either of them may be the first.
    let rest = eventually("one session counts no more", STUCK, async || {
        match (is_out(&sessions[0]).await, is_out(&sessions[1]).await) {
            (Some(()), None) => Some(&sessions[1]),
            (None, Some(())) => Some(&sessions[0]),
            (None, None) => None,
            (Some(()), Some(())) => panic!("both are out"),
        }
    })
    .await;
    assert_eq!(listed(), ids[1..]);
    let (code, _, said) = running::run(["sessions", "revoke", "--user", "bob", "--data", &data]);
    assert!(code == 1 && said.contains("`gangway sessions` lists"), "{said}");
    let (code, _, _) = running::run(["sessions", "revoke", "--data", &data]);
    assert_eq!(code, 2, "which ones?");
    let (code, _, _) = running::run(["sessions", "revoke", "--user", "ann", "--data", &data]);
    assert_eq!(code, 0);
    eventually("nobody is logged in", STUCK, async || is_out(rest).await).await;
    for command in [&["sessions"][..], &["sessions", "list"]] {
        let (code, printed, said) = running::run([command, &["--data", &*data]].concat());
        assert_eq!((code, &*printed), (0, "nobody is logged in by `auth.oidc`\n"), "{command:?}: {said}");
    }
    // The provider's word goes the same way.
    let third = log_in().await;
    let events = serde_json::json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let claims = serde_json::json!({ "sub": "s-1", "jti": "1", "events": events });
    let form = format!("logout_token={}", provider.sign(Some("logout+jwt"), &claims));
    let mut connection = Client::plain(instance.http).connect("nas.test").await.unwrap();
    let path = "/.gangway/oidc/back-channel-logout";
    eventually("the log-in is registered", STUCK, async || (listed().len() == 1).then_some(())).await;
    let answer = connection.ask("POST", path, &[], form).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("the provider has logged ann out", STUCK, async || is_out(&third).await).await;
}

#[tokio::test]
async fn what_every_route_uses_has_to_be_there_at_the_start_and_stays_when_it_is_taken_out() {
    let (address, _) = app::spawn(App::new("nas")).await.unwrap();
    let route = format!("[routes.nas]\nhost = \"nas.test\"\nupstream = \"http://{address}\"\ntls = \"off\"\n");
    let deny = "[middlewares.household]\ndeny = \"127.0.0.0/8\"\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gangway.toml");
    running::put(&file, &format!("{route}{deny}"));
    let mut command = gangway();
    command.args(["serve", "--docker", "none", "--default-use", "houshold", "--config"]).arg(&file);
    let (code, _, said) = ended(&mut command);
    assert!(code == 2 && said.contains("did you mean `household`?") && said.contains("does not start"), "{said}");
    let instance =
        Options::config(&format!("{route}{deny}")).variable("GANGWAY_DEFAULT_USE", "household").start().await;
    let status = async || Client::plain(instance.http).get("nas.test", "/").await.unwrap().status.as_u16();
    assert_eq!(status().await, 403);
    instance.put_config(&route);
    let found = instance.diagnosed(&["G902"]).await.to_string();
    assert!(found.contains("the last settings stay in force"), "{found}");
    assert_eq!(status().await, 403);
    // The owner of the file may leave it out for a route of the file.
    instance.put_config(&format!("{route}use = \"-household\"\n{deny}"));
    eventually("it serves", STUCK, async || (status().await == 200).then_some(())).await;
}

#[tokio::test]
async fn a_running_instance_answers_people_and_programs() {
    let (address, _) = app::spawn(App::new("shop")).await.unwrap();
    let text = format!("[routes.shop]\nhost = \"shop.test\"\npath = \"/here\"\nupstream = \"http://{address}\"\n");
    let instance = Options::config(&text).start().await;
    eventually("the certificate is there", STUCK, async || {
        let certificates = instance.api("certificates").await;
        (certificates["certificates"][0]["origin"] == "internal").then_some(())
    })
    .await;
    for command in ["routes", "certs", "status"] {
        let (code, people, err) = instance.ask([command]);
        assert_eq!(code, 0, "{command}: {people}{err}");
        let (code, programs, _) = instance.ask([command, "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&programs).unwrap();
        assert!(code == 0 && json.is_object(), "{command}: {programs}");
        assert_eq!(people.contains("shop.test"), command != "status", "{command}: {people}");
    }
    let (code, said, err) =
        instance.ask(["explain", "https://shop.test/here/x", "--header", "X-A: b", "--method", "POST"]);
    assert!(code == 0 && said.contains("shop") && said.contains(&address.to_string()), "{code}: {said}{err}");
    let (code, said, _) = instance.ask(["explain", "https://shop.test/there"]);
    assert!(code == 1 && said.contains("/here"), "{code}: {said}");
    let (code, said, _) = instance.ask(["explain", "https://shp.test/", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(code == 1 && json["nearest"][0]["why"].as_str().unwrap().contains("shop.test"), "{said}");
    let (code, _, err) = instance.ask(["explain", "https://shop.test/", "--from", "nobody"]);
    assert!(code == 2 && err.contains("nobody"), "{code}: {err}");
}

#[tokio::test]
async fn every_way_to_find_the_instance_leads_there() {
    let instance = Options::config("").start().await;
    let (folder, admin) = (tempfile::tempdir().unwrap(), instance.admin.to_string());
    let file = folder.path().join("client.toml");
    running::put(&file, &format!("admin = \"{admin}\"\n"));
    assert_eq!(ended(gangway().args(["healthcheck", "--admin", &admin])).0, 0);
    assert_eq!(ended(gangway().args(["healthcheck"]).env("GANGWAY_ADMIN", &admin)).0, 0);
    assert_eq!(ended(gangway().args(["healthcheck", "--config"]).arg(&file)).0, 0);
    assert_eq!(ended(gangway().args(["healthcheck"]).env("GANGWAY_CONFIG", &file)).0, 0);
    running::put(&file, &format!("admin = \"{admin}\"\nbroken"));
    let (code, _, err) = ended(gangway().args(["healthcheck", "--admin", &admin, "--config"]).arg(&file));
    assert!(code == 0 && err.contains("not used"), "a broken file hides a running instance: {code}: {err}");
}

#[tokio::test]
async fn the_internal_root_is_printed_from_the_volume_and_over_the_listener() {
    let instance = Options::config(&route("a")).start().await;
    let from_volume = eventually("the root is on the volume", STUCK, async || {
        let (code, out, _) = ended(gangway().args(["ca", "--data"]).arg(instance.folder.path().join("data")));
        (code == 0).then_some(out)
    })
    .await;
    assert!(from_volume.starts_with("-----BEGIN CERTIFICATE-----"), "{from_volume}");
    let (code, over_listener, err) = instance.ask(["ca"]);
    assert_eq!((code, over_listener), (0, from_volume.clone()), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) =
        ended(gangway().args(["ca", "--data"]).arg(empty.path()).env("GANGWAY_ADMIN", instance.admin.to_string()));
    assert!(code == 1 && err.contains("ca/root.crt"), "who names a folder means that one: {code}: {err}");
    // And it is the one that signs.
    let client = Client::tls(instance.https, &from_volume).unwrap();
    eventually("the route is served with it", STUCK, async || client.get("a.test", "/").await.ok()).await;
}

#[tokio::test]
async fn a_second_instance_takes_over_only_on_request() {
    let instance = Options::config(&route("a")).start().await;
    let second = |data: &std::path::Path| {
        let mut second = gangway();
        let (http, https) = (instance.http.to_string(), instance.https.to_string());
        second.args(["serve", "--docker", "none", "--http", &http, "--https", &https, "--admin", "127.0.0.1:0"]);
        second.arg("--data").arg(data);
        second
    };
    let data = instance.folder.path().join("data");
    for unasked in [&[][..], &["--take-over=false"]] {
        let (code, _, err) = ended(second(&data).args(unasked));
        assert_eq!(code, 1, "{err}");
        let process = format!("(process {})", instance.process());
        for part in [&*instance.http.to_string(), &process, "--take-over"] {
            assert!(err.contains(part), "{part} is not said: {err}");
        }
    }
    let (code, _, err) = ended(second(&data).env("GANGWAY_TAKE_OVER", "perhaps"));
    assert!(code == 2 && err.contains("GANGWAY_TAKE_OVER") && err.contains("`true`, `false`"), "{code}: {err}");
    // An instance does not take over from one on another volume, even on request.
    let elsewhere = tempfile::tempdir().unwrap();
    let (code, _, err) = ended(second(&elsewhere.path().join("data")).env("GANGWAY_TAKE_OVER", "yes"));
    assert!(code == 1 && err.contains("does not hand its sockets over"), "{code}: {err}");
    assert_eq!(instance.get("/readyz").await.unwrap().status, 200);
    assert_eq!(instance.routes().await, ["a"]);
}

#[tokio::test]
async fn a_held_socket_name_stalls_neither_start_nor_end() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
    let port = ports::free_address().await;
    let name = UnixAddr::from_abstract_name(format!("gangway/handover/2/{port}")).unwrap();
    let held = UnixListener::bind_addr(&name).unwrap();
    rustix::net::listen(&held, 0).unwrap();
    let _full = UnixStream::connect_addr(&name).unwrap();
    let mut started = Options::config("").flag("--http", &port.to_string()).flag("--take-over", "").start().await;
    started.signal(Signal::TERM);
    assert_eq!(started.exit_code().await, Some(0));
    let log = started.log();
    assert!(log.contains("does not take the request"), "{log}");

    let folder = tempfile::tempdir().unwrap();
    let mut waiting = gangway();
    waiting.args(["serve", "--take-over", "--docker", "none", "--http", &port.to_string(), "--https", "127.0.0.1:0"]);
    waiting.args(["--admin", "127.0.0.1:0"]).arg("--data").arg(folder.path());
    let mut waiting = waiting.spawn().unwrap();
    let status = format!("/proc/{}/status", waiting.id());
    eventually("it takes signals", STUCK, async || takes_signal(&status, Signal::TERM).then_some(())).await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&waiting), Signal::TERM).unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(0), "it ends as it is told to, while it waits");
}

/// Whether a process handles a signal itself.
fn takes_signal(status: &str, signal: Signal) -> bool {
    let status = std::fs::read_to_string(status).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}

#[tokio::test]
async fn routes_are_watched_until_the_reader_closes_the_pipe() {
    let instance = Options::config(&route("first")).start().await;
    let admin = instance.admin.to_string();
    let mut watch = gangway();
    watch.args(["routes", "--watch", "--format", "json", "--admin", &admin]).stdout(std::process::Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["routes"][0]["name"], "first");
    instance.put_config(&(route("first") + &route("second")));
    assert_eq!(next()["routes"][1]["name"], "second");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[tokio::test]
async fn the_health_check_follows_the_instance() {
    let mut instance = Options::config("").start().await;
    assert_eq!(instance.ask(["healthcheck"]).0, 0);
    instance.freeze().await;
    assert_eq!(instance.ask(["healthcheck"]).0, 1, "an instance that does not answer is not healthy");
    instance.signal(Signal::CONT);
    assert_eq!(instance.ask(["healthcheck"]).0, 0);
    instance.signal(Signal::TERM);
    assert_eq!(instance.exit_code().await, Some(0), "a polite end is a good one");
    assert_eq!(instance.ask(["healthcheck"]).0, 1);
}

#[tokio::test]
async fn active_requests_are_finished_and_a_second_signal_cuts_them() {
    for (path, signals, expected) in [("/slow/300", 1, Some(0)), ("/slow/60000", 2, Some(1))] {
        let (address, slow) = app::spawn(App::new("slow")).await.unwrap();
        let upstream = format!("https-redirect = false\nupstream = \"http://{address}\"\n");
        let mut instance = Options::config(&format!("[routes.slow]\nhost = \"slow.test\"\n{upstream}")).start().await;
        instance.serves(&["slow"]).await;
        let client = Client::plain(instance.http);
        let asking = tokio::spawn(async move { client.get("slow.test", path).await });
        eventually("it is under way", STUCK, async || (slow.under_way() > 0).then_some(())).await;
        instance.signal(Signal::TERM);
        instance.logged("told to stop");
        assert_eq!(instance.get("/readyz").await.map_or(503, |answer| answer.status.as_u16()), 503);
        if signals == 2 {
            instance.signal(Signal::INT);
        }
        assert_eq!(instance.exit_code().await, expected, "{}", instance.log());
        let finished = asking.await.unwrap().is_ok_and(|answer| answer.status == 200);
        assert_eq!(finished, signals == 1);
    }
}

#[tokio::test]
async fn a_hangup_makes_the_instance_only_look_again() {
    let mut instance = Options::config(&route("a")).start().await;
    instance.signal(Signal::HUP);
    instance.logged("told to look again");
    assert_eq!(instance.get("/readyz").await.unwrap().status, 200);
    assert_eq!(instance.routes().await, ["a"]);
}

#[tokio::test]
async fn the_log_can_be_read_by_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = gangway();
    command.args(["--docker", "none", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--log-format", "json"]).arg("--data").arg(folder.path()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((line["message"].as_str(), line["level"].as_str()), (Some("listening"), Some("INFO")), "{first}");
    assert!(line["http"].as_str().unwrap().starts_with("127.0.0.1:"), "{first}");
}

#[tokio::test]
async fn written_files_are_readable_by_this_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let instance = Options::config(&route("a")).start().await;
    let data = instance.folder.path().join("data");
    eventually("the key is written", STUCK, async || data.join("ca/root.key").exists().then_some(())).await;
    let mut open = vec![data];
    while let Some(path) = open.pop() {
        let about = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(about.permissions().mode() & 0o077, 0, "{}", path.display());
        if about.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[tokio::test]
async fn served_routes_are_logged_for_people_and_for_programs() {
    let mut instance = Options::config(&route("a")).start().await;
    let line = instance.logged("serving ");
    let (port, file) = (instance.https.port(), instance.config_file());
    let expected = format!("INFO serving https://a.test:{port} → http://127.0.0.1:9 ({})", file.display());
    assert!(line.ends_with(&expected), "the fields stand in the message: {line}");
    instance.put_config(&route("b"));
    instance.logged(&format!("no longer serving https://a.test:{port}"));
    let options = Options::config(&route("a")).flag("--log-format", "json").flag("--public-https-port", "443");
    let mut instance = options.start().await;
    let line: serde_json::Value = serde_json::from_str(&instance.logged("serving ")).unwrap();
    for (field, expected) in
        [("level", "INFO"), ("route", "@file/a"), ("url", "https://a.test"), ("endpoint", "http://127.0.0.1:9")]
    {
        assert_eq!(line[field], expected, "{line}");
    }
    assert!(line["timestamp"].is_string() && line["message"].as_str().unwrap().starts_with("serving https"), "{line}");
}

#[tokio::test]
async fn requests_that_fail_are_counted_into_one_line() {
    // No process listens on port 9, and the route does not wait for it.
    let text = route("a") + "hold = \"0s\"\nhttps-redirect = false\n";
    let mut instance = Options::config(&text).start().await;
    let client = Client::plain(instance.http);
    for _ in 0..3 {
        assert_eq!(client.get("a.test", "/").await.unwrap().status, 502);
    }
    let line = instance.logged("requests failed");
    assert!(line.contains("route=@file/a") && line.contains("reason=upstream-refused"), "{line}");
}

#[tokio::test]
async fn https_to_an_unclaimed_host_is_explained_and_logged_in_one_line() {
    let mut instance = Options::config(&route("a")).start().await;
    let root = instance.folder.path().join("data/ca/root.crt");
    let root = eventually("the root is written", STUCK, async || std::fs::read_to_string(&root).ok()).await;
    let client = Client::tls(instance.https, &root).unwrap();
    let asked = async || client.get("typo.test", "/").await.ok();
    let answer = eventually("the root signs as well", STUCK, asked).await;
    let text = answer.text();
    assert!(answer.status == 404 && text.contains("typo.test") && text.contains("gangway explain"), "{text}");
    let line = instance.logged("asked for by https");
    assert!(line.contains("hosts=typo.test") && line.contains("pages="), "{line}");
}
