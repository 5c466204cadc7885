//! One finding of `check`: a diagnostic of the model, or one about the compose file itself, with its
//! place in a file.

use std::ops::Range;

use gangway_model::codes::{VARIABLE_REFUSED, VARIABLE_UNSET};
use gangway_model::{Code, Diagnostic, Severity};

use crate::interpolation::{VariableError, VariableProblem};
use crate::source_map::FileSpan;
use crate::spanned_text::TextLocation;

/// How much it matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    Error,
    Warning,
    /// Good to know, and nothing is wrong.
    Note,
}

/// What was found, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    pub code: Code,
    pub level: Level,
    pub message: String,
    pub subject: Subject,
    pub at: FileSpan,
    /// The value and the part of it that is meant, where the file does not show it: it came from variables.
    pub value: Option<(String, Range<usize>)>,
    /// What the caret says.
    pub note: String,
    pub help: String,
    pub effect: String,
}

/// What a finding is about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    pub service: Option<String>,
    pub label: Option<String>,
    /// Of the config file.
    pub key: Option<String>,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Note => Self::Note,
        }
    }
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Subject {
    pub fn service(name: &str) -> Self {
        Self { service: Some(name.to_owned()), ..Self::default() }
    }

    pub fn label(service: &str, label: &str) -> Self {
        Self { service: Some(service.to_owned()), label: Some(label.to_owned()), key: None }
    }
}

impl Finding {
    /// An error at a place; say the rest with the methods below.
    pub fn error(code: Code, at: FileSpan, message: impl Into<String>) -> Self {
        Self {
            code,
            level: Level::Error,
            message: message.into(),
            subject: Subject::default(),
            at,
            value: None,
            note: String::new(),
            help: String::new(),
            effect: String::new(),
        }
    }

    pub fn warning(code: Code, at: FileSpan, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, at, message) }
    }

    /// Something that leaves the exit code at 0.
    pub fn remark(code: Code, at: FileSpan, message: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::error(code, at, message) }
    }

    /// A diagnostic of the model, at its place in a file.
    pub fn of_diagnostic(diagnostic: &Diagnostic, span: FileSpan) -> Self {
        Self { level: diagnostic.severity.into(), ..Self::error(diagnostic.code, span, diagnostic.message.clone()) }
            .note(diagnostic.note.clone())
            .help(diagnostic.help.clone())
            .effect(diagnostic.effect.clone())
    }

    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = effect.into();
        self
    }

    /// Shows the value as well where the file does not.
    pub fn value(mut self, location: &TextLocation, value: &str, part: Range<usize>) -> Self {
        self.value = location.from_variable.then(|| (value.to_owned(), part));
        self
    }
}

/// A finding from a reference to a variable. `inside` tells whether the service sets that name for its
/// own process, which is the usual misunderstanding.
pub(crate) fn about_variable(error: VariableError, inside: impl Fn(&str) -> bool) -> Finding {
    let VariableError { problem, span } = error;
    match problem {
        VariableProblem::Unset(name) => {
            let help = if inside(&name) {
                format!(
                    "`environment` and `env_file` set variables inside the container only; set `{name}` in `.env` \
                     beside the compose file, or give a default: `${{{name}:-value}}`"
                )
            } else {
                format!(
                    "set `{name}` in `.env` beside the compose file, or give a default: `${{{name}:-value}}`; where \
                     a `$` is meant, write `$$`"
                )
            };
            Finding::warning(VARIABLE_UNSET, span, format!("the variable `{name}` is not set"))
                .note("not set here")
                .help(help)
                .effect("it was taken as empty, as compose does")
        }
        VariableProblem::Required(name, message) => {
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            Finding::error(VARIABLE_REFUSED, span, format!("the variable `{name}` must be set{message}"))
                .note("required")
                .help(format!("set `{name}` in `.env` beside the compose file"))
                .effect("compose starts nothing of this file; it was taken as empty here")
        }
        VariableProblem::Invalid => Finding::error(VARIABLE_REFUSED, span, "this `$` begins no variable")
            .note("not a name behind it")
            .help("write `$$` where a `$` is meant, as in password hashes")
            .effect("compose starts nothing of this file; the value was taken as written here"),
    }
}
