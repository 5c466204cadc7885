//! What a rewriting puts in place of a path.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use gangway_diagnostic::{Finding, codes, quoted};
use regex::{Captures, Regex};

use crate::value::Parsed;

/// The replacement of a rewriting, in the syntax of the `regex` crate: `$1` and `${name}` stand for groups, `$$` for a
/// dollar sign. All groups exist in the expression that it was read for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replacement {
    text: Box<str>,
    parts: Box<[ReplacementPart]>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum ReplacementPart {
    Text(Box<str>),
    Group(usize),
}

impl Replacement {
    /// A replacement without groups.
    pub(crate) fn constant(path: &str) -> Self {
        Self { text: path.replace('$', "$$").into(), parts: Box::new([ReplacementPart::Text(path.into())]) }
    }

    /// Reads the replacement for an expression; spans are relative to `text`. The `regex` crate would put in nothing for
    /// groups that do not exist.
    pub fn parse(text: &str, expression: &Regex) -> Parsed<Self> {
        if !text.starts_with(['/', '$']) {
            let help = format!("write {}", quoted(&format!("/{text}")));
            let message = format!("replacement {} is not a path", quoted(text));
            return Err(Finding::error(codes::REWRITE, 0..text.len(), message, "a `/` is missing", help));
        }
        let group = |name: &str| match name.parse::<usize>() {
            Ok(number) => Some(number).filter(|number| *number < expression.captures_len()),
            Err(_) => expression.capture_names().position(|known| known == Some(name)),
        };
        let (mut parts, mut literal, mut at) = (Vec::new(), String::new(), 0);
        while let Some(dollar) = text[at..].find('$') {
            let start = at + dollar;
            literal.push_str(&text[at..start]);
            let rest = &text[start + 1..];
            if rest.starts_with('$') {
                literal.push('$');
                at = start + 2;
                continue;
            }
            let (name, end) = reference(rest);
            let end = start + 1 + end;
            let Some(group) = group(name) else {
                let digits = name.bytes().take_while(u8::is_ascii_digit).count();
                let help = if digits > 0 && digits < name.len() && group(&name[..digits]).is_some() {
                    format!("write `${{{}}}{}`", &name[..digits], &name[digits..])
                } else if name.is_empty() {
                    "write `$$` for a dollar sign".to_owned()
                } else {
                    "put the part of the expression that is meant in parentheses".to_owned()
                };
                let message = format!("{} refers to no group of the expression", quoted(&text[start..end]));
                return Err(Finding::error(codes::REPLACEMENT_REFERENCE, start..end, message, "no such group", help));
            };
            if !literal.is_empty() {
                parts.push(ReplacementPart::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(ReplacementPart::Group(group));
            at = end;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(ReplacementPart::Text(literal.into()));
        }
        if let Some((at, char)) = text.char_indices().find(|(_, char)| !can_be_sent(*char) && !"{}".contains(*char)) {
            let message = format!("replacement {} cannot be sent", quoted(text));
            let end = at + char.len_utf8();
            return Err(Finding::error(codes::REWRITE, at..end, message, "cannot stand in a URL", "percent-encode it"));
        }
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// Reads a replacement in the syntax of Go, where no text is an error: a reference to a group that does not exist
    /// stands for nothing (`$1x` refers to a group `1x`), and a dollar sign before anything else for itself.
    pub fn parse_go(text: &str, expression: &Regex) -> Self {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(escaped) = after.strip_prefix('$') {
                literal.push('$');
                rest = escaped;
                continue;
            }
            let (name, end) = reference(after);
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.is_empty();
            if !is_name || (after.starts_with('{') && !after.contains('}')) {
                literal.push('$');
                rest = after;
                continue;
            }
            rest = &after[end..];
            let group = match name.parse::<usize>() {
                Ok(number) => Some(number).filter(|number| *number < expression.captures_len()),
                Err(_) => expression.capture_names().position(|known| known == Some(name)),
            };
            if let Some(group) = group {
                if !literal.is_empty() {
                    parts.push(ReplacementPart::Text(std::mem::take(&mut literal).into()));
                }
                parts.push(ReplacementPart::Group(group));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(ReplacementPart::Text(literal.into()));
        }
        Self { text: text.into(), parts: parts.into() }
    }

    /// `haystack` with every match replaced, or None where nothing matches. `spelled` gives the text that stands in the
    /// result for a part of `haystack`.
    pub(crate) fn replace_all<'t>(
        &self,
        expression: &Regex,
        haystack: &str,
        spelled: impl Fn(Range<usize>) -> &'t str,
    ) -> Option<String> {
        let (mut new, mut end, mut is_found) = (String::new(), 0, false);
        for captures in expression.captures_iter(haystack) {
            let Some(whole) = captures.get(0) else { continue };
            new.push_str(spelled(end..whole.start()));
            self.expand(&captures, &spelled, &mut new);
            (end, is_found) = (whole.end(), true);
        }
        new.push_str(spelled(end..haystack.len()));
        is_found.then_some(new)
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends the replacement of a match. `group_text` gives the text for the position of a group.
    pub(crate) fn expand<'t>(
        &self,
        captures: &Captures<'_>,
        group_text: impl Fn(Range<usize>) -> &'t str,
        expanded: &mut String,
    ) {
        for part in &self.parts {
            match part {
                ReplacementPart::Text(text) => expanded.push_str(text),
                ReplacementPart::Group(group) => {
                    // A group that took no part in the match stands for nothing.
                    expanded.push_str(captures.get(*group).map_or("", |group| group_text(group.range())));
                }
            }
        }
    }
}

/// As it is written in a label.
impl Display for Replacement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name that a dollar sign refers to, and the end of the reference.
fn reference(rest: &str) -> (&str, usize) {
    match rest.strip_prefix('{') {
        Some(braced) => match braced.find('}') {
            Some(close) => (&braced[..close], close + 2),
            None => (braced, rest.len()),
        },
        None => {
            let len = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
            (&rest[..len], len)
        }
    }
}

/// Whether a character can stand in the path of a request.
pub(crate) fn can_be_sent(char: char) -> bool {
    char.is_ascii_graphic() && !"\"<>\\^`{|}".contains(char)
}
