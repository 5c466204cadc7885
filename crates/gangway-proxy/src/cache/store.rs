//! What one route keeps, and who fetches what is missing.
//!
//! One request fetches, and others for the same wait for a bounded time. If its answer is not kept, all of them go on at
//! once, and for a while nobody waits for such an answer again. If its client goes, the next one fetches.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use ahash::HashMap;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::key::for_audience;
use crate::cache::memory::CacheMemory;
use crate::cache::rules::Audience;
use crate::cache::status::Forwarded;
use crate::cache::stored::Stored;
use crate::message::cache_control::CacheControl;
use crate::message::fields::Fields;

/// One answer takes this share of its cache at most, so that a few large ones do not push everything else out.
const ENTRY_SHARE: u64 = 8;

/// All answers for one URL take this share at most.
const VARIANTS_SHARE: u64 = 2;

/// Answers for one URL that differ by what `Vary` names.
const VARIANTS_MAX: usize = 16;

/// What an answer takes on average, by which the table begins.
const ENTRY_LEN_GUESSED: u64 = 16 * 1024;

/// Entries for which there is room at the beginning.
const ENTRIES_GUESSED_MAX: usize = 4096;

/// What the note takes that something is not kept.
const NOTE_LEN: usize = 128;

/// How long nobody waits for what was not kept.
const NOT_KEPT_FOR: Duration = Duration::from_secs(60);

/// How long others wait for an application to begin its answer.
const BEGIN_WAIT: Duration = Duration::from_secs(10);

/// How long they wait for its end. The client that fetches may be slow on purpose.
const END_WAIT: Duration = Duration::from_secs(2);

/// URLs of which it is remembered that a request has changed them while answers were under way.
const CHANGES_MAX: usize = 64;

/// How long an answer may still be validated after it was of any other use.
const VALIDATED_WITHIN: Duration = Duration::from_secs(3600);

/// The answers that one route keeps.
#[derive(Debug)]
pub(crate) struct RouteCache {
    kept: Mutex<Kept>,
    /// The most that the body of an answer may have.
    pub(crate) body_max: usize,
    /// The most that all answers for one URL may take.
    variants_max: usize,
    pub(crate) memory: CacheMemory,
}

#[derive(Debug)]
struct Kept {
    resources: Cache<Box<[u8]>, Resource, Weights, ahash::RandomState>,
    flights: HashMap<Box<[u8]>, Flight>,
    flights_begun: u64,
    changes: VecDeque<(u64, Box<[u8]>)>,
    /// How many changes there were.
    changes_seen: u64,
}

/// What is kept for one URL.
#[derive(Clone, Debug)]
enum Resource {
    Answers(Vec<Arc<Stored>>),
    /// Its answers are not kept, and until then nobody waits for one.
    NotKept(Instant),
}

/// The weight of an entry is its bytes.
#[derive(Clone, Debug)]
struct Weights;

impl Weighter<Box<[u8]>, Resource> for Weights {
    fn weight(&self, key: &Box<[u8]>, resource: &Resource) -> u64 {
        let of_resource = match resource {
            Resource::Answers(answers) => answers.iter().map(|answer| answer.weight()).sum(),
            Resource::NotKept(_) => NOTE_LEN,
        };
        (key.len() + of_resource) as u64
    }
}

/// A request that fetches something.
#[derive(Debug)]
struct Flight {
    number: u64,
    phase: watch::Receiver<Phase>,
}

/// How far a request is that fetches.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The application is asked since then.
    Asked(Instant),
    /// It has answered with something that is kept, whose body comes since then.
    Keeping(Instant),
    /// Its answer is not kept, so nobody waits for it.
    NotKept,
}

impl Phase {
    /// Until when others wait for it.
    fn waited_for_until(self) -> Option<Instant> {
        match self {
            Self::Asked(since) => Some(since + BEGIN_WAIT),
            Self::Keeping(since) => Some(since + END_WAIT),
            Self::NotKept => None,
        }
    }
}

/// The right and the duty to fetch something for all who wait for it. They go on when it is dropped.
#[derive(Debug)]
pub(crate) struct Leading {
    cache: Arc<RouteCache>,
    key: Box<[u8]>,
    number: u64,
    phase: watch::Sender<Phase>,
}

impl Leading {
    /// Says that the answer is being kept.
    pub(crate) fn is_keeping(&self) {
        self.phase.send_replace(Phase::Keeping(Instant::now()));
    }

    /// Says that the answer is not kept, so that those who wait go on. `lasts` says whether the next one will not be either.
    pub(crate) fn not_kept(&self, lasts: bool) {
        self.phase.send_replace(Phase::NotKept);
        if !lasts {
            return;
        }
        let until = Instant::now() + NOT_KEPT_FOR;
        let mut kept = self.cache.kept.lock();
        let has_answers = matches!(kept.resources.peek(&self.key), Some(Resource::Answers(_)));
        if !has_answers {
            kept.resources.insert(self.key.clone(), Resource::NotKept(until));
        }
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        let mut kept = self.cache.kept.lock();
        if kept.flights.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            kept.flights.remove(&self.key);
        }
    }
}

/// A fetch by another request.
#[derive(Debug)]
pub(crate) struct Awaited(watch::Receiver<Phase>);

impl Awaited {
    /// Waits until it has ended, or for as long as others wait. Returns whether it is of use to wait for another one: it
    /// has kept its answer, or its client has gone.
    pub(crate) async fn end(mut self) -> bool {
        loop {
            let Some(until) = self.0.borrow_and_update().waited_for_until() else { return false };
            match tokio::time::timeout_at(until, self.0.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// A request, as it is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) key: &'a [u8],
    /// The fields that the application gets.
    pub(crate) fields: &'a Fields,
    pub(crate) control: &'a CacheControl,
    pub(crate) sharing: Sharing,
}

/// What a request does where something is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// It waits for another one that fetches the same, or fetches for others.
    Joins,
    /// It fetches for others if nobody does.
    Leads,
    /// Neither.
    Alone,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// An answer for the request.
    Fresh(Arc<Stored>),
    /// A stale answer that may be given out while it is refreshed; by this request, unless somebody does already.
    Meanwhile(Arc<Stored>, Option<Missing>),
    /// Another request fetches it.
    Awaited(Awaited, Forwarded),
    /// The application is to be asked.
    Missing(Missing),
}

/// What is known of an answer that the application is asked for.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) why: Forwarded,
    /// To be validated, or to replace an error.
    pub(crate) stale: Option<Arc<Stored>>,
    pub(crate) leading: Option<Leading>,
    /// How many changes there were when it was asked for.
    pub(crate) changes_seen: u64,
}

impl RouteCache {
    pub(crate) fn new(bytes: NonZeroU64, memory: CacheMemory) -> Arc<Self> {
        let bytes = bytes.get().min(memory.max() as u64);
        let resources = Cache::with(
            usize::try_from(bytes / ENTRY_LEN_GUESSED).unwrap_or(usize::MAX).clamp(1, ENTRIES_GUESSED_MAX),
            bytes,
            Weights,
            ahash::RandomState::new(),
            DefaultLifecycle::default(),
        );
        let kept = Kept {
            resources,
            flights: HashMap::default(),
            flights_begun: 0,
            changes: VecDeque::new(),
            changes_seen: 0,
        };
        let body_max = usize::try_from(bytes / ENTRY_SHARE).unwrap_or(usize::MAX);
        let variants_max = usize::try_from(bytes / VARIANTS_SHARE).unwrap_or(usize::MAX);
        Arc::new(Self { kept: Mutex::new(kept), body_max, variants_max, memory })
    }

    /// Looks up an answer.
    pub(crate) fn find(self: &Arc<Self>, wanted: Wanted<'_>, now: Instant) -> Found {
        let Wanted { key, fields, control, sharing } = wanted;
        let mut kept = self.kept.lock();
        let answers = match kept.resources.get(key) {
            Some(Resource::Answers(answers)) => Some(answers.clone()),
            Some(Resource::NotKept(until)) if now < *until => {
                return Found::Missing(kept.missing(Forwarded::UriMiss, None));
            }
            Some(Resource::NotKept(_)) | None => None,
        };
        let shared_key = shared_key(key, answers.as_deref(), fields);
        let stored = answers.iter().flatten().find(|answer| answer.selected_by.matches(fields));
        let why = match (stored, &answers) {
            (Some(stored), _) if stored.freshness.satisfies(control, now) => return Found::Fresh(Arc::clone(stored)),
            (Some(stored), _) if stored.freshness.time_to_live(now).is_some() => {
                return Found::Missing(kept.missing(Forwarded::Request, Some(stored)));
            }
            (Some(stored), _) if stored.freshness.may_be_stale_meanwhile(now) && !control.demands_fresh() => {
                let is_refreshed = sharing == Sharing::Alone || kept.flights.contains_key(&shared_key);
                let missing = (!is_refreshed).then(|| {
                    let leading = Some(self.lead(&mut kept, shared_key));
                    Missing { leading, ..kept.missing(Forwarded::Stale, Some(stored)) }
                });
                return Found::Meanwhile(Arc::clone(stored), missing);
            }
            (Some(_), _) => Forwarded::Stale,
            (None, Some(_)) => Forwarded::VaryMiss,
            (None, None) => Forwarded::UriMiss,
        };
        if matches!(kept.resources.get(&shared_key), Some(Resource::NotKept(until)) if now < *until) {
            return Found::Missing(kept.missing(why, stored));
        }
        let flight = kept.flights.get(&shared_key);
        let flight = flight.filter(|flight| flight.phase.borrow().waited_for_until().is_some_and(|until| now < until));
        let leading = match (sharing, flight) {
            (Sharing::Alone, _) | (Sharing::Leads, Some(_)) => None,
            (Sharing::Joins, Some(flight)) => return Found::Awaited(Awaited(flight.phase.clone()), why),
            (Sharing::Joins | Sharing::Leads, None) => Some(self.lead(&mut kept, shared_key)),
        };
        Found::Missing(Missing { leading, ..kept.missing(why, stored) })
    }

    fn lead(self: &Arc<Self>, kept: &mut Kept, key: Box<[u8]>) -> Leading {
        kept.flights_begun += 1;
        let number = kept.flights_begun;
        let (phase, seen) = watch::channel(Phase::Asked(Instant::now()));
        kept.flights.insert(key.clone(), Flight { number, phase: seen });
        Leading { cache: Arc::clone(self), key, number, phase }
    }

    /// Keeps an answer, unless its URL was changed since `changes_seen`.
    pub(crate) fn keep(&self, key: &[u8], stored: Arc<Stored>, changes_seen: u64) {
        let mut kept = self.kept.lock();
        if kept.has_changed(key, changes_seen) {
            return;
        }
        let mut answers = match kept.resources.peek(key) {
            Some(Resource::Answers(answers)) => answers.clone(),
            Some(Resource::NotKept(_)) | None => Vec::new(),
        };
        answers.retain(|answer| answer.selected_by != stored.selected_by);
        answers.push(stored);
        // Together they are no more than a few large ones: what is too heavy for the whole cache would not be taken.
        while answers.len() > VARIANTS_MAX
            || answers.len() > 1 && answers.iter().map(|answer| answer.weight()).sum::<usize>() > self.variants_max
        {
            answers.remove(0);
        }
        kept.resources.insert(key.into(), Resource::Answers(answers));
    }

    /// Drops one answer.
    pub(crate) fn forget(&self, key: &[u8], gone: &Arc<Stored>) {
        let mut kept = self.kept.lock();
        let Some(Resource::Answers(answers)) = kept.resources.peek(key) else { return };
        let left: Vec<_> = answers.iter().filter(|answer| !Arc::ptr_eq(answer, gone)).cloned().collect();
        if left.is_empty() {
            kept.resources.remove(key);
        } else {
            kept.resources.insert(key.into(), Resource::Answers(left));
        }
    }

    /// Drops all answers for a URL that a request has changed (RFC 9111, section 4.4), and those that are under way.
    pub(crate) fn invalidate(&self, key: &[u8]) {
        let mut kept = self.kept.lock();
        for audience in Audience::ALL {
            let key = for_audience(key, audience);
            kept.resources.remove(&key);
            kept.changes_seen += 1;
            let seen = kept.changes_seen;
            kept.changes.push_back((seen, key));
            if kept.changes.len() > CHANGES_MAX {
                kept.changes.pop_front();
            }
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        self.kept.lock().resources.clear();
    }

    /// Drops what is of no use any more.
    pub(crate) fn sweep(&self, now: Instant) {
        self.kept.lock().resources.retain(|_, resource| match resource {
            Resource::Answers(answers) => answers
                .iter()
                .any(|answer| answer.freshness.useless_for(now).is_none_or(|useless| useless < VALIDATED_WITHIN)),
            Resource::NotKept(until) => now < *until,
        });
    }
}

impl Kept {
    fn missing(&self, why: Forwarded, stale: Option<&Arc<Stored>>) -> Missing {
        Missing { why, stale: stale.cloned(), leading: None, changes_seen: self.changes_seen }
    }

    /// Whether a URL may have been changed after so many changes.
    fn has_changed(&self, key: &[u8], changes_seen: u64) -> bool {
        let forgotten = self.changes.front().is_some_and(|(first, _)| *first > changes_seen + 1);
        forgotten || self.changes.iter().any(|(number, changed)| *number > changes_seen && &**changed == key)
    }
}

/// The key under which requests wait for each other: those that differ in what known answers vary by do not.
fn shared_key(key: &[u8], answers: Option<&[Arc<Stored>]>, fields: &Fields) -> Box<[u8]> {
    let mut shared = key.to_vec();
    if let Some(last) = answers.and_then(<[_]>::last) {
        last.selected_by.append_values_of(fields, &mut shared);
    }
    shared.into()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::cache::rules::{Received, judge};
    use crate::cache::stored::SelectedBy;
    use crate::message::body_length::BodyLength;
    use crate::message::response_head::ResponseHead;
    use crate::overload::memory_budget::MemoryBudget;

    const KEY: &[u8] = b"0/a";
    const MIB: u64 = 1 << 20;

    fn cache() -> Arc<RouteCache> {
        RouteCache::new(NonZeroU64::new(MIB).expect("not 0"), CacheMemory::new(MemoryBudget::new(1 << 30)))
    }

    fn fields(of: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        of.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    /// An answer of this length for a request, which varies by `X-Variant`.
    fn stored(cache: &RouteCache, len: usize, request: &Fields) -> Arc<Stored> {
        let fields = fields(&[("cache-control", "max-age=60"), ("vary", "x-variant")]);
        let head = ResponseHead { fields: fields.clone(), body: BodyLength::Empty, ..ResponseHead::default() };
        let received = Received { asked: Instant::now(), at: Instant::now(), wall: SystemTime::now() };
        let freshness = judge(&CacheControl::default(), Audience::Anybody, &head, received, len);
        Arc::new(Stored {
            status: StatusCode::OK,
            reason_phrase: Vec::new(),
            selected_by: SelectedBy::of(&fields, request),
            fields,
            body: Bytes::from(vec![0; len]),
            freshness: freshness.expect("kept"),
            _share: cache.memory.share(len).expect("room"),
        })
    }

    fn find(cache: &Arc<RouteCache>, key: &[u8], request: &Fields) -> Found {
        let control = CacheControl::default();
        cache.find(Wanted { key, fields: request, control: &control, sharing: Sharing::Joins }, Instant::now())
    }

    fn missing(cache: &Arc<RouteCache>, key: &[u8], request: &Fields) -> Missing {
        match find(cache, key, request) {
            Found::Missing(missing) => missing,
            found @ (Found::Fresh(_) | Found::Meanwhile(..) | Found::Awaited(..)) => panic!("{found:?}"),
        }
    }

    fn is_fresh(cache: &Arc<RouteCache>, key: &[u8], request: &Fields) -> bool {
        matches!(find(cache, key, request), Found::Fresh(_))
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_before_a_change_is_not_kept_after_it() {
        let (cache, request) = (cache(), Fields::default());
        for (changed, is_kept) in [(None, true), (Some(KEY), false), (Some(&b"0/b"[..]), true), (Some(b"2/a"), false)] {
            let missing = missing(&cache, KEY, &request);
            changed.into_iter().for_each(|key| cache.invalidate(key));
            cache.keep(KEY, stored(&cache, 10, &request), missing.changes_seen);
            assert_eq!(is_fresh(&cache, KEY, &request), is_kept, "{changed:?}");
            drop(missing);
            cache.clear();
        }
        // After so many changes nobody knows of what.
        let missing = missing(&cache, KEY, &request);
        (0..CHANGES_MAX).for_each(|number| cache.invalidate(format!("0/{number}x").as_bytes()));
        cache.keep(KEY, stored(&cache, 10, &request), missing.changes_seen);
        assert!(!is_fresh(&cache, KEY, &request));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_has_its_size_and_one_url_has_a_part_of_it() {
        let cache = cache();
        let request = Fields::default();
        for number in 0..1000 {
            let key = format!("0/{number}");
            cache.keep(key.as_bytes(), stored(&cache, 10_000, &request), 0);
        }
        assert!((MIB / 2..=MIB).contains(&cache.kept.lock().resources.weight()));
        assert!(cache.memory.taken() <= MIB as usize);
        for variant in 0..100 {
            let request = fields(&[("x-variant", &variant.to_string())]);
            cache.keep(KEY, stored(&cache, 100_000, &request), 0);
        }
        assert!(is_fresh(&cache, KEY, &fields(&[("x-variant", "99")])));
        assert!(!is_fresh(&cache, KEY, &fields(&[("x-variant", "90")])));
        assert!(cache.kept.lock().resources.weight() <= MIB);
        cache.clear();
        assert_eq!(cache.memory.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_one_who_is_slow_or_for_what_is_not_kept() {
        let (cache, request) = (cache(), Fields::default());
        let first = missing(&cache, KEY, &request).leading.expect("nobody fetches it");
        let Found::Awaited(awaited, _) = find(&cache, KEY, &request) else { panic!("it is fetched") };
        assert!(!awaited.end().await, "it took too long");
        // The next one fetches, and the end of the first one changes nothing.
        let second = missing(&cache, KEY, &request).leading.expect("the first is too slow");
        drop(first);
        let Found::Awaited(awaited, _) = find(&cache, KEY, &request) else { panic!("it is fetched") };
        second.is_keeping();
        let begun = Instant::now();
        assert!(!awaited.end().await);
        assert!(begun.elapsed() < 2 * END_WAIT);
        let third = missing(&cache, KEY, &request).leading.expect("the second is too slow");
        let Found::Awaited(awaited, _) = find(&cache, KEY, &request) else { panic!("it is fetched") };
        drop(third);
        assert!(awaited.end().await, "another may fetch it");
        let fourth = missing(&cache, KEY, &request).leading.expect("the third has gone");
        let Found::Awaited(awaited, _) = find(&cache, KEY, &request) else { panic!("it is fetched") };
        fourth.not_kept(true);
        assert!(!awaited.end().await);
        drop(fourth);
        assert!(missing(&cache, KEY, &request).leading.is_none(), "it is known that it is not kept");
        tokio::time::advance(NOT_KEPT_FOR).await;
        assert!(missing(&cache, KEY, &request).leading.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_of_no_use_any_more_goes() {
        let (cache, request) = (cache(), Fields::default());
        cache.keep(KEY, stored(&cache, 10, &request), 0);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(missing(&cache, KEY, &request).stale.is_some(), "it may be validated");
        cache.sweep(Instant::now());
        assert!(missing(&cache, KEY, &request).stale.is_some());
        tokio::time::advance(VALIDATED_WITHIN).await;
        cache.sweep(Instant::now());
        assert!(missing(&cache, KEY, &request).stale.is_none());
    }

    #[test]
    fn memory_that_runs_short_is_not_taken_and_all_caches_have_a_part_of_it() {
        let budget = MemoryBudget::new(1000);
        let memory = CacheMemory::new(budget.clone());
        let share = memory.share(250).expect("a quarter");
        assert!(memory.share(1).is_none());
        drop(share);
        assert_eq!(memory.taken(), 0);
        budget.measured(850);
        assert!(memory.share(1).is_none(), "it runs short");
    }
}
