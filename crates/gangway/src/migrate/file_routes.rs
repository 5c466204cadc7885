//! Routes that lead to no container: tables of the configuration file.

use std::collections::BTreeSet;
use std::sync::Arc;

use gangway_compose::SourceMap;
use gangway_model::{NativeLabels, Route};

use super::migration::Migration;
use super::route_labels::{EVERYBODY, of_route, router, unique_name};

/// An address for documentation, which nobody has.
const NOWHERE: &str = "http://192.0.2.1:80";

/// The tables as comments, so that what is printed stays a compose file.
pub(super) fn shown(routes: &[&Arc<Route>], migration: &Migration<'_>, sources: &SourceMap) -> String {
    if routes.is_empty() {
        return String::new();
    }
    let mut lines = vec!["Routes to what is no container, for a file that `--config` names:".to_owned(), String::new()];
    let mut taken = BTreeSet::new();
    for route in routes {
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
    let head = if sources.ids().next().is_none() { "" } else { "\n" };
    let comment = |line: &String| if line.is_empty() { "#\n".to_owned() } else { format!("# {line}\n") };
    head.to_owned() + &lines.iter().map(comment).collect::<String>()
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
