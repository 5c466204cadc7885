//! Variables in compose files: `$NAME`, `${NAME:-default}` and the rest of compose's forms.
//!
//! The result keeps its origin: what came from a variable points to the reference in the file.

use std::collections::BTreeMap;
use std::ops::Range;

use super::source::Spot;
use super::text::Text;

/// Longer values are taken as they are: no label of this length can be in force.
const VALUE_LEN_MAX: usize = 16 * 1024;

/// A value that grows beyond this with its variables is cut, so that none can grow without bound.
const RESULT_LEN_MAX: usize = 64 * 1024;

/// Defaults inside defaults.
const DEPTH_MAX: usize = 16;

/// What variables are set to.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Of this process.
    pub(super) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn beginning_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let set = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        set.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets, whatever stood there.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Sets what is not set yet.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
}

/// What is wrong with a reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Complaint {
    pub(super) what: Problem,
    pub(super) spot: Spot,
}

impl Complaint {
    /// Whether compose starts nothing because of it.
    pub(super) fn is_refused(&self) -> bool {
        !matches!(self.what, Problem::Unset(_))
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    /// Named without a default, and not set.
    Unset(String),
    /// `${NAME:?message}`.
    Required(String, String),
    /// A `$` that begins no reference.
    Invalid,
}

/// Puts variables in. What cannot be resolved becomes empty, or stays as written behind an invalid `$`.
pub(super) fn interpolate(text: &Text, environment: &Environment, complaints: &mut Vec<Complaint>) -> Text {
    if !text.as_str().contains('$') || text.as_str().len() > VALUE_LEN_MAX {
        return text.clone();
    }
    let mut result = Text::begun(text.file(), text.whole().start..text.whole().end);
    let mut run = Run { text, environment, complaints, result: &mut result };
    run.resolve(0..text.as_str().len(), 0);
    result
}

struct Run<'a> {
    text: &'a Text,
    environment: &'a Environment,
    complaints: &'a mut Vec<Complaint>,
    result: &'a mut Text,
}

/// `${NAME<operator>word}`.
struct Reference {
    name: Range<usize>,
    /// `:-`, `-`, `:?`, `?`, `:+`, `+`, or nothing.
    operator: &'static str,
    word: Range<usize>,
    end: usize,
}

impl Run<'_> {
    fn resolve(&mut self, part: Range<usize>, depth: usize) {
        let text = self.text.as_str();
        let mut at = part.start;
        while let Some(dollar) = text[at..part.end].find('$').map(|found| at + found) {
            self.copy(at..dollar);
            if text[dollar + 1..part.end].starts_with('$') {
                let written = self.text.find(dollar..dollar + 2).spot;
                self.result.push_written("$", written.start..written.end);
                at = dollar + 2;
                continue;
            }
            let Some(reference) = reference(&text[..part.end], dollar).filter(|_| depth < DEPTH_MAX) else {
                self.print_error(Problem::Invalid, dollar..dollar + 1);
                return self.copy(dollar..part.end);
            };
            at = reference.end;
            self.put(dollar, &reference, depth);
        }
        self.copy(at..part.end);
    }

    fn put(&mut self, start: usize, reference: &Reference, depth: usize) {
        let name = &self.text.as_str()[reference.name.clone()];
        let set = self.environment.get(name);
        let set = if reference.operator.starts_with(':') { set.filter(|value| !value.is_empty()) } else { set };
        let written = start..reference.end;
        match (reference.operator.trim_start_matches(':'), set) {
            ("+", Some(_)) | ("-", None) => self.resolve(reference.word.clone(), depth + 1),
            ("+", None) => {}
            ("?", None) => {
                let message = self.text.as_str()[reference.word.clone()].to_owned();
                self.print_error(Problem::Required(name.to_owned(), message), written);
            }
            (_, Some(value)) if self.result.as_str().len() + value.len() <= RESULT_LEN_MAX => {
                let spot = self.text.find(written).spot;
                self.result.push_variable(value, spot.start..spot.end);
            }
            (_, Some(_)) => {}
            (_, None) => self.print_error(Problem::Unset(name.to_owned()), written),
        }
    }

    fn copy(&mut self, part: Range<usize>) {
        if !part.is_empty() && self.result.as_str().len() + part.len() <= RESULT_LEN_MAX {
            self.result.push(&self.text.slice(part));
        }
    }

    fn print_error(&mut self, what: Problem, part: Range<usize>) {
        self.complaints.push(Complaint { what, spot: self.text.find(part).spot });
    }
}

/// The reference that begins with the `$` at `dollar`, if one does.
fn reference(text: &str, dollar: usize) -> Option<Reference> {
    let rest = &text[dollar + 1..];
    let Some(inner) = rest.strip_prefix('{') else {
        let len = name_len(rest);
        let name = dollar + 1..dollar + 1 + len;
        return (len > 0).then_some(Reference { end: name.end, word: name.end..name.end, name, operator: "" });
    };
    let start = dollar + 2;
    let name = start..start + name_len(inner);
    let behind = &text[name.end..];
    let operator = [":-", ":?", ":+", "-", "?", "+", ""].into_iter().find(|operator| behind.starts_with(operator))?;
    let word_start = name.end + operator.len();
    let end = closing_brace(text, word_start)?;
    let bare = operator.is_empty() && end > word_start;
    (!name.is_empty() && !bare).then_some(Reference { name, operator, word: word_start..end, end: end + 1 })
}

fn name_len(text: &str) -> usize {
    let len = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if text.starts_with(|first: char| first.is_ascii_digit()) { 0 } else { len }
}

/// The brace that ends a word begun at `start`; braces of references inside do not.
fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0;
    let bytes = text.as_bytes();
    for at in start..bytes.len() {
        match bytes[at] {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::source::Files;

    fn run(text: &str) -> (Text, Vec<Complaint>) {
        let mut environment = Environment::default();
        environment.add("SET", "value");
        environment.add("EMPTY", "");
        let file = Files::default().add("compose.yaml".into(), text.into());
        let mut complaints = Vec::new();
        (interpolate(&Text::copied(file, text, 0..text.len()), &environment, &mut complaints), complaints)
    }

    fn value(text: &str) -> String {
        let (result, complaints) = run(text);
        assert_eq!(complaints, [], "{text}");
        result.as_str().to_owned()
    }

    #[test]
    fn every_form_gives_what_compose_gives() {
        for (text, expected) in [
            ("$SET", "value"),
            ("a${SET}b", "avalueb"),
            ("$SET.org", "value.org"),
            ("${SET-x}", "value"),
            ("${SET:-x}", "value"),
            ("${EMPTY-x}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE-x}", "x"),
            ("${NONE:-x}", "x"),
            ("${NONE:-}", ""),
            ("${SET+x}", "x"),
            ("${SET:+x}", "x"),
            ("${EMPTY+x}", "x"),
            ("${EMPTY:+x}", ""),
            ("${NONE+x}", ""),
            ("${SET?x}", "value"),
            ("${SET:?x}", "value"),
            ("${EMPTY?x}", ""),
            ("${NONE:-a${SET}b}c", "avaluebc"),
            ("${NONE:-${OTHER:-${SET}}}", "value"),
            ("$$SET", "$SET"),
            ("$$$SET", "$value"),
            ("{host}", "{host}"),
            ("admin:$$2y$$05$$abc", "admin:$2y$05$abc"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_set_or_not_a_reference_is_told() {
        for (text, expected, problem) in [
            ("a${NONE}b", "ab", Problem::Unset("NONE".into())),
            ("a$NONE", "a", Problem::Unset("NONE".into())),
            ("${NONE:?set it}", "", Problem::Required("NONE".into(), "set it".into())),
            ("${EMPTY:?}", "", Problem::Required("EMPTY".into(), String::new())),
            ("a$2y$05", "a$2y$05", Problem::Invalid),
            ("a$", "a$", Problem::Invalid),
            ("${}", "${}", Problem::Invalid),
            ("${SET", "${SET", Problem::Invalid),
            ("${SET!x}", "${SET!x}", Problem::Invalid),
        ] {
            let (result, complaints) = run(text);
            assert_eq!(result.as_str(), expected, "{text}");
            assert_eq!(complaints.into_iter().map(|complaint| complaint.what).collect::<Vec<_>>(), [problem], "{text}");
        }
    }

    #[test]
    fn what_came_from_a_variable_points_to_its_reference() {
        let (text, _) = run("ab${SET}cd");
        let found = text.find(3..4);
        assert!(found.from_variable);
        assert_eq!((found.spot.start, found.spot.end), (2, 8));
        let behind = text.find(8..9);
        assert!(!behind.from_variable);
        assert_eq!((behind.spot.start, behind.spot.end), (9, 10));
    }

    #[test]
    fn defaults_inside_defaults_are_bounded() {
        let text = format!("{}x{}", "${A:-".repeat(1000), "}".repeat(1000));
        assert_eq!(run(&text).1.len(), 1);
    }
}
