//! How others follow containers, for comparison: a configuration written anew on each of the engine's events.
//!
//! As nginx-proxy does it with nginx (a reload) and caddy-docker-proxy with Caddy (its admin API): the containers that
//! run are in, and no others, and nothing is written where nothing changed. In doubt in their favour: the
//! events come from the same engine by the same way, a site without containers stays and answers 502 or 503,
//! and nginx keeps no idle connections to what may be about to end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gangway_testkit::app::self_signed_pem;
use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::{JoinHandle, block_in_place};

use crate::STUCK;
use crate::engine_events::EngineEvents;
use crate::gangway::{free_addresses, replace_file};
use crate::process::{Process, outcome, output};

/// What curl ends with where it was told to fail on an error, and got one.
const CURL_GOT_AN_ERROR: i32 = 22;

/// How often it is looked whether it still runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The proxy, and how it gets a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// nginx, reloaded.
    Nginx,
    /// Caddy, by its admin API, trying again for this long where an upstream cannot be reached.
    Caddy {
        /// `lb_try_duration`; zero unless users set it.
        try_for: Duration,
    },
}

/// A site: its host, and the label by which its containers are found.
#[derive(Clone, Debug)]
pub struct Site {
    /// The host.
    pub host: String,
    /// A label, `key=value`.
    pub label: String,
}

/// One of them, following an engine; dropped, it is ended.
#[derive(Debug)]
pub struct Peer {
    https: SocketAddr,
    root_pem: String,
    crashes: Arc<AtomicUsize>,
    following: JoinHandle<()>,
}

struct Follower {
    kind: Kind,
    url: String,
    sites: Vec<Site>,
    https: SocketAddr,
    admin: SocketAddr,
    last: String,
    process: Option<Process>,
    /// Lives for as long as it is written to.
    folder: TempDir,
    crashes: Arc<AtomicUsize>,
}

impl Peer {
    /// Starts it, following all containers that carry `label`.
    pub async fn start(kind: Kind, url: &str, label: &str, sites: &[Site]) -> Self {
        let folder =
            tempfile::Builder::new().prefix("gangway-peer-").tempdir().expect("a temporary folder can be made");
        let names: Vec<&str> = sites.iter().map(|site| &*site.host).collect();
        let (root_pem, key) = self_signed_pem(&names);
        replace_file(&folder.path().join("cert.pem"), &root_pem);
        replace_file(&folder.path().join("key.pem"), &key);
        let [https, admin] = free_addresses();
        let mut follower = Follower {
            kind,
            url: url.to_owned(),
            sites: sites.to_vec(),
            https,
            admin,
            last: String::new(),
            process: None,
            folder,
            crashes: Arc::default(),
        };
        let events = EngineEvents::of(url, label);
        block_in_place(|| follower.write());
        follower.run();
        let client = Client::tls(https, &root_pem).expect("it is a certificate");
        for site in sites {
            eventually("the other one serves", STUCK, async || {
                client.get(&site.host, "/").await.ok().filter(|answer| answer.status == 200).map(drop)
            })
            .await;
        }
        let crashes = Arc::clone(&follower.crashes);
        let following = tokio::spawn(follower.follow(events));
        Self { https, root_pem, crashes, following }
    }

    /// How often it ended by itself, and was started again as a container would be.
    pub fn crashes(&self) -> usize {
        self.crashes.load(Ordering::SeqCst)
    }

    /// A client for it.
    pub fn client(&self) -> Client {
        Client::tls(self.https, &self.root_pem).expect("it is a certificate")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Follower {
    fn command(&self) -> Command {
        let config = self.config_file();
        match self.kind {
            Kind::Nginx => {
                let mut command = Command::new("nginx");
                command.args(["-e", "stderr", "-p"]).arg(self.folder.path()).arg("-c").arg(config);
                command
            }
            Kind::Caddy { .. } => {
                let mut command = Command::new("caddy");
                command.args(["run", "--config"]).arg(config);
                command.env("XDG_DATA_HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path());
                command
            }
        }
    }

    fn run(&mut self) {
        self.process = Some(Process::start(&mut self.command(), &self.folder.path().join("log")));
    }

    async fn follow(mut self, events: EngineEvents) {
        let mut count = events.count();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                changed = count.changed() => match changed {
                    Ok(()) => block_in_place(|| if self.write() { self.apply() }),
                    Err(_) => return,
                },
                _ = looks.tick() => if self.process.as_mut().is_some_and(|process| process.ended().is_some()) {
                    self.crashes.fetch_add(1, Ordering::SeqCst);
                    self.run();
                },
            }
        }
    }

    /// Writes the configuration for the containers that run now. True if it differs from the last.
    fn write(&mut self) -> bool {
        let sites: Vec<_> = self.sites.iter().map(|site| (&*site.host, running(&self.url, &site.label))).collect();
        let config = match self.kind {
            Kind::Nginx => nginx(self.folder.path(), self.https, &sites),
            Kind::Caddy { try_for } => caddy(self.folder.path(), self.https, self.admin, &sites, try_for).to_string(),
        };
        let is_new = config != self.last;
        if is_new {
            replace_file(&self.config_file(), &config);
            self.last = config;
        }
        is_new
    }

    fn apply(&self) {
        let config = self.config_file().display().to_string();
        match self.kind {
            Kind::Nginx => drop(output(
                "nginx",
                ["-e", "stderr", "-p", &self.folder.path().display().to_string(), "-c", &config, "-s", "reload"],
            )),
            Kind::Caddy { .. } => {
                let url = format!("http://{}/load", self.admin);
                let (kind, body) = ("Content-Type: application/json", format!("@{config}"));
                let mut command = Command::new("curl");
                let told = outcome(command.args(["-sS", "--fail-with-body", "-H", kind, "-d", &body, &url]));
                // Without a whole answer it has crashed, and begins again with what was written.
                let is_refused = told.status.code() == Some(CURL_GOT_AN_ERROR);
                assert!(!is_refused, "{}", String::from_utf8_lossy(&told.stdout));
            }
        }
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join(if self.kind == Kind::Nginx { "nginx.conf" } else { "caddy.json" })
    }
}

/// The addresses of the containers with this label that run now.
fn running(url: &str, label: &str) -> Vec<String> {
    let ids = output("docker", ["--host", url, "ps", "-q", "--filter", &format!("label={label}")]);
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    let mut found: Vec<String> = ids
        .split_whitespace()
        .filter_map(|id| {
            // It may be gone by now.
            let told = outcome(Command::new("docker").args(["--host", url, "inspect", "-f", format, id]));
            let address = String::from_utf8_lossy(&told.stdout).split_whitespace().next()?.to_owned();
            Some(format!("{address}:8080"))
        })
        .collect();
    found.sort_unstable();
    found
}

fn nginx(folder: &Path, https: SocketAddr, sites: &[(&str, Vec<String>)]) -> String {
    let at = folder.display();
    let mut text = format!(
        "daemon off;\nworker_processes 2;\npid {at}/nginx.pid;\nerror_log stderr;\nevents {{ worker_connections 4096; }}\n\
         http {{\naccess_log off;\nclient_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\nscgi_temp_path {at}/scgi;\n\
         map $http_upgrade $proxy_connection {{ default upgrade; '' close; }}\n\
         ssl_certificate {at}/cert.pem;\nssl_certificate_key {at}/key.pem;\n\
         proxy_http_version 1.1;\nproxy_buffering off;\nproxy_set_header Host $http_host;\n\
         proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $proxy_connection;\n\
         proxy_read_timeout 1h;\n"
    );
    for (host, addresses) in sites {
        let servers: String = addresses.iter().map(|address| format!("server {address}; ")).collect();
        let servers = if servers.is_empty() { "server 127.0.0.1 down; ".to_owned() } else { servers };
        text.push_str(&format!(
            "upstream {host} {{ {servers}}}\nserver {{ listen {https} ssl http2; server_name {host}; \
             location / {{ proxy_pass http://{host}; }} }}\n"
        ));
    }
    text.push_str("}\n");
    text
}

fn caddy(
    folder: &Path,
    https: SocketAddr,
    admin: SocketAddr,
    sites: &[(&str, Vec<String>)],
    try_for: Duration,
) -> Value {
    let routes: Vec<Value> = sites
        .iter()
        .map(|(host, addresses)| {
            let upstreams: Vec<Value> = addresses.iter().map(|address| json!({ "dial": address })).collect();
            let proxy = json!({
                "handler": "reverse_proxy",
                "upstreams": upstreams,
                "flush_interval": -1,
                "load_balancing": { "try_duration": u64::try_from(try_for.as_nanos()).unwrap_or(u64::MAX) },
            });
            json!({ "match": [{ "host": [host] }], "handle": [proxy], "terminal": true })
        })
        .collect();
    let certificate = json!({ "certificate": folder.join("cert.pem"), "key": folder.join("key.pem") });
    let server = json!({
        "listen": [https.to_string()],
        "protocols": ["h1", "h2"],
        "routes": routes,
        "automatic_https": { "disable": true },
        "tls_connection_policies": [{}],
    });
    json!({
        "admin": { "listen": admin.to_string() },
        "apps": { "tls": { "certificates": { "load_files": [certificate] } }, "http": { "servers": { "all": server } } },
    })
}
