//! What a running instance tells of what goes on: figures, requests, changes, its log, and events of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::ports;
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK, gangway};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A route of the config file that leads to this application.
fn route(name: &str, upstream: &str) -> String {
    format!(
        "[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"{upstream}\"\nhttps-redirect = false\nhold = \"0s\"\n"
    )
}

/// The status, once there is a route: the API tells of a table a moment before the threads that serve have it.
async fn ask(instance: &Instance, host: &str, path: &str) -> u16 {
    eventually(&format!("{host} has a route"), STUCK, async || {
        let status = Client::plain(instance.http).get(host, path).await.unwrap().status.as_u16();
        (status != 404).then_some(status)
    })
    .await
}

/// The last requests of a route, once it has as many: one is kept when its exchange has ended, which may be after the client
/// has read the whole answer.
async fn last_requests(instance: &Instance, route: &str, count: usize) -> Value {
    eventually(&format!("{route} has had {count} requests"), STUCK, async || {
        let requests = instance.api(&format!("requests?route={route}")).await;
        (requests["requests"].as_array()?.len() >= count).then_some(requests)
    })
    .await
}

/// The figures of one route.
async fn figures(instance: &Instance, id: &str) -> Option<Value> {
    let figures = instance.api("figures").await;
    figures["routes"].as_array().unwrap().iter().find(|one| one["route"] == id).cloned()
}

fn paths(requests: &Value) -> Vec<String> {
    let requests = requests["requests"].as_array().unwrap();
    requests.iter().map(|request| request["path"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn figures_and_requests_are_kept_over_swaps_and_tell_no_secret() {
    let (address, _) = app::spawn(App::new("web")).await.unwrap();
    let web = route("web", &format!("http://{address}"));
    let dead = route("dead", "http://127.0.0.1:9");
    let instance = Options::config(&(web.clone() + &dead)).start().await;
    assert_eq!(ask(&instance, "web.test", "/a?token=hunter2&page=1").await, 200);
    assert_eq!(ask(&instance, "web.test", "/b").await, 200);
    assert_eq!(ask(&instance, "dead.test", "/").await, 502);
    last_requests(&instance, "@file/web", 2).await;
    last_requests(&instance, "@file/dead", 1).await;
    let of_web = figures(&instance, "@file/web").await.unwrap();
    assert_eq!((&of_web["statuses"][1], &of_web["error_share"]), (&2.into(), &0.0.into()), "{of_web}");
    assert!(of_web["per_second"].as_f64().unwrap() > 0.0 && of_web["p99_ms"].as_f64().unwrap() > 0.0, "{of_web}");
    let hour = of_web["hour"].as_array().unwrap();
    assert_eq!((hour.len(), hour.iter().map(|point| point["requests"].as_u64().unwrap()).sum::<u64>()), (60, 2));
    let of_dead = instance.api("figures?route=dead").await;
    assert_eq!(of_dead["routes"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&of_dead["routes"][0]["error_share"], of_dead["routes"][0]["day"].as_array().unwrap().len()),
        (&1.0.into(), 288)
    );

    // Another label is another table.
    instance.put_config(&(web.clone() + "strip-prefix = true\npath = \"/\"\n"));
    instance.serves(&["web"]).await;
    // And a route that is gone for a while is the same when it is back.
    instance.put_config(&dead);
    instance.serves(&["dead"]).await;
    instance.put_config(&(web + &dead));
    instance.serves(&["dead", "web"]).await;
    assert_eq!(ask(&instance, "web.test", "/c").await, 200);
    let requests = last_requests(&instance, "@file/web", 3).await;
    assert_eq!(paths(&requests), ["/c", "/b", "/a?token=***&page=1"]);
    let newest = &requests["requests"][0];
    assert_eq!(
        (&newest["method"], &newest["status"], &newest["protocol"]),
        (&"GET".into(), &200.into(), &"HTTP/1.1".into())
    );
    assert_eq!((&newest["number"], &newest["reason"]), (&3.into(), &Value::Null), "{newest}");
    assert!(newest["at"].as_str().unwrap().ends_with('Z') && newest["endpoint"].is_string(), "{newest}");
    let of_web = figures(&instance, "@file/web").await.unwrap();
    assert_eq!(of_web["statuses"][1], 3, "{of_web}");
    let failed = &instance.api("requests?route=dead").await["requests"][0];
    assert_eq!((&failed["status"], &failed["reason"]), (&502.into(), &"upstream-refused".into()), "{failed}");
    for (path, status) in [("requests?route=none", 404), ("figures?route=none", 404)] {
        assert_eq!(instance.get(&format!("/api/v1/{path}")).await.unwrap().status, status, "{path}");
    }
}

/// A client that listens to events.
struct Listening {
    stream: tokio::net::TcpStream,
    heard: String,
}

impl Listening {
    async fn to(instance: &Instance, path: &str) -> Self {
        let mut stream = tokio::net::TcpStream::connect(instance.admin).await.unwrap();
        let head = format!("GET /api/v1/{path} HTTP/1.1\r\nHost: {}\r\n\r\n", instance.admin);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut listening = Self { stream, heard: String::new() };
        listening.hears("event: table").await;
        listening
    }

    /// Waits until it has heard this.
    async fn hears(&mut self, what: &str) {
        while !self.heard.contains(what) {
            assert!(self.read().await, "the stream has ended, and there was no `{what}`: {}", self.heard);
        }
    }

    async fn ends(mut self) {
        while self.read().await {}
    }

    async fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        let len =
            tokio::time::timeout(STUCK, self.stream.read(&mut piece)).await.expect("something comes").unwrap_or(0);
        self.heard.push_str(&String::from_utf8_lossy(&piece[..len]));
        len > 0
    }
}

#[tokio::test]
async fn what_happens_is_heard_and_streams_do_not_delay_the_end() {
    let (address, _) = app::spawn(App::new("web")).await.unwrap();
    let web = route("web", &format!("http://{address}"));
    let mut instance = Options::config(&web).start().await;
    instance.logged("serving ");
    let mut of_web = Listening::to(&instance, "events?route=web&log").await;
    assert_eq!(ask(&instance, "web.test", "/a?token=hunter2").await, 200);
    of_web.hears("event: request\n").await;
    of_web.hears("\"path\":\"/a?token=***\"").await;
    of_web.hears("event: figures\n").await;
    instance.put_config(&(web.clone() + &route("other", "http://127.0.0.1:9")));
    of_web.hears("event: log\n").await;
    of_web.hears("event: change\n").await;
    let changes = instance.api("changes").await;
    let newest = &changes["changes"][0];
    assert_eq!((&newest["route"], &newest["lost"], &newest["waited"]), (&"@file/other".into(), &0.into(), &0.into()));
    assert!(newest["what"].as_str().unwrap().starts_with("serving http"), "{newest}");
    assert_eq!(changes["changes"].as_array().unwrap().len(), 1, "what is served from the start is no change");
    let log = instance.api("log").await;
    let serving = |line: &&Value| line["message"].as_str().unwrap().starts_with("serving ");
    let lines: Vec<&Value> = log["lines"].as_array().unwrap().iter().filter(serving).collect();
    assert_eq!((lines.len(), &lines[0]["level"], &lines[0]["target"]), (2, &"INFO".into(), &"gangway::served".into()));
    assert!(!log.to_string().contains("hunter2") && !of_web.heard.contains("hunter2"));
    instance.signal(Signal::TERM);
    of_web.ends().await;
    assert_eq!(instance.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_stream_by_a_route_ends_with_the_instance_too() {
    let free = ports::free_address().await;
    let admin = route("admin", &format!("http://{free}"));
    let mut instance = Options::config(&admin).flag("--admin", &free.to_string()).start().await;
    let mut stream = tokio::net::TcpStream::connect(instance.http).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: admin.test\r\n\r\n").await.unwrap();
    let mut listening = Listening { stream, heard: String::new() };
    listening.hears("event: table").await;
    instance.signal(Signal::TERM);
    listening.ends().await;
    assert_eq!(instance.exit_code().await, Some(0));
    let log = instance.log();
    assert!(log.contains("stopped") && !log.contains("still busy"), "nothing was waited for in vain: {log}");
}

#[tokio::test]
async fn commands_show_figures_requests_and_the_log() {
    let (address, _) = app::spawn(App::new("web")).await.unwrap();
    let mut instance = Options::config(&route("web", &format!("http://{address}"))).start().await;
    instance.logged("serving ");
    assert_eq!(ask(&instance, "web.test", "/a?token=hunter2").await, 200);
    last_requests(&instance, "@file/web", 1).await;
    let (code, out, _) = instance.ask(["top"]);
    assert!(code == 0 && out.starts_with("ROUTE ") && out.contains("\n@file/web "), "{out}");
    let (code, out, _) = instance.ask(["log", "web", "--no-follow"]);
    assert!(code == 0 && out.contains(" 200 GET /a?token=*** HTTP/1.1 ") && out.lines().count() == 1, "{out}");
    let (code, out, _) = instance.ask(["log", "--no-follow", "--format", "json"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_told =
        |event: &str, key: &str, value: &str| lines.iter().any(|line| line["event"] == event && line[key] == value);
    assert!(code == 0 && is_told("log", "message", "listening"), "{out}");
    assert!(is_told("request", "path", "/a?token=***") && is_told("request", "route", "@file/web"), "{out}");
    assert!(
        lines.iter().map(|line| line["at"].as_str().unwrap()).is_sorted(),
        "in the order in which they came: {out}"
    );
    let (code, _, err) = instance.ask(["log", "none"]);
    assert!(code == 1 && err.contains("no route has the id `none`") && err.contains("help"), "{err}");
}

/// `gangway log` that goes on.
struct Followed {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Followed {
    fn start(instance: &Instance, args: &[&str]) -> Self {
        let mut command = gangway();
        command.arg("log").args(args).env("GANGWAY_ADMIN", instance.admin.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line that has these words. All before it are kept.
    fn until(&mut self, words: &str) -> String {
        loop {
            let Some(line) = self.lines.next() else { panic!("there was no `{words}`: {:#?}", self.seen) };
            self.seen.push(line.unwrap());
            if let Some(line) = self.seen.last().filter(|line| line.contains(words)) {
                return line.clone();
            }
        }
    }

    /// All lines that it has printed.
    fn end(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.seen
    }
}

#[tokio::test]
async fn what_happens_is_followed_line_by_line_of_all_routes_or_of_one() {
    let (address, _) = app::spawn(App::new("web")).await.unwrap();
    let upstream = format!("http://{address}");
    let [web, other] = ["web", "other"].map(|name| route(name, &upstream));
    let mut instance = Options::config(&(web.clone() + &other)).start().await;
    instance.logged("serving ");
    assert_eq!(ask(&instance, "web.test", "/past").await, 200);
    assert_eq!(ask(&instance, "other.test", "/past").await, 200);
    last_requests(&instance, "@file/web", 1).await;
    last_requests(&instance, "@file/other", 1).await;
    let (mut all, mut of_web) = (Followed::start(&instance, &[]), Followed::start(&instance, &["web"]));
    of_web.until(" GET /past ");
    all.until(" route=@file/web");
    all.until(" route=@file/other");
    assert_eq!(ask(&instance, "other.test", "/a%1b?token=hunter2").await, 200);
    all.until("  200 GET /a%1b?token=*** HTTP/1.1 ");
    // The route of `other` goes, that of `web` is written in a way that lets nobody in, and a third one comes.
    instance.put_config(&(web.clone() + "allow = \"nonsense\"\n" + &route("new", &upstream)));
    let found = of_web.until("ERROR ");
    assert!(found.contains("nonsense") && found.contains(" code=G") && found.contains("allow"), "{found}");
    let gone = of_web.until(" EVENT ");
    assert!(gone.contains("no longer serving ") && !gone.contains(" route="), "{gone}");
    all.until("serving https://new.test");
    all.until("no longer serving https://other.test");
    instance.put_config(&(web + &other));
    of_web.until("INFO resolved: ");
    eventually("the route is open again", STUCK, async || {
        (ask(&instance, "web.test", "/last").await == 200).then_some(())
    })
    .await;
    of_web.until(" GET /last ");
    all.until(" GET /last ");
    let (all, of_web) = (all.end(), of_web.end());
    assert!(of_web.iter().all(|line| !line.contains("other") && !line.contains("new.test")), "{of_web:#?}");
    for (words, lines) in [("serving ", &all), ("nonsense", &all), ("/past", &of_web), ("/last", &of_web)] {
        assert!(lines.iter().any(|line| line.contains(words)), "no `{words}` in {lines:#?}");
    }
    let told = |words: &str| all.iter().filter(|line| line.contains(words)).count();
    assert_eq!(told("no longer serving https://other.test"), 1, "the log and the event say it once: {all:#?}");
    assert!(all.iter().chain(&of_web).all(|line| !line.contains("hunter2") && !line.contains('\u{1b}')), "{all:#?}");
}
