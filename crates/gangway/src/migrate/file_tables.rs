//! Tables of the configuration file: keys of listeners that no flag says, and routes that lead to no container.

use std::collections::BTreeSet;

use gangway_model::NativeLabels;

use super::migration::Migration;
use super::route_labels::{EVERYBODY, of_route, router, unique_name};

/// An address for documentation, which nobody has.
const NOWHERE: &str = "http://192.0.2.1:80";

/// The lines of the tables, below one that says what they are. None where there is no table.
pub(super) fn lines(migration: &Migration<'_>) -> Vec<String> {
    let listeners = &migration.options.trust.tables;
    let what = match (listeners.is_empty(), migration.of_files.is_empty()) {
        (true, true) => return Vec::new(),
        (true, false) => "Routes to what is no container",
        (false, true) => "Listeners",
        (false, false) => "Listeners, and routes to what is no container",
    };
    let mut lines = vec![format!("{what}, for a file that `--config` names:"), String::new()];
    for (listener, keys) in listeners {
        lines.push(format!("[listeners.{}]", key(listener)));
        lines.extend(keys.iter().map(|(name, list)| format!("{} = {}", key(name), text(list))));
        lines.push(String::new());
    }
    let mut taken = BTreeSet::new();
    for route in &migration.of_files {
        let NativeLabels { mut labels, mut differences } = of_route(migration, None, route);
        if !labels.iter().any(|(key, _)| **key == *"upstream") {
            // Without a table, its requests would fall to a broader route.
            labels.retain(|(key, _)| **key != *"deny");
            labels.push(("upstream".into(), NOWHERE.into()));
            labels.push(("deny".into(), EVERYBODY.into()));
            differences.push(format!("`{NOWHERE}` stands for an application that is not known here").into());
        }
        lines.extend(differences.iter().map(|difference| format!("# {difference}")));
        lines.push(format!("[routes.{}]", unique_name(router(migration, route), &mut taken)));
        lines.extend(labels.iter().map(|(name, written)| format!("{} = {}", key(name), value(written))));
        lines.push(String::new());
    }
    lines
}

/// A key, in quotes where it has to be.
fn key(key: &str) -> String {
    let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare && !key.is_empty() { key.to_owned() } else { text(key) }
}

fn value(value: &str) -> String {
    if ["true", "false"].contains(&value) || value.parse::<u32>().is_ok() { value.to_owned() } else { text(value) }
}

/// A basic string of TOML.
fn text(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
