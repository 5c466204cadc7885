//! A log-in that lasts: what the session cookie holds.

use std::fmt;

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
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    renewal: Option<Renewal>,
}

/// How a session is renewed at its provider.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Renewal {
    #[serde(rename = "t")]
    pub(crate) token: RefreshToken,
    /// From when on the provider is asked.
    #[serde(rename = "d")]
    due: UnixSeconds,
    /// Until when counts what it said last.
    #[serde(rename = "l")]
    lasts: UnixSeconds,
    /// How often the session was renewed.
    #[serde(rename = "n", default)]
    count: u32,
}

/// A refresh token. Never shown.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct RefreshToken(String);

/// Whether the provider has to be asked about a session again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// What it has said counts. So it does for the whole session where the provider gave no refresh token.
    Fresh,
    /// What it has said counts for a little while only: it is time to ask.
    Due,
    /// What it has said counts no more.
    Overdue,
}

/// What the provider says counts for this long at least, in seconds: otherwise it would be asked for each request.
const LASTS_MIN: u64 = 30;

/// And for this long where the provider does not say how long its tokens count.
const LASTS_DEFAULT: u64 = 300;

/// The provider is asked this long before its word expires, so that a pause of it is not noticed. At most a fifth of the
/// time for which its word counts.
const ASKED_BEFORE_MAX: u64 = 60;

impl Renewal {
    /// `lifetime` is in seconds, as the provider says it; `last` is the renewal before this one.
    pub(crate) fn new(token: String, lifetime: Option<u64>, last: Option<&Self>, now: UnixSeconds) -> Self {
        let lifetime = lifetime.unwrap_or(LASTS_DEFAULT).max(LASTS_MIN);
        let lasts = now.saturating_add(lifetime);
        let due = lasts - (lifetime / 5).min(ASKED_BEFORE_MAX);
        Self { token: RefreshToken(token), due, lasts, count: last.map_or(0, |last| last.count.saturating_add(1)) }
    }
}

impl RefreshToken {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken")
    }
}

/// A clock may be set back a little; what is from further in the future was made under another clock.
const AHEAD_MAX: u64 = 300;

impl Session {
    pub(crate) fn begin(
        id: SessionId,
        user: User,
        renewal: Option<Renewal>,
        settings: &ProviderSettings,
        now: UnixSeconds,
    ) -> Self {
        Self { id, begun: now, ends: now.saturating_add(settings.session.as_secs()), user, renewal }
    }

    /// The same session, of which the provider has said this now. It ends when it would have.
    pub(crate) fn renewed(&self, user: User, renewal: Renewal) -> Self {
        Self { user, renewal: Some(renewal), ..self.clone() }
    }

    pub(crate) fn renewal(&self) -> Option<&Renewal> {
        self.renewal.as_ref()
    }

    /// Whether the provider has to be asked about it again.
    pub fn freshness(&self, now: UnixSeconds) -> Freshness {
        match &self.renewal {
            Some(renewal) if now >= renewal.lasts => Freshness::Overdue,
            Some(renewal) if now >= renewal.due => Freshness::Due,
            Some(_) | None => Freshness::Fresh,
        }
    }

    /// Whether the provider has been asked about this one later than about the other one. How long its word counts does not
    /// tell: that may be shorter than before.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let count = |session: &Self| session.renewal.as_ref().map(|renewal| renewal.count);
        count(self) > count(other)
    }

    /// Which session it is.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Who has logged in.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// When the user logged in.
    pub(crate) fn begun(&self) -> UnixSeconds {
        self.begun
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
        let session = Session::begin(SessionId("1".into()), user, None, &settings, NOW);
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

    #[test]
    fn the_providers_word_counts_as_long_as_it_says_and_is_asked_for_before() {
        let begun = |lifetime: Option<u64>| {
            let renewal = Some(Renewal::new("s3cret".into(), lifetime, None, NOW));
            Session::begin(SessionId("1".into()), User::default(), renewal, &settings(), NOW)
        };
        for (lifetime, due, overdue) in
            [(Some(3600), 3540, 3600), (Some(300), 240, 300), (Some(100), 80, 100), (Some(0), 24, 30), (None, 240, 300)]
        {
            let freshness = |after: u64| begun(lifetime).freshness(NOW + after);
            assert_eq!((freshness(due - 1), freshness(due)), (Freshness::Fresh, Freshness::Due), "{lifetime:?}");
            assert_eq!((freshness(overdue - 1), freshness(overdue)), (Freshness::Due, Freshness::Overdue));
        }
        assert_eq!(begun(Some(u64::MAX)).freshness(NOW), Freshness::Fresh);
        let without = Session::begin(SessionId("1".into()), User::default(), None, &settings(), NOW);
        assert_eq!(without.freshness(u64::MAX), Freshness::Fresh, "there is no token to ask with");
        let (old, user) = (begun(Some(300)), User { subject: "s".into(), ..User::default() });
        // The provider may say that its word counts for less time than before.
        let new = old.renewed(user, Renewal::new("s3cret".into(), Some(30), old.renewal(), NOW + 250));
        assert!(new.is_newer_than(&old) && !old.is_newer_than(&new) && !old.is_newer_than(&old));
        assert_eq!((new.id(), new.ends(), &*new.user().subject), (old.id(), old.ends(), "s"));
        assert!(!format!("{new:?}").contains("s3cret"));
    }

    #[test]
    fn a_cookie_of_a_version_before_renewals_is_read() {
        let (keys, settings) = (CookieKeys::new(&[[1; 32]]), settings());
        let text = format!(r#"{{"i":"1","b":{NOW},"x":{},"s":"s","g":["admins"]}}"#, NOW + 60);
        let sealed = keys.seal(&context(&settings, "a.org"), text.as_bytes()).expect("a key");
        let session = Session::open(&keys, &settings, "a.org", sealed.as_bytes(), NOW).expect("counts");
        assert_eq!((session.user().groups.len(), session.renewal()), (1, None));
    }
}
