//! A log-in that lasts: what the session cookie holds.

use serde::{Deserialize, Serialize};

use crate::cookie_keys::CookieKeys;
use crate::login_error::LoginError;
use crate::settings::ProviderSettings;
use crate::time::UnixSeconds;
use crate::user::User;

/// Tells one session from all others. Not a secret: it is of no use without the cookie.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SessionId(pub(crate) String);

impl SessionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// What a client is known by after its log-in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Session {
    #[serde(rename = "i")]
    id: SessionId,
    /// When the user logged in, and until when that counts.
    #[serde(rename = "b")]
    begun: UnixSeconds,
    #[serde(rename = "x")]
    ends: UnixSeconds,
    #[serde(flatten)]
    user: User,
}

/// A clock may be set back a little; what is from further in the future was made under another clock.
const AHEAD_MAX: u64 = 300;

impl Session {
    pub(crate) fn begin(id: SessionId, user: User, settings: &ProviderSettings, now: UnixSeconds) -> Self {
        Self { id, begun: now, ends: now.saturating_add(settings.session.as_secs()), user }
    }

    /// Which session it is.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Who has logged in.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Until when it counts.
    pub fn ends(&self) -> UnixSeconds {
        self.ends
    }

    /// The session is that of one provider and of one host, or of one domain: nowhere else does the cookie count.
    pub(crate) fn seal(
        &self,
        keys: &CookieKeys,
        settings: &ProviderSettings,
        scope: &str,
    ) -> Result<String, LoginError> {
        let text = serde_json::to_vec(self).map_err(|_| LoginError::Closed("the session cannot be written"))?;
        keys.seal(&context(settings, scope), &text)
    }

    /// Opens a cookie. None for anything but a session that counts now.
    pub(crate) fn open(
        keys: &CookieKeys,
        settings: &ProviderSettings,
        scope: &str,
        sealed: &[u8],
        now: UnixSeconds,
    ) -> Option<Self> {
        let session: Self = serde_json::from_slice(&keys.open(&context(settings, scope), sealed)?).ok()?;
        // The settings may have become stricter since.
        let ends = session.ends.min(session.begun.saturating_add(settings.session.as_secs()));
        (now < ends && session.begun <= now.saturating_add(AHEAD_MAX)).then_some(session)
    }
}

fn context<'a>(settings: &'a ProviderSettings, scope: &'a str) -> [&'a str; 5] {
    ["session", &settings.name, &settings.issuer, &settings.client_id, scope]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::tests::settings;

    const NOW: UnixSeconds = 1_800_000_000;

    #[test]
    fn a_session_counts_where_it_was_begun_and_until_it_ends() {
        let (keys, settings) = (CookieKeys::new(&[[1; 32]]), settings());
        let user = User { subject: "s".into(), groups: vec!["admins".into()], ..User::default() };
        let session = Session::begin(SessionId("1".into()), user, &settings, NOW);
        let sealed = session.seal(&keys, &settings, "a.org").expect("a key");
        let open = |settings: &ProviderSettings, scope: &str, now| {
            Session::open(&keys, settings, scope, sealed.as_bytes(), now)
        };
        assert_eq!(open(&settings, "a.org", NOW), Some(session.clone()));
        let last = NOW + settings.session.as_secs();
        assert!(open(&settings, "a.org", last - 1).is_some() && open(&settings, "a.org", last).is_none());
        assert!(open(&settings, "a.org", NOW - 300).is_some() && open(&settings, "a.org", NOW - 301).is_none());
        assert!(open(&settings, "b.org", NOW).is_none(), "another host");
        for other in [
            ProviderSettings { name: "other".into(), ..settings.clone() },
            ProviderSettings { issuer: "https://other.example".into(), ..settings.clone() },
            ProviderSettings { client_id: "other".into(), ..settings.clone() },
        ] {
            assert!(open(&other, "a.org", NOW).is_none(), "{other:?}");
        }
        let shorter = ProviderSettings { session: Duration::from_secs(60), ..settings };
        assert!(open(&shorter, "a.org", NOW + 59).is_some() && open(&shorter, "a.org", NOW + 60).is_none());
    }
}
