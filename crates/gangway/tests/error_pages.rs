//! A running instance with pages for errors on its volume.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::path::Path;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use running::{Options, STUCK, put};

/// Waits until a request is answered by this text, with its status as it was.
async fn shows(client: &Client, host: &str, path: &str, status: u16, text: &str) {
    let what = format!("{host}{path} shows {text:?}");
    eventually(&what, STUCK, async || {
        let answer = client.get(host, path).await.ok()?;
        (answer.status == status && answer.text().contains(text)).then_some(())
    })
    .await;
}

fn page(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    put(&file, text);
}

#[tokio::test]
async fn pages_on_the_volume_are_followed_and_missing_ones_are_diagnosed() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let (pages, _) = app::spawn(App::new("the page service")).await.unwrap();
    let plain = "https-redirect = false\n";
    let config = format!(
        "[routes.app]\nhost = \"app.test\"\nupstream = \"http://{app}\"\n{plain}\
         errors = \"404,500-599 -> errors/shop/; 410 -> http://{pages}/; 411 -> errors/none.html\"\n\
         [routes.down]\nhost = \"down.test\"\nupstream = \"http://127.0.0.1:9\"\n{plain}errors = \"500-599 -> errors\"\n"
    );
    let mut instance = Options::config(&config).start().await;
    let client = Client::plain(instance.http);
    let errors = instance.folder.path().join("data/errors");
    instance.diagnosed(&["G234", "G234", "G234"]).await;
    page(&errors, "shop/404.html", "first 404");
    page(&errors, "index.html", "down for now");
    page(&errors, "none.html", "here now");
    shows(&client, "app.test", "/status/404", 404, "first 404").await;
    shows(&client, "down.test", "/", 502, "down for now").await;
    shows(&client, "app.test", "/status/411", 411, "here now").await;
    instance.diagnosed(&[]).await;
    instance.logged("resolved");
    // A page service says 200, and the status stays. The application in its place answers in plain text.
    shows(&client, "app.test", "/status/410", 410, "the page service").await;
    page(&errors, "shop/404.html", "second 404");
    shows(&client, "app.test", "/status/404", 404, "second 404").await;
    std::fs::remove_dir_all(errors.join("shop")).unwrap();
    shows(&client, "app.test", "/status/404", 404, "404").await;
    instance.diagnosed(&["G234"]).await;
    let metrics = instance.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("gangway_error_pages_total{outcome=\"shown\"}"), "{metrics}");
    let said = instance.api("routes").await.to_string();
    assert!(said.contains("errors 404,500-599 -> errors/shop/; 410 -> http://"), "{said}");
}
