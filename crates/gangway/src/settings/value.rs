//! Settings as written: texts with the place where each was given, before any of them is parsed.

use std::collections::BTreeMap;

use gangway_diagnostic::{Code, Diagnostic, FilePosition, Place, Severity, Span};

use super::schema::Flag;

/// One value as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SettingValue {
    pub(crate) text: String,
    pub(crate) origin: SettingOrigin,
}

/// The place where a value was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SettingOrigin {
    Flag,
    Variable,
    /// An environment variable that is not Gangway's own, such as `DOCKER_HOST`.
    ForeignVariable(&'static str),
    File(FileSpot),
    /// A key of a table of the config file.
    Key(Place),
    /// An option of Traefik, where Gangway runs in its place.
    Traefik(&'static str),
    Default,
}

/// A piece of the config file, with its line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FileSpot {
    pub(crate) position: FilePosition,
    pub(crate) line: String,
    pub(crate) span: Span,
}

/// The message of a diagnostic and what belongs to it.
#[derive(Debug)]
pub(crate) struct SettingMessage {
    pub(crate) message: String,
    /// The text at the caret.
    pub(crate) note: String,
    pub(crate) help: String,
    pub(crate) effect: String,
}

impl SettingValue {
    pub(crate) fn flag(text: impl Into<String>) -> Self {
        Self { text: text.into(), origin: SettingOrigin::Flag }
    }

    pub(crate) fn variable(text: impl Into<String>) -> Self {
        Self { text: text.into(), origin: SettingOrigin::Variable }
    }

    /// A diagnostic about this value of `flag`, with the whole value under the caret.
    pub(crate) fn diagnostic(
        &self,
        flag: &Flag,
        code: Code,
        severity: Severity,
        message: SettingMessage,
    ) -> Diagnostic {
        let (text, span) = match &self.origin {
            SettingOrigin::File(spot) => (spot.line.clone(), spot.span),
            _ => (self.text.clone(), Span::of(&self.text)),
        };
        let SettingMessage { message, note, help, effect } = message;
        Diagnostic { code, severity, message, place: self.place(flag), text, span, note, help, effect }
    }

    /// The place where this value of `flag` was written.
    pub(crate) fn place(&self, flag: &Flag) -> Place {
        let name = self.name_of(flag).into();
        match &self.origin {
            SettingOrigin::File(spot) => Place::ConfigFile { key: Some(name), at: spot.position.clone() },
            SettingOrigin::Key(place) => place.clone(),
            SettingOrigin::Traefik(option) => Place::Name((*option).into()),
            SettingOrigin::Flag | SettingOrigin::Default => Place::Flag(name),
            SettingOrigin::Variable | SettingOrigin::ForeignVariable(_) => Place::Variable(name),
        }
    }

    /// The name under which the user gave this value of `flag`: a flag, a variable or a key.
    pub(crate) fn name_of(&self, flag: &Flag) -> String {
        match &self.origin {
            SettingOrigin::Flag | SettingOrigin::Default => format!("--{}", flag.name),
            SettingOrigin::Variable => flag.variable(),
            SettingOrigin::ForeignVariable(name) | SettingOrigin::Traefik(name) => (*name).to_owned(),
            SettingOrigin::Key(place) => place.subject().unwrap_or(flag.name).to_owned(),
            SettingOrigin::File(_) => flag.name.to_owned(),
        }
    }
}

/// The values that one place gives, or several merged by precedence.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Layer(BTreeMap<&'static Flag, Vec<SettingValue>>);

impl Layer {
    /// Everything given for a setting; empty if nothing is.
    pub(crate) fn get(&self, flag: &Flag) -> &[SettingValue] {
        self.0.get(flag).map_or(&[], Vec::as_slice)
    }

    /// The text that was given last for a setting.
    pub(crate) fn last(&self, flag: &Flag) -> Option<&str> {
        self.get(flag).last().map(|value| value.text.as_str())
    }

    /// Whether anything is given for a setting, even an empty list.
    pub(crate) fn contains(&self, flag: &Flag) -> bool {
        self.0.contains_key(flag)
    }

    /// Replaces the values of a setting.
    pub(crate) fn set(&mut self, flag: &'static Flag, values: Vec<SettingValue>) {
        self.0.insert(flag, values);
    }

    /// Takes away what is given for a setting.
    pub(crate) fn remove(&mut self, flag: &Flag) {
        self.0.remove(flag);
    }

    /// Adds a value to a setting that may be given several times.
    pub(crate) fn push(&mut self, flag: &'static Flag, value: SettingValue) {
        self.0.entry(flag).or_default().push(value);
    }

    /// This layer with another one above it, of which every setting takes precedence as a whole.
    pub(crate) fn overlaid_by(mut self, above: Self) -> Self {
        self.0.extend(above.0);
        self
    }

    /// This layer with only the settings for which `is_kept` holds.
    pub(crate) fn filtered(mut self, is_kept: impl Fn(&Flag) -> bool) -> Self {
        self.0.retain(|flag, _| is_kept(flag));
        self
    }
}

impl FromIterator<(&'static Flag, Vec<SettingValue>)> for Layer {
    fn from_iter<I: IntoIterator<Item = (&'static Flag, Vec<SettingValue>)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The items of a list, separated by commas or white space.
pub(crate) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| char == ',' || char.is_whitespace()).filter(|item| !item.is_empty())
}
