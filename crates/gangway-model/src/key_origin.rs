//! Where the keys of a route were written, for people.

use std::borrow::Cow;

use gangway_diagnostic::Place;

/// Where a key of a route was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyOrigin {
    /// The key, such as `allow` or `response.header.X-Frame-Options`.
    pub key: Cow<'static, str>,
    /// Where it was written.
    pub place: KeyPlace,
}

/// A place where a key of a route was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyPlace {
    /// In this label of its containers, which is given whole and as written.
    Label(Box<str>),
    /// In a file.
    File(Box<Place>),
    /// In a shared definition.
    Definition {
        /// The name of the definition.
        name: Box<str>,
        /// Whether it is used by default, and not because the route says so.
        is_default: bool,
    },
}

impl KeyOrigin {
    /// The shared definition that the key comes from, and whether it is used by default. None where the route says the key.
    pub fn definition(&self) -> Option<(&str, bool)> {
        match &self.place {
            KeyPlace::Definition { name, is_default } => Some((name, *is_default)),
            KeyPlace::Label(_) | KeyPlace::File(_) => None,
        }
    }

    /// Whether the key comes from a shared definition that is used by default.
    pub fn is_default(&self) -> bool {
        self.definition().is_some_and(|(_, is_default)| is_default)
    }
}
