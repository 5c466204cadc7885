//! Labels and variables of other proxies. They are not understood, and a note says so.

use std::collections::BTreeMap;

use gangway_compose::{FileId, FileSpan, Project, Service, SourceDiagnostic, SourceMap, is_gangway_label};
use gangway_diagnostic::codes::LABELS_OF_OTHERS;

/// The number of services for which a note names the labels to write.
const SUGGESTIONS_MAX: usize = 3;

/// Another proxy that reads labels or variables of containers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum OtherProxy {
    Traefik,
    Caddy,
    NginxProxy,
}

/// The labels of other proxies in one file.
struct ForeignLabels {
    /// The place of the first one.
    first: FileSpan,
    proxies: Vec<OtherProxy>,
    /// The labels of Gangway with the same meaning, one text for each service.
    instead: Vec<String>,
    is_below_deploy: bool,
    has_middlewares: bool,
}

/// One note for each file in which a service has labels of another proxy, and none of Gangway. Those of Traefik are understood
/// where `is_in_traefiks_place` says so.
pub(super) fn notes(sources: &SourceMap, project: &Project, is_in_traefiks_place: bool) -> Vec<SourceDiagnostic> {
    let mut files: BTreeMap<FileId, ForeignLabels> = BTreeMap::new();
    for service in project.services.values() {
        if service.all_labels().keys().any(|key| is_gangway_label(key)) {
            continue;
        }
        let mut labels = ServiceLabels::of(service);
        if is_in_traefiks_place {
            labels.spans.retain(|(_, proxy)| *proxy != OtherProxy::Traefik);
        }
        let Some((first, _)) = labels.spans.iter().min_by_key(|(span, _)| span.clone()) else { continue };
        let empty = || ForeignLabels {
            first: first.clone(),
            proxies: Vec::new(),
            instead: Vec::new(),
            is_below_deploy: false,
            has_middlewares: false,
        };
        let foreign = files.entry(first.file).or_insert_with(empty);
        foreign.first = foreign.first.clone().min(first.clone());
        foreign.proxies.extend(labels.spans.iter().map(|(_, proxy)| *proxy));
        foreign.is_below_deploy |= labels.is_below_deploy;
        foreign.has_middlewares |= labels.has_middlewares;
        foreign
            .instead
            .extend(labels.instead().map(|labels| format!("{labels} in service `{}`", service.name.as_str())));
    }
    files.into_values().map(|labels| note(sources, labels)).collect()
}

/// The note about the labels in one file.
fn note(sources: &SourceMap, mut foreign: ForeignLabels) -> SourceDiagnostic {
    foreign.proxies.sort_unstable();
    foreign.proxies.dedup();
    let proxies: Vec<_> = foreign.proxies.iter().map(|proxy| proxy.name()).collect();
    let more = foreign.instead.len().saturating_sub(SUGGESTIONS_MAX);
    foreign.instead.truncate(SUGGESTIONS_MAX);
    let mut help = match foreign.instead.as_slice() {
        [] => "give each service labels of ours, such as `gangway.host`".to_owned(),
        instead => format!("write {}", instead.join("; ")),
    };
    if more > 0 {
        help += &format!("; and so on for {more} more");
    }
    if foreign.is_below_deploy {
        help += "; all of it below `labels` of the service, as labels below `deploy` never reach a container";
    }
    if foreign.has_middlewares {
        help += "; and what middlewares do, such as asking for a password, as labels of their own";
    }
    if foreign.proxies.contains(&OtherProxy::Traefik) {
        help += "; or let `gangway migrate` print all of Traefik's as ours";
    }
    let message = format!("labels of {} are not read here", and_list(&proxies));
    SourceDiagnostic::note(sources, LABELS_OF_OTHERS, foreign.first, message)
        .with_note("not one of ours")
        .with_help(help)
        .with_effect("they change nothing here; a service without labels of ours is not served")
}

/// A list in words, such as `a, b and c`.
fn and_list(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => words.concat(),
    }
}

impl OtherProxy {
    /// The proxy that reads labels of this key.
    fn of_label(key: &str) -> Option<Self> {
        let begins = |prefix: &str| key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        let is_caddy = || {
            let number = key.get("caddy".len()..)?.split('.').next()?;
            (number.is_empty() || number.strip_prefix('_')?.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
        };
        if begins("traefik.") {
            Some(Self::Traefik)
        } else if begins("caddy") && is_caddy().is_some() {
            Some(Self::Caddy)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Traefik => "Traefik",
            Self::Caddy => "Caddy",
            Self::NginxProxy => "nginx-proxy",
        }
    }
}

/// The labels of other proxies that one service has.
#[derive(Default)]
struct ServiceLabels {
    spans: Vec<(FileSpan, OtherProxy)>,
    is_below_deploy: bool,
    has_middlewares: bool,
    /// The values of Gangway's labels with the same meaning, as far as they can be derived.
    host: Option<String>,
    rule: Option<String>,
    port: Option<String>,
}

impl ServiceLabels {
    fn of(service: &Service) -> Self {
        let mut found = Self::default();
        let above = service.all_labels();
        for (labels, is_below_deploy) in [(&above, false), (&service.deploy_labels, true)] {
            for (key, (text, value)) in labels {
                let Some(proxy) = OtherProxy::of_label(key) else { continue };
                found.spans.push((text.span(), proxy));
                found.is_below_deploy |= is_below_deploy;
                found.has_middlewares |= key.to_ascii_lowercase().contains("middlewares");
                found.label(proxy, &key.to_ascii_lowercase(), value.as_str());
            }
        }
        for (name, (text, value)) in &service.environment {
            match name.as_str() {
                "VIRTUAL_HOST" => {
                    found.spans.push((text.span(), OtherProxy::NginxProxy));
                    found.host = found.host.take().or_else(|| hosts(value.as_str().split(',')));
                }
                "VIRTUAL_PORT" => found.port = found.port.take().or_else(|| port(value.as_str())),
                _ => {}
            }
        }
        found
    }

    /// Derives values of Gangway's labels from one label of another proxy. The first one counts.
    fn label(&mut self, proxy: OtherProxy, key: &str, value: &str) {
        let found = |part: &mut Option<String>, value: Option<String>| *part = part.take().or(value);
        match proxy {
            OtherProxy::Traefik if key.starts_with("traefik.http.routers.") && key.ends_with(".rule") => {
                match hosts_of_rule(value) {
                    Some(hosts) => found(&mut self.host, Some(hosts)),
                    None => found(&mut self.rule, is_readable(value).then(|| value.to_owned())),
                }
            }
            OtherProxy::Traefik if key.ends_with(".loadbalancer.server.port") => found(&mut self.port, port(value)),
            OtherProxy::Caddy if !key.contains('.') => found(&mut self.host, hosts(value.split([',', ' ']))),
            OtherProxy::Caddy if key.ends_with(".reverse_proxy") => {
                let inner = value.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
                found(&mut self.port, inner.strip_prefix("upstreams").and_then(|rest| port(rest.trim())));
            }
            OtherProxy::Traefik | OtherProxy::Caddy | OtherProxy::NginxProxy => {}
        }
    }

    /// The labels of Gangway with the same meaning. None where no host or rule can be derived.
    fn instead(&self) -> Option<String> {
        let labels = match (&self.host, &self.rule) {
            (Some(host), _) => format!("`gangway.host: {host}`"),
            (None, Some(rule)) => format!("`gangway.rule` with the same rule, {rule},"),
            (None, None) => return None,
        };
        Some(match &self.port {
            Some(port) => format!("{labels} and `gangway.port: {port}`"),
            None => labels,
        })
    }
}

/// The hosts of a rule such as ``Host(`a`) || Host(`b`)``. None where it has another matcher.
fn hosts_of_rule(rule: &str) -> Option<String> {
    let mut names = Vec::new();
    for part in rule.split("||") {
        let inner = part.trim().strip_prefix("Host(")?.strip_suffix(')')?;
        for name in inner.split(',') {
            let name = name.trim();
            let bare = name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            names.push(bare.or_else(|| name.strip_prefix('"')?.strip_suffix('"'))?);
        }
    }
    hosts(names.into_iter())
}

/// Names as `gangway.host` takes them. None where one is more than a name.
fn hosts<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut all = Vec::new();
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        let name = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
        let is_allowed = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '*');
        if name.is_empty() || !name.chars().all(is_allowed) {
            return None;
        }
        all.push(name);
    }
    (!all.is_empty()).then(|| all.join(", "))
}

/// A number of a port, without blanks.
fn port(value: &str) -> Option<String> {
    let value = value.trim();
    value.parse::<u16>().ok().map(|port| port.to_string())
}

/// Whether a rule is short enough for a help text, and on one line.
fn is_readable(rule: &str) -> bool {
    rule.len() < 120 && !rule.contains('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_other_proxies_are_recognised() {
        for (key, proxy) in [
            ("traefik.enable", Some(OtherProxy::Traefik)),
            ("Traefik.http.routers.a.rule", Some(OtherProxy::Traefik)),
            ("caddy", Some(OtherProxy::Caddy)),
            ("caddy_1.reverse_proxy", Some(OtherProxy::Caddy)),
            ("caddy.tls", Some(OtherProxy::Caddy)),
            ("caddyshack", None),
            ("caddy_x", None),
            ("traefik", None),
            ("com.example.traefik.x", None),
            ("ü", None),
        ] {
            assert_eq!(OtherProxy::of_label(key), proxy, "{key}");
        }
    }

    #[test]
    fn hosts_are_derived_only_from_rules_of_hosts_alone() {
        assert_eq!(hosts_of_rule("Host(`a.org`)").as_deref(), Some("a.org"));
        assert_eq!(hosts_of_rule("Host(`a.org`, `b.org`) || Host(\"c.org\")").as_deref(), Some("a.org, b.org, c.org"));
        for rule in ["Host(`a.org`) && PathPrefix(`/x`)", "HostRegexp(`.*`)", "!Host(`a`)", "Host(a)", ""] {
            assert_eq!(hosts_of_rule(rule), None, "{rule}");
        }
        assert_eq!(hosts("https://a.org *.b.org".split(' ')).as_deref(), Some("a.org, *.b.org"));
        assert_eq!(hosts(["a.org/path", "{$HOST}"].into_iter()), None);
    }
}
