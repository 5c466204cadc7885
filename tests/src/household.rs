//! The applications of a household, with fixed names, on an engine that a test controls: what pictures of the page show.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use gangway_testkit::engine::{Container, Engine, Flavour};
use gangway_testkit::scripted::{Asked, Scripted, reply};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::gangway::Gangway;

/// The domain of all hosts.
pub const DOMAIN: &str = "home.test";

/// Households that were started.
static STARTED: AtomicU8 = AtomicU8::new(0);

/// Engine and applications. They end when this is dropped.
pub struct Household {
    _apps: Vec<Scripted>,
    engine: JoinHandle<()>,
    folder: TempDir,
}

/// An application: container, service, image, port, and the colour and the drawing of its icon.
struct Served {
    container: &'static str,
    service: &'static str,
    image: &'static str,
    port: u16,
    icon: Option<(&'static str, &'static str)>,
    labels: &'static [(&'static str, &'static str)],
}

const APPS: [Served; 7] = [
    Served {
        container: "photos-immich-server-1",
        service: "photos immich-server",
        image: "ghcr.io/immich-app/immich-server:v2",
        port: 2283,
        icon: Some(("#4250af", "<circle cx='32' cy='32' r='15' fill='none' stroke='#fff' stroke-width='7'/>")),
        labels: &[
            ("gangway.host", "photos.home.test"),
            ("gangway.compress", "true"),
            ("gangway.page.group", "Media"),
            ("gangway.page.description", "Photos of the family"),
        ],
    },
    Served {
        container: "media-jellyfin-1",
        service: "media jellyfin",
        image: "jellyfin/jellyfin:10.11",
        port: 8096,
        icon: Some(("#7b4bb7", "<path d='M24 18 48 32 24 46z' fill='#fff'/>")),
        labels: &[
            ("gangway.host", "films.home.test"),
            ("homepage.group", "Media"),
            ("homepage.description", "Films and series"),
        ],
    },
    Served {
        container: "cloud-nextcloud-1",
        service: "cloud nextcloud",
        image: "nextcloud:32-apache",
        port: 8080,
        icon: Some(("#0082c9", "<path d='M12 40a10 10 0 0 1 4-19 15 15 0 0 1 29 3 9 9 0 0 1 5 16z' fill='#fff'/>")),
        labels: &[("gangway.host", "cloud.home.test"), ("gangway.port", "8080"), ("gangway.page.group", "Documents")],
    },
    Served {
        container: "paper-webserver-1",
        service: "paper webserver",
        image: "ghcr.io/paperless-ngx/paperless-ngx:2",
        port: 8000,
        icon: Some(("#17541f", "<path d='M18 48C18 26 30 16 48 14c0 20-8 30-24 32z' fill='#fff'/>")),
        labels: &[
            ("gangway.host", "paper.home.test"),
            ("gangway.page.name", "Paperless"),
            ("gangway.page.group", "Documents"),
        ],
    },
    Served {
        container: "house-homeassistant-1",
        service: "house homeassistant",
        image: "ghcr.io/home-assistant/home-assistant:stable",
        port: 8123,
        icon: Some(("#18bcf2", "<path d='M32 12 54 34H48V50H16V34H10z' fill='#fff'/>")),
        labels: &[
            ("gangway.host", "ha.home.test"),
            ("gangway.allow", "lan"),
            ("gangway.page.icon", "/static/icon.svg"),
            ("gangway.page.group", "House"),
        ],
    },
    Served {
        container: "house-vaultwarden-1",
        service: "house vaultwarden",
        image: "vaultwarden/server:latest",
        port: 8081,
        icon: None,
        labels: &[("gangway.host", "vault.home.test"), ("gangway.allow", "lann"), ("gangway.page.group", "House")],
    },
    Served {
        container: "wiki-web-1",
        service: "wiki web",
        image: "ghcr.io/requarks/wiki:2",
        port: 3000,
        icon: None,
        labels: &[("gangway.routes.wiki.rule", "Hosts(`wiki.home.test`)")],
    },
];

impl Household {
    /// Starts all of them.
    ///
    /// # Panics
    ///
    /// Panics if one of their addresses, which are on loopback, is taken.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("gangway-engine-").tempdir().expect("a temporary folder");
        // Tests may run beside each other, each with addresses of its own.
        let network = STARTED.fetch_add(1, Ordering::Relaxed);
        let engine = Engine::new(Flavour::Docker2026);
        let mut apps = Vec::new();
        for (number, app) in (11..).zip(&APPS) {
            let address = IpAddr::V4(Ipv4Addr::new(127, 20, network, number));
            let listener = TcpListener::bind((address, app.port)).await.expect("nobody listens there");
            let icon = app.icon;
            apps.push(Scripted::answering_at(listener, move |asked| answer(asked, icon)).expect("it listens"));
            let (project, service) = app.service.split_once(' ').expect("a project and a service");
            let container = Container::new(app.container).service(project, service).image(app.image);
            let container = container.exposes(&[app.port]).network(&format!("{project}_default")).address(address);
            engine.run(app.labels.iter().fold(container, |container, (key, value)| container.label(key, value)));
        }
        for (name, image, port) in [("photos-database-1", "postgres:16", 5432), ("cloud-redis-1", "redis:8", 6379)] {
            engine.run(Container::new(name).image(image).exposes(&[port]));
        }
        let socket = folder.path().join("docker.sock");
        let engine = tokio::spawn(async move {
            engine.listen_unix(&socket).await.expect("the folder is ours");
        });
        Self { _apps: apps, engine, folder }
    }

    /// The engine's address as `--docker` takes it.
    pub fn url(&self) -> String {
        let socket: PathBuf = self.folder.path().join("docker.sock");
        format!("unix://{}", socket.display())
    }

    /// Asks for some pages, so that there is something to be seen.
    pub async fn visit(&self, gangway: &Gangway) {
        let client = gangway.secure();
        for (host, paths) in [
            ("photos", &["/", "/api/albums", "/api/assets/4711/thumbnail?key=secret", "/gone"][..]),
            ("films", &["/", "/web/", "/Users/Me", "/broken", "/Items?api_key=secret"]),
            ("cloud", &["/", "/apps/files", "/gone"]),
        ] {
            for path in paths.iter().cycle().take(24) {
                let _ = client.get(&format!("{host}.{DOMAIN}"), path).await;
            }
        }
    }
}

impl std::fmt::Debug for Household {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Household").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        self.engine.abort();
    }
}

fn answer(asked: &Asked, icon: Option<(&str, &str)>) -> Vec<u8> {
    match (asked.head.split(' ').nth(1).unwrap_or_default(), icon) {
        ("/favicon.ico" | "/static/icon.svg", Some((colour, drawing))) => {
            let svg = format!(
                "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'>\
                 <rect width='64' height='64' rx='14' fill='{colour}'/>{drawing}</svg>"
            );
            reply("200 OK", &[("Content-Type", "image/svg+xml")], &svg)
        }
        ("/favicon.ico" | "/gone", _) => reply("404 Not Found", &[], "there is nothing"),
        ("/broken", _) => reply("500 Internal Server Error", &[], "it went wrong"),
        _ => reply("200 OK", &[("Content-Type", "text/html")], "<!DOCTYPE html><title>app</title>hello"),
    }
}
