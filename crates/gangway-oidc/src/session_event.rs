//! What happens to sessions, for a register that all instances share.

use std::collections::HashSet;

use tokio::sync::oneshot;

use crate::logout_token::EndedAtProvider;
use crate::session::SessionId;
use crate::time::UnixSeconds;

/// Sessions that count no more although their cookies could be opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndedSessions(HashSet<SessionId>);

impl EndedSessions {
    /// Whether a session has been ended.
    pub fn has(&self, id: &SessionId) -> bool {
        self.0.contains(id)
    }
}

impl FromIterator<SessionId> for EndedSessions {
    fn from_iter<I: IntoIterator<Item = SessionId>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

/// A session that has just begun.
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
    /// A user has logged out, or a session was not renewed. It would have counted until then.
    Ended(SessionId, UnixSeconds),
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
