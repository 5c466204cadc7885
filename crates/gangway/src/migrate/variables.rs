//! Variables of compose: values take part in compiling, and references are printed.

use std::collections::BTreeMap;

use gangway_compose::{Environment, Input, SourceMap, SpannedText};

use crate::check::disk::Disk;

/// A shorter value stands in other texts by chance.
const LEN_MIN: usize = 3;

/// The references behind the values that stand in labels.
#[derive(Debug, Default)]
pub(super) struct References(BTreeMap<String, String>);

impl References {
    pub(super) fn of<'t>(texts: impl Iterator<Item = &'t SpannedText>, sources: &SourceMap) -> Self {
        let mut references = BTreeMap::new();
        for (value, span) in texts.flat_map(SpannedText::variables) {
            let written = &sources.text(span.file)[span.start..span.end];
            if value.len() >= LEN_MIN {
                references.insert(value.replace('$', "$$"), written.to_owned());
            }
        }
        Self(references)
    }

    /// The text with references in place of the values.
    pub(super) fn put_into(&self, text: &str) -> String {
        let mut values: Vec<(&String, &String)> = self.0.iter().collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let mut text = text.to_owned();
        for (value, reference) in values {
            // Hosts are compared in lower case, and printed so.
            for value in [value.clone(), value.to_ascii_lowercase()] {
                // A reference that was put in already is left alone.
                if !reference.contains(&value) || !text.contains(&**reference) {
                    text = text.replace(&value, reference);
                }
            }
        }
        text
    }
}

/// The environment with a value for each variable that the files name: its default, or else a name, so that references can be told
/// from what is written.
pub(super) fn with_stand_ins(files: &[Input], mut environment: Environment) -> Environment {
    for file in files {
        let Input::Path(path) = file else { continue };
        let text = Disk::read_text(path).unwrap_or_default();
        for (name, default) in named(&text) {
            if environment.get(name).is_some_and(|value| !value.is_empty()) {
                continue;
            }
            let stand_in = || format!("{}.variable.invalid", name.to_ascii_lowercase().replace('_', "-"));
            environment.set(name, &default.map_or_else(stand_in, str::to_owned));
        }
    }
    environment
}

/// The names of variables, each with its default where that is a plain text.
fn named(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let behind = &rest[at + 1..];
        if let Some(next) = behind.strip_prefix('$') {
            rest = next;
            continue;
        }
        let inner = behind.strip_prefix('{').unwrap_or(behind);
        let len = inner.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(inner.len());
        let name = &inner[..len];
        let default = inner[len..].strip_prefix(":-").or_else(|| inner[len..].strip_prefix('-'));
        let default = default.and_then(|default| default.split('}').next());
        let default =
            default.filter(|default| behind.starts_with('{') && !default.is_empty() && !default.contains('$'));
        if !name.is_empty() {
            names.push((name, default));
        }
        rest = &inner[len..];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_with_their_defaults() {
        assert_eq!(
            named("a: ${HOST:-x.test} $$no ${B} $C-d ${D:-${E}} ${F?must}"),
            [("HOST", Some("x.test")), ("B", None), ("C", None), ("D", None), ("E", None), ("F", None)]
        );
    }

    #[test]
    fn values_become_references_again() {
        let references = References(
            [("example.org".to_owned(), "${DOMAIN}".to_owned()), ("app.example.org".to_owned(), "$HOST".to_owned())]
                .into(),
        );
        assert_eq!(references.put_into("app.example.org, b.example.org"), "$HOST, b.${DOMAIN}");
    }
}
