//! A real OpenID provider, which others wrote: the npm package `oidc-provider`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gangway::{free_addresses, replace_file};
use crate::process::{Process, output};
use crate::webdriver::WebDriver;
use crate::{STUCK, root};

/// The secret of every client.
pub const CLIENT_SECRET: &str = "a secret of the tests";

/// Where a provider is going to be, so that its clients can be told before it knows them.
#[derive(Debug)]
pub struct OpenIdPlace {
    address: SocketAddr,
    /// The issuer.
    pub issuer: String,
}

/// A client of the provider.
#[derive(Clone, Debug)]
pub struct OpenIdClient<'a> {
    /// Its id.
    pub id: &'a str,
    /// Where it sends browsers back to.
    pub callbacks: Vec<String>,
    /// Where browsers go after a log-out.
    pub logged_out: Vec<String>,
    /// Where the provider tells it of a log-out.
    pub back_channel: Option<String>,
    /// Whether it gets refresh tokens.
    pub refreshes: bool,
}

/// A running provider. It is killed on drop.
#[derive(Debug)]
pub struct OpenId {
    address: SocketAddr,
    command: Command,
    process: Option<Process>,
    /// Its issuer.
    pub issuer: String,
    folder: TempDir,
}

/// A file or folder of those that `.ci/parts` brings.
///
/// # Panics
///
/// Panics if they cannot be had.
pub fn part(name: &str) -> PathBuf {
    let product = name.split('/').next().unwrap_or(name);
    let folder = output("bash", [root().join(".ci/parts").as_os_str(), product.as_ref()]);
    PathBuf::from(folder.trim()).join(name)
}

impl OpenIdPlace {
    /// A free port.
    pub fn free() -> Self {
        let [address] = free_addresses();
        Self { address, issuer: format!("http://{address}") }
    }
}

impl OpenId {
    /// Starts it. It trusts this root when it tells a client of a log-out, and an access token of it lasts for this long.
    pub async fn start(place: OpenIdPlace, clients: &[OpenIdClient<'_>], root_pem: &str, token_seconds: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("gangway-openid-").tempdir().expect("a temporary folder");
        let [settings, users, root] = ["settings.json", "users.json", "root.pem"].map(|name| folder.path().join(name));
        let clients: Vec<Value> = clients.iter().map(metadata).collect();
        let text = json!({
            "issuer": place.issuer,
            "clients": clients,
            "users": users,
            "accessTokenSeconds": token_seconds,
        });
        replace_file(&settings, &text.to_string());
        replace_file(&users, "{}");
        replace_file(&root, root_pem);
        let mut command = Command::new("node");
        command.arg(part("openid-provider/server.mjs")).arg(&settings).env("NODE_EXTRA_CA_CERTS", &root);
        let OpenIdPlace { address, issuer } = place;
        let mut provider = Self { address, command, process: None, issuer, folder };
        provider.run().await;
        provider
    }

    /// Starts it after it was stopped. It has forgotten everything but its users.
    pub async fn run(&mut self) {
        self.process = Some(Process::start(&mut self.command, &self.folder.path().join("log")));
        let (client, host) = (Client::plain(self.address), self.address.to_string());
        eventually("the provider answers", STUCK, async || {
            let answer = client.get(&host, "/.well-known/openid-configuration").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Stops it.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }

    /// What it has written.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// From now on, these are its users, each with its claims.
    pub fn set_users(&self, users: &Value) {
        replace_file(&self.folder.path().join("users.json"), &users.to_string());
    }

    /// Logs in as a person does, at its own pages. The browser is there already.
    pub async fn log_in(&self, browser: &WebDriver, user: &str) {
        browser.arrives(&self.issuer).await;
        browser.write("input[name=login]", user).await;
        browser.write("input[name=password]", "anything").await;
        browser.click("button[type=submit]").await;
        // A user who has agreed before is not asked again.
        let agreed = async || {
            let is_asked = browser.text().await.contains("Continue");
            let is_back = !browser.url().await.starts_with(&self.issuer);
            (is_asked || is_back).then_some(is_asked)
        };
        if eventually("the provider is content", STUCK, agreed).await {
            browser.click("button[type=submit]").await;
        }
    }

    /// Logs out at its own page, as a person does. The browser is there already.
    pub async fn confirm_log_out(&self, browser: &WebDriver) {
        browser.arrives(&format!("{}/session/end", self.issuer)).await;
        browser.click("button[value=yes]").await;
    }
}

fn metadata(client: &OpenIdClient<'_>) -> Value {
    let grants: &[&str] =
        if client.refreshes { &["authorization_code", "refresh_token"] } else { &["authorization_code"] };
    let mut metadata = json!({
        "client_id": client.id,
        "client_secret": CLIENT_SECRET,
        "grant_types": grants,
        "redirect_uris": client.callbacks,
        "post_logout_redirect_uris": client.logged_out,
    });
    if let Some(url) = &client.back_channel {
        metadata["backchannel_logout_uri"] = json!(url);
        metadata["backchannel_logout_session_required"] = json!(true);
    }
    metadata
}
