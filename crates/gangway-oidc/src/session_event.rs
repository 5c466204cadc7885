//! What happens to sessions, for a register that all instances share.

use std::collections::{HashMap, HashSet};

use tokio::sync::oneshot;

use crate::logout_token::EndedAtProvider;
use crate::session::{Session, SessionId};
use crate::time::UnixSeconds;

/// Sessions that count no more although their cookies could be opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndedSessions {
    ids: HashSet<SessionId>,
    /// By provider and subject, the time of the last log-in that counts no more.
    users: HashMap<Box<str>, HashMap<String, UnixSeconds>>,
    everybody: Option<UnixSeconds>,
}

/// Which sessions have ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SessionEnd {
    /// One.
    One(SessionId),
    /// Those of a user that began no later than this.
    OfUser {
        /// The name of the provider.
        provider: Box<str>,
        /// The user at the provider.
        subject: String,
        /// When the last of them began.
        begun: UnixSeconds,
    },
    /// Those of all users that began no later than this.
    OfEverybody {
        /// When the last of them began.
        begun: UnixSeconds,
    },
}

impl EndedSessions {
    /// Whether a session at this provider has been ended.
    pub fn has(&self, provider: &str, session: &Session) -> bool {
        let of_user = || self.users.get(provider)?.get(&session.user().subject).copied();
        self.ids.contains(session.id())
            || [of_user(), self.everybody].into_iter().flatten().any(|begun| session.begun() <= begun)
    }
}

impl FromIterator<SessionEnd> for EndedSessions {
    fn from_iter<I: IntoIterator<Item = SessionEnd>>(ends: I) -> Self {
        let mut all = Self::default();
        for end in ends {
            match end {
                SessionEnd::One(id) => drop(all.ids.insert(id)),
                SessionEnd::OfUser { provider, subject, begun } => {
                    let last = all.users.entry(provider).or_default().entry(subject).or_default();
                    *last = begun.max(*last);
                }
                SessionEnd::OfEverybody { begun } => all.everybody = all.everybody.max(Some(begun)),
            }
        }
        all
    }
}

/// A session, as the register knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BegunSession {
    /// Which one it is.
    pub id: SessionId,
    /// The name of the provider.
    pub provider: Box<str>,
    /// The user at the provider, and the name that people know.
    pub subject: String,
    /// The name under which people know the user.
    pub user: String,
    /// The host, or the domain of hosts, where it counts.
    pub scope: String,
    /// When it began, and until when it counts.
    pub begun: UnixSeconds,
    /// Until when it counts.
    pub ends: UnixSeconds,
    /// The claim `sid`: which session it is at the provider.
    pub provider_session: Option<String>,
}

/// What has happened to sessions.
#[derive(Debug)]
pub enum SessionEvent {
    /// A user has logged in.
    Begun(BegunSession),
    /// A user has logged out, or a session was not renewed.
    Ended(BegunSession),
    /// The provider has logged a user out.
    EndedAtProvider {
        /// The name of the provider.
        provider: Box<str>,
        /// Whose sessions end.
        ended: EndedAtProvider,
        /// Gets whether the register holds it now.
        done: oneshot::Sender<bool>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;
    use crate::user::User;

    #[test]
    fn an_end_is_that_of_one_session_or_of_all_up_to_a_time() {
        let session = |id: &str, subject: &str, begun| {
            let user = User { subject: subject.into(), ..User::default() };
            Session::begin(SessionId(id.into()), user, None, &settings(), begun)
        };
        let of_ann = |begun| SessionEnd::OfUser { provider: "home".into(), subject: "ann".into(), begun };
        let ended = EndedSessions::from_iter([SessionEnd::One(SessionId("1".into())), of_ann(20), of_ann(10)]);
        for (id, subject, begun, has_ended) in
            [("1", "bob", 50, true), ("2", "bob", 1, false), ("3", "ann", 20, true), ("4", "ann", 21, false)]
        {
            assert_eq!(ended.has("home", &session(id, subject, begun)), has_ended, "{id}");
        }
        assert!(!ended.has("other", &session("3", "ann", 20)), "another user, at another provider");
        let begun = [30, 10].map(|begun| SessionEnd::OfEverybody { begun });
        let ended = EndedSessions::from_iter(begun);
        assert!(ended.has("home", &session("5", "bob", 30)) && !ended.has("home", &session("5", "bob", 31)));
        assert!(!EndedSessions::default().has("home", &session("5", "bob", 0)));
    }
}
