//! What Traefik's API tells of a case, without what does not belong to the case or differs from run to run.

use serde_json::{Map, Value};

/// In place of an error's text, which each proxy words as it likes.
const TEXT: &str = "<text>";

/// What a step compares of an answer: lists by the names in them, of these only those that are picked, and of the whole
/// only the kinds of values where a step asks for its shape.
pub(super) fn compared(answer: &Value, pick: &[String], is_shape: bool) -> Value {
    let mut compared = match of_case(answer) {
        Value::Array(all) => Value::Object(all.into_iter().enumerate().map(by_name).collect()),
        other => other,
    };
    if !pick.is_empty() {
        compared = pick.iter().map(|key| (key.clone(), compared[key].clone())).collect::<Map<_, _>>().into();
    }
    if is_shape { shape(&compared) } else { compared }
}

fn by_name((at, one): (usize, Value)) -> (String, Value) {
    (one["name"].as_str().map_or_else(|| at.to_string(), str::to_owned), one)
}

/// Without the objects of the proxy itself.
fn of_case(value: &Value) -> Value {
    let is_own = |name: &str| name.ends_with("@internal");
    match value {
        Value::Object(all) => {
            let of_case = all.iter().filter(|(key, _)| !is_own(key)).map(|(key, value)| {
                let value = match value {
                    Value::Array(errors) if key == "error" => vec![TEXT; errors.len()].into(),
                    value => of_case(value),
                };
                (key.clone(), value)
            });
            Value::Object(of_case.collect())
        }
        Value::Array(all) => all.iter().filter(|one| !one["name"].as_str().is_some_and(is_own)).map(of_case).collect(),
        other => other.clone(),
    }
}

/// The kinds of values, under the names that the recording has for them. Of a list the first item stands for all.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), shape(value))).collect::<Map<_, _>>().into(),
        Value::Array(all) => all.iter().take(1).map(shape).collect(),
        Value::String(_) => "str".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if number.is_f64() => "float".into(),
        Value::Number(_) => "int".into(),
        Value::Null => "NoneType".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_compared_by_names_and_without_the_proxys_own_objects() {
        let answer = json!([
            {"name": "a@docker", "error": ["one", "two"], "usedBy": ["b@docker"]},
            {"name": "api@internal"},
            {"other": 1},
        ]);
        let expected = json!({
            "a@docker": {"name": "a@docker", "error": ["<text>", "<text>"], "usedBy": ["b@docker"]},
            "1": {"other": 1},
        });
        assert_eq!(compared(&answer, &[], false), expected);
        let picked = compared(&answer, &["a@docker".to_owned(), "c@docker".to_owned()], false);
        assert_eq!(picked, json!({"a@docker": expected["a@docker"], "c@docker": null}));
        let raw = json!({"routers": {"a@docker": {}, "ping@internal": {}}});
        assert_eq!(compared(&raw, &[], false), json!({"routers": {"a@docker": {}}}));
    }

    #[test]
    fn a_shape_has_kinds_in_the_place_of_values() {
        let answer =
            json!({"total": 3, "on": true, "name": "x", "all": [{"a": 1.5}, {"b": 2}], "none": [], "null": null});
        let expected = json!({"total": "int", "on": "bool", "name": "str", "all": [{"a": "float"}], "none": [], "null": "NoneType"});
        assert_eq!(compared(&answer, &[], true), expected);
    }
}
