//! Labels as written, and diagnostics that point at them. Shared by all dialects.

use crate::key_origin::KeyPlace;
use crate::settings::{FileRoute, MiddlewareTable};
use crate::snapshot::Container;
use gangway_diagnostic::Finding;
use gangway_diagnostic::{Code, Diagnostic, Place, Span};

/// Longer keys are cut where they are shown.
const KEY_SHOWN_MAX: usize = 200;

/// A longer value is refused, and is not repeated in a diagnostic.
pub(crate) const VALUE_LEN_MAX: usize = 4096;

/// Where labels were written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// On a container.
    Container(&'a Container),
    /// In the table of a route in the configuration file.
    File(&'a FileRoute),
    /// In a shared definition of the configuration file.
    Definition(&'a MiddlewareTable),
    /// In files of Traefik's file provider; each key has a place of its own, and this is that of the first.
    Provider(&'a Place),
}

/// A place in what the user wrote that a later step may have to point at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark<'s> {
    /// The whole label; empty where nothing was written.
    pub label: &'s str,
    /// Its value.
    pub value: &'s str,
    /// The place in the file, for a key of the configuration file.
    pub place: Option<&'s Place>,
}

impl Source<'_> {
    /// What the user calls what stands there.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Container(_) => "label",
            Self::File(_) | Self::Definition(_) | Self::Provider(_) => "key",
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

    /// Where the key of a route was written. A shared definition is used by default, or because the route says so.
    pub(crate) fn key_place(self, mark: Mark<'_>, is_default: bool) -> KeyPlace {
        match self {
            Self::Container(_) => KeyPlace::Label(cut(mark.label).into()),
            Self::File(_) | Self::Provider(_) => KeyPlace::File(Box::new(self.place(mark))),
            Self::Definition(table) => KeyPlace::Definition { name: table.name.clone(), is_default },
        }
    }

    fn place(self, mark: Mark<'_>) -> Place {
        match self {
            Self::Container(container) => Place::Container {
                name: cut(&container.name).into(),
                project: container.project().map(|project| cut(project).into()),
                label: Some(mark.label).filter(|label| !label.is_empty()).map(|label| cut(label).into()),
            },
            Self::File(route) => mark.place.unwrap_or(&route.place).clone(),
            Self::Definition(table) => mark.place.unwrap_or(&table.place).clone(),
            Self::Provider(place) => mark.place.unwrap_or(place).clone(),
        }
    }
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
    debug_assert!(!effect.is_empty());
    Diagnostic { code, severity, message, place, text, span, note, help, effect }
}
