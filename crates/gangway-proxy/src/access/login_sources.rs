//! Where the data plane learns who may log in.

use gangway_oidc::{EndedSessions, Providers, SessionEvent};
use gangway_publish::Reader;
use tokio::sync::mpsc;

use crate::access::user_lists::UserLists;

/// Who may log in, and where.
#[derive(Clone, Debug)]
pub struct LoginSources {
    /// The lists of users that labels name.
    pub user_lists: Reader<UserLists>,
    /// The OpenID providers that labels name.
    pub providers: Reader<Providers>,
    /// Sessions at those providers that were ended, by this instance or another one.
    pub ended_sessions: Reader<EndedSessions>,
    /// Takes what happens to sessions here. What it has no room for is not registered.
    pub session_events: mpsc::Sender<SessionEvent>,
}
