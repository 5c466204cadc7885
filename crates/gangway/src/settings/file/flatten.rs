//! Nested tables of a route → the dotted keys of the label language.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A route's table, flattened.
#[derive(Debug, Default)]
pub(super) struct FlatTable {
    pub(super) keys: Vec<RouteKey>,
    pub(super) clashes: Vec<KeyClash>,
}

/// One key with its value as text.
#[derive(Debug)]
pub(super) struct RouteKey {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) span: Range<usize>,
}

/// A key that the route contains twice, quoted with its dots and as nested tables. TOML itself allows that.
#[derive(Debug)]
pub(super) struct KeyClash {
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) note: &'static str,
}

/// Flattens a route; keys are sorted by name. `text` is the whole file.
pub(super) fn flatten(table: &DeTable<'_>, text: &str) -> FlatTable {
    let mut flat = FlatTable::default();
    walk("", table, text, &mut flat.keys);
    flat.keys.sort_by(|one, other| one.key.cmp(&other.key));
    let mut seen = BTreeMap::new();
    for entry in &flat.keys {
        if seen.insert(entry.key.as_str(), entry).is_some() {
            flat.clashes.push(entry.clash("once quoted and once as a table"));
        }
    }
    for entry in &flat.keys {
        let below = format!("{}.", entry.key);
        if seen.range(below.as_str()..).next().is_some_and(|(key, _)| key.starts_with(&below)) {
            flat.clashes.push(entry.clash("both a value and a table"));
        }
    }
    flat
}

impl RouteKey {
    fn clash(&self, note: &'static str) -> KeyClash {
        KeyClash { key: self.key.clone(), span: self.span.clone(), note }
    }
}

fn walk(prefix: &str, table: &DeTable<'_>, text: &str, keys: &mut Vec<RouteKey>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => walk(&key, inner, text, keys),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => keys.push(RouteKey { key, value: as_text(value, text), span: value.span() }),
        }
    }
}

/// A list becomes a text with commas, as in a label. A value that labels have no form for stays as it was written.
fn as_text(value: &Spanned<DeValue<'_>>, text: &str) -> String {
    match value.get_ref() {
        DeValue::Array(items) => {
            let items = items.iter().map(|item| scalar(item.get_ref()).unwrap_or_else(|| source(item, text)));
            items.collect::<Vec<_>>().join(",")
        }
        other => scalar(other).unwrap_or_else(|| source(value, text)),
    }
}

pub(super) fn source(value: &Spanned<DeValue<'_>>, text: &str) -> String {
    text.get(value.span()).unwrap_or_default().to_owned()
}

/// The texts of a value or of a list of values, each with its place. None for tables and nested lists.
pub(super) fn scalar_texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, Range<usize>)>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(|item| Some((scalar(item.get_ref())?, item.span()))).collect(),
        one => Some(vec![(scalar(one)?, value.span())]),
    }
}

pub(super) fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| number.to_string(), |n| n.to_string())
        }
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}
