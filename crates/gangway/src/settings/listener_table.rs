//! The tables `[listeners.<name>]` of the config file, as written.

use gangway_diagnostic::Place;

use super::value::{SettingOrigin, SettingValue};

/// One `[listeners.<name>]` table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListenerTable {
    /// `<name>`, as it is written there.
    pub(crate) name: SettingValue,
    /// Keys and their values; lists were joined with commas.
    pub(crate) keys: Vec<(Box<str>, SettingValue)>,
}

impl ListenerTable {
    pub(crate) fn new(name: &str, keys: Vec<(Box<str>, Box<str>, Place)>, place: Place) -> Self {
        let value = |text: &str, place| SettingValue { text: text.to_owned(), origin: SettingOrigin::Key(place) };
        let keys = keys.into_iter().map(|(key, text, place)| (key, value(&text, place))).collect();
        Self { name: value(name, place), keys }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&SettingValue> {
        self.keys.iter().find(|(known, _)| **known == *key).map(|(_, value)| value)
    }
}
