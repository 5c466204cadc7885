//! Reading what an engine writes although parts of it make no sense.
//!
//! An answer is read strictly, which is quick and nearly always possible. Where it is not, it is taken apart: a member
//! that cannot be understood is left out, and its place is remembered, so that it costs only itself.
//!
//! What is no JSON at all stays unreadable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Places that are remembered of one answer about one container; all of what is beyond is left out as well.
const PARTS_MAX: usize = 100;

/// One thing, and what was left out of it.
#[derive(Debug)]
pub(crate) struct Lenient<T> {
    pub(crate) value: T,
    pub(crate) left_out: Vec<Box<str>>,
}

/// One of a list; read by itself, so that a long list is never there twice.
#[derive(Debug)]
pub(crate) struct LenientMember<T>(pub(crate) Lenient<Option<T>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for LenientMember<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|written| Self(one(written)))
    }
}

/// Reads one thing; none where nothing of it can be understood.
pub(crate) fn one<T: DeserializeOwned>(mut written: Value) -> Lenient<Option<T>> {
    let mut left_out = Vec::new();
    give_labels_a_value(&mut written, &mut left_out);
    let fits = |value: &Value| T::deserialize(value).is_ok();
    let value = mend(written, &fits, "", &mut left_out).and_then(|value| T::deserialize(value).ok());
    left_out.truncate(PARTS_MAX);
    Lenient { value, left_out }
}

/// A label that is left out may be one that protects. With an empty value it closes its route.
fn give_labels_a_value(written: &mut Value, left_out: &mut Vec<Box<str>>) {
    let Some(labels) = written.get_mut("Labels").and_then(Value::as_object_mut) else { return };
    for (label, value) in labels.iter_mut().filter(|(_, value)| !value.is_string()) {
        *value = match value {
            Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
            _ => {
                left_out.push(format!("Labels.{label}").into());
                Value::String(String::new())
            }
        };
    }
}

/// As much of a value as fits where it stands.
fn mend(value: Value, fits: &dyn Fn(&Value) -> bool, at: &str, left_out: &mut Vec<Box<str>>) -> Option<Value> {
    if fits(&value) {
        return Some(value);
    }
    match value {
        Value::Object(members) if fits(&Value::Object(Map::new())) => {
            let mut kept = Map::new();
            for (key, member) in members {
                let fits_here = |member: &Value| fits(&Value::Object(Map::from_iter([(key.clone(), member.clone())])));
                let point = if at.is_empty() { "" } else { "." };
                if let Some(member) = mend(member, &fits_here, &format!("{at}{point}{key}"), left_out) {
                    kept.insert(key, member);
                }
            }
            Some(Value::Object(kept))
        }
        Value::Array(members) if fits(&Value::Array(Vec::new())) => {
            let mut kept = Vec::new();
            for (position, member) in members.into_iter().enumerate() {
                let fits_here = |member: &Value| fits(&Value::Array(vec![member.clone()]));
                kept.extend(mend(member, &fits_here, &format!("{at}[{position}]"), left_out));
            }
            Some(Value::Array(kept))
        }
        _ => {
            left_out.push(if at.is_empty() { "all of it".into() } else { at.into() });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::{InspectedContainer, ListedContainer};

    fn read(written: &str) -> (Option<ListedContainer>, Vec<String>) {
        let Lenient { value, left_out } = one::<ListedContainer>(serde_json::from_str(written).expect("JSON"));
        (value, left_out.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_makes_no_sense_is_left_out_and_nothing_else() {
        let (listed, left_out) = read(
            r#"{"Id":"a","Names":["/web",7],"Created":"yesterday","Labels":{"a":"b","c":null,"d":true,"e":{}},
                "Ports":[{"PrivatePort":null,"Type":"tcp"},5,{"PrivatePort":80,"Type":"tcp"},{"PrivatePort":70000}],
                "NetworkSettings":{"Networks":{"edge":{"IPAddress":"172.20.0.3","Gateway":[1]},"back":"?"}},
                "HostConfig":{"NetworkMode":"edge"},"Unknown":{"anything":null}}"#,
        );
        let expected = [
            "Labels.c",
            "Labels.e",
            "Created",
            "Names[1]",
            "NetworkSettings.Networks.back",
            "NetworkSettings.Networks.edge.Gateway[0]",
            "Ports[0].PrivatePort",
            "Ports[1]",
            "Ports[3].PrivatePort",
        ];
        let (mut left_out, mut expected) = (left_out, expected.map(str::to_owned).to_vec());
        left_out.sort();
        expected.sort();
        let gateway = |part: &mut String| *part = part.replace("Gateway[0]", "Gateway");
        expected.iter_mut().for_each(gateway);
        assert_eq!(left_out, expected);
        let listed = format!("{:?}", listed.expect("a container"));
        for kept in ["/web", "172.20.0.3", "private_port: 80", r#""c": """#, r#""d": "true""#, r#""e": """#] {
            assert!(listed.contains(kept), "{kept}: {listed}");
        }
    }

    #[test]
    fn what_is_nothing_at_all_is_nobody() {
        for nothing in ["null", "5", "\"web\""] {
            let (listed, left_out) = read(nothing);
            assert!(listed.is_none() && left_out == ["all of it"], "{nothing}");
        }
        let (listed, left_out) = read(r#"{"Id":{"no":1}}"#);
        assert!(listed.is_some_and(|listed| listed.id.is_empty()) && left_out == ["Id"]);
    }

    #[test]
    fn inspections_are_mended_as_well() {
        let written =
            r#"{"State":{"Running":"perhaps","StartedAt":"2026-01-01T00:00:00Z"},"Config":{"StopTimeout":"x"}}"#;
        let Lenient { value, left_out } = one::<InspectedContainer>(serde_json::from_str(written).expect("JSON"));
        assert!(value.is_some_and(|inspected| inspected.started().is_some()));
        assert_eq!(left_out, ["Config.StopTimeout".into(), "State.Running".into()] as [Box<str>; 2]);
    }
}
