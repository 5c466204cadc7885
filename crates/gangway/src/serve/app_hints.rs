//! Tells which setting an application lacks, where its answers show that it lacks one.
//!
//! The data plane recognises the answers. Here stands what the application wants to be told: the exact line, with the
//! host that was asked for, or with Gangway's address as the application sees it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{Address, Compiled, HostHeader};
use gangway_proxy::{AppHint, AppHints, Refusal};
use gangway_publish::{Publisher, Reader};
use tokio::time::sleep;

use super::whereabouts::connected_networks;
use crate::finding_log::FindingLog;

/// While there are hints, it is looked this often whether they are gone.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// After news: a page asks for much at once, and other routes of the application may follow.
const SOON: Duration = Duration::from_secs(1);

/// The port of Home Assistant, which often runs on a machine of its own, where no image tells it.
const HOME_ASSISTANT_PORT: u16 = 8123;

const PASSED_ON: &str = "the answer is passed on as it is";

/// Publishes what applications lack, for ever.
pub(super) async fn follow(
    hints: AppHints,
    compiled: Reader<Compiled>,
    mut output: Publisher<Vec<Diagnostic>>,
) -> Infallible {
    let mut log = FindingLog::default();
    loop {
        let present = hints.present();
        let findings = findings(&present, &compiled.load(), &our_address);
        if log.tell(&findings) {
            output.publish(findings);
        }
        tokio::select! {
            () = hints.more() => sleep(SOON).await,
            () = sleep(LOOK_EVERY), if !present.is_empty() => {}
        }
    }
}

/// Gangway's address or network as an endpoint sees it; none if something on the way may hide it.
type OurAddress<'a> = &'a dyn Fn(&Address) -> Option<String>;

fn findings(hints: &[AppHint], compiled: &Compiled, our_address: OurAddress<'_>) -> Vec<Diagnostic> {
    let images: HashMap<&str, &str> =
        compiled.containers.iter().map(|container| (&*container.id, &*container.image)).collect();
    let of_hint = |hint: &AppHint| {
        let image = images.get(&*hint.endpoint.container).copied().unwrap_or_default();
        let Lack { message, help, effect } = lack(hint, image_name(image), our_address)?;
        // A route of the config file is of no container.
        let is_container = |name: &str| compiled.containers.iter().any(|container| *container.name == *name);
        let place = hint.route.origin.first().filter(|name| is_container(name)).cloned().map(Place::container_named);
        let message = format!("{message} (route `{}`)", hint.route.name);
        let found = Diagnostic::warning(codes::APP_SETTING_MISSING, place.unwrap_or_default(), message);
        Some(found.with_help(help).with_effect(format!("{effect}; {PASSED_ON}")))
    };
    hints.iter().filter_map(of_hint).collect()
}

/// What an application lacks.
struct Lack {
    message: String,
    help: String,
    effect: &'static str,
}

/// What the application of a hint lacks; none if the refusal says nothing for this image.
fn lack(hint: &AppHint, image: &str, our_address: OurAddress<'_>) -> Option<Lack> {
    let AppHint { refusal, origin, host, .. } = hint;
    let is_paperless = image.starts_with("paperless");
    let all_of_host = "the application serves nothing under this host";
    let lack = match refusal {
        Refusal::AnyRequestOfAiohttp => {
            if !is_home_assistant(hint, image) {
                return None;
            }
            let ours = our_address(&hint.endpoint.address);
            let (line, whose) = match &ours {
                Some(ours) => (format!("http: {{ use_x_forwarded_for: true, trusted_proxies: [{ours}] }}"), ""),
                None => (
                    "http: { use_x_forwarded_for: true, trusted_proxies: [ADDRESS] }".to_owned(),
                    "; its log names the ADDRESS that Gangway comes from",
                ),
            };
            let proxies = ours.as_deref().unwrap_or("ADDRESS");
            Lack {
                message: format!(
                    "Home Assistant answers 400 to requests for `{host}`: it does not trust Gangway as a proxy"
                ),
                help: format!(
                    "at its own address, under Settings > System > Network > HTTP server > Reverse proxy, trust \
                     `X-Forwarded-For` and add the trusted proxy `{proxies}`; before version 2026.8, write \
                     `{line}` into `configuration.yaml` and start it anew{whose}"
                ),
                effect: "it refuses every request that comes through Gangway",
            }
        }
        Refusal::HostOfNextcloud => Lack {
            message: format!("Nextcloud answers 400: `{host}` is not among its trusted domains"),
            help: format!(
                "add `'{host}',` to `trusted_domains` in its `config/config.php`; for an installation that is yet to be made, \
                 `NEXTCLOUD_TRUSTED_DOMAINS: {host}` in its environment does it"
            ),
            effect: all_of_host,
        },
        Refusal::FormOfDjango => Lack {
            message: format!(
                "{} answers 403 to forms: it does not take `{origin}` for its own address",
                if is_paperless { "Paperless-ngx" } else { "the application (Django)" }
            ),
            help: match is_paperless {
                true => format!("set `PAPERLESS_URL: {origin}` in its environment, and start it anew"),
                false => format!(
                    "add `CSRF_TRUSTED_ORIGINS = [\"{origin}\"]` to its settings, or set the variable that it reads that from"
                ),
            },
            effect: "it refuses log-ins and other forms",
        },
        Refusal::HostOfDjango => Lack {
            message: format!(
                "{} answers 400: `{host}` is not among its allowed hosts",
                if is_paperless { "Paperless-ngx" } else { "the application (Django)" }
            ),
            help: match is_paperless {
                true => format!(
                    "set `PAPERLESS_URL: {origin}` in its environment, or name the host in `PAPERLESS_ALLOWED_HOSTS` too"
                ),
                false => format!(
                    "add `\"{host}\"` to `ALLOWED_HOSTS` in its settings, or to the variable that it reads that from"
                ),
            },
            effect: all_of_host,
        },
        Refusal::OriginOfGrafana => Lack {
            message: format!(
                "Grafana answers 403 `origin not allowed`: browsers come from `{origin}`, and it is asked under another host"
            ),
            help: other_host(
                hint,
                &format!("set `GF_SECURITY_CSRF_TRUSTED_ORIGINS: {}` in its environment", host_of(origin)),
            ),
            effect: "it refuses log-ins, changes and queries",
        },
        Refusal::EventStreamOfN8n => Lack {
            message: format!(
                "n8n at `{host}` answers 400 `Invalid origin!`: it pushes by event streams, for which browsers send no `Origin`"
            ),
            help: "set `N8N_PUSH_BACKEND: websocket` in its environment, which is also its default".to_owned(),
            effect: "its editor says that the connection is lost",
        },
        Refusal::WebSocketOfN8n => Lack {
            message: format!(
                "n8n closes WebSockets as `Invalid origin!`: browsers come from `{origin}`, and it is told another host"
            ),
            help: other_host(hint, "let its routes set no `request.header.X-Forwarded-Host`"),
            effect: "its editor says that the connection is lost",
        },
        Refusal::HostOfRails => Lack {
            message: format!("the application (Rails) answers 403: `{host}` is not among its hosts"),
            help: format!(
                "add `config.hosts << \"{host}\"` to `config/environments/development.rb`, or set \
                 `RAILS_DEVELOPMENT_HOSTS: {host}` in its environment"
            ),
            effect: all_of_host,
        },
        Refusal::HostOfVite => Lack {
            message: format!("the development server of Vite answers 403: `{host}` is not among its allowed hosts"),
            help: format!("add `server: {{ allowedHosts: [\"{host}\"] }}` to its `vite.config.js`"),
            effect: all_of_host,
        },
        Refusal::HostOfVitePreview => Lack {
            message: format!("the preview server of Vite answers 403: `{host}` is not among its allowed hosts"),
            help: format!("add `preview: {{ allowedHosts: [\"{host}\"] }}` to its `vite.config.js`"),
            effect: all_of_host,
        },
    };
    Some(lack)
}

/// What to do where an application is asked under another host than browsers are.
fn other_host(hint: &AppHint, otherwise: &str) -> String {
    match hint.route.host_header {
        HostHeader::Upstream | HostHeader::Named(_) => {
            format!(
                "remove the label `host-header`, so that the application is asked under the public host; or {otherwise}"
            )
        }
        HostHeader::Keep => {
            format!(
                "let the proxy before Gangway pass on `Host` as it is, or name it with `--trusted-proxies`; or {otherwise}"
            )
        }
    }
}

fn is_home_assistant(hint: &AppHint, image: &str) -> bool {
    // Images for one kind of machine are named `raspberrypi4-64-homeassistant`.
    let is_named = image.ends_with("home-assistant") || image.ends_with("homeassistant");
    is_named || (image.is_empty() && hint.endpoint.address.port() == HOME_ASSISTANT_PORT)
}

/// The last part of an image's name, without tag and digest.
fn image_name(image: &str) -> &str {
    let named = image.split('@').next().unwrap_or_default();
    let last = named.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// The host of a URL without a path.
fn host_of(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    authority
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
        .map_or(authority, |(host, _)| host)
}

/// Our address towards an endpoint, or the network that it is in: after the next start it may be another one of that. None
/// if the endpoint is in no network of ours, as routers and engines then put an address of their own in its place.
fn our_address(endpoint: &Address) -> Option<String> {
    let Address::Ip(endpoint, port) = endpoint else { return None };
    let ours = local_address(SocketAddr::new(*endpoint, *port))?;
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    seen_as(*endpoint, ours, &connected_networks(&table))
}

fn seen_as(endpoint: IpAddr, ours: IpAddr, networks: &[(Ipv4Addr, u32)]) -> Option<String> {
    if endpoint.is_loopback() || endpoint == ours {
        return Some(ours.to_string());
    }
    match (endpoint, ours) {
        (IpAddr::V4(endpoint), IpAddr::V4(ours)) => {
            let holds = |(network, prefix): &&(Ipv4Addr, u32), address: Ipv4Addr| {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                address.to_bits() & mask == network.to_bits()
            };
            let shared = networks.iter().filter(|one| holds(one, endpoint) && holds(one, ours));
            let (network, prefix) = shared.max_by_key(|(_, prefix)| *prefix)?;
            Some(format!("{network}/{prefix}"))
        }
        // A link is a /64; what is further away is routed, not translated.
        (IpAddr::V6(_), IpAddr::V6(ours)) => {
            let network = Ipv6Addr::from_bits(ours.to_bits() & !u128::from(u64::MAX));
            Some(format!("{network}/64"))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// The address from which the kernel connects to another one. Nothing is sent.
fn local_address(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gangway_model::{Container, EndpointKey, FileRoute, Route, Settings, Snapshot, compile};

    use super::*;

    const CONTAINER: &str = "0123456789ab";

    /// A route of the config file, and a container with this image.
    fn compiled(image: &str, keys: &[(&str, &str)]) -> Compiled {
        let place = Place::Configuration;
        let keys = [("host", "docs.example.com"), ("upstream", "http://192.0.2.9:80")].iter().chain(keys);
        let keys = keys.map(|(key, value)| ((*key).into(), (*value).into(), place.clone())).collect();
        let file_route = FileRoute { name: "docs".into(), keys, place };
        let container = Container { id: CONTAINER.into(), image: image.into(), ..Container::named("docs-1") };
        let snapshot = Snapshot { containers: vec![container], ..Snapshot::default() };
        compile(&snapshot, &Settings { file_routes: vec![file_route], ..Settings::default() })
    }

    /// The diagnostic for a refusal by a container with this image, reached at this port.
    fn told(refusal: Refusal, image: &str, port: u16, keys: &[(&str, &str)]) -> Option<Diagnostic> {
        let compiled = compiled(image, keys);
        let route = Arc::clone(&compiled.table.routes()[0]);
        let container = if image.is_empty() { "" } else { CONTAINER };
        let address = Address::Ip([172, 20, 0, 3].into(), port);
        let hint = AppHint {
            route,
            endpoint: EndpointKey { container: container.into(), address },
            refusal,
            origin: "https://docs.example.com".into(),
            host: "docs.example.com".into(),
        };
        let found = findings(&[hint], &compiled, &|_| Some("172.20.0.0/16".into()));
        assert!(found.len() <= 1);
        found.into_iter().next()
    }

    #[test]
    fn every_lack_names_the_application_and_the_line_to_add() {
        let home_assistant = "http: { use_x_forwarded_for: true, trusted_proxies: [172.20.0.0/16] }";
        for (refusal, image, name, line) in [
            (
                Refusal::AnyRequestOfAiohttp,
                "ghcr.io/home-assistant/home-assistant:stable",
                "Home Assistant",
                home_assistant,
            ),
            (
                Refusal::AnyRequestOfAiohttp,
                "homeassistant/raspberrypi4-homeassistant@sha256:00",
                "Home Assistant",
                home_assistant,
            ),
            (Refusal::HostOfNextcloud, "nextcloud:31", "Nextcloud", "`'docs.example.com',` to `trusted_domains`"),
            (
                Refusal::FormOfDjango,
                "ghcr.io/paperless-ngx/paperless-ngx:latest",
                "Paperless-ngx",
                "PAPERLESS_URL: https://docs.example.com`",
            ),
            (Refusal::FormOfDjango, "wger/server", "Django", "CSRF_TRUSTED_ORIGINS = [\"https://docs.example.com\"]"),
            (Refusal::HostOfDjango, "paperlessngx/paperless-ngx", "Paperless-ngx", "PAPERLESS_ALLOWED_HOSTS"),
            (Refusal::HostOfDjango, "wger/server", "Django", "`\"docs.example.com\"` to `ALLOWED_HOSTS`"),
            (
                Refusal::OriginOfGrafana,
                "grafana/grafana",
                "Grafana",
                "GF_SECURITY_CSRF_TRUSTED_ORIGINS: docs.example.com`",
            ),
            (Refusal::EventStreamOfN8n, "n8nio/n8n", "n8n", "`N8N_PUSH_BACKEND: websocket`"),
            (Refusal::WebSocketOfN8n, "n8nio/n8n", "n8n", "--trusted-proxies"),
            (Refusal::HostOfRails, "own/app", "Rails", "config.hosts << \"docs.example.com\""),
            (Refusal::HostOfVite, "node:22", "Vite", "server: { allowedHosts: [\"docs.example.com\"] }"),
            (Refusal::HostOfVitePreview, "node:22", "Vite", "preview: { allowedHosts: [\"docs.example.com\"] }"),
        ] {
            let found = told(refusal, image, 80, &[]).expect("it is told");
            assert_eq!((found.code, &found.place), (codes::APP_SETTING_MISSING, &Place::default()));
            assert!(found.message.contains(name) && found.message.ends_with("(route `docs`)"), "{found}");
            assert!(found.help.contains(line), "{found}");
            assert!(found.effect.ends_with("; the answer is passed on as it is"), "{found}");
        }
    }

    #[test]
    fn a_bare_400_is_told_of_home_assistant_alone() {
        let told = |image, port| told(Refusal::AnyRequestOfAiohttp, image, port, &[]).is_some();
        assert!(told("", 8123), "it runs on a machine of its own");
        for (image, port) in
            [("ghcr.io/home-assistant-libs/python-matter-server", 8123), ("own/aiohttp", 8123), ("", 80)]
        {
            assert!(!told(image, port), "{image} at {port}");
        }
    }

    #[test]
    fn a_route_that_changes_the_host_is_told_to_leave_it() {
        for refusal in [Refusal::OriginOfGrafana, Refusal::WebSocketOfN8n] {
            let changed = told(refusal, "grafana/grafana", 80, &[("host-header", "upstream")]).expect("it is told");
            assert!(changed.help.starts_with("remove the label `host-header`"), "{changed}");
        }
    }

    #[test]
    fn an_application_that_sees_another_address_is_to_look_for_it() {
        let compiled = compiled("", &[]);
        let route: Arc<Route> = Arc::clone(&compiled.table.routes()[0]);
        let address = Address::Name("ha.example.net".into(), HOME_ASSISTANT_PORT);
        let hint = AppHint {
            route,
            endpoint: EndpointKey { container: "".into(), address },
            refusal: Refusal::AnyRequestOfAiohttp,
            origin: "https://ha.example.com".into(),
            host: "ha.example.com".into(),
        };
        let found = findings(&[hint], &compiled, &our_address);
        assert!(found[0].help.contains("its log names the ADDRESS"), "{}", found[0]);
    }

    #[test]
    fn our_network_is_named_where_the_endpoint_is_in_it() {
        let networks = [([172, 20, 0, 0].into(), 16), ([10, 0, 0, 0].into(), 8), ([10, 1, 0, 0].into(), 16)];
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let seen = |endpoint, ours| seen_as(ip(endpoint), ip(ours), &networks);
        assert_eq!(seen("172.20.0.3", "172.20.0.2").as_deref(), Some("172.20.0.0/16"));
        assert_eq!(seen("10.1.0.3", "10.1.0.2").as_deref(), Some("10.1.0.0/16"), "the narrowest");
        assert_eq!(seen("192.168.1.5", "172.20.0.2"), None, "the engine puts the host's address in its place");
        assert_eq!(seen("127.0.0.1", "127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(seen("fd00::3", "fd00::2").as_deref(), Some("fd00::/64"));
        assert_eq!(local_address(([127, 0, 0, 1], 9).into()), Some(ip("127.0.0.1")));
    }

    #[test]
    fn the_name_of_an_image_and_the_host_of_an_origin_are_found() {
        for (image, name) in [("a.example:5000/b/c:1@sha256:00", "c"), ("nextcloud", "nextcloud"), ("", "")] {
            assert_eq!(image_name(image), name);
        }
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("http://a.example:8080", "a.example"),
            ("http://[fd00::1]:8080", "[fd00::1]"),
            ("http://[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(host_of(origin), host);
        }
    }
}
