//! The answer of `/v1/decisions/stream`, as the engine writes it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::engine_error::EngineError;

/// Decisions that have come and gone since the last answer, or, at the start, all of them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct StreamAnswer<'a> {
    /// Both members are there in each answer, and may be null. An object without them is something else, which must not be
    /// taken for the answer that nobody is banned.
    #[serde(borrow, deserialize_with = "some_or_null")]
    pub(crate) new: Vec<StreamedDecision<'a>>,
    #[serde(borrow, deserialize_with = "some_or_null")]
    pub(crate) deleted: Vec<StreamedDecision<'a>>,
}

/// One decision. Members that nothing depends on are left out.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamedDecision<'a> {
    pub(crate) id: Option<i64>,
    #[serde(borrow, default)]
    pub(crate) duration: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) scope: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) value: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) origin: Cow<'a, str>,
    #[serde(default)]
    pub(crate) simulated: Option<bool>,
}

fn some_or_null<'de, D: Deserializer<'de>>(member: D) -> Result<Vec<StreamedDecision<'de>>, D::Error> {
    Option::deserialize(member).map(Option::unwrap_or_default)
}

impl<'a> StreamAnswer<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, EngineError> {
        serde_json::from_slice(body).map_err(|error| EngineError::Invalid(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the engine of version 1.4.6 has written it.
    const ANSWER: &str = r#"{"deleted":[{"duration":"-1.032413949s","id":2,"origin":"cscli","scenario":"manual 'ban' from 'x'","scope":"Ip","type":"ban","value":"192.0.2.7"}],"new":null}"#;

    #[test]
    fn an_answer_has_both_members_and_they_may_be_null() {
        let answer = StreamAnswer::parse(ANSWER.as_bytes()).expect("an answer");
        assert!(answer.new.is_empty());
        let gone = &answer.deleted[0];
        assert_eq!((gone.id, &*gone.scope, &*gone.value, &*gone.origin), (Some(2), "Ip", "192.0.2.7", "cscli"));
        for other in [
            "{}",
            r#"{"new":[]}"#,
            r#"{"deleted":[]}"#,
            r#"{"message":"access forbidden"}"#,
            "[]",
            "null",
            "",
            &ANSWER[..90],
        ] {
            let error = StreamAnswer::parse(other.as_bytes()).expect_err(other);
            assert!(matches!(error, EngineError::Invalid(_)), "{other}: {error}");
        }
    }
}
