//! Interpolation of variables: `$NAME`, `${NAME:-default}` and the other forms of compose.
//!
//! The result keeps its origin. A part that came from a variable points to the reference in the file.

use std::ops::Range;

use crate::environment::Environment;
use crate::source_map::FileSpan;
use crate::spanned_text::SpannedText;

/// Longer values stay as they are. No label of this length can be in force.
const VALUE_LEN_MAX: usize = 16 * 1024;

/// A value that grows beyond this length with its variables is cut.
const RESULT_LEN_MAX: usize = 64 * 1024;

/// Levels of defaults inside defaults.
const DEPTH_MAX: usize = 16;

/// An error in a reference to a variable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VariableError {
    pub(crate) problem: VariableProblem,
    pub(crate) span: FileSpan,
}

impl VariableError {
    /// Whether compose refuses the file because of it.
    pub(crate) fn is_refused(&self) -> bool {
        !matches!(self.problem, VariableProblem::Unset(_))
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum VariableProblem {
    /// A variable is named without a default, and is not set.
    Unset(String),
    /// A variable of the form `${NAME:?message}` is not set.
    Required(String, String),
    /// A `$` does not begin a reference.
    Invalid,
}

/// Replaces references by the values of their variables. A reference that cannot be resolved becomes empty, and the
/// text behind an invalid `$` stays as written.
pub(crate) fn interpolate(
    text: &SpannedText,
    environment: &Environment,
    errors: &mut Vec<VariableError>,
) -> SpannedText {
    if !text.as_str().contains('$') || text.as_str().len() > VALUE_LEN_MAX {
        return text.clone();
    }
    let mut result = SpannedText::begun(text.file(), text.span().start..text.span().end);
    let mut run = Interpolation { text, environment, errors, result: &mut result };
    run.resolve(0..text.as_str().len(), 0);
    result
}

/// One run of [`interpolate`].
struct Interpolation<'a> {
    text: &'a SpannedText,
    environment: &'a Environment,
    errors: &'a mut Vec<VariableError>,
    result: &'a mut SpannedText,
}

/// A reference to a variable, as byte ranges of the text: `$NAME` or `${NAME<operator>word}`.
struct VariableReference {
    name: Range<usize>,
    /// `:-`, `-`, `:?`, `?`, `:+`, `+`, or nothing.
    operator: &'static str,
    word: Range<usize>,
    end: usize,
}

impl Interpolation<'_> {
    /// Continues the result with a part of the text, its references replaced.
    fn resolve(&mut self, part: Range<usize>, depth: usize) {
        let text = self.text.as_str();
        let mut at = part.start;
        while let Some(dollar) = text[at..part.end].find('$').map(|found| at + found) {
            self.copy(at..dollar);
            if text[dollar + 1..part.end].starts_with('$') {
                let written = self.text.locate(dollar..dollar + 2).span;
                self.result.push_syntax("$", written.start..written.end);
                at = dollar + 2;
                continue;
            }
            let Some(reference) = reference(&text[..part.end], dollar).filter(|_| depth < DEPTH_MAX) else {
                self.report(VariableProblem::Invalid, dollar..dollar + 1);
                return self.copy(dollar..part.end);
            };
            at = reference.end;
            self.put(dollar, &reference, depth);
        }
        self.copy(at..part.end);
    }

    /// Continues the result with the value of one reference.
    fn put(&mut self, start: usize, reference: &VariableReference, depth: usize) {
        let name = &self.text.as_str()[reference.name.clone()];
        let set = self.environment.get(name);
        let set = if reference.operator.starts_with(':') { set.filter(|value| !value.is_empty()) } else { set };
        let written = start..reference.end;
        match (reference.operator.trim_start_matches(':'), set) {
            ("+", Some(_)) | ("-", None) => self.resolve(reference.word.clone(), depth + 1),
            ("+", None) => {}
            ("?", None) => {
                let message = self.text.as_str()[reference.word.clone()].to_owned();
                self.report(VariableProblem::Required(name.to_owned(), message), written);
            }
            (_, Some(value)) if self.result.as_str().len() + value.len() <= RESULT_LEN_MAX => {
                let span = self.text.locate(written).span;
                self.result.push_variable(value, span.start..span.end);
            }
            (_, Some(_)) => {}
            (_, None) => self.report(VariableProblem::Unset(name.to_owned()), written),
        }
    }

    /// Continues the result with a part of the text as it is.
    fn copy(&mut self, part: Range<usize>) {
        if !part.is_empty() && self.result.as_str().len() + part.len() <= RESULT_LEN_MAX {
            self.result.push(&self.text.slice(part));
        }
    }

    fn report(&mut self, problem: VariableProblem, part: Range<usize>) {
        self.errors.push(VariableError { problem, span: self.text.locate(part).span });
    }
}

/// The reference that begins with the `$` at `dollar`, where one does.
fn reference(text: &str, dollar: usize) -> Option<VariableReference> {
    let rest = &text[dollar + 1..];
    let Some(inner) = rest.strip_prefix('{') else {
        let len = name_len(rest);
        let name = dollar + 1..dollar + 1 + len;
        return (len > 0).then_some(VariableReference { end: name.end, word: name.end..name.end, name, operator: "" });
    };
    let start = dollar + 2;
    let name = start..start + name_len(inner);
    let behind = &text[name.end..];
    let operator = [":-", ":?", ":+", "-", "?", "+", ""].into_iter().find(|operator| behind.starts_with(operator))?;
    let word_start = name.end + operator.len();
    let end = closing_brace(text, word_start)?;
    let bare = operator.is_empty() && end > word_start;
    (!name.is_empty() && !bare).then_some(VariableReference { name, operator, word: word_start..end, end: end + 1 })
}

/// The length of the name that a text begins with.
fn name_len(text: &str) -> usize {
    let len = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if text.starts_with(|first: char| first.is_ascii_digit()) { 0 } else { len }
}

/// The brace that ends a word begun at `start`. Braces of references inside the word do not end it.
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
    use crate::source_map::SourceMap;

    fn run(text: &str) -> (SpannedText, Vec<VariableError>) {
        let mut environment = Environment::default();
        environment.set_default("SET", "value");
        environment.set_default("EMPTY", "");
        let file = SourceMap::default().add("compose.yaml".into(), text.into());
        let mut errors = Vec::new();
        (interpolate(&SpannedText::copied(file, text, 0..text.len()), &environment, &mut errors), errors)
    }

    fn value(text: &str) -> String {
        let (result, errors) = run(text);
        assert_eq!(errors, [], "{text}");
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
    fn an_unset_variable_and_an_invalid_reference_are_errors() {
        for (text, expected, problem) in [
            ("a${NONE}b", "ab", VariableProblem::Unset("NONE".into())),
            ("a$NONE", "a", VariableProblem::Unset("NONE".into())),
            ("${NONE:?set it}", "", VariableProblem::Required("NONE".into(), "set it".into())),
            ("${EMPTY:?}", "", VariableProblem::Required("EMPTY".into(), String::new())),
            ("a$2y$05", "a$2y$05", VariableProblem::Invalid),
            ("a$", "a$", VariableProblem::Invalid),
            ("${}", "${}", VariableProblem::Invalid),
            ("${SET", "${SET", VariableProblem::Invalid),
            ("${SET!x}", "${SET!x}", VariableProblem::Invalid),
        ] {
            let (result, errors) = run(text);
            assert_eq!(result.as_str(), expected, "{text}");
            assert_eq!(errors.into_iter().map(|error| error.problem).collect::<Vec<_>>(), [problem], "{text}");
        }
    }

    #[test]
    fn the_value_of_a_variable_points_to_its_reference() {
        let (text, _) = run("ab${SET}cd");
        let found = text.locate(3..4);
        assert!(found.from_variable);
        assert_eq!((found.span.start, found.span.end), (2, 8));
        let behind = text.locate(8..9);
        assert!(!behind.from_variable);
        assert_eq!((behind.span.start, behind.span.end), (9, 10));
    }

    #[test]
    fn defaults_inside_defaults_are_bounded() {
        let text = format!("{}x{}", "${A:-".repeat(1000), "}".repeat(1000));
        assert_eq!(run(&text).1.len(), 1);
    }
}
