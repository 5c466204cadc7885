//! Errors about settings, as values. They become diagnostics only when the caller says what they cause.

use gangway_diagnostic::{Diagnostic, Severity, codes};

use super::schema::Flag;
use super::value::{SettingMessage, SettingValue};

/// An error about one value of one setting.
#[derive(Clone, Debug)]
pub(crate) struct SettingError {
    pub(crate) flag: &'static Flag,
    pub(crate) value: SettingValue,
    pub(crate) problem: SettingProblem,
}

/// The kind of error about the value of a setting.
#[derive(Clone, Debug)]
pub(crate) enum SettingProblem {
    /// The value cannot be used.
    Unusable(ValueError),
    /// `--acme-wildcard` needs `--acme-dns`. Each name below gets a certificate of its own instead.
    WildcardWithoutDns,
}

/// Why a text is not a value of its setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ValueError {
    /// The text at the caret.
    pub(crate) note: String,
    /// An action for the user.
    pub(crate) help: String,
    pub(crate) scope: ErrorScope,
}

/// Where an error about a value holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ErrorScope {
    /// The text itself is wrong.
    Everywhere,
    /// The text may be right on another machine: it depends on files, programs or secrets.
    ThisMachine,
}

impl ValueError {
    pub(crate) fn new(note: impl Into<String>, help: impl Into<String>) -> Self {
        Self { note: note.into(), help: help.into(), scope: ErrorScope::Everywhere }
    }

    /// The same error, which may not hold on another machine.
    pub(crate) fn on_this_machine(self) -> Self {
        Self { scope: ErrorScope::ThisMachine, ..self }
    }

    pub(crate) fn empty() -> Self {
        Self::new("empty", "write a value, or leave it out")
    }

    pub(crate) fn given_twice() -> Self {
        Self::new("one value only", "give it once")
    }

    /// The text is none of a few known words.
    pub(crate) fn unknown_word(text: &str, known: &[&str]) -> Self {
        let list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        match gangway_diagnostic::nearest(text, known.iter().copied()) {
            Some(nearest) => Self::new("unknown", format!("did you mean `{nearest}`? Known are {list}")),
            None => Self::new("unknown", format!("one of {list}")),
        }
    }
}

impl SettingError {
    /// Whether Gangway cannot run with these settings.
    pub(crate) fn is_fatal(&self) -> bool {
        match self.problem {
            SettingProblem::Unusable(_) => true,
            SettingProblem::WildcardWithoutDns => false,
        }
    }

    /// Whether the error holds on every machine, and not only on this one.
    pub(crate) fn holds_everywhere(&self) -> bool {
        match &self.problem {
            SettingProblem::Unusable(error) => error.scope == ErrorScope::Everywhere,
            SettingProblem::WildcardWithoutDns => true,
        }
    }

    /// The diagnostic about it. `effect` says what a fatal error causes.
    pub(crate) fn diagnostic(&self, effect: &str) -> Diagnostic {
        let name = self.value.name_of(self.flag);
        let (code, message, note, help, effect) = match &self.problem {
            SettingProblem::Unusable(ValueError { note, help, scope: _ }) => {
                (codes::SETTING_UNUSABLE, format!("unusable value of `{name}`"), note.as_str(), help.as_str(), effect)
            }
            SettingProblem::WildcardWithoutDns => (
                codes::SETTING_UNUSABLE,
                format!("`{name}` does nothing without `--acme-dns`"),
                "authorities give wildcard certificates for a DNS record only",
                "name a DNS provider with `--acme-dns`, or take it out",
                "each host gets a certificate of its own",
            ),
        };
        let message =
            SettingMessage { message, note: note.to_owned(), help: help.to_owned(), effect: effect.to_owned() };
        self.value.diagnostic(self.flag, code, Severity::Error, message)
    }
}
