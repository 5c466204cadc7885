//! Gangway, nginx and Caddy beside each other, each in front of an endpoint of its own that records what it got.
//!
//! Each is set up as its documentation shows it for a reverse proxy: the host passed on, WebSockets allowed, nothing
//! else changed. The two are those that Debian ships.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use gangway_testkit::client::Client;
use gangway_testkit::recording::{CASE_FIELD, RecordingEndpoint, WrittenAnswer};
use gangway_testkit::wait::eventually;
use gangway_testkit::wire_message::{WireMessage, read_answers};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::STUCK;
use crate::gangway::{Gangway, Options, free_addresses, replace_file};
use crate::process::{Process, outcome};

/// The host that all of them serve.
pub const HOST: &str = "odd.test";

/// The target of a request that ends a connection.
pub const LAST: &str = "/last";

/// A proxy that says nothing for this long waits for more, as none of the cases ever sends.
const SILENCE: Duration = Duration::from_secs(3);

/// One of them.
#[derive(Debug)]
pub struct Beside {
    /// Its name with its version.
    pub name: String,
    address: SocketAddr,
    endpoint: RecordingEndpoint,
    /// It is ended when it is dropped, as the other one is.
    _gangway: Option<Box<Gangway>>,
    _process: Option<Process>,
}

/// All three, in the order of the table.
#[derive(Debug)]
pub struct SideBySide {
    /// Gangway, nginx, Caddy.
    pub all: [Beside; 3],
    /// Lives for as long as it is written to.
    _folder: TempDir,
}

/// What became of one client connection.
#[derive(Clone, Debug)]
pub struct Seen {
    /// All answers, interim ones too.
    pub answers: Vec<WireMessage>,
    /// Whether the connection was still open when nothing more came.
    pub is_silent: bool,
    /// What the endpoint got; empty where its answer was given.
    pub got: Vec<WireMessage>,
}

impl SideBySide {
    /// Starts all three and waits until each serves.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("gangway-odd-").tempdir().expect("a temporary folder can be made");
        let all = [gangway().await, nginx(&folder).await, caddy(&folder).await];
        for one in &all {
            let client = Client::plain(one.address);
            eventually(&format!("{} serves", one.name), STUCK, async || {
                client.get(HOST, "/").await.ok().filter(|answer| answer.status == 200).map(drop)
            })
            .await;
        }
        Self { all, _folder: folder }
    }
}

impl Beside {
    /// Sends these bytes on a connection of its own; the endpoint answers as the case says.
    pub async fn see(&self, case: &str, bytes: &[u8], is_half_closed: bool, answer: Option<&WrittenAnswer>) -> Seen {
        if let Some(answer) = answer {
            self.endpoint.answer(case, answer.clone());
        }
        let (came, is_silent) = self.exchange(bytes, is_half_closed).await;
        let answers = read_answers(&came, bytes.starts_with(b"HEAD "));
        // Behind a 101 that it was given, the endpoint waits for the end of a tunnel that some proxies keep open.
        let got = if answer.is_some() { Vec::new() } else { self.endpoint.taken(case).await };
        Seen { answers, is_silent, got }
    }

    /// Sends these bytes and reads until the connection ends, or is silent.
    async fn exchange(&self, bytes: &[u8], is_half_closed: bool) -> (Vec<u8>, bool) {
        let stream = Client::plain(self.address).stream(HOST).await.expect("it listens");
        let (mut reading, mut writing) = tokio::io::split(stream);
        // It may be refused before its end.
        let _ = writing.write_all(bytes).await;
        if is_half_closed {
            let _ = writing.shutdown().await;
        }
        let mut came = Vec::new();
        loop {
            match tokio::time::timeout(SILENCE, reading.read_buf(&mut came)).await {
                Ok(Ok(0) | Err(_)) => return (came, false),
                Ok(Ok(_)) => {}
                Err(_) => return (came, true),
            }
        }
    }
}

/// A request with these parts.
pub fn request(line: &str, fields: &str, body: &str) -> String {
    format!("{line}\r\nHost: {HOST}\r\n{CASE_FIELD}: {{case}}\r\n{fields}\r\n{body}")
}

/// The request that ends a connection.
pub fn last() -> String {
    request(&format!("GET {LAST} HTTP/1.1"), "Connection: close\r\n", "")
}

async fn endpoint() -> RecordingEndpoint {
    RecordingEndpoint::start().await.expect("a port is free")
}

async fn gangway() -> Beside {
    let endpoint = endpoint().await;
    let config = format!(
        "[routes.odd]\nhost = \"{HOST}\"\nupstream = \"http://{}\"\nhttps-redirect = false\n",
        endpoint.address
    );
    let gangway = Options::docker("none").config(&config).start().await;
    Beside {
        name: "Gangway".into(),
        address: gangway.http,
        endpoint,
        _gangway: Some(Box::new(gangway)),
        _process: None,
    }
}

/// The part of a version that stands behind the last slash or space.
fn version(program: &str, argument: &str) -> String {
    let told = outcome(Command::new(program).arg(argument));
    let told = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    let number = told.split(['/', ' ', '\n']).find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.unwrap_or("of an unknown version").to_owned()
}

async fn nginx(folder: &TempDir) -> Beside {
    let endpoint = endpoint().await;
    let [address] = free_addresses();
    let at = folder.path().display();
    let config = format!(
        "daemon off;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log stderr;\nevents {{ worker_connections 1024; }}\n\
         http {{\naccess_log off;\nclient_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\nscgi_temp_path {at}/scgi;\n\
         map $http_upgrade $proxy_connection {{ default upgrade; '' close; }}\n\
         server {{ listen {address}; server_name {HOST}; location / {{ proxy_pass http://{};\n\
         proxy_http_version 1.1;\nproxy_set_header Host $http_host;\nproxy_set_header Upgrade $http_upgrade;\n\
         proxy_set_header Connection $proxy_connection;\n}} }}\n}}\n",
        endpoint.address
    );
    let file = folder.path().join("nginx.conf");
    replace_file(&file, &config);
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(file);
    let process = Process::start(&mut command, &folder.path().join("nginx.log"));
    Beside {
        name: format!("nginx {}", version("nginx", "-v")),
        address,
        endpoint,
        _gangway: None,
        _process: Some(process),
    }
}

async fn caddy(folder: &TempDir) -> Beside {
    let endpoint = endpoint().await;
    let [address] = free_addresses();
    // A connection that an odd answer spoiled would be found out by the next case.
    let transport = json!({ "protocol": "http", "keep_alive": { "enabled": false } });
    let upstreams = json!([{ "dial": endpoint.address.to_string() }]);
    let proxy = json!({ "handler": "reverse_proxy", "transport": transport, "upstreams": upstreams });
    let server = json!({
        "listen": [address.to_string()],
        "protocols": ["h1"],
        "routes": [{ "match": [{ "host": [HOST] }], "handle": [proxy], "terminal": true }],
        "automatic_https": { "disable": true },
    });
    let config = json!({ "admin": { "disabled": true }, "apps": { "http": { "servers": { "odd": server } } } });
    let file = folder.path().join("caddy.json");
    replace_file(&file, &config.to_string());
    let mut command = Command::new("caddy");
    command.args(["run", "--config"]).arg(file);
    command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    let process = Process::start(&mut command, &folder.path().join("caddy.log"));
    Beside {
        name: format!("Caddy {}", version("caddy", "version")),
        address,
        endpoint,
        _gangway: None,
        _process: Some(process),
    }
}
