//! Routes → lines of labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use gangway_compose::{Service, SpannedText};
use gangway_model::{BasicAuth, NativeLabels, Route};

use super::listeners::{self, names_without_entry_point};
use super::migration::Migration;
use super::variables::References;

/// The value of `deny` that closes a route.
pub(super) const EVERYBODY: &str = "0.0.0.0/0, ::/0";

/// How labels are written in a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LabelStyle {
    /// The white space before each label.
    indent: String,
    /// `- key=value`, and otherwise `key: value`.
    is_list: bool,
    /// They stand between brackets.
    pub(super) is_flow: bool,
}

impl LabelStyle {
    /// The style of the line that the first label begins on.
    pub(super) fn of_line(line: &str) -> Self {
        let body = line.trim_start();
        Self { indent: line[..line.len() - body.len()].to_owned(), is_list: body.starts_with('-'), is_flow: false }
    }

    /// The style of labels that replace those between brackets behind the line of their key.
    pub(super) fn instead_of_flow(head: &str) -> Self {
        let indent = &head[..head.len() - head.trim_start().len()];
        Self { indent: format!("{indent}  "), is_list: false, is_flow: true }
    }

    /// The style of labels below the line of a service.
    pub(super) fn below(line: &str) -> Self {
        let indent = &line[..line.len() - line.trim_start().len()];
        Self { indent: format!("{indent}    "), is_list: false, is_flow: false }
    }

    /// The lines with `labels:` in front, and other labels behind.
    pub(super) fn whole_block<'l>(
        &self,
        lines: Vec<String>,
        others: impl Iterator<Item = &'l (SpannedText, SpannedText)>,
    ) -> Vec<String> {
        let escaped = |text: &SpannedText| text.as_str().replace('$', "$$");
        let others = others.map(|(key, value)| self.label(key.as_str(), &escaped(value)));
        let all: Vec<String> = lines.into_iter().chain(others).collect();
        // A key with nothing but comments below it has no value.
        if all.iter().all(|line| line.trim_start().starts_with('#')) {
            return all;
        }
        let head = format!("{}labels:", &self.indent[..self.indent.len().saturating_sub(2)]);
        std::iter::once(head).chain(all).collect()
    }

    fn label(&self, key: &str, value: &str) -> String {
        match self.is_list {
            true => format!("{}- {}", self.indent, quoted(&format!("{key}={value}"))),
            false => format!("{}{key}: {}", self.indent, quoted(value)),
        }
    }

    fn comment(&self, text: &str) -> String {
        format!("{}# {}", self.indent, text.replace('\n', " "))
    }
}

/// A scalar of YAML that is a text, with quotes where it would be something else without.
fn quoted(text: &str) -> String {
    let is_word = |char: char| char.is_alphanumeric() || "./-_$(/=".contains(char);
    let begins_plain = text.starts_with(|char: char| char.is_alphanumeric() || char == '/' || char == '$');
    let is_plain = begins_plain
        && text.chars().all(|char| is_word(char) || " ,{}()`&|!:@*~<>+?;%^[]'\"\\".contains(char))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' ']);
    let is_other = text.parse::<f64>().is_ok() || ["true", "false", "yes", "no", "on", "off", "null"].contains(&text);
    if is_plain && !is_other { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// The labels of the routes of a service, with comments about what differs.
pub(super) fn label_lines(
    migration: &Migration<'_>,
    service: &Service,
    routes: &[&Arc<Route>],
    style: &LabelStyle,
    is_proxy: bool,
    references: &References,
) -> Vec<String> {
    let mut lines = Vec::new();
    let is_alone = routes.len() == 1;
    let mut taken = BTreeSet::new();
    if is_proxy && routes.is_empty() {
        lines.push(style.comment("the routers of this service have no equal: the page of Gangway is at its admin address, 127.0.0.1:8420 inside"));
    }
    if !is_proxy {
        lines.extend(migration.findings(service).into_iter().map(|finding| style.comment(finding)));
    }
    for route in routes {
        let NativeLabels { labels, differences } = of_route(migration, Some(service), route);
        let name = unique_name(router(migration, route), &mut taken);
        let prefix = if is_alone { "gangway".to_owned() } else { format!("gangway.routes.{name}") };
        for difference in differences {
            let about = if is_alone { String::new() } else { format!("{name}: ") };
            lines.push(style.comment(&format!("{about}{difference}")));
        }
        for (key, value) in labels {
            lines.push(style.label(&format!("{prefix}.{key}"), &references.put_into(&value.replace('$', "$$"))));
        }
    }
    lines
}

/// What our labels say of a route, those about listeners, networks and priorities included.
pub(super) fn of_route(migration: &Migration<'_>, service: Option<&Service>, route: &Route) -> NativeLabels {
    let users = |basic: &BasicAuth| users(migration, basic);
    let mut native = NativeLabels::of(route, &users);
    for (key, value) in migration.plan.labels(route) {
        native.labels.push((key.into(), value.into()));
    }
    native
        .differences
        .extend(listeners::differences(route, &|name| migration.options.is_told(name)).into_iter().map(Into::into));
    native.differences.extend(migration.options.other_issuer(route).map(Into::into));
    if let Some(priority) = migration.priorities.get(&*route.id) {
        native.labels.push(("priority".into(), priority.to_string().into()));
    }
    let labels = service.map(Service::all_labels).unwrap_or_default();
    let network = labels.iter().find(|(key, _)| key.eq_ignore_ascii_case("traefik.docker.network"));
    if let Some((_, (_, network))) = network.filter(|(_, (_, network))| !network.as_str().trim().is_empty()) {
        native.labels.push(("network".into(), network.as_str().trim().into()));
    }
    // One that nothing names is that of the image, which both know.
    let is_port_named = |service: &Service| {
        !service.ports.is_empty() || labels.keys().any(|key| key.to_ascii_lowercase().ends_with(".server.port"))
    };
    if service.is_some_and(|service| !is_port_named(service)) {
        native.labels.retain(|(key, _)| **key != *"port");
    }
    let containers: BTreeSet<&str> = route.upstream.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
    if containers.len() > 1 && service.is_some() {
        let names: Vec<&str> = containers.into_iter().collect();
        native.differences.push(
            format!("its requests are shared by {}: give all of them the label `group`", names.join(", ")).into(),
        );
    }
    close_what_no_label_protects(route, &mut native);
    let mut known = BTreeSet::new();
    native.labels.retain(|(key, _)| known.insert(key.clone()));
    native
}

/// Closes a route that asks for a certificate of clients, whose authorities stand in a file that is not on the volume yet, and
/// one that two middlewares of a kind protect, since a label says one.
pub(super) fn close_what_no_label_protects(route: &Route, native: &mut NativeLabels) {
    let NativeLabels { labels, differences } = native;
    let mut is_closed = route.listener.client_ca.is_some()
        || labels.iter().any(|(key, value)| **key == *"deny" && **value == *EVERYBODY);
    for protecting in ["allow", "auth.basic", "auth.forward"] {
        let first = labels.iter().find(|(key, _)| **key == *protecting).map(|(_, value)| value.clone());
        let before = labels.len();
        labels.retain(|(key, value)| **key != *protecting || Some(value) == first.as_ref());
        if labels.len() < before {
            is_closed = true;
            differences.push(
                format!(
                    "`{protecting}` would have to be there twice: replace `deny` by what both of its values let in"
                )
                .into(),
            );
        }
    }
    if is_closed {
        // The first of a key counts, and nothing may stand in its way.
        labels.retain(|(key, _)| **key != *"deny");
        let behind_rule = labels
            .iter()
            .position(|(key, _)| !["host", "path", "rule", "upstream", "port", "scheme"].contains(&&**key));
        labels.insert(behind_rule.unwrap_or(labels.len()), ("deny".into(), EVERYBODY.into()));
    }
}

/// The users as the label or the file has them, since a compiled route shows no hash.
fn users(migration: &Migration<'_>, basic: &BasicAuth) -> Option<Box<str>> {
    let names: BTreeSet<&str> = basic.users.iter().map(|user| &*user.name).collect();
    let of_labels = migration.project.services.values().flat_map(|service| {
        let is_of_users = |key: &str| key.to_ascii_lowercase().ends_with(".basicauth.users");
        let all = service.all_labels().into_iter();
        all.filter(move |(key, _)| is_of_users(key)).map(|(_, (_, value))| value.as_str().to_owned())
    });
    let is_of_file = |key: &&gangway_model::DynamicKey| {
        key.path.iter().any(|part| part.eq_ignore_ascii_case("basicauth"))
            && key.path.iter().any(|part| part.eq_ignore_ascii_case("users"))
    };
    let of_files = migration.stack.settings.dynamic.iter().filter(is_of_file).map(|key| key.value.to_string());
    let all: Vec<String> = of_labels
        .chain(of_files)
        .flat_map(|list| list.split(',').map(|user| user.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    let meant: Option<Vec<&String>> = names
        .iter()
        .map(|name| {
            all.iter().find(|user| {
                user.split_once(':').is_some_and(|(known, hash)| {
                    known == *name
                        && basic.users.iter().any(|user| {
                            gangway_model::BasicUser::parse(&format!("{known}:{hash}")).is_ok_and(|read| read == *user)
                        })
                })
            })
        })
        .collect();
    let meant: Vec<&str> = meant?.into_iter().map(String::as_str).collect();
    Some(meant.join(", ").into())
}

/// The name of the router that a route is, or is a part of.
pub(super) fn router<'r>(migration: &Migration<'_>, route: &'r Route) -> &'r str {
    let is_router = |name: &&str| {
        let mut others = migration.compiled.table.routes().iter().filter(|other| other.id != route.id);
        let is_part = |other: &Route| names_without_entry_point(other).any(|of| of == *name);
        others.any(|other| other.rule == route.rule && (*other.name == **name || is_part(other)))
    };
    names_without_entry_point(route).find(is_router).unwrap_or(&route.name)
}

/// A name for a route that labels can have.
pub(super) fn unique_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let bare = name.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let fine = |char: char| if char.is_ascii_alphanumeric() || char == '-' || char == '_' { char } else { '-' };
    let base: String = bare.chars().map(fine).collect();
    let base = if base.is_empty() { "route".to_owned() } else { base };
    let mut name = base.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{base}-{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_yaml_would_read_something_else() {
        for (text, written) in [
            ("shop.example.org, www.example.org", "shop.example.org, www.example.org"),
            ("${HOST}", "${HOST}"),
            ("8080", "'8080'"),
            ("true", "'true'"),
            ("*", "'*'"),
            ("Host(`a.test`) && Method(`GET`)", "Host(`a.test`) && Method(`GET`)"),
            ("a: b", "'a: b'"),
            ("it's #1", "'it''s #1'"),
            ("", "''"),
            ("~^/x", "'~^/x'"),
        ] {
            assert_eq!(quoted(text), written);
        }
    }

    #[test]
    fn names_of_routes_are_plain_and_unique() {
        let mut taken = BTreeSet::new();
        let names: Vec<_> =
            ["Web@docker", "web@file", "a.b@docker", "@x"].map(|name| unique_name(name, &mut taken)).into();
        assert_eq!(names, ["web", "web-2", "a-b", "route"]);
    }
}
