//! Listings and inspections of containers as engines write them, and their translation into the model.
//!
//! Three variants are known: Docker of 2020 (API 1.41), Docker of 2026 (API 1.52 and newer, with a `Health` object) and
//! Podman (no `HostConfig`, no health, no exposed ports). Every field may be missing or null and every word unknown: a
//! strange container must not make the whole listing unreadable. Members of a wrong type are left out; see
//! [`lenient_json`](crate::lenient_json).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use gangway_model::{
    Attachment, Container, ContainerState, Ended, EngineName, ExposedPort, Health, LeftOut, NetworkMode,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::lenient_json::{Lenient, LenientMember};
use crate::unix_signal;

/// One entry of `/containers/json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ListedContainer {
    pub(crate) id: Box<str>,
    names: Option<Vec<Box<str>>>,
    image: Option<Box<str>>,
    created: Option<i64>,
    ports: Option<Vec<ListedPort>>,
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
    state: Option<Box<str>>,
    status: Option<Box<str>>,
    host_config: Option<HostConfig>,
    network_settings: Option<NetworkSettings>,
    health: Option<HealthObject>,
}

/// An answer to `/containers/json`.
#[derive(Debug, Default)]
pub(crate) struct ContainerListing {
    pub(crate) containers: Vec<ListedContainer>,
    /// The malformed parts, by the id of the container, or by its name if it has no readable id.
    pub(crate) left_out: BTreeMap<Box<str>, LeftOut>,
}

impl From<Vec<ListedContainer>> for ContainerListing {
    fn from(containers: Vec<ListedContainer>) -> Self {
        Self { containers, left_out: BTreeMap::new() }
    }
}

impl ContainerListing {
    /// A listing of which malformed parts were left out. `None` if no container has a readable id: such an answer must
    /// not count as an empty listing.
    pub(crate) fn lenient(members: Vec<LenientMember<ListedContainer>>) -> Option<Self> {
        let mut listing = Self::default();
        for LenientMember(Lenient { value, left_out }) in members {
            let name = value.as_ref().map_or_else(Box::default, ListedContainer::name);
            let id = value.as_ref().map(|listed| listed.id.clone()).filter(|id| !id.is_empty());
            if !left_out.is_empty() {
                let key = id.unwrap_or_else(|| name.clone());
                listing.left_out.insert(key, LeftOut { container: name, parts: left_out });
            }
            listing.containers.extend(value);
        }
        listing.containers.iter().any(|listed| !listed.id.is_empty()).then_some(listing)
    }
}

/// A TCP port of a container that is published on the host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PublishedPort {
    /// The port inside the container.
    pub inside: u16,
    /// The port on the host.
    pub outside: u16,
    /// The port is bound to a loopback address, so that only processes on the host reach it.
    pub is_loopback: bool,
}

/// The few fields of `/containers/<id>/json` that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct InspectedContainer {
    /// As the engine wrote it. Engines write mounts in several ways.
    pub(crate) mounts: serde_json::Value,
    config: Option<InspectedConfig>,
    host_config: Option<HostConfig>,
    state: Option<InspectedState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ListedPort {
    #[serde(rename = "IP")]
    ip: Option<Box<str>>,
    private_port: u16,
    public_port: Option<u16>,
    r#type: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    network_mode: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<Box<str>, Option<ListedNetwork>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ListedNetwork {
    #[serde(rename = "NetworkID")]
    id: Option<Box<str>>,
    #[serde(rename = "IPAddress")]
    address: Option<Box<str>>,
    #[serde(rename = "GlobalIPv6Address")]
    address_v6: Option<Box<str>>,
    #[serde(rename = "IPPrefixLen")]
    prefix_len: Option<u8>,
    #[serde(rename = "Gateway")]
    gateway: Option<Box<str>>,
    #[serde(rename = "IPv6Gateway")]
    gateway_v6: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HealthObject {
    status: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedConfig {
    exposed_ports: Option<BTreeMap<Box<str>, IgnoredAny>>,
    /// A name with Docker, a number with Podman.
    stop_signal: Option<serde_json::Value>,
    /// In seconds; negative for no limit.
    stop_timeout: Option<i64>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<Box<str>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedState {
    health: Option<HealthObject>,
    running: Option<bool>,
    started_at: Option<Box<str>>,
}

/// A time by the engine's clock, which is not ours, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct EngineTime(pub(crate) i128);

/// Facts from an inspection that never change in the life of a container, so that it is inspected once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct InspectedFacts {
    network: Option<Box<str>>,
    ports: Vec<u16>,
    /// It has a health check whose result the listing does not show, so that it is inspected each time.
    pub(crate) health_unlisted: bool,
}

impl ListedContainer {
    /// Whether the listing says less than is needed to reach the container.
    ///
    /// Podman lists neither ports that are only exposed nor the network mode; Docker lists no ports of a
    /// container that uses the network of the host or of another container.
    pub(crate) fn lacks_facts(&self) -> bool {
        let mode = self.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
        let no_ports = self.ports.as_ref().is_none_or(Vec::is_empty);
        self.runs() && (mode.is_none() || (no_ports && mode != Some("none")))
    }

    /// Whether the container has a process, so that inspecting it is worthwhile.
    pub(crate) fn runs(&self) -> bool {
        matches!(self.state(), ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
    }

    /// The health according to the listing. `None` if the listing has none, which says nothing with Podman.
    fn listed_health(&self) -> Option<Health> {
        if let Some(word) = self.health.as_ref().and_then(|health| health.status.as_deref()) {
            return parse_health(word);
        }
        let status = self.status.as_deref().unwrap_or_default();
        let health = status.strip_suffix(')').and_then(|status| status.rsplit_once('('))?.1;
        parse_health(health.strip_prefix("health: ").unwrap_or(health))
    }

    fn state(&self) -> ContainerState {
        match self.state.as_deref().unwrap_or_default() {
            "created" | "configured" | "initialized" => ContainerState::Created,
            "running" | "stopping" => ContainerState::Running,
            "paused" => ContainerState::Paused,
            "restarting" => ContainerState::Restarting,
            "removing" => ContainerState::Removing,
            "dead" => ContainerState::Dead,
            // Podman says `stopped` until it has cleaned up after a container. A container in an unknown state gets no
            // requests either.
            _ => ContainerState::Exited,
        }
    }

    /// How it ended last, from `Exited (137) 5 minutes ago`. An inspection would be more exact, but cost a request for
    /// each container that no longer runs.
    fn ended(&self, now: i64) -> Option<Ended> {
        if !matches!(self.state(), ContainerState::Exited | ContainerState::Restarting | ContainerState::Dead) {
            return None;
        }
        let (_, rest) = self.status.as_deref().unwrap_or_default().split_once('(').unwrap_or_default();
        let (code, ago) = rest.split_once(')').unwrap_or_default();
        Some(Ended { code: code.parse().ok(), at: seconds_ago(ago).map(|ago| now - ago) })
    }

    fn name(&self) -> Box<str> {
        let names = self.names.iter().flatten().map(|name| name.trim_start_matches('/'));
        // A linked container is listed under `/other/alias` as well.
        let name = names.clone().find(|name| !name.contains('/')).or_else(|| names.clone().next());
        let composed = |key| self.labels.as_ref().is_some_and(|labels| labels.contains_key(key));
        match name {
            Some(name) if composed("com.docker.compose.project") => without_hash(name).into(),
            Some(name) => name.into(),
            None => self.id.get(..12).unwrap_or(&self.id).into(),
        }
    }

    fn mode<'a>(&'a self, facts: Option<&'a InspectedFacts>) -> &'a str {
        let listed = self.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
        listed.or_else(|| facts?.network.as_deref()).unwrap_or_default()
    }

    fn networks(&self) -> impl Iterator<Item = (&str, &ListedNetwork)> {
        let networks = self.network_settings.iter().filter_map(|settings| settings.networks.as_ref()).flatten();
        networks.filter_map(|(name, network)| Some((&**name, network.as_ref()?)))
    }

    /// The gateway by which the container reaches the host. If any network has an IPv4 gateway, it is one of these.
    pub(crate) fn host_gateway(&self) -> Option<IpAddr> {
        let mut of_v4 = self.networks().filter_map(|(_, network)| address(network.gateway.as_deref()));
        let mut of_v6 = self.networks().filter_map(|(_, network)| address(network.gateway_v6.as_deref()));
        of_v4.next().or_else(|| of_v6.next())
    }

    /// The ids of its networks, each with its own address and the length of the prefix.
    pub(crate) fn network_addresses(&self) -> impl Iterator<Item = (&str, Option<(IpAddr, u8)>)> {
        self.networks().map(|(_, network)| {
            let id = network.id.as_deref().unwrap_or_default();
            let at = address(network.address.as_deref()).zip(network.prefix_len.filter(|len| *len > 0));
            (id, at)
        })
    }

    /// The gateways of its networks, ordered by the names of the networks.
    pub(crate) fn gateways_of_both_families(&self) -> impl Iterator<Item = IpAddr> {
        self.networks().flat_map(|(_, network)| {
            let both = [network.gateway.as_deref(), network.gateway_v6.as_deref()];
            both.into_iter().filter_map(address)
        })
    }

    /// Its TCP ports that are published on the host.
    pub(crate) fn published(&self) -> impl Iterator<Item = PublishedPort> {
        let tcp = |port: &&ListedPort| port.r#type.as_deref().is_none_or(|protocol| protocol == "tcp");
        self.ports.iter().flatten().filter(tcp).filter_map(|port| {
            let outside = port.public_port.filter(|outside| *outside > 0)?;
            let is_loopback = address(port.ip.as_deref()).is_some_and(|ip| ip.is_loopback());
            Some(PublishedPort { inside: port.private_port, outside, is_loopback })
        })
    }

    fn attachments(&self) -> Vec<Attachment> {
        let attachment = |(name, network): (&str, &ListedNetwork)| Attachment {
            network_id: network.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(name).into(),
            network: name.into(),
            address: address(network.address.as_deref()).or_else(|| address(network.address_v6.as_deref())),
        };
        let mut attachments: Vec<_> = self.networks().map(attachment).collect();
        attachments.sort_by(|a, b| a.network.cmp(&b.network));
        attachments
    }

    fn ports(&self, facts: Option<&InspectedFacts>) -> Vec<ExposedPort> {
        let mut ports: BTreeMap<u16, Option<u16>> = BTreeMap::new();
        let tcp = |port: &&ListedPort| port.r#type.as_deref().is_none_or(|protocol| protocol == "tcp");
        for port in self.ports.iter().flatten().filter(tcp) {
            let published = ports.entry(port.private_port).or_default();
            *published = published.or(port.public_port.filter(|port| *port > 0));
        }
        for port in facts.iter().flat_map(|facts| &facts.ports) {
            ports.entry(*port).or_default();
        }
        ports.remove(&0);
        ports.into_iter().map(|(port, published)| ExposedPort { port, published }).collect()
    }
}

impl InspectedContainer {
    pub(crate) fn facts(&self, listed: &ListedContainer) -> InspectedFacts {
        let config = self.config.clone().unwrap_or_default();
        let exposed = config.exposed_ports.unwrap_or_default();
        let ports = exposed.keys().filter_map(|port| match port.split_once('/') {
            Some((port, "tcp")) => port.parse().ok(),
            Some(_) => None,
            None => port.parse().ok(),
        });
        let test = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
        let checked = test.first().is_some_and(|word| &**word != "NONE" && !word.is_empty());
        InspectedFacts {
            network: self.host_config.as_ref().and_then(|config| config.network_mode.clone()),
            ports: ports.collect(),
            health_unlisted: checked && listed.listed_health().is_none(),
        }
    }

    /// The signal that stops the container. `None` for the default.
    pub(crate) fn stop_signal(&self) -> Option<u8> {
        unix_signal::from_json(self.config.as_ref()?.stop_signal.as_ref()?)
    }

    /// How long the engine waits before it kills the container. `None` for the default, and for no limit.
    pub(crate) fn stop_grace(&self) -> Option<Duration> {
        u64::try_from(self.config.as_ref()?.stop_timeout?).ok().map(Duration::from_secs)
    }

    /// Whether its process runs.
    pub(crate) fn runs(&self) -> bool {
        self.state.as_ref().and_then(|state| state.running).unwrap_or(false)
    }

    /// When it was started last.
    pub(crate) fn started(&self) -> Option<EngineTime> {
        EngineTime::parse(self.state.as_ref()?.started_at.as_deref()?)
    }

    pub(crate) fn health(&self) -> Option<Health> {
        parse_health(self.state.as_ref()?.health.as_ref()?.status.as_deref()?)
    }
}

impl EngineTime {
    /// Parses a time as engines write it, such as `2026-01-01T00:00:00.5Z`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|time| Self(time.unix_timestamp_nanos()))
    }
}

/// The input of a translation beside the listing.
pub(crate) struct TranslationContext<'a> {
    pub(crate) engine: &'a EngineName,
    pub(crate) facts: &'a BTreeMap<Box<str>, InspectedFacts>,
    /// Health that is not in the listing.
    pub(crate) health: &'a BTreeMap<Box<str>, Health>,
    /// Seconds since the epoch. An engine says how long ago something was, and not when.
    pub(crate) now: i64,
}

/// Translates a listing into containers in a canonical order, by id.
pub(crate) fn translate(listing: &[ListedContainer], context: &TranslationContext<'_>) -> Vec<Container> {
    let mut containers: Vec<_> = listing
        .iter()
        .filter(|listed| !listed.id.is_empty())
        .map(|listed| container(listed, listing, context))
        .collect();
    containers.sort_by(|a, b| a.id.cmp(&b.id));
    containers.dedup_by(|a, b| a.id == b.id);
    containers
}

fn container(listed: &ListedContainer, listing: &[ListedContainer], context: &TranslationContext<'_>) -> Container {
    let facts = context.facts.get(&listed.id);
    let network = match listed.mode(facts) {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        mode => match mode.strip_prefix("container:") {
            Some(other) => NetworkMode::Container(id_of(other, listing)),
            None => NetworkMode::Networks,
        },
    };
    let health = context.health.get(&listed.id).copied().or_else(|| listed.listed_health());
    Container {
        id: listed.id.clone(),
        engine: context.engine.clone(),
        name: listed.name(),
        image: listed.image.clone().unwrap_or_default(),
        created: listed.created.unwrap_or_default(),
        state: listed.state(),
        ended: listed.ended(context.now),
        health: health.unwrap_or(Health::NoCheck),
        leaving: listed.state.as_deref() == Some("stopping"),
        labels: listed.labels.clone().unwrap_or_default(),
        attachments: if network == NetworkMode::Networks { listed.attachments() } else { Vec::new() },
        network,
        ports: listed.ports(facts),
    }
}

/// The full id of a container that is referred to by its id, a prefix of it, or its name.
fn id_of(other: &str, listing: &[ListedContainer]) -> Box<str> {
    let named =
        |listed: &&ListedContainer| listed.names.iter().flatten().any(|name| name.trim_start_matches('/') == other);
    let full = |listed: &&ListedContainer| *listed.id == *other;
    let short = |listed: &&ListedContainer| other.len() >= 12 && listed.id.starts_with(other);
    let found = listing.iter().find(full).or_else(|| listing.iter().find(named)).or_else(|| listing.iter().find(short));
    found.map_or_else(|| other.into(), |listed| listed.id.clone())
}

/// While Compose recreates a container, one of the two has twelve digits before its name. Messages should not show a
/// container of that name come and go.
fn without_hash(name: &str) -> &str {
    match name.split_once('_') {
        Some((hash, rest)) if hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => name,
    }
}

fn address(text: Option<&str>) -> Option<IpAddr> {
    text?.parse().ok()
}

/// Parses `5 minutes ago`, `About an hour ago`, `Less than a second ago` into seconds.
fn seconds_ago(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.trim().strip_suffix(" ago")?.split(' ').collect();
    let (count, unit) = match words.as_slice() {
        ["Less", ..] => return Some(0),
        ["About", _, unit] => (1, *unit),
        [count, unit] => (count.parse::<i64>().ok()?, *unit),
        _ => return None,
    };
    let unit = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "month" => 30 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    count.checked_mul(unit)
}

fn parse_health(word: &str) -> Option<Health> {
    match word {
        "none" => Some(Health::NoCheck),
        "starting" => Some(Health::Starting),
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
