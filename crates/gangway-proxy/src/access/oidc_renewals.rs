//! Renews sessions at their providers, one question at a time for each.
//!
//! A provider may take a refresh token that it sees twice for a stolen one, and end the session. A page asks for many things
//! at once, all with the same cookie: the first request renews the session, the others take what it got. So does every
//! request that still comes with the old cookie.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_oidc::{Freshness, LoginError, Provider, RenewalError, Session, SessionId, TakenTokens, UnixSeconds};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// Sessions that were renewed of late. Each takes about as much memory as its cookie. Beyond them none is renewed, so that
/// each counts until its provider's word expires and then has to wait.
const SESSIONS_MAX: usize = 16_384;

/// After a failure the provider is left alone for this long, however many requests there are.
const PAUSE: Duration = Duration::from_secs(5);

/// What is known of sessions beyond their cookies.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    known: Mutex<HashMap<SessionId, Arc<Slot>>>,
    /// Whether the lack of room was told.
    is_full: AtomicBool,
}

/// Its lock is held while the provider is asked.
type Slot = tokio::sync::Mutex<Known>;

/// What is known of one session.
#[derive(Debug, Default)]
struct Known {
    /// As it is since it was renewed.
    latest: Option<Session>,
    failed: Option<(LoginError, Instant)>,
    /// What the provider has given for it meanwhile.
    taken: Option<TakenTokens>,
    /// Why it has ended.
    ended: Option<String>,
}

/// What a session is at this moment.
#[derive(Debug, PartialEq)]
pub(super) enum Current {
    /// What its cookie says.
    Same(Session),
    /// Something newer. The client needs another cookie.
    Newer(Session),
    /// It counts no more, and there is no room to keep what the provider would answer, so that is not asked.
    NoRoom,
}

impl Renewals {
    /// The session as the provider knows it. One of which the provider's word still counts for a while is not held up by a
    /// provider that cannot be asked.
    ///
    /// Once the provider is asked, it is asked to the end, also where the request is gone by then: otherwise its new refresh
    /// token would be lost.
    pub(super) async fn current(
        &self,
        provider: &Arc<Provider>,
        session: Session,
        now: UnixSeconds,
    ) -> Result<Current, RenewalError> {
        let held = match session.freshness(now) {
            Freshness::Fresh => return Ok(Current::Same(session)),
            // Another request is asking already.
            Freshness::Due => match self.slot(&session, now).map(Slot::try_lock_owned) {
                Some(Ok(held)) => held,
                Some(Err(_)) | None => return Ok(Current::Same(session)),
            },
            Freshness::Overdue => match self.slot(&session, now) {
                Some(slot) => slot.lock_owned().await,
                None => return Ok(Current::NoRoom),
            },
        };
        match asked(held, provider, &session, now).await {
            Err(RenewalError::Failed(_)) if session.freshness(now) == Freshness::Due => Ok(Current::Same(session)),
            Err(error) => Err(error),
            Ok(latest) => Ok(Current::Newer(latest)),
        }
    }

    /// None where there is no room: then nothing is renewed, since the result could not be kept.
    fn slot(&self, session: &Session, now: UnixSeconds) -> Option<Arc<Slot>> {
        let mut known = self.known.lock();
        if let Some(slot) = known.get(session.id()) {
            return Some(Arc::clone(slot));
        }
        if known.len() >= SESSIONS_MAX {
            // One that a request holds is about to be asked.
            known.retain(|_, slot| Arc::strong_count(slot) > 1 || is_needed(slot, now));
        }
        let is_full = known.len() >= SESSIONS_MAX;
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full && is_full {
            tracing::warn!(sessions = SESSIONS_MAX, "too many sessions were renewed of late; others have to wait");
        }
        (!is_full).then(|| Arc::clone(known.entry(session.id().clone()).or_default()))
    }

    /// Whether a later answer of the provider is known.
    pub(super) fn has_newer(&self, session: &Session) -> bool {
        let slot = self.known.lock().get(session.id()).map(Arc::clone);
        slot.and_then(|slot| Some(slot.try_lock().ok()?.latest.as_ref()?.is_newer_than(session))).unwrap_or(false)
    }
}

/// Whether a cookie from before the renewal may still come. After the time for which the renewed one counted, the browser
/// has had the chance to get that.
fn is_needed(slot: &Arc<Slot>, now: UnixSeconds) -> bool {
    slot.try_lock().map_or(true, |known| {
        known.latest.as_ref().is_some_and(|latest| latest.freshness(now) != Freshness::Overdue)
            || known.taken.as_ref().is_some_and(|taken| taken.counts_at(now))
    })
}

/// The session as it is after the provider was asked, by this request or by one before.
async fn asked(
    mut held: OwnedMutexGuard<Known>,
    provider: &Arc<Provider>,
    session: &Session,
    now: UnixSeconds,
) -> Result<Session, RenewalError> {
    if let Some(why) = &held.ended {
        return Err(RenewalError::Ended(why.clone()));
    }
    let latest = held.latest.as_ref().filter(|latest| latest.is_newer_than(session));
    if let Some(latest) = latest.filter(|latest| latest.freshness(now) == Freshness::Fresh) {
        return Ok(latest.clone());
    }
    if let Some((error, at)) = &held.failed
        && at.elapsed() < PAUSE
    {
        return Err(RenewalError::Failed(error.clone()));
    }
    let (provider, newest) = (Arc::clone(provider), latest.unwrap_or(session).clone());
    let asking = tokio::spawn(async move {
        let renewed = provider.renew(&newest, &mut held.taken, now).await;
        match &renewed {
            Ok(session) => *held = Known { latest: Some(session.clone()), ..Known::default() },
            Err(RenewalError::Failed(error)) => held.failed = Some((error.clone(), Instant::now())),
            Err(RenewalError::Ended(why)) => held.ended = Some(why.clone()),
        }
        renewed
    });
    // A panic would be a bug, and lets nobody in.
    asking.await.unwrap_or_else(|error| Err(LoginError::Unavailable(error.to_string()).into()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use gangway_oidc::{Callback, ClientSecret, CookieKeys, ProviderSettings};
    use gangway_testkit::openid::{Behaviour, CLIENT, OpenIdProvider};
    use serde_json::{Value, json};

    use super::*;

    const HERE: (&str, &str) = ("https://a.localhost", "/callback");

    /// A provider, Gangway's side of it, and what is known of sessions.
    pub(in crate::access) struct Renewing {
        provider: OpenIdProvider,
        pub(in crate::access) client: Arc<Provider>,
        renewals: Renewals,
        pub(in crate::access) now: UnixSeconds,
    }

    /// Access tokens count for 100 seconds, and new ones are asked for after 80.
    fn refreshing() -> Behaviour {
        Behaviour { refreshes: true, expires_in: 100, ..Behaviour::default() }
    }

    impl Renewing {
        pub(in crate::access) async fn start() -> Self {
            let provider = OpenIdProvider::start().await.expect("a free port");
            let settings = ProviderSettings {
                name: "home".into(),
                issuer: provider.issuer.as_str().into(),
                client_id: CLIENT.0.into(),
                client_secret: Some(ClientSecret::new(CLIENT.1)),
                scopes: vec!["openid".into()],
                groups_claim: "groups".into(),
                trust_email: false,
                session: Duration::from_secs(3600),
                cookie_domain: None,
                ca_pem: None,
            };
            let client = Arc::new(Provider::new(settings).expect("no roots"));
            // Its metadata are kept, and name the place of the user info.
            provider.set(Behaviour { userinfo: Some(json!({})), ..refreshing() });
            client.check().await.expect("it is there");
            let now = gangway_oidc::now().expect("a clock");
            Self { provider, client, renewals: Renewals::default(), now }
        }

        /// A session that begins now, with a token of this behaviour.
        pub(in crate::access) async fn session(&self) -> Session {
            self.provider.set(refreshing());
            let keys = CookieKeys::new(&[[7; 32]]);
            let begun = self.client.begin(&keys, HERE, "/", self.now).await.expect("begun");
            let back = self.provider.authorize(&begun.location);
            let callback = Callback::parse(back.split_once('?').expect("a query").1).expect("whole");
            let here = ("a.localhost", self.now);
            let finished = self.client.finish(&keys, HERE, &callback, begun.sealed.as_bytes(), here).await;
            let sealed = finished.expect("finished").sealed;
            self.client.session(&keys, "a.localhost", sealed.as_bytes(), self.now).expect("a session")
        }

        /// What the session is so many seconds after it began.
        async fn after(&self, session: &Session, seconds: u64) -> Result<Current, RenewalError> {
            self.renewals.current(&self.client, session.clone(), self.now + seconds).await
        }

        fn set(&self, renewed: Value, userinfo: Option<Value>, failing: Option<&'static str>) {
            let failing = failing.map(|path| (path, 503));
            self.provider.set(Behaviour { renewed, userinfo, failing, ..refreshing() });
        }

        fn asked(&self) -> usize {
            self.provider.asked("/token")
        }
    }

    /// Lets the pause after a failure pass.
    async fn pause() {
        tokio::time::pause();
        tokio::time::advance(PAUSE).await;
        tokio::time::resume();
    }

    fn newer(current: Result<Current, RenewalError>) -> Session {
        match current {
            Ok(Current::Newer(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_session_is_asked_about_when_it_is_due_and_its_old_cookie_gets_the_new_one() {
        let renewing = Renewing::start().await;
        let session = renewing.session().await;
        let asked = renewing.asked();
        assert_eq!(renewing.after(&session, 79).await, Ok(Current::Same(session.clone())));
        assert!(!renewing.renewals.has_newer(&session) && renewing.asked() == asked);
        let renewed = newer(renewing.after(&session, 80).await);
        assert!(renewed.is_newer_than(&session) && renewing.renewals.has_newer(&session));
        assert!(!renewing.renewals.has_newer(&renewed));
        assert_eq!(newer(renewing.after(&session, 90).await), renewed);
        assert_eq!(newer(renewing.after(&session, 159).await), renewed, "long after its own time");
        assert_eq!(renewing.asked(), asked + 1);
        let again = newer(renewing.after(&renewed, 160).await);
        assert!(again.is_newer_than(&renewed));
        // From the old cookie too the latest token is used, and not the one in the cookie.
        let third = newer(renewing.after(&session, 240).await);
        assert!(third.is_newer_than(&again));
        assert_eq!(renewing.asked(), asked + 3);
    }

    #[tokio::test]
    async fn a_provider_that_is_away_is_left_alone_for_a_while() {
        let renewing = Renewing::start().await;
        let session = renewing.session().await;
        let asked = renewing.asked();
        renewing.set(json!({}), None, Some("/token"));
        assert_eq!(renewing.after(&session, 99).await, Ok(Current::Same(session.clone())));
        assert!(matches!(renewing.after(&session, 100).await, Err(RenewalError::Failed(LoginError::Unavailable(_)))));
        assert_eq!(renewing.asked(), asked + 1);
        renewing.set(json!({}), None, None);
        assert!(renewing.after(&session, 100).await.is_err(), "it is not asked yet");
        pause().await;
        newer(renewing.after(&session, 100).await);
        assert_eq!(renewing.asked(), asked + 2);
    }

    #[tokio::test]
    async fn a_session_that_has_ended_is_not_asked_about_again() {
        let renewing = Renewing::start().await;
        let session = renewing.session().await;
        renewing.provider.forget_sessions();
        let asked = renewing.asked();
        for _ in 0..2 {
            assert!(matches!(renewing.after(&session, 80).await, Err(RenewalError::Ended(_))));
            assert_eq!(renewing.asked(), asked + 1);
            pause().await;
        }
    }

    #[tokio::test]
    async fn the_user_is_asked_about_again_with_the_tokens_that_were_given() {
        let renewing = Renewing::start().await;
        let user = json!({ "sub": "s-1", "preferred_username": "anna" });
        let session = renewing.session().await;
        let asked = renewing.asked();
        renewing.set(Value::Null, Some(user.clone()), Some("/userinfo"));
        assert!(matches!(renewing.after(&session, 100).await, Err(RenewalError::Failed(LoginError::Unavailable(_)))));
        pause().await;
        assert!(matches!(renewing.after(&session, 150).await, Err(RenewalError::Failed(LoginError::Unavailable(_)))));
        assert_eq!(renewing.asked(), asked + 1, "the refresh token is used once");
        renewing.set(Value::Null, Some(user.clone()), None);
        pause().await;
        let renewed = newer(renewing.after(&session, 170).await);
        assert_eq!((renewed.user().name.as_deref(), renewing.asked()), (Some("anna"), asked + 1));
        assert_eq!(renewed.freshness(renewing.now + 179), Freshness::Fresh);
        assert_eq!(renewed.freshness(renewing.now + 180), Freshness::Due, "as of when its tokens were given");
        // Tokens that have expired meanwhile are replaced, by the refresh token that came with them.
        renewing.set(Value::Null, Some(user.clone()), Some("/userinfo"));
        assert!(renewing.after(&renewed, 200).await.is_err());
        renewing.set(Value::Null, Some(user), None);
        pause().await;
        newer(renewing.after(&renewed, 300).await);
        assert_eq!(renewing.asked(), asked + 3);
    }

    #[tokio::test]
    async fn what_another_instance_has_renewed_is_newer_than_what_is_known_here() {
        let here = Renewing::start().await;
        let session = here.session().await;
        let renewed = newer(here.after(&session, 80).await);
        let elsewhere = Renewals::default();
        let again = newer(elsewhere.current(&here.client, renewed.clone(), here.now + 170).await);
        // Its own refresh token counts, and the one that is known here does no more.
        let third = newer(here.after(&again, 255).await);
        assert!(third.is_newer_than(&again));
    }

    #[tokio::test]
    async fn what_is_known_of_one_session_stays_when_another_is_asked_about() {
        let renewing = Renewing::start().await;
        let (session, other) = (renewing.session().await, renewing.session().await);
        let asked = renewing.asked();
        renewing.set(json!({}), None, Some("/token"));
        renewing.after(&session, 100).await.expect_err("the provider is away");
        renewing.after(&other, 100).await.expect_err("the provider is away");
        renewing.after(&session, 100).await.expect_err("it is left alone");
        assert_eq!(renewing.asked(), asked + 2);
    }

    #[tokio::test]
    async fn without_room_a_session_counts_no_longer_than_its_providers_word() {
        let renewing = Renewing::start().await;
        let session = renewing.session().await;
        let asked = renewing.asked();
        let fill = |slot: fn() -> Slot| -> Vec<Arc<Slot>> {
            let mut known = renewing.renewals.known.lock();
            known.clear();
            for number in 0..SESSIONS_MAX {
                known.insert(number.to_string().into(), Arc::new(slot()));
            }
            known.values().map(Arc::clone).collect()
        };
        let under_way = fill(Slot::default);
        assert_eq!(renewing.after(&session, 99).await, Ok(Current::Same(session.clone())));
        assert_eq!(renewing.after(&session, 100).await, Ok(Current::NoRoom));
        assert_eq!((renewing.asked(), renewing.renewals.known.lock().len()), (asked, SESSIONS_MAX));
        assert!(renewing.renewals.is_full.load(Ordering::Relaxed));
        // What is known already has room, and stays as long as an old cookie may come.
        drop(under_way);
        {
            let mut known = renewing.renewals.known.lock();
            for slot in known.values_mut() {
                *slot = Arc::new(Slot::new(Known { latest: Some(session.clone()), ..Known::default() }));
            }
        }
        let other = renewing.session().await;
        assert!(renewing.renewals.slot(&other, renewing.now + 99).is_none());
        let first = renewing.renewals.known.lock().keys().next().cloned().expect("there are many");
        let slot = renewing.renewals.known.lock().remove(&first).expect("it is there");
        renewing.renewals.known.lock().insert(session.id().clone(), slot);
        assert!(renewing.renewals.slot(&session, renewing.now + 99).is_some());
        // Sessions of which nothing needs to be known make room.
        drop(fill(Slot::default));
        let asked = renewing.asked();
        newer(renewing.after(&session, 100).await);
        assert_eq!(renewing.asked(), asked + 1);
        assert!(!renewing.renewals.is_full.load(Ordering::Relaxed));
        assert_eq!(renewing.renewals.known.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_an_old_cookie_needs_is_kept() {
        let renewing = Renewing::start().await;
        let session = renewing.session().await;
        let now = renewing.now;
        let slot = |known: Known| Arc::new(Slot::new(known));
        assert!(!is_needed(&slot(Known::default()), now));
        let latest = slot(Known { latest: Some(session.clone()), ..Known::default() });
        assert!(is_needed(&latest, now + 99) && !is_needed(&latest, now + 100));
        let held = latest.try_lock().expect("free");
        assert!(is_needed(&latest, now + 100), "it is being asked about");
        drop(held);
        renewing.set(Value::Null, Some(json!({})), Some("/userinfo"));
        let mut taken = None;
        renewing.client.renew(&session, &mut taken, now).await.expect_err("there is no user info");
        assert!(taken.is_some());
        let taken = slot(Known { taken, ..Known::default() });
        assert!(is_needed(&taken, now + 99) && !is_needed(&taken, now + 100), "tokens that count still");
    }
}
