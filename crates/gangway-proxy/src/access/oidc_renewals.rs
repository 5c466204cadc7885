//! Renews sessions at their providers, one question at a time for each.
//!
//! A provider may take a refresh token that it sees twice for a stolen one, and end the session. A page asks for many things
//! at once, all with the same cookie: the first request renews the session, the others take what it got. So does every
//! request that still comes with the old cookie.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gangway_oidc::{Freshness, LoginError, Provider, RenewalError, Session, SessionId, UnixSeconds};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// Sessions that were renewed of late. Each takes about as much memory as its cookie.
const SESSIONS_MAX: usize = 16_384;

/// After a failure the provider is left alone for this long, however many requests there are.
const PAUSE: Duration = Duration::from_secs(5);

/// What is known of sessions beyond their cookies.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    known: Mutex<HashMap<SessionId, Arc<Slot>>>,
}

/// Its lock is held while the provider is asked.
type Slot = tokio::sync::Mutex<Known>;

/// What is known of one session.
#[derive(Debug, Default)]
struct Known {
    /// As it is since it was renewed.
    latest: Option<Session>,
    failed: Option<(LoginError, Instant)>,
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
                None => return Err(LoginError::Busy.into()),
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
        (known.len() < SESSIONS_MAX).then(|| Arc::clone(known.entry(session.id().clone()).or_default()))
    }
}

/// Whether a cookie from before the renewal may still come. After the time for which the renewed one counted, the browser
/// has had the chance to get that.
fn is_needed(slot: &Arc<Slot>, now: UnixSeconds) -> bool {
    slot.try_lock()
        .map_or(true, |known| known.latest.as_ref().is_some_and(|latest| latest.freshness(now) != Freshness::Overdue))
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
        let renewed = provider.renew(&newest, now).await;
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
