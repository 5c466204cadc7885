//! Finds the container that was meant to serve a host that no route serves.
//!
//! Of every container that was read, running or not, the labels that may name a host are kept: ours, those that
//! are nearly ours, and those of other proxies. They are searched when a client asks for a host without a route:
//! for `gangway explain`, and for our own 404 where the client is local.
//!
//! Nothing is concluded from them: no label of another proxy ever makes a route.

use crate::container_report::{ContainerReport, Mention};
use crate::dialect::native;
use crate::dialect::native::schema::{ResolvedKey, resolve};
use crate::settings::Settings;
use crate::snapshot::{Container, ContainerState};
use gangway_diagnostic::quoted;

/// At most this many labels of one container are kept.
const MENTIONS_MAX: usize = 16;

/// At most this much of each value is kept, in bytes: room for a few dozen hosts.
const VALUE_LEN_MAX: usize = 512;

/// At most this many bytes of labels are searched for a client that waits, in a few microseconds: a few hundred
/// containers have so many.
const SEARCHED_LEN_MAX: usize = 32 << 10;

/// At most this many containers are named for one host.
pub const NAMED_MAX: usize = 5;

/// A container that names a host in a label.
#[derive(Clone, Debug)]
pub struct MentionedBy<'v> {
    /// The report about the container.
    pub container: &'v ContainerReport,
    /// The label's key; empty where the host follows from the container's name.
    pub label: &'v str,
    /// The whole for people, as one clause.
    pub said: String,
}

/// The labels of a container that may name a host.
pub(crate) fn of(container: &Container, settings: &Settings) -> Box<[Mention]> {
    let mut mentions: Vec<Mention> = container
        .labels
        .iter()
        .filter(|(label, _)| may_name_a_host(label))
        .take(MENTIONS_MAX)
        .map(|(label, value)| {
            let value = &value[..value.floor_char_boundary(VALUE_LEN_MAX)];
            Mention { label: label.clone(), value: value.into() }
        })
        .collect();
    // A route without a host has one of its name, which no label says.
    let is_off =
        container.label("gangway.enable").is_some_and(|value| matches!(crate::value::boolean(value), Ok(false)));
    if !is_off && mentions.iter().any(|mention| begins(&mention.label, native::PREFIX)) {
        let derived = format!("{}.{}", container.app_name(), settings.domain);
        mentions.push(Mention { label: Box::default(), value: derived.into() });
    }
    mentions.into()
}

/// Quick for what nearly all labels are: compose's and the image's own.
fn may_name_a_host(label: &str) -> bool {
    if ["com.docker.", "org.opencontainers.", "org.label-schema.", "io.podman."]
        .iter()
        .any(|own| label.starts_with(own))
    {
        return false;
    }
    let known = [native::PREFIX, "traefik.", "caddy", "virtual_host", "virtual.host", "proxy."];
    known.iter().any(|known| begins(label, known)) || native::near_miss(label).is_some()
}

fn begins(label: &str, with: &str) -> bool {
    label.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
}

/// The containers that name this host in a label, and what keeps them from being served under it. `now` is in
/// seconds since the epoch. At most [`NAMED_MAX`]; those that asked Gangway for it come first. At most
/// a bounded number of bytes of labels are searched.
pub fn naming<'v>(host: &str, containers: &'v [ContainerReport], now: i64) -> Vec<MentionedBy<'v>> {
    let mut searched = 0;
    let is_within = |container: &&ContainerReport| {
        // Each container costs something, even if it has no such label.
        searched += 1 + container.mentions.iter().map(|mention| mention.value.len()).sum::<usize>();
        searched <= SEARCHED_LEN_MAX
    };
    naming_in(host, containers.iter().take_while(is_within), now)
}

/// Like [`naming`], with all labels searched.
pub fn naming_in_all<'v>(host: &str, containers: &'v [ContainerReport], now: i64) -> Vec<MentionedBy<'v>> {
    naming_in(host, containers.iter(), now)
}

fn naming_in<'v>(host: &str, containers: impl Iterator<Item = &'v ContainerReport>, now: i64) -> Vec<MentionedBy<'v>> {
    let mut all: Vec<(u8, MentionedBy<'v>)> = Vec::new();
    for container in containers.filter(|container| !container.is_own) {
        let named = container.mentions.iter().find(|mention| says(&mention.value, host));
        if let Some(Mention { label, .. }) = named {
            let (rank, said) = told(host, container, label, now);
            all.push((rank, MentionedBy { container, label, said }));
        }
    }
    all.sort_by_key(|(rank, named)| (*rank, &named.container.name));
    all.into_iter().map(|(_, named)| named).take(NAMED_MAX).collect()
}

fn told(host: &str, container: &ContainerReport, label: &str, now: i64) -> (u8, String) {
    let name = quoted(&container.name);
    let named = match label {
        "" => format!("container {name} would be served at {} by its name", quoted(host)),
        label => format!("container {name} names it in label {}", quoted(label)),
    };
    let ours = label.is_empty() || begins(label, native::PREFIX);
    let key = label.get(native::PREFIX.len()..).unwrap_or_default();
    let key = key.strip_prefix("routes.").and_then(|named| Some(named.split_once('.')?.1)).unwrap_or(key);
    if ours && !label.is_empty() && !matches!(resolve(key), ResolvedKey::Known(..)) {
        return (1, format!("{named}, which Gangway does not know; write `gangway.host`"));
    }
    if ours {
        let what = match state(container, now) {
            Some(state) => state,
            None => format!("but is not served under it: {}", container.reason),
        };
        return (0, format!("{named}, and {what}").replace(", and but ", ", but "));
    }
    if native::near_miss(label).is_some() {
        return (1, format!("{named}, which does not begin with `gangway.`; write `gangway.host`"));
    }
    let whose = match label.to_ascii_lowercase() {
        label if label.starts_with("traefik.") => "a label of Traefik",
        label if label.starts_with("caddy") => "a label of Caddy",
        label if label.starts_with("virtual") => "a label of nginx-proxy",
        _ => "a label of another proxy",
    };
    let state = state(container, now).map_or_else(String::new, |state| format!(", and {state}"));
    (
        2,
        format!(
            "{named}, {whose}, which Gangway does not read; add the label `gangway.host` with {}{state}",
            quoted(host)
        ),
    )
}

/// Why a container that does not run cannot be served: `has been stopped for 5 minutes (exit code 1)`.
pub fn state(container: &ContainerReport, now: i64) -> Option<String> {
    let ended = container.ended.unwrap_or_default();
    let code = ended.code.map_or_else(String::new, |code| format!(" (exit code {code})"));
    let since = ended.at.map_or_else(String::new, |at| format!(" for {}", roughly(now.saturating_sub(at))));
    Some(match container.state {
        ContainerState::Running => return None,
        ContainerState::Created => "was created and never started".to_owned(),
        ContainerState::Exited | ContainerState::Dead => format!("has been stopped{since}{code}"),
        ContainerState::Restarting => {
            format!("ends and is started again and again{code}; see `docker logs {}`", container.name)
        }
        ContainerState::Paused => "is paused".to_owned(),
        ContainerState::Removing => "is being removed".to_owned(),
    })
}

/// A time in words, in its largest unit.
fn roughly(seconds: i64) -> String {
    let (count, unit) = match seconds.max(0) {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7200 => (seconds / 60, "minute"),
        seconds @ 7200..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

/// Whether a text has this host in it, and not as a part of another.
pub fn says(text: &str, host: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '.';
    !host.is_empty()
        && text.match_indices(host).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + host.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Ended, Snapshot};

    const NOW: i64 = 1_790_000_000;

    fn container(name: &str, state: ContainerState, labels: &[(&str, &str)]) -> Container {
        let ended = (state == ContainerState::Exited).then_some(Ended { code: Some(1), at: Some(NOW - 300) });
        Container { state, ended, ..Container::named(name).with_labels(labels) }
    }

    fn said(host: &str, containers: Vec<Container>) -> Vec<String> {
        let compiled = crate::compile(&Snapshot { containers, ..Snapshot::default() }, &Settings::default());
        naming(host, &compiled.containers, NOW).into_iter().map(|named| named.said).collect()
    }

    #[test]
    fn whoever_was_meant_to_serve_a_host_is_named_with_what_keeps_it_from_that() {
        use ContainerState::{Created, Exited, Running};
        let containers = || {
            vec![
                container("traefik-like", Running, &[("traefik.http.routers.x.rule", "Host(`a.test`)")]),
                container("caddy-like", Running, &[("caddy", "a.test b.test")]),
                container("near", Running, &[("gangaway.host", "a.test")]),
                container("unknown", Running, &[("gangway.hots", "a.test")]),
                container("stopped", Exited, &[("gangway.host", "A.test")]),
                container("never", Created, &[("gangway.port", "80")]),
                container("other", Running, &[("gangway.host", "not-a.test"), ("org.opencontainers.x", "a.test")]),
            ]
        };
        assert_eq!(
            said("a.test", containers()),
            [
                "container `stopped` names it in label `gangway.host`, and has been stopped for 5 minutes (exit code 1)",
                "container `near` names it in label `gangaway.host`, which does not begin with `gangway.`; write \
                 `gangway.host`",
                "container `unknown` names it in label `gangway.hots`, which Gangway does not know; write `gangway.host`",
                "container `caddy-like` names it in label `caddy`, a label of Caddy, which Gangway does not read; add the \
                 label `gangway.host` with `a.test`",
                "container `traefik-like` names it in label `traefik.http.routers.x.rule`, a label of Traefik, which Gangway \
                 does not read; add the label `gangway.host` with `a.test`",
            ]
        );
        assert_eq!(
            said("never.localhost", containers()),
            ["container `never` would be served at `never.localhost` by its name, and was created and never started"]
        );
        assert_eq!(said("b.tes", containers()), [] as [&str; 0]);
    }

    #[test]
    fn a_running_one_that_cannot_be_served_says_why() {
        let labels = [("gangway.host", "a.test"), ("gangway.enable", "no")];
        let said = said("a.test", vec![container("off", ContainerState::Running, &labels)]);
        assert_eq!(
            said,
            ["container `off` names it in label `gangway.host`, but is not served under it: `gangway.enable` says no"]
        );
    }

    #[test]
    fn a_host_is_not_found_in_another() {
        assert!(says("host `Nas.test` is claimed twice", "nas.test") && says("nas", "nas"));
        assert!(!says("dynasty", "nas") && !says("my.nas.test", "nas.test") && !says("nas.test.org", "nas.test"));
    }

    #[test]
    fn a_client_waits_for_a_bounded_search_and_an_explanation_has_the_whole() {
        let host = format!("{}.test", "x".repeat(100));
        let mut containers: Vec<Container> = (0..10_000)
            .map(|n| container(&format!("app-{n:05}"), ContainerState::Running, &[("caddy", &*host)]))
            .collect();
        containers.push(container("last", ContainerState::Running, &[("caddy", "last.test")]));
        let compiled = crate::compile(&Snapshot { containers, ..Snapshot::default() }, &Settings::default());
        assert_eq!(naming(&host, &compiled.containers, NOW).len(), NAMED_MAX);
        assert_eq!(naming("last.test", &compiled.containers, NOW).len(), 0, "beyond the bound");
        assert_eq!(naming_in_all("last.test", &compiled.containers, NOW).len(), 1);
    }

    #[test]
    fn what_is_kept_of_one_container_is_bounded() {
        let long = "x".repeat(4096);
        let labels: Vec<(String, &str)> = (0..256).map(|n| (format!("gangway.routes.r{n}.host"), &*long)).collect();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (&**key, *value)).collect();
        let mentions = of(&container("many", ContainerState::Running, &labels), &Settings::default());
        assert!(mentions.len() <= MENTIONS_MAX + 1);
        assert!(mentions.iter().all(|mention| mention.value.len() <= VALUE_LEN_MAX));
    }
}
