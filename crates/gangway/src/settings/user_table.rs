//! `[users.<name>]` tables of the config file: lists of users, which `auth.basic` names as `@<name>`.

use gangway_diagnostic::{Diagnostic, Place, Span, codes};
use gangway_model::BasicUser;

/// One table: user names with the hashes of their passwords.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UserTable {
    /// `<name>`.
    pub(crate) name: Box<str>,
    /// User, hash and where it stands.
    pub(crate) users: Vec<(Box<str>, Box<str>, Place)>,
    /// Where the table itself stands.
    pub(crate) place: Place,
}

impl UserTable {
    /// The users that can be let in, and what is wrong with the others. No hash is repeated.
    pub(crate) fn parse(&self) -> (Vec<BasicUser>, Vec<Diagnostic>) {
        let (mut users, mut found) = (Vec::new(), Vec::new());
        for (name, hash, place) in &self.users {
            match BasicUser::parse(&format!("{name}:{hash}")) {
                // A colon in a name would make it another one.
                Ok(user) if user.name == *name => users.push(user),
                Ok(_) | Err(_) => found.push(
                    Diagnostic::error(codes::USER_LIST, place.clone(), format!("`{name}` is not a user with a hash"))
                        .with_caret(key(place), Span::of(key(place)), "no hash of a password that is known")
                        .with_help("write `name = \"hash\"`, with a hash that `gangway hash` prints")
                        .with_effect("the other users of the list are let in"),
                ),
            }
        }
        (users, found)
    }
}

/// The key, which is pointed at instead of the hash.
fn key(place: &Place) -> &str {
    place.subject().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_with_a_hash_are_let_in_and_no_hash_is_repeated() {
        let entry = |name: &str, hash: &str| (name.into(), hash.into(), Place::Configuration);
        let good = "{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=";
        let users = vec![entry("ann", good), entry("bob", "hunter2"), entry("a:b", good)];
        let (users, found) = UserTable { users, ..UserTable::default() }.parse();
        assert_eq!(users.iter().map(|user| &*user.name).collect::<Vec<_>>(), ["ann"]);
        assert_eq!(found.len(), 2);
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
