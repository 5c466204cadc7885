//! A real browser without a screen, driven over WebDriver (W3C, level 2).
//!
//! It knows the hosts of the tests, which are on this machine, and no others. It takes any certificate: whom a browser
//! trusts is not tested with it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::STUCK;
use crate::gangway::free_addresses;
use crate::process::Process;

/// The name under which an answer has the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The key that goes on to the next thing that can be used.
pub const TAB: &str = "\u{e004}";

/// The key that uses it.
pub const ENTER: &str = "\u{e007}";

/// A browser with one window. It is killed on drop.
#[derive(Debug)]
pub struct WebDriver {
    driver: SocketAddr,
    session: String,
    _process: Process,
    _profile: TempDir,
}

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A screen, and what its user prefers.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// In pixels of CSS.
    pub width: u32,
    /// In pixels of CSS.
    pub height: u32,
    /// `light` or `dark`.
    pub scheme: &'static str,
    /// It is touched, and pages are laid out for it.
    pub is_phone: bool,
}

impl Drop for WebDriver {
    /// The browser would outlive a driver that is killed, so the driver is asked to end it first.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(self.driver) else { return };
        let (session, driver) = (&self.session, self.driver);
        let _ = stream.set_read_timeout(Some(STUCK));
        let _ = write!(stream, "DELETE /session/{session} HTTP/1.1\r\nHost: {driver}\r\nConnection: close\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    }
}

impl WebDriver {
    /// Starts a browser that finds all hosts of this domain on this machine.
    ///
    /// # Panics
    ///
    /// Panics if there is no browser.
    pub async fn start(domain: &str) -> Self {
        let profile = tempfile::Builder::new().prefix("gangway-browser-").tempdir().expect("a temporary folder");
        let [driver] = free_addresses();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", driver.port()));
        let process = Process::start(&mut command, &profile.path().join("log"));
        let ready = async || {
            let answer = Client::plain(driver).get(&driver.to_string(), "/status").await.ok()?;
            (answer.json()["value"]["ready"] == true).then_some(())
        };
        eventually("the browser's driver is ready", STUCK, ready).await;
        let rules = format!("MAP *.{domain} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
        let arguments = [
            "--headless=new".to_owned(),
            // The tests run as root and in containers, where it has no sandbox of its own.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
            format!("--host-resolver-rules={rules}"),
        ];
        let capabilities = json!({
            "acceptInsecureCerts": true,
            "timeouts": { "script": 120_000, "pageLoad": 30_000 },
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let begun = ask(driver, "POST", "/session", &body).await.unwrap_or_else(|error| panic!("no browser: {error}"));
        let session = begun["sessionId"].as_str().expect("a session").to_owned();
        Self { driver, session, _process: process, _profile: profile }
    }

    async fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        ask(self.driver, method, &format!("/session/{}{path}", self.session), body).await
    }

    async fn told(&self, method: &str, path: &str, body: &Value) -> Value {
        self.command(method, path, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Goes to this address, and waits until the page is there, after all redirections.
    pub async fn open(&self, url: &str) {
        self.told("POST", "/url", &json!({ "url": url })).await;
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.told("GET", "/url", &Value::Null).await.as_str().unwrap_or_default().to_owned()
    }

    /// The text that a person sees.
    pub async fn text(&self) -> String {
        let text = "return document.body ? document.body.innerText : ''";
        // Between two pages there is none.
        let told = self.command("POST", "/execute/sync", &json!({ "script": text, "args": [] })).await;
        told.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits until a person sees this text; all of the text.
    pub async fn sees(&self, what: &str) -> String {
        let (mut last, mut at) = (String::new(), String::new());
        let deadline = tokio::time::Instant::now() + STUCK;
        while !last.contains(what) {
            assert!(tokio::time::Instant::now() < deadline, "`{what}` is not to be seen at {at}:\n{last}");
            (last, at) = (self.text().await, self.url().await);
        }
        last
    }

    /// Waits until it is at an address that begins like this.
    pub async fn arrives(&self, begin: &str) {
        eventually(&format!("the browser is at {begin}"), STUCK, async || {
            self.url().await.starts_with(begin).then_some(())
        })
        .await;
    }

    /// Writes into a field.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.told("POST", &format!("/element/{element}/value"), &json!({ "text": text })).await;
    }

    /// Clicks, and waits until the page that this leads to is there.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.told("POST", &format!("/element/{element}/click"), &json!({})).await;
    }

    /// Presses keys, one after the other. Those without a character have one of WebDriver's: [`TAB`] and [`ENTER`].
    pub async fn press(&self, keys: &str) {
        let strokes = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|stroke| json!({ "type": stroke, "value": key.to_string() })));
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.told("POST", "/actions", &keyboard).await;
    }

    async fn element(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        eventually(&format!("there is `{selector}`"), STUCK, async || {
            self.command("POST", "/element", &body).await.ok()?[ELEMENT].as_str().map(str::to_owned)
        })
        .await
    }

    /// Runs the body of an async function in the page; what it returns.
    pub async fn run(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {body} }})().then(done, error => done(String(error)));"
        );
        self.told("POST", "/execute/async", &json!({ "script": script, "args": [] })).await
    }

    /// The cookies that it sends to the page where it is, those among them that no script sees.
    pub async fn cookies(&self) -> Vec<Cookie> {
        let all = self.told("GET", "/cookie", &Value::Null).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let cookie = |one: &Value| Cookie { name: text(&one["name"]), value: text(&one["value"]) };
        all.as_array().into_iter().flatten().map(cookie).collect()
    }

    /// What the console has got since it was asked last: errors, and what the policy of a page has refused.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.told("POST", "/se/log", &json!({ "type": "browser" })).await;
        let text = |line: &Value| line["message"].as_str().unwrap_or_default().to_owned();
        lines.as_array().into_iter().flatten().map(text).collect()
    }

    /// Shows pages on a screen of this size, in the colours that its user prefers.
    pub async fn look(&self, screen: Screen) {
        let Screen { width, height, scheme, is_phone } = screen;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.developer("Emulation.setDeviceMetricsOverride", &size).await;
        let colours = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.developer("Emulation.setEmulatedMedia", &colours).await;
    }

    /// What is on the screen, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let picture = self.told("GET", "/screenshot", &Value::Null).await;
        BASE64_STANDARD.decode(picture.as_str().unwrap_or_default()).expect("a picture in Base64")
    }

    async fn developer(&self, command: &str, parameters: &Value) {
        self.told("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await;
    }

    /// The tab in front.
    pub async fn tab(&self) -> String {
        self.told("GET", "/window", &Value::Null).await.as_str().unwrap_or_default().to_owned()
    }

    /// Opens a tab, and puts it in front.
    pub async fn open_tab(&self) -> String {
        let made = self.told("POST", "/window/new", &json!({ "type": "tab" })).await;
        let tab = made["handle"].as_str().unwrap_or_default().to_owned();
        self.show_tab(&tab).await;
        tab
    }

    /// Puts a tab in front.
    pub async fn show_tab(&self, tab: &str) {
        self.told("POST", "/window", &json!({ "handle": tab })).await;
    }
}

async fn ask(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let host = driver.to_string();
    let mut connection = Client::plain(driver).connect(&host).await.map_err(|error| error.to_string())?;
    let fields = [("content-type", "application/json")];
    let answer = connection.ask(method, path, &fields, body).await.map_err(|error| error.to_string())?;
    let value = answer.json()["value"].clone();
    match value["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
        None => Ok(value),
    }
}
