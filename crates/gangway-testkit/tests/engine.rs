//! The fake engine, asked without any library.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gangway_testkit::engine::{Container, Engine, Fault, Flavour};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// Status and body of one question.
async fn ask(engine: &Engine, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = engine.connect().unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: e\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // No more questions: the engine ends the connection after its answer.
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = if head.contains("chunked") { unchunked(body) } else { body.to_owned() };
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

fn unchunked(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((len, more)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).unwrap();
        whole.push_str(&more[..len]);
        rest = &more[len + 2..];
    }
    whole
}

async fn get(engine: &Engine, path: &str) -> (u16, Value) {
    ask(engine, "GET", path, "").await
}

async fn follow(engine: &Engine, query: &str) -> BufReader<DuplexStream> {
    let mut stream = engine.connect().unwrap();
    let head = format!("GET /v1.41/events?{query} HTTP/1.1\r\nhost: e\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut events = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        events.read_line(&mut line).await.unwrap();
    }
    while engine.subscribers() == 0 {
        tokio::task::yield_now().await;
    }
    events
}

/// The actions of the next events.
async fn heard(events: &mut BufReader<DuplexStream>, count: usize) -> Vec<String> {
    let mut actions = Vec::new();
    while actions.len() < count {
        let mut line = String::new();
        events.read_line(&mut line).await.unwrap();
        if let Ok(Value::Object(event)) = serde_json::from_str(&line) {
            actions.push(event["Action"].as_str().unwrap().to_owned());
        }
    }
    actions
}

#[tokio::test]
async fn it_answers_as_each_engine_does() {
    let whole = |flavour| {
        let engine = Engine::new(flavour);
        engine.add(Container::new("web").label("a", "b").network("edge").health("healthy"));
        engine
    };
    let (_, docker) = get(&whole(Flavour::Docker2020), "/v1.41/containers/json").await;
    assert_eq!(docker[0]["Status"], "Up 2 minutes (healthy)");
    assert_eq!(docker[0]["Ports"], json!([{ "PrivatePort": 8080, "Type": "tcp" }]));
    assert_eq!(docker[0]["HostConfig"]["NetworkMode"], "edge");
    assert_eq!(docker[0]["NetworkSettings"]["Networks"]["edge"]["IPAddress"], "172.20.0.1");
    let (_, docker) = get(&whole(Flavour::Docker2026), "/containers/json").await;
    assert_eq!(docker[0]["Health"]["Status"], "healthy");
    let (_, podman) = get(&whole(Flavour::Podman), "/containers/json").await;
    assert_eq!((&podman[0]["Ports"], podman[0].get("HostConfig")), (&json!([]), None));
    let engine = whole(Flavour::Podman);
    let (_, inspected) = get(&engine, "/containers/web/json").await;
    assert_eq!(inspected["Config"]["ExposedPorts"], json!({ "8080/tcp": {} }));
    assert_eq!(get(&engine, "/_ping").await, (200, Value::String("OK".into())));
    assert_eq!(get(&engine, "/v1.41/version").await.1["ApiVersion"], "1.41");
    assert_eq!(get(&engine, "/containers/nobody/json").await.0, 404);
    assert_eq!(ask(&engine, "POST", "/containers/web/start", "").await.0, 403);
}

#[tokio::test]
async fn listings_can_be_filtered_as_with_the_command_line() {
    let engine = Engine::default();
    engine.add(Container::new("web").label("a", "b"));
    engine.add(Container::new("gone").state("exited"));
    let names = async |query: &str| -> Vec<String> {
        let (_, listing) = get(&engine, &format!("/containers/json?{query}")).await;
        listing.as_array().unwrap().iter().map(|at| at["Names"][0].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["/web"]);
    assert_eq!(names("all=1").await, ["/gone", "/web"]);
    assert_eq!(names("all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D").await, ["/web"]);
    assert_eq!(names("all=1&filters=%7B%22name%22%3A%7B%22gon%22%3Atrue%7D%7D").await, ["/gone"]);
}

#[tokio::test]
async fn events_come_in_the_order_of_each_engine() {
    for (flavour, stopped) in [
        (Flavour::Docker2020, vec!["kill", "die", "disconnect", "stop"]),
        (Flavour::Docker2026, vec!["kill", "stop", "disconnect", "die"]),
        (Flavour::Podman, vec!["die", "cleanup"]),
    ] {
        let engine = Engine::new(flavour);
        engine.add(Container::new("web"));
        let mut events = follow(&engine, "").await;
        engine.stop("web");
        assert_eq!(heard(&mut events, stopped.len()).await, stopped, "{flavour:?}");
    }
}

#[tokio::test]
async fn events_are_filtered_and_the_past_is_told_to_those_who_ask() {
    let engine = Engine::default();
    engine.add(Container::new("web"));
    engine.check_health("web");
    engine.set_health("web", "healthy");
    let filters = "filters=%7B%22event%22%3A%5B%22health_status%22%2C%22start%22%5D%7D";
    let mut late = follow(&engine, &format!("since=1&{filters}")).await;
    engine.restart("web");
    assert_eq!(heard(&mut late, 2).await, ["health_status: healthy", "start"]);
}

#[tokio::test]
async fn it_misbehaves_as_ordered() {
    let engine = Engine::default();
    engine.break_answers("/version", Fault::Status(500));
    assert_eq!(get(&engine, "/v1.41/version").await.0, 500);
    assert_eq!(get(&engine, "/_ping").await.0, 200);
    engine.mend();
    assert_eq!(get(&engine, "/version").await.0, 200);
    engine.die();
    assert!(engine.connect().is_err());
    engine.revive();
    assert_eq!(get(&engine, "/version").await.0, 200);
    assert_eq!(engine.asked_for("/version"), 3);
}

#[tokio::test]
async fn it_takes_orders_over_its_socket() {
    let engine = Engine::default();
    let order = r#"{"name":"web","labels":{"gangway.host":"web.localhost"},"address":"127.0.0.1","ports":[8081]}"#;
    let (status, first) = ask(&engine, "POST", "/testkit/containers", order).await;
    assert_eq!(status, 200);
    let (_, again) = ask(&engine, "POST", "/testkit/containers", order).await;
    assert_ne!(first["Id"], again["Id"], "the same name is recreated");
    let (_, listing) = get(&engine, "/containers/json?all=1").await;
    assert_eq!(listing.as_array().unwrap().len(), 1);
    assert_eq!(listing[0]["NetworkSettings"]["Networks"]["bridge"]["IPAddress"], "127.0.0.1");
    ask(&engine, "POST", "/testkit/containers/web/pause", "").await;
    assert_eq!(engine.state_of("web").as_deref(), Some("paused"));
    assert_eq!(ask(&engine, "DELETE", "/testkit/containers/web", "").await.0, 200);
    assert_eq!(ask(&engine, "DELETE", "/testkit/containers/web", "").await.0, 404);
    assert_eq!(ask(&engine, "POST", "/testkit/containers", "{").await.0, 400);
}
