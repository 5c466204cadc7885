//! `constraints`: which containers are ours, by their labels.
//!
//! ``Label(`key`, `value`)`` and ``LabelRegex(`key`, `expression`)``, joined by `&&`, `||` and `!`.

use std::collections::BTreeMap;

use regex::Regex;

/// Deeper expressions are refused.
const DEPTH_MAX: usize = 32;

/// An expression on labels.
#[derive(Debug)]
pub(super) enum Constraint {
    Label(String, String),
    LabelRegex(String, Regex),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
}

impl Constraint {
    /// Reads an expression; none where it is not one. An empty one takes every container.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::All(Vec::new()));
        }
        let mut parser = Parser { rest: text.trim_start(), depth: 0 };
        let constraint = parser.any()?;
        parser.rest.is_empty().then_some(constraint)
    }

    /// Whether it takes a container with these labels.
    pub(super) fn takes(&self, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
        match self {
            Self::Label(key, value) => labels.get(key.as_str()).is_some_and(|found| **found == **value),
            Self::LabelRegex(key, regex) => labels.get(key.as_str()).is_some_and(|found| regex.is_match(found)),
            Self::All(all) => all.iter().all(|one| one.takes(labels)),
            Self::Any(any) => any.iter().any(|one| one.takes(labels)),
            Self::Not(inner) => !inner.takes(labels),
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Option<Constraint> {
        let mut parts = vec![self.all()?];
        while self.accept("||") {
            parts.push(self.all()?);
        }
        Some(if parts.len() == 1 { parts.pop()? } else { Constraint::Any(parts) })
    }

    fn all(&mut self) -> Option<Constraint> {
        let mut parts = vec![self.unary()?];
        while self.accept("&&") {
            parts.push(self.unary()?);
        }
        Some(if parts.len() == 1 { parts.pop()? } else { Constraint::All(parts) })
    }

    fn unary(&mut self) -> Option<Constraint> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let constraint = if self.accept("!") {
            Constraint::Not(Box::new(self.unary()?))
        } else if self.accept("(") {
            let inner = self.any()?;
            self.accept(")").then_some(inner)?
        } else if self.accept("LabelRegex") {
            let (key, value) = self.arguments()?;
            Constraint::LabelRegex(key, regex::RegexBuilder::new(&value).size_limit(64 << 10).build().ok()?)
        } else if self.accept("Label") {
            let (key, value) = self.arguments()?;
            Constraint::Label(key, value)
        } else {
            return None;
        };
        self.depth -= 1;
        Some(constraint)
    }

    fn arguments(&mut self) -> Option<(String, String)> {
        let is_open = self.accept("(");
        let key = self.quoted().filter(|_| is_open)?;
        let is_more = self.accept(",");
        let value = self.quoted().filter(|_| is_more)?;
        self.accept(")").then_some((key, value))
    }

    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '`' | '"'))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        self.rest = rest.trim_start();
        Some(text.to_owned())
    }

    fn accept(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word).map(str::trim_start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_taken_by_their_labels() {
        let labels = [("a", "1"), ("b", "two")].map(|(key, value)| (key.into(), value.into())).into();
        for (text, takes) in [
            ("", Some(true)),
            ("Label(`a`,`1`)", Some(true)),
            ("Label(\"a\", \"2\")", Some(false)),
            ("!Label(`c`,`1`)", Some(true)),
            ("LabelRegex(`b`, `^t`)", Some(true)),
            ("Label(`a`,`2`) || Label(`a`,`1`) && !Label(`b`,`x`)", Some(true)),
            ("(Label(`a`,`2`) || Label(`a`,`1`)) && Label(`b`,`x`)", Some(false)),
            ("Label(`a`)", None),
            ("Label(`a`,`1`) &&", None),
            ("Tag(`a`,`1`)", None),
            ("LabelRegex(`a`, `(`)", None),
            (&"(".repeat(100), None),
        ] {
            assert_eq!(Constraint::parse(text).map(|one| one.takes(&labels)), takes, "{text}");
        }
    }
}
