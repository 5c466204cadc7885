//! Lists of users that labels name.

use std::collections::BTreeMap;

use gangway_model::BasicUser;

/// The lists of users that are there, by name.
#[derive(Clone, Debug, Default)]
pub struct UserLists(BTreeMap<Box<str>, Vec<BasicUser>>);

impl UserLists {
    /// The lists by name.
    pub fn new(lists: BTreeMap<Box<str>, Vec<BasicUser>>) -> Self {
        Self(lists)
    }

    pub(super) fn get(&self, name: &str) -> Option<&[BasicUser]> {
        self.0.get(name).map(Vec::as_slice)
    }
}
