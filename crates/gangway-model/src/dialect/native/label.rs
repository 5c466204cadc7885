//! One label as written, and how to point at it.

use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Place, Severity, Span};
use crate::dialect::native::schema::Key;
use crate::rule::Finding;
use crate::settings::FileRoute;
use crate::snapshot::Container;
use crate::spec::Mark;

/// Longer keys are cut where they are shown.
const KEY_SHOWN_MAX: usize = 200;

/// Longer values are refused.
pub(crate) const VALUE_LEN_MAX: usize = 4096;

/// Where labels were written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// On a container.
    Container(&'a Container),
    /// In a table of the configuration file.
    File(&'a FileRoute),
}

/// One label, or one key of a file's table, known to be one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Label<'a> {
    pub source: Source<'a>,
    pub key: &'static Key,
    /// The open end of the key as written: a header's name.
    pub tail: &'a str,
    pub mark: Mark<'a>,
}

impl Source<'_> {
    /// What the user calls what stands there.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Container(_) => "label",
            Self::File(_) => "key",
        }
    }

    /// A diagnostic about a key: the caret stands under all of it.
    pub(crate) fn about_key(self, mark: Mark<'_>, finding: Finding, effect: String) -> Diagnostic {
        let text = cut(mark.label);
        let span = Span { start: 0, end: text.len() };
        diagnostic(self.place(mark), finding, text, span, effect)
    }

    /// A diagnostic about the whole container or table.
    pub(crate) fn about(self, finding: Finding, effect: String) -> Diagnostic {
        diagnostic(self.place(Mark::default()), finding, String::new(), Span::default(), effect)
    }

    /// A diagnostic about a value that may be shown.
    pub(crate) fn about_value(self, mark: Mark<'_>, finding: Finding, effect: String) -> Diagnostic {
        if mark.value.len() > VALUE_LEN_MAX || mark.value.is_empty() {
            return self.about_key(mark, finding, effect);
        }
        // Findings were made of the value without the white space around it.
        let offset = mark.value.len() - mark.value.trim_start().len();
        let span = Span { start: finding.span.start + offset, end: finding.span.end + offset };
        diagnostic(self.place(mark), finding, mark.value.to_owned(), span, effect)
    }

    pub(crate) fn place(self, mark: Mark<'_>) -> Place {
        match self {
            Self::Container(container) => Place {
                container: cut(&container.name).into(),
                project: container.project().map(|project| cut(project).into()),
                label: cut(mark.label).into(),
                file: None,
            },
            Self::File(route) => mark.place.unwrap_or(&route.place).clone(),
        }
    }
}

impl<'a> Label<'a> {
    /// The value without the white space around it.
    pub(crate) fn value(&self) -> &'a str {
        self.mark.value.trim()
    }

    /// A diagnostic about the value, or about the key where the value is nobody's business.
    pub(crate) fn found(&self, finding: Finding, effect: String) -> Diagnostic {
        if self.is_secret() {
            return self.source.about_key(self.mark, finding, effect);
        }
        self.source.about_value(self.mark, finding, effect)
    }

    /// May the value be something that is nobody's business?
    pub(crate) fn is_secret(&self) -> bool {
        let may_have_password = matches!(self.key.name, "redirect" | "upstream") && self.mark.value.contains('@');
        self.key.name.starts_with("auth.") || is_secret_name(self.tail) || may_have_password
    }

    /// What is wrong with a value of any kind, before anybody reads it.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        let value = self.mark.value;
        // A rule says more about itself than could be said here.
        let is_rule = self.key.value == "expression";
        if value.len() > VALUE_LEN_MAX && is_rule {
            return Ok(());
        }
        if value.len() > VALUE_LEN_MAX {
            return Err(Finding::error(
                codes::VALUE_TOO_LONG,
                0..0,
                format!("value of {} bytes is too long", value.len()),
                format!("at most {VALUE_LEN_MAX} bytes"),
                "shorten it; a route with many hosts can be written as several routes",
            ));
        }
        let value = self.value();
        let may_be_empty = is_rule || self.key.name.ends_with(".header.<Name>");
        if value.is_empty() && !may_be_empty {
            return Err(Finding::error(
                codes::VALUE_EMPTY,
                0..0,
                "empty value",
                "has no value",
                "write a value, or remove the label; a variable of the compose file may not be set",
            ));
        }
        let may_have_lines = is_rule || self.key.value.starts_with("list");
        let is_refused = |char: char| char.is_control() && !(may_have_lines && matches!(char, '\n' | '\r' | '\t'));
        if let Some((at, char)) = value.char_indices().find(|(_, char)| is_refused(*char)) {
            return Err(Finding::error(
                codes::VALUE_CONTROL,
                at..at + char.len_utf8(),
                format!("control character `{}` in a value", char.escape_default()),
                "not text",
                "remove it",
            ));
        }
        Ok(())
    }
}

/// Does a header or a parameter of this name carry what is nobody's business?
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "auth", "cookie", "credential"].iter().any(|word| name.contains(word))
}

/// An error that is not about a span of the value.
pub(crate) fn whole(code: Code, message: impl Into<String>, note: &str, help: impl Into<String>) -> Finding {
    Finding::error(code, 0..0, message, note, help)
}

/// A text that is as long as people read.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(KEY_SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn diagnostic(place: Place, finding: Finding, text: String, span: Span, effect: String) -> Diagnostic {
    let Finding { code, severity, message, note, help, .. } = finding;
    debug_assert!(!effect.is_empty() && severity <= Severity::Warning);
    Diagnostic { code, severity, message, place, text, span, note, help, effect }
}
