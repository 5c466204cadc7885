//! Who is let in after a log-in at an OpenID provider: `auth.oidc`, `auth.users`, `auth.groups`, `auth.domains`.

use std::fmt::{self, Display, Formatter};

/// The path below which Gangway itself answers at the hosts of such routes, whatever their own paths are. Applications never
/// get requests for it.
pub const OIDC_PATH: &str = "/.gangway/oidc";

/// Clients log in at a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OidcAuth {
    /// The provider's name in the configuration file.
    pub provider: Box<str>,
    /// Who of its users is let in. Empty lists narrow nothing; of several lists a user has to be in each.
    pub users: Vec<Box<str>>,
    /// Groups of which a user needs one.
    pub groups: Vec<Box<str>>,
    /// Domains of e-mail addresses, in lower case, of which a user needs one.
    pub domains: Vec<Box<str>>,
    /// The access tokens of the provider that let clients in besides log-ins; none without `auth.bearer`.
    pub bearer: Option<BearerAudience>,
    /// Whether the application gets such a token.
    pub keep: bool,
}

/// Whom an access token has to be for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BearerAudience {
    /// The client of Gangway at the provider.
    Client,
    /// This audience.
    Named(Box<str>),
}

/// A user, as a provider says.
#[derive(Clone, Copy, Debug)]
pub struct OidcUser<'a> {
    /// Unique at the provider, and never given to somebody else.
    pub subject: &'a str,
    /// The name that the user goes by.
    pub name: Option<&'a str>,
    /// An address that is certainly the user's.
    pub email: Option<&'a str>,
    /// The user's groups.
    pub groups: &'a [String],
}

impl OidcAuth {
    /// Whether only some of the provider's users are let in.
    pub fn is_narrowed(&self) -> bool {
        !(self.users.is_empty() && self.groups.is_empty() && self.domains.is_empty())
    }

    /// Whether a user may use the route. An entry of `auth.users` with `@` is an address, one with `sub:` in front a subject,
    /// and any other a name.
    pub fn admits(&self, user: OidcUser<'_>) -> bool {
        let is_user = |entry: &str| match (entry.strip_prefix("sub:"), entry.contains('@')) {
            (Some(subject), _) => subject == user.subject,
            (None, true) => user.email.is_some_and(|email| email.eq_ignore_ascii_case(entry)),
            (None, false) => user.name == Some(entry),
        };
        let domain = user.email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        let is_of = |known: &str| domain.is_some_and(|domain| domain.eq_ignore_ascii_case(known));
        (self.users.is_empty() || self.users.iter().any(|entry| is_user(entry)))
            && (self.groups.is_empty()
                || self.groups.iter().any(|known| user.groups.iter().any(|one| **one == **known)))
            && (self.domains.is_empty() || self.domains.iter().any(|known| is_of(known)))
    }
}

/// As labels would have it.
impl Display for OidcAuth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "auth.oidc {}", self.provider)?;
        for (key, entries) in [("users", &self.users), ("groups", &self.groups), ("domains", &self.domains)] {
            if !entries.is_empty() {
                write!(f, "; auth.{key} {}", entries.join(", "))?;
            }
        }
        match &self.bearer {
            None => {}
            Some(BearerAudience::Client) => f.write_str("; auth.bearer true")?,
            Some(BearerAudience::Named(audience)) => write!(f, "; auth.bearer {audience}")?,
        }
        if self.keep { f.write_str("; auth.keep") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(users: &[&str], groups: &[&str], domains: &[&str]) -> OidcAuth {
        let boxed = |all: &[&str]| all.iter().map(|one| Box::from(*one)).collect();
        let (users, groups, domains) = (boxed(users), boxed(groups), boxed(domains));
        OidcAuth { provider: "home".into(), users, groups, domains, bearer: None, keep: false }
    }

    #[test]
    fn a_user_has_to_be_in_each_list_that_there_is() {
        let groups = ["users".to_owned(), "admins".to_owned()];
        let ann = OidcUser { subject: "s-1", name: Some("ann"), email: Some("Ann@Example.org"), groups: &groups };
        for (auth, is_let_in) in [
            (auth(&[], &[], &[]), true),
            (auth(&["bob", "ann"], &[], &[]), true),
            (auth(&["ANN"], &[], &[]), false),
            (auth(&["ann@example.org"], &[], &[]), true),
            (auth(&["sub:s-1"], &[], &[]), true),
            (auth(&["s-1"], &[], &[]), false),
            (auth(&["sub:ann"], &[], &[]), false),
            (auth(&[], &["admins"], &[]), true),
            (auth(&[], &["admin", "Admins"], &[]), false),
            (auth(&[], &[], &["example.org"]), true),
            (auth(&[], &[], &["org", "a.example.org"]), false),
            (auth(&["ann"], &["root"], &[]), false),
            (auth(&["bob"], &["admins"], &["example.org"]), false),
            (auth(&["ann"], &["admins"], &["example.org"]), true),
        ] {
            assert_eq!(auth.admits(ann), is_let_in, "{auth}");
        }
        let unknown = OidcUser { subject: "s-2", name: None, email: None, groups: &[] };
        for narrowed in [auth(&["ann"], &[], &[]), auth(&[], &["admins"], &[]), auth(&[], &[], &["example.org"])] {
            assert!(!narrowed.admits(unknown), "{narrowed}");
        }
    }
}
