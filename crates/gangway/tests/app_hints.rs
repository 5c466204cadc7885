//! A running instance before applications that lack a setting.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use gangway_testkit::client::Client;
use gangway_testkit::scripted::{Asked, Scripted};
use running::Options;

/// Refuses its host as Django does, or another path as Nextcloud does.
fn application(asked: &Asked) -> Vec<u8> {
    let (status, kind, body) = match asked.head.split(' ').nth(1) {
        Some("/well") => ("200 OK", "text/html", "well"),
        Some("/status.php") => ("400 x", "application/json", r#"{"error": "Trusted domain error.", "code": 15}"#),
        _ => ("400 x", "text/html", "<title>Bad Request (400)</title><h1>Bad Request (400)</h1><p></p>"),
    };
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn what_an_application_lacks_is_told_everywhere_and_resolved_when_it_answers_well() {
    let application = Scripted::answering(application).await.unwrap();
    let route = |name: &str| {
        let upstream = format!("upstream = \"http://{}\"\nhttps-redirect = false\n", application.address);
        format!("[routes.{name}]\nhost = \"{name}.test\"\n{upstream}")
    };
    let mut instance = Options::config(&[route("docs"), route("cloud")].concat()).start().await;
    let client = Client::plain(instance.http);
    instance.diagnosed(&[]).await;
    assert_eq!(client.get("docs.test", "/").await.unwrap().status, 400);
    instance.logged("answers 400: `docs.test` is not among its allowed hosts (route `docs`)");
    instance.diagnosed(&["G422"]).await;
    let explained = instance.api("explain?url=http://docs.test/").await.to_string();
    assert!(explained.contains("G422") && explained.contains("ALLOWED_HOSTS"), "{explained}");
    assert_eq!(client.get("cloud.test", "/status.php").await.unwrap().status, 400);
    instance.logged("Nextcloud answers 400: `cloud.test` is not among its trusted domains (route `cloud`)");
    instance.diagnosed(&["G422", "G422"]).await;
    assert_eq!(client.get("docs.test", "/well").await.unwrap().status, 200);
    instance.logged("resolved: ");
    instance.diagnosed(&["G422"]).await;
}
