//! The files of what was recorded: one case a line, the bytes that go in, and what became of them.
//!
//! `was` is what the engine did with which the record began. Where the behaviour has changed on purpose, `now` stands
//! beside it, with the reason; see [`Change`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use gangway_testkit::wire_message::{WireMessage, latin1};
use serde_json::{Map, Value, json};

/// Set to record cases that are new or changed.
const WRITE: &str = "UPDATE_RECORDED";

/// Runs of one character that are at least this long are written by their length.
const RUN_MIN: usize = 32;

/// A difference from what was recorded that is meant.
#[derive(Debug)]
pub(crate) struct Change {
    /// The file of the cases.
    pub(crate) file: &'static str,
    /// Their identities; a star at the end stands for any more characters.
    pub(crate) cases: &'static [&'static str],
    /// Why it is better than before.
    pub(crate) reason: &'static str,
}

impl Change {
    fn covers(&self, file: &str, id: &str) -> bool {
        let is_of = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => **pattern == *id,
        };
        self.file == file && self.cases.iter().any(is_of)
    }
}

/// What was recorded of one case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) id: String,
    /// What went in.
    pub(crate) given: Value,
    pub(crate) was: Value,
    pub(crate) now: Option<(String, Value)>,
}

/// Whether cases are recorded and not only compared.
pub(crate) fn is_recording() -> bool {
    std::env::var_os(WRITE).is_some()
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/recorded/{file}.jsonl"))
}

/// All cases of a file.
pub(crate) fn read(file: &str) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path(file)).unwrap_or_default();
    let parsed = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("it was written by a test"));
    parsed
        .map(|line| Recorded {
            id: line["id"].as_str().unwrap_or_default().to_owned(),
            given: line["given"].clone(),
            was: line["was"].clone(),
            now: line["why"].as_str().map(|why| (why.to_owned(), line["now"].clone())),
        })
        .collect()
}

/// Compares what came of all cases with what was recorded, or writes it.
///
/// # Panics
///
/// Panics with every case that differs and is not among the changes, and with every change that changes nothing.
pub(crate) fn compare(
    file: &str,
    cases: Vec<Recorded>,
    outcomes: &BTreeMap<String, Value>,
    changes: &[Change],
    is_alike: impl Fn(&Value, &Value) -> bool,
) {
    let mut differing = Vec::new();
    let mut lines = String::new();
    let mut used = vec![false; changes.len()];
    for mut case in cases {
        let outcome = &outcomes[&case.id];
        let change = changes.iter().position(|change| change.covers(file, &case.id));
        if let Some(change) = change {
            used[change] |= case.now.is_some() || !is_alike(&case.was, outcome);
        }
        if is_recording() {
            if case.was.is_null() {
                case.was = outcome.clone();
            }
            let is_as_before = is_alike(&case.was, outcome);
            case.now = change.filter(|_| !is_as_before).map(|change| {
                let same = case.now.take().map(|(_, now)| now).filter(|now| is_alike(now, outcome));
                (changes[change].reason.to_owned(), same.unwrap_or_else(|| outcome.clone()))
            });
        }
        let expected = case.now.as_ref().map_or(&case.was, |(_, now)| now);
        if !is_alike(expected, outcome) {
            differing.push(format!("{}: {}\n{}", case.id, case.given, difference(expected, outcome)));
        }
        let mut line = Map::new();
        line.insert("id".into(), case.id.into());
        line.insert("given".into(), case.given);
        line.insert("was".into(), case.was);
        if let Some((why, now)) = case.now {
            line.insert("why".into(), why.into());
            line.insert("now".into(), now);
        }
        lines += &format!("{}\n", Value::Object(line));
    }
    if is_recording() {
        #[expect(clippy::disallowed_methods, reason = "a half-written record is written again")]
        std::fs::write(path(file), lines).expect("the folder can be written");
    }
    assert!(differing.is_empty(), "{} cases of {file} differ:\n{}", differing.len(), differing.join("\n"));
    let unused = changes.iter().zip(used).filter(|(change, used)| change.file == file && !used);
    let unused: Vec<_> = unused.map(|(change, _)| change).collect();
    assert!(unused.is_empty(), "changes of {file} that change nothing: {unused:#?}");
}

/// The lines by which two outcomes differ.
pub(crate) fn difference(expected: &Value, came: &Value) -> String {
    let lines = |value: &Value| -> Vec<String> {
        let text = serde_json::to_string_pretty(value).unwrap_or_default().replace("\\n", "\n");
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    let (expected, came) = (lines(expected), lines(came));
    let only = |mark: char, of: &[String], other: &[String]| -> String {
        of.iter().filter(|line| !other.contains(line)).map(|line| format!("    {mark} {line}\n")).collect()
    };
    only('-', &expected, &came) + &only('+', &came, &expected)
}

/// A message as it is compared and written.
pub(crate) fn message(message: &WireMessage) -> Value {
    let message = message.clone().normalised();
    let lines = |fields: &[(String, String)]| {
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    };
    let mut written = json!({ "head": packed(&format!("{}\n{}", message.line, lines(&message.fields))) });
    if !message.body.is_empty() {
        written["body"] = packed(&latin1(&message.body)).into();
    }
    if !message.trailers.is_empty() {
        written["trailers"] = lines(&message.trailers).into();
    }
    if !message.is_whole {
        written["cut"] = true.into();
    }
    written
}

/// Whether two lists of messages are alike.
///
/// Whole messages are equal one by one. How much of a cut one came is a matter of time: as far as both came, they are
/// equal.
pub(crate) fn are_alike(one: &Value, other: &Value) -> bool {
    let parts = |list: &Value| -> (Vec<Value>, Vec<Value>) {
        list.as_array().into_iter().flatten().cloned().partition(|message| message["cut"].is_null())
    };
    let ((whole, cut), (other_whole, other_cut)) = (parts(one), parts(other));
    let text = |message: &Value| unpacked(message["body"].as_str().unwrap_or_default());
    whole == other_whole
        && cut.iter().zip(&other_cut).all(|(one, other)| {
            let (body, other_body) = (text(one), text(other));
            one["head"] == other["head"] && (body.starts_with(&other_body) || other_body.starts_with(&body))
        })
}

/// A text with its long runs written by their length, so that large messages make no large files.
pub(crate) fn packed(text: &str) -> String {
    let mut packed = String::new();
    let characters: Vec<char> = text.chars().collect();
    for run in characters.chunk_by(|one, other| one == other) {
        match run {
            [first, ..] if run.len() >= RUN_MIN => packed += &format!("\u{27ea}{first}{}\u{27eb}", run.len()),
            _ => packed.extend(run),
        }
    }
    packed
}

/// The text of which [`packed`] made this.
pub(crate) fn unpacked(packed: &str) -> String {
    let mut text = String::new();
    let mut rest = packed;
    while let Some((before, run)) = rest.split_once('\u{27ea}') {
        text += before;
        let (run, behind) = run.split_once('\u{27eb}').expect("it was written by a test");
        let first = run.chars().next().expect("it was written by a test");
        let len: usize = run[first.len_utf8()..].parse().expect("it was written by a test");
        text.extend(std::iter::repeat_n(first, len));
        rest = behind;
    }
    text + rest
}
