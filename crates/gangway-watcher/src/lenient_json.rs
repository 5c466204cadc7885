//! Deserialises an engine's JSON although parts of it do not have the expected type.
//!
//! Callers read an answer strictly first, which is quick and nearly always succeeds. If it fails, this module leaves
//! out the members that have the wrong type and remembers their paths, so that a malformed member costs only itself.
//!
//! Text that is not JSON stays unreadable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The number of paths that are remembered for one container. Further malformed members are left out without a trace.
const PARTS_MAX: usize = 100;

/// A value, and the paths of the members that were left out of it.
#[derive(Debug)]
pub(crate) struct Lenient<T> {
    pub(crate) value: T,
    pub(crate) left_out: Vec<Box<str>>,
}

/// A member of a list. Each is read by itself, so that a long list is never in memory twice.
#[derive(Debug)]
pub(crate) struct LenientMember<T>(pub(crate) Lenient<Option<T>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for LenientMember<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|written| Self(from_value(written)))
    }
}

/// Deserialises as much of a value as fits the type. The value is `None` if nothing of it does.
pub(crate) fn from_value<T: DeserializeOwned>(mut written: Value) -> Lenient<Option<T>> {
    let mut left_out = Vec::new();
    keep_malformed_labels(&mut written, &mut left_out);
    let fits = |value: &Value| T::deserialize(value).is_ok();
    let value = fitting_part(written, &fits, "", &mut left_out).and_then(|value| T::deserialize(value).ok());
    left_out.truncate(PARTS_MAX);
    Lenient { value, left_out }
}

/// Replaces the values of labels that are not text. A label must not be left out, because it may protect its route:
/// with an empty value it closes the route instead.
fn keep_malformed_labels(written: &mut Value, left_out: &mut Vec<Box<str>>) {
    let Some(labels) = written.get_mut("Labels").and_then(Value::as_object_mut) else { return };
    for (label, value) in labels.iter_mut().filter(|(_, value)| !value.is_string()) {
        *value = match value {
            Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                left_out.push(format!("Labels.{label}").into());
                Value::String(String::new())
            }
        };
    }
}

/// The part of a value that fits at its place. `fits` tells whether a value can stand there.
fn fitting_part(value: Value, fits: &dyn Fn(&Value) -> bool, at: &str, left_out: &mut Vec<Box<str>>) -> Option<Value> {
    if fits(&value) {
        return Some(value);
    }
    match value {
        Value::Object(members) if fits(&Value::Object(Map::new())) => {
            let mut kept = Map::new();
            for (key, member) in members {
                let fits_here = |member: &Value| fits(&Value::Object(Map::from_iter([(key.clone(), member.clone())])));
                let dot = if at.is_empty() { "" } else { "." };
                if let Some(member) = fitting_part(member, &fits_here, &format!("{at}{dot}{key}"), left_out) {
                    kept.insert(key, member);
                }
            }
            Some(Value::Object(kept))
        }
        Value::Array(members) if fits(&Value::Array(Vec::new())) => {
            let mut kept = Vec::new();
            for (position, member) in members.into_iter().enumerate() {
                let fits_here = |member: &Value| fits(&Value::Array(vec![member.clone()]));
                kept.extend(fitting_part(member, &fits_here, &format!("{at}[{position}]"), left_out));
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
        let Lenient { value, left_out } = from_value::<ListedContainer>(serde_json::from_str(written).expect("JSON"));
        (value, left_out.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn malformed_members_are_left_out_and_nothing_else_is() {
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
    fn a_value_of_another_type_is_left_out_as_a_whole() {
        for nothing in ["null", "5", "\"web\""] {
            let (listed, left_out) = read(nothing);
            assert!(listed.is_none() && left_out == ["all of it"], "{nothing}");
        }
        let (listed, left_out) = read(r#"{"Id":{"no":1}}"#);
        assert!(listed.is_some_and(|listed| listed.id.is_empty()) && left_out == ["Id"]);
    }

    #[test]
    fn inspections_are_read_leniently_as_well() {
        let written =
            r#"{"State":{"Running":"perhaps","StartedAt":"2026-01-01T00:00:00Z"},"Config":{"StopTimeout":"x"}}"#;
        let Lenient { value, left_out } =
            from_value::<InspectedContainer>(serde_json::from_str(written).expect("JSON"));
        assert!(value.is_some_and(|inspected| inspected.started().is_some()));
        assert_eq!(left_out, ["Config.StopTimeout".into(), "State.Running".into()] as [Box<str>; 2]);
    }
}
