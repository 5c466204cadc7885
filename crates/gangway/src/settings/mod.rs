//! Global settings from flags, variables and the config file: precedence, checks, and what comes out.
//!
//! A setting that is given in several places is taken from the first of these: flag, variable, file.
//! Everything wrong is reported, not the first thing only; it is worded as a diagnostic, and what
//! becomes of it (an end at the start, the last settings while running) is decided by the caller.

mod environment;
pub(crate) mod file;
#[cfg(test)]
pub(crate) mod page;
pub(crate) mod reload;
pub(crate) mod schema;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;

use gangway_model::diagnostic::{FilePosition, Span};
use gangway_model::settings::FileRoute;
use gangway_model::{Code, Diagnostic, Place, Severity};

pub(crate) use environment::variables;
pub(crate) use values::{AccessLog, LogFormat, LogLevel, Settings};

use self::file::Config;
use self::schema::{CONFIG, Flag};

/// What one place gives: values by the name of the setting.
pub(crate) type Layer = BTreeMap<&'static str, Vec<Given>>;

/// One value as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Where a value was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    Flag,
    Variable,
    File(FileSpot),
    Default,
}

/// A piece of the config file, with the line it stands in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FileSpot {
    pub(crate) position: FilePosition,
    pub(crate) line: String,
    pub(crate) span: Span,
}

/// Said where nothing was put in force.
pub(crate) const NOT_STARTED: &str = "Gangway does not start";

/// All that was given, by precedence, and the routes of the file.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) given: Layer,
    pub(crate) file: Option<PathBuf>,
    pub(crate) routes: Vec<FileRoute>,
}

/// Flags and variables, as they were when the process started; they cannot change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixed {
    given: Layer,
}

impl Fixed {
    /// Flags go before variables.
    pub(crate) fn new(flags: Layer, variables: Layer) -> Self {
        let mut given = variables;
        given.extend(flags);
        Self { given }
    }

    /// The config file, if one is named.
    pub(crate) fn config_file(&self) -> Option<PathBuf> {
        self.given.get(CONFIG.name)?.last().map(|given| PathBuf::from(&given.text))
    }

    /// With what the config file gives underneath.
    pub(crate) fn over(&self, config: Config) -> Layers {
        let mut given = config.globals;
        given.extend(self.given.clone());
        Layers { given, file: self.config_file(), routes: config.routes }
    }

    /// Reads the config file, if one is named, and puts all together.
    pub(crate) fn read(&self, diagnostics: &mut Vec<Diagnostic>) -> Option<Layers> {
        let Some(path) = self.config_file() else { return Some(self.over(Config::default())) };
        let text = match file::read(&path) {
            Ok(text) => text,
            Err(error) => {
                diagnostics.push(error.diagnostic(&path, NOT_STARTED));
                return None;
            }
        };
        match file::parse(&path.display().to_string(), &text, NOT_STARTED) {
            Ok(config) => Some(self.over(config)),
            Err(found) => {
                diagnostics.extend(found);
                None
            }
        }
    }
}

impl Layers {
    /// What counts as given for a setting: its default where nothing else is.
    pub(crate) fn values(&self, flag: &Flag) -> Vec<Given> {
        let default = || match flag.default {
            "" => Vec::new(),
            text => vec![Given { text: text.to_owned(), origin: Origin::Default }],
        };
        self.given.get(flag.name).cloned().unwrap_or_else(default)
    }
}

impl Given {
    pub(crate) fn flag(text: impl Into<String>) -> Self {
        Self { text: text.into(), origin: Origin::Flag }
    }

    pub(crate) fn variable(text: impl Into<String>) -> Self {
        Self { text: text.into(), origin: Origin::Variable }
    }

    /// A finding about this value of `flag`, with all of it under the caret.
    pub(crate) fn diagnostic(&self, flag: &Flag, code: Code, severity: Severity, finding: Wording) -> Diagnostic {
        let (file, text, span) = match &self.origin {
            Origin::File(spot) => (Some(spot.position.clone()), spot.line.clone(), spot.span),
            _ => (None, self.text.clone(), Span { start: 0, end: self.text.len() }),
        };
        let place = Place { label: self.name_of(flag).into(), file, ..Place::default() };
        let Wording { message, note, help, effect } = finding;
        Diagnostic { code, severity, message, place, text, span, note, help, effect }
    }

    /// What the user wrote to give it.
    pub(crate) fn name_of(&self, flag: &Flag) -> String {
        match self.origin {
            Origin::Flag | Origin::Default => format!("--{}", flag.name),
            Origin::Variable => flag.variable(),
            Origin::File(_) => flag.name.to_owned(),
        }
    }
}

/// The words of a finding.
#[derive(Debug)]
pub(crate) struct Wording {
    pub(crate) message: String,
    pub(crate) note: String,
    pub(crate) help: String,
    pub(crate) effect: String,
}
