//! Who has to log in, and how: `auth.*`.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::{Finding, codes, quoted};

use crate::forward_auth::ForwardAuth;
use crate::password_hash::PasswordHash;
use crate::path::{PathPattern, other_readings};

/// The realm where none is written.
pub(crate) const REALM_DEFAULT: &str = "restricted";

/// Clients have to log in before a request is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authentication {
    /// How they log in.
    pub method: LoginMethod,
    /// Paths that need no log-in.
    pub skip: Vec<PathPattern>,
}

/// How clients log in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoginMethod {
    /// By a user name and a password in `Authorization` (RFC 7617).
    Basic(BasicAuth),
    /// As a service says that is asked about each request.
    Forward(ForwardAuth),
}

/// Who is let in by name and password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BasicAuth {
    /// Each name stands once.
    pub users: Vec<BasicUser>,
    /// Names of lists of users on the volume.
    pub lists: Vec<Box<str>>,
    /// The realm in the challenge to clients, without quotes and control characters.
    pub realm: Box<str>,
    /// Whether the application gets `Authorization` too.
    pub keep: bool,
}

/// One user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BasicUser {
    /// Without a colon, and not empty.
    pub name: Box<str>,
    /// The hash of the user's password.
    pub hash: PasswordHash,
}

impl Authentication {
    /// How another service is asked, if one is.
    pub fn forward(&self) -> Option<&ForwardAuth> {
        match &self.method {
            LoginMethod::Forward(forward) => Some(forward),
            LoginMethod::Basic(_) => None,
        }
    }

    /// Whether a request for a path passes without a log-in. `path` is in the form in which paths are compared. Where
    /// applications may read it in several ways, all of them have to be such paths: closed on doubt.
    pub fn is_skipped(&self, path: &str) -> bool {
        let skips = |path: &str| self.skip.iter().any(|pattern| pattern.matches(path));
        !self.skip.is_empty() && skips(path) && other_readings(path).iter().all(|reading| skips(reading))
    }
}

impl BasicUser {
    /// Reads `user:hash`. The finding never repeats the hash.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let not =
            |note: &str, help: &str| Finding::error(codes::BASIC_USER, 0..0, "not a user with a hash", note, help);
        let (name, hash) = text
            .split_once(':')
            .ok_or_else(|| not("no colon", "write `user:hash`, as `gangway hash --user` prints it"))?;
        if name.is_empty() || name.chars().any(|char| char.is_control() || char.is_whitespace()) {
            return Err(not("the name is empty", "write a name in front of the colon"));
        }
        let of_user =
            |finding: Finding| Finding { message: format!("{} for user {}", finding.message, quoted(name)), ..finding };
        Ok(Self { name: name.into(), hash: PasswordHash::parse(hash).map_err(of_user)? })
    }
}

/// As labels would have it, without anything secret.
impl Display for Authentication {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.method {
            LoginMethod::Basic(basic) => {
                let users = basic.users.iter().map(|user| user.name.to_string());
                let lists = basic.lists.iter().map(|list| format!("@{list}"));
                write!(f, "auth.basic {}", users.chain(lists).collect::<Vec<_>>().join(", "))?;
            }
            LoginMethod::Forward(forward) => forward.fmt(f)?,
        }
        match &self.skip[..] {
            [] => Ok(()),
            skip => write!(f, "; auth.skip {}", skip.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_skipped_only_in_both() {
        let skip = |patterns: &[&str]| Authentication {
            method: LoginMethod::Basic(BasicAuth { users: vec![], lists: vec![], realm: "".into(), keep: false }),
            skip: patterns.iter().map(|text| PathPattern::parse(text, &mut Vec::new()).expect("valid")).collect(),
        };
        let api = skip(&["/api", "=/status"]);
        for (path, is_skipped) in [
            ("/api", true),
            ("/api/x", true),
            ("/apix", false),
            ("/status", true),
            ("/status/x", false),
            ("/", false),
            ("/api/a%2Fb", true),
            ("/api/..%2Fadmin", false),
            ("/api/..;/admin", false),
            ("/api/..\\admin", false),
            ("/x/..%2Fapi", false),
            ("/api;x", false),
            ("/admin;/api", false),
        ] {
            assert_eq!(api.is_skipped(path), is_skipped, "{path}");
        }
        assert!(!skip(&[]).is_skipped("/"));
    }

    #[test]
    fn a_user_has_a_name_and_a_hash() {
        let user = BasicUser::parse("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=").expect("valid");
        assert_eq!(&*user.name, "ann");
        for text in [
            "ann",
            ":{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "ann:",
            "ann:secret-secret",
            "a\u{1}n:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        ] {
            let finding = BasicUser::parse(text).expect_err(text);
            assert!(!format!("{finding:?}").contains("secret-secret"));
        }
    }
}
