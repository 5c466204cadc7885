//! Whom entry points believe → `--trusted-proxies`, and keys of `[listeners.<name>]` tables.

use std::collections::{BTreeMap, BTreeSet};

use gangway_model::ListenerName;
use gangway_proxy::TrustedProxies;
use gangway_traefik::EntryPointConfig;

use super::listeners::ListenerPlan;
use crate::check::traefik_stack::TraefikStack;

/// A list of everybody.
const EVERYBODY: &str = "0.0.0.0/0, ::/0";

/// Whom the listeners believe.
#[derive(Debug, Default)]
pub(super) struct TrustPlan {
    /// What `--trusted-proxies` says for all of them.
    pub(super) flag: Option<String>,
    /// The keys of each table, by the name of its listener.
    pub(super) tables: BTreeMap<String, Vec<(&'static str, String)>>,
    /// Entry points with a list of which an item is no network. All of it counts for nothing then.
    unusable: BTreeSet<ListenerName>,
}

impl TrustPlan {
    pub(super) fn new(stack: &TraefikStack, plan: &ListenerPlan) -> Self {
        let mut trust = Self::default();
        let listeners: Vec<(&ListenerName, String, &EntryPointConfig)> = stack
            .config
            .http_entry_points()
            .filter_map(|(name, entry, _)| Some((name, plan.listener(name)?, entry)))
            .collect();
        let mut of_fields = Vec::new();
        for (name, listener, entry) in listeners {
            let header = entry.proxy_protocol.as_ref();
            let of_header = header.and_then(|header| trust.list(name, &header.trusted, header.trusts_all));
            if let Some(list) = of_header {
                trust.put(plan, name, &listener, "proxy-protocol", list);
            }
            of_fields.push((name, listener, trust.list(name, &entry.trusted, entry.trusts_all)));
        }
        let first = of_fields.first().and_then(|(.., list)| list.clone());
        if of_fields.iter().all(|(.., list)| *list == first) {
            trust.flag = first.map(|list| list.replace(' ', ""));
            return trust;
        }
        for (name, listener, list) in of_fields {
            let Some(list) = list else { continue };
            trust.put(plan, name, &listener, "trusted-proxies", list);
        }
        trust
    }

    /// Whether an item of a list of this entry point is no network.
    pub(super) fn is_unusable(&self, entry_point: &ListenerName) -> bool {
        self.unusable.contains(entry_point)
    }

    /// Whether a table has this key for a listener.
    pub(super) fn is_in_table(&self, listener: &str, key: &str) -> bool {
        self.tables.get(listener).is_some_and(|keys| keys.iter().any(|(known, _)| *known == key))
    }

    fn put(&mut self, plan: &ListenerPlan, name: &ListenerName, listener: &str, key: &'static str, list: String) {
        let table = self.tables.entry(listener.to_owned()).or_insert_with(|| plan.table_keys(name));
        table.push((key, list));
    }

    fn list(&mut self, entry_point: &ListenerName, listed: &[Box<str>], is_everybody: bool) -> Option<String> {
        if is_everybody {
            return Some(EVERYBODY.to_owned());
        }
        let list = listed.join(", ");
        if TrustedProxies::parse(&list).is_err() {
            self.unusable.insert(entry_point.clone());
            return None;
        }
        Some(list).filter(|list| !list.is_empty())
    }
}
