//! What is remembered of each route beside its counters: its last requests, and how many were lost or had to wait.
//!
//! A history outlives tables, and its route too, so that a container that is made anew goes on with it. A request writes
//! its entry without allocating and never waits: where another thread has the history at that moment, the request leaves
//! no entry. Entries hold targets as they came; secrets are masked when they are read, by the same function as in the
//! access log.
//!
//! All entries together take [`BYTES_MAX`] at most. A route that had no request for [`QUIET_TIME`] gives its place to one
//! that has some.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gangway_model::secret::masked_target;
use http::{Method, Version};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The requests of one route that are remembered.
const REQUESTS_MAX: usize = 100;

/// The memory that the requests of all routes may take.
const BYTES_MAX: usize = 10 << 20;

/// The number of routes whose requests are remembered.
const PLACES: usize = BYTES_MAX / (REQUESTS_MAX * size_of::<Entry>());

/// After this long without a request, a route may lose its place.
const QUIET_TIME: Duration = Duration::from_mins(10);

/// After this long without a request, a route that is gone is forgotten.
const GONE_TIME: Duration = Duration::from_hours(24);

/// Bytes of a target that are remembered.
const TARGET_MAX: usize = 160;

const METHOD_MAX: usize = 16;
const ENDPOINT_MAX: usize = 40;

/// What stands behind a text that was cut.
const CUT: char = '…';

/// A request as its history shows it. Its target holds no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecentRequest {
    /// Its number among the requests of its route. Later requests have greater ones.
    pub number: u64,
    /// How long ago it ended.
    pub ago: Duration,
    /// The method.
    pub method: String,
    /// The target: path and query.
    pub target: String,
    /// The status that was sent; 0 if none was.
    pub status: u16,
    /// From its head to the end of its answer.
    pub duration: Duration,
    /// Why Gangway answered itself, or why the answer was cut. `None` if an application answered.
    pub reason: Option<&'static str>,
    /// The endpoint that had it. `None` if none had.
    pub endpoint: Option<String>,
    /// The version of HTTP.
    pub protocol: &'static str,
}

/// How many requests of a route have ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestCount {
    /// The number of the latest one: see [`RecentRequest::number`].
    pub number: u64,
    /// All of them, with those that left no entry and have no number. Each is counted once it has had the chance to leave one.
    pub ended: u64,
}

/// What a request leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedRequest<'r> {
    pub(crate) ended: Instant,
    pub(crate) method: &'r Method,
    pub(crate) target: &'r str,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    /// Empty if an application answered.
    pub(crate) reason: &'static str,
    /// Empty if no endpoint had it.
    pub(crate) endpoint: &'r str,
    pub(crate) version: Version,
}

/// What is remembered of one route.
#[derive(Debug)]
pub(crate) struct RouteHistory {
    remembered: Mutex<Remembered>,
    places: Arc<AtomicUsize>,
    /// The number of requests that wait for an endpoint now.
    pub(crate) waiting: Arc<AtomicUsize>,
    /// Requests came and found no place.
    wants_place: AtomicBool,
    /// Requests that left no entry, as another thread had the history at that moment.
    passed_over: AtomicU64,
    /// Requests that failed because no endpoint answered them.
    lost: AtomicU64,
    /// Requests that had to wait for an endpoint.
    waited: AtomicU64,
    /// Requests that were sent to an endpoint again.
    retries: AtomicU64,
}

#[derive(Debug, Default)]
struct Remembered {
    /// The number of requests so far. It goes on when the entries are given up.
    count: u64,
    entries: Option<Box<Entries>>,
}

#[derive(Debug)]
struct Entries {
    slots: Vec<Entry>,
    /// The number of requests before the first entry.
    before: u64,
    /// The slot of the next request.
    next: usize,
}

#[derive(Debug)]
struct Entry {
    ended: Instant,
    duration: Duration,
    reason: &'static str,
    version: Version,
    status: u16,
    /// The method if it is one of the usual ones, which need no copy; else empty.
    usual_method: &'static str,
    method: Text<METHOD_MAX>,
    endpoint: Text<ENDPOINT_MAX>,
    target: Text<TARGET_MAX>,
}

/// The beginning of a text.
#[derive(Clone, Copy, Debug)]
struct Text<const N: usize> {
    len: u8,
    is_cut: bool,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self { len: 0, is_cut: false, bytes: [0; N] };

    fn set(&mut self, text: &str) {
        let len = text.len().min(N);
        self.bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.is_cut = text.len() > N;
        self.len = u8::try_from(len).unwrap_or(u8::MAX);
    }

    fn get(&self) -> Cow<'_, str> {
        let kept = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        match kept.utf8_chunks().next() {
            Some(whole) => Cow::Borrowed(whole.valid()),
            None => Cow::Borrowed(""),
        }
    }

    fn shown(&self) -> String {
        let mut shown = self.get().into_owned();
        if self.is_cut {
            shown.push(CUT);
        }
        shown
    }

    /// The text as a target without secrets. A piece that was cut could be a secret that no longer looks like one, so it is
    /// left out.
    fn shown_target(&self) -> String {
        let kept = self.get();
        if !self.is_cut {
            return masked_target(&kept).into_owned();
        }
        let whole = kept.rfind(['/', '?', '&', ';', '#', '=']).map_or("", |end| &kept[..=end]);
        let mut shown = masked_target(whole).into_owned();
        shown.push(CUT);
        shown
    }
}

impl Entry {
    fn empty(ended: Instant) -> Self {
        Self {
            ended,
            duration: Duration::ZERO,
            reason: "",
            version: Version::HTTP_11,
            status: 0,
            usual_method: "",
            method: Text::EMPTY,
            endpoint: Text::EMPTY,
            target: Text::EMPTY,
        }
    }

    fn set(&mut self, request: &EndedRequest<'_>) {
        self.ended = request.ended;
        self.duration = request.duration;
        self.reason = request.reason;
        self.version = request.version;
        self.status = request.status;
        self.usual_method = usual_method(request.method);
        if self.usual_method.is_empty() {
            self.method.set(request.method.as_str());
        }
        self.endpoint.set(request.endpoint);
        self.target.set(request.target);
    }

    fn shown(&self, number: u64, now: Instant) -> RecentRequest {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        RecentRequest {
            number,
            ago: now.saturating_duration_since(self.ended),
            method: if self.usual_method.is_empty() { self.method.shown() } else { self.usual_method.to_owned() },
            target: self.target.shown_target(),
            status: self.status,
            duration: self.duration,
            reason: Some(self.reason).filter(|reason| !reason.is_empty()),
            endpoint: some(self.endpoint.shown()),
            protocol: version_text(self.version),
        }
    }
}

impl Entries {
    fn newest(&self) -> Option<&Entry> {
        let last = self.next.checked_sub(1).unwrap_or(self.slots.len().saturating_sub(1));
        self.slots.get(last)
    }
}

impl RouteHistory {
    fn new(places: Arc<AtomicUsize>) -> Self {
        Self {
            remembered: Mutex::default(),
            places,
            waiting: Arc::default(),
            wants_place: AtomicBool::new(false),
            passed_over: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    /// Remembers a request, unless another thread is at it.
    pub(crate) fn note(&self, request: &EndedRequest<'_>) {
        let Some(mut remembered) = self.remembered.try_lock() else {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Remembered { count, entries } = &mut *remembered;
        if entries.is_none() {
            *entries = self.take_place(*count, request.ended);
        }
        *count += 1;
        let Some(entries) = entries else { return };
        let at = entries.next;
        // One that ended before another may come here after it. The order of numbers is that of ends.
        let before = entries.slots.get(at.checked_sub(1).unwrap_or(entries.slots.len() - 1)).map(|entry| entry.ended);
        if let Some(entry) = entries.slots.get_mut(at) {
            entry.set(request);
            entry.ended = before.map_or(request.ended, |before| before.max(request.ended));
        }
        entries.next = if at + 1 >= entries.slots.len() { 0 } else { at + 1 };
    }

    /// The place of a route that has none, if there is one left.
    #[cold]
    fn take_place(&self, before: u64, now: Instant) -> Option<Box<Entries>> {
        let taken = self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1));
        if taken.is_err() {
            self.wants_place.store(true, Ordering::Relaxed);
            return None;
        }
        let slots = (0..REQUESTS_MAX).map(|_| Entry::empty(now)).collect();
        Some(Box::new(Entries { slots, before, next: 0 }))
    }

    fn give_back_place(&self) {
        if self.remembered.lock().entries.take().is_some() {
            self.places.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were lost, had to wait, and were sent again.
    pub(crate) fn troubles(&self) -> Troubles {
        let [lost, waited, retries] =
            [&self.lost, &self.waited, &self.retries].map(|counter| counter.load(Ordering::Relaxed));
        Troubles { lost, waited, retries }
    }

    /// The requests with a number greater than `after`, newest first.
    fn requests(&self, after: u64, now: Instant) -> Vec<RecentRequest> {
        let remembered = self.remembered.lock();
        let Some(entries) = &remembered.entries else { return Vec::new() };
        let (newer, older) = entries.slots.split_at(entries.next.min(entries.slots.len()));
        let newest_first = newer.iter().rev().chain(older.iter().rev());
        let numbers = (after.max(entries.before) + 1..=remembered.count).rev();
        numbers.zip(newest_first).map(|(number, entry)| entry.shown(number, now)).collect()
    }

    fn count(&self) -> RequestCount {
        let number = self.remembered.lock().count;
        RequestCount { number, ended: number + self.passed_over.load(Ordering::Relaxed) }
    }

    /// When those that are remembered ended, newest first.
    fn ends(&self) -> Vec<Instant> {
        let remembered = self.remembered.lock();
        let Some(entries) = &remembered.entries else { return Vec::new() };
        let len = usize::try_from(remembered.count - entries.before).unwrap_or(usize::MAX);
        let (newer, older) = entries.slots.split_at(entries.next.min(entries.slots.len()));
        newer.iter().rev().chain(older.iter().rev()).take(len).map(|entry| entry.ended).collect()
    }

    /// For how long no request came. None without a place.
    fn quiet_for(&self, now: Instant) -> Option<Duration> {
        let remembered = self.remembered.lock();
        let newest = remembered.entries.as_ref()?.newest()?;
        Some(now.saturating_duration_since(newest.ended))
    }
}

/// How many requests of a route met trouble since its history began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Troubles {
    /// Requests that failed because no endpoint answered them.
    pub lost: u64,
    /// Requests that had to wait for an endpoint.
    pub waited: u64,
    /// How often a request was sent to an endpoint again.
    pub retries: u64,
}

/// The histories of all routes, by id. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RouteHistories {
    by_id: Arc<Mutex<BTreeMap<Arc<str>, Arc<RouteHistory>>>>,
    places: Arc<AtomicUsize>,
}

impl Default for RouteHistories {
    fn default() -> Self {
        Self { by_id: Arc::default(), places: Arc::new(AtomicUsize::new(PLACES)) }
    }
}

impl RouteHistories {
    /// The history of a route, which is remembered from now on.
    pub(crate) fn of(&self, id: &str) -> Arc<RouteHistory> {
        let mut by_id = self.by_id.lock();
        if let Some(known) = by_id.get(id) {
            return Arc::clone(known);
        }
        let history = Arc::new(RouteHistory::new(Arc::clone(&self.places)));
        by_id.insert(id.into(), Arc::clone(&history));
        history
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<RouteHistory>> {
        self.by_id.lock().get(id).cloned()
    }

    pub(crate) fn requests(&self, id: &str, after: u64) -> Option<Vec<RecentRequest>> {
        Some(self.find(id)?.requests(after, Instant::now()))
    }

    /// How many requests of each route have ended.
    pub(crate) fn counts(&self) -> Vec<(Arc<str>, RequestCount)> {
        self.by_id.lock().iter().map(|(id, history)| (Arc::clone(id), history.count())).collect()
    }

    /// The last requests of all routes, at most `max` of them, newest first. Only these are made into texts.
    pub(crate) fn latest(&self, max: usize, now: Instant) -> Vec<(Arc<str>, RecentRequest)> {
        let histories: Vec<_> = self.by_id.lock().iter().map(|(id, one)| (Arc::clone(id), Arc::clone(one))).collect();
        let mut ends = Vec::new();
        for (position, (_, history)) in histories.iter().enumerate() {
            ends.extend(history.ends().into_iter().take(max).map(|ended| (ended, position)));
        }
        if ends.len() > max {
            ends.select_nth_unstable_by(max, |one, other| other.cmp(one));
            ends.truncate(max);
        }
        let mut counts = vec![0; histories.len()];
        ends.iter().for_each(|(_, position)| counts[*position] += 1);
        let mut latest = Vec::new();
        for ((id, history), count) in histories.iter().zip(counts).filter(|(_, count)| *count > 0) {
            let after = history.count().number.saturating_sub(count);
            latest.extend(history.requests(after, now).into_iter().map(|request| (Arc::clone(id), request)));
        }
        latest.sort_by_key(|(_, request)| request.ago);
        latest.truncate(max);
        latest
    }

    pub(crate) fn all_troubles(&self) -> Vec<(Arc<str>, Troubles)> {
        self.by_id.lock().iter().map(|(id, history)| (Arc::clone(id), history.troubles())).collect()
    }

    /// Forgets routes that are gone and had no place or no request for a day, and takes places for those that have
    /// requests and no place: from routes that are gone, and from those that had no request for a while, the longest first.
    pub(crate) fn tidy(&self, now: Instant) {
        let mut by_id = self.by_id.lock();
        by_id.retain(|_, history| {
            // One count is that of this map, and the others are those of tables.
            let is_there = Arc::strong_count(history) > 1;
            let stays = is_there || history.quiet_for(now).is_some_and(|time| time < GONE_TIME);
            if !stays {
                history.give_back_place();
            }
            stays
        });
        let wanted = by_id.values().filter(|history| history.wants_place.swap(false, Ordering::Relaxed)).count();
        let needed = wanted.saturating_sub(self.places.load(Ordering::Relaxed));
        if needed == 0 {
            return;
        }
        let mut quiet: Vec<(bool, Duration, &Arc<RouteHistory>)> = by_id
            .values()
            .filter_map(|history| {
                let (is_gone, time) = (Arc::strong_count(history) == 1, history.quiet_for(now)?);
                (is_gone || time >= QUIET_TIME).then_some((is_gone, time, history))
            })
            .collect();
        quiet.sort_by_key(|(is_gone, time, _)| std::cmp::Reverse((*is_gone, *time)));
        quiet.iter().take(needed).for_each(|(_, _, history)| history.give_back_place());
    }
}

/// The method if it is one that most requests have; else empty.
fn usual_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        _ => "",
    }
}

/// The version as logs write it.
pub(crate) fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(target: &str, ended: Instant) -> EndedRequest<'_> {
        EndedRequest {
            ended,
            method: &Method::GET,
            target,
            status: 200,
            duration: Duration::from_millis(3),
            reason: "",
            endpoint: "web-1",
            version: Version::HTTP_2,
        }
    }

    fn targets(histories: &RouteHistories, id: &str, after: u64) -> Vec<String> {
        histories.requests(id, after).unwrap_or_default().into_iter().map(|request| request.target).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_hundred_requests_are_remembered_newest_first() {
        let histories = RouteHistories::default();
        let history = histories.of("web");
        assert_eq!(targets(&histories, "web", 0), [""; 0]);
        for number in 1..=250 {
            history.note(&request(&format!("/{number}"), Instant::now()));
        }
        let all = targets(&histories, "web", 0);
        assert_eq!((all.len(), all[0].as_str(), all[99].as_str()), (100, "/250", "/151"));
        assert_eq!(targets(&histories, "web", 248), ["/250", "/249"], "those after a number that is known");
        assert_eq!(targets(&histories, "web", 250), [""; 0]);
        tokio::time::advance(Duration::from_secs(2)).await;
        let newest = histories.requests("web", 249).expect("known").remove(0);
        assert_eq!(
            newest,
            RecentRequest {
                number: 250,
                ago: Duration::from_secs(2),
                method: "GET".into(),
                target: "/250".into(),
                status: 200,
                duration: Duration::from_millis(3),
                reason: None,
                endpoint: Some("web-1".into()),
                protocol: "HTTP/2",
            }
        );
        assert_eq!(histories.requests("other", 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_of_all_routes_are_told_newest_first() {
        let histories = RouteHistories::default();
        let (web, api, _idle) = (histories.of("web"), histories.of("api"), histories.of("idle"));
        assert_eq!(histories.latest(3, Instant::now()), []);
        for second in 0..250 {
            let history = if second % 50 == 0 { &api } else { &web };
            history.note(&request(&format!("/{second}"), Instant::now()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let latest = |max| {
            let latest = histories.latest(max, Instant::now());
            latest.into_iter().map(|(id, request)| format!("{id} {}", request.target)).collect::<Vec<_>>()
        };
        assert_eq!(latest(2), ["web /249", "web /248"]);
        let all = latest(51);
        assert_eq!((all.len(), all[49].as_str(), all[50].as_str()), (51, "api /200", "web /199"));
        assert_eq!(latest(1000).len(), REQUESTS_MAX + 5);
    }

    #[tokio::test]
    async fn targets_are_cut_and_hold_no_secret() {
        let histories = RouteHistories::default();
        let history = histories.of("web");
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.c2ln", "a".repeat(TARGET_MAX));
        let long_name = "x".repeat(300);
        for (target, shown) in [
            ("/a?token=S3CRET".to_owned(), "/a?token=***".to_owned()),
            (format!("/files/{jwt}"), "/files/…".to_owned()),
            (format!("/x?v={jwt}"), "/x?v=…".to_owned()),
            (format!("/x?token={jwt}"), "/x?token=…".to_owned()),
            (format!("/a?api_key=S3CRET&b={}", "b".repeat(TARGET_MAX)), "/a?api_key=***&b=…".to_owned()),
            (long_name.clone(), "…".to_owned()),
        ] {
            history.note(&request(&target, Instant::now()));
            assert_eq!(targets(&histories, "web", 0)[0], shown, "{target}");
        }
        let method: Method = "PROPFIND".parse().expect("a method");
        history.note(&EndedRequest { method: &method, ..request("/", Instant::now()) });
        assert_eq!(histories.requests("web", 0).expect("known").remove(0).method, "PROPFIND");
        history.note(&EndedRequest { endpoint: &long_name, ..request("/", Instant::now()) });
        let endpoint = histories.requests("web", 0).expect("known").remove(0).endpoint.expect("named");
        assert_eq!(endpoint.chars().count(), ENDPOINT_MAX + 1);
    }

    #[tokio::test]
    async fn a_request_waits_for_nobody() {
        let histories = RouteHistories::default();
        let history = histories.of("web");
        history.note(&request("/1", Instant::now()));
        let reading = history.remembered.lock();
        history.note(&request("/2", Instant::now()));
        drop(reading);
        history.note(&request("/3", Instant::now()));
        assert_eq!(targets(&histories, "web", 0), ["/3", "/1"]);
        let [(_, count)] = histories.counts()[..] else { panic!("one route") };
        assert_eq!(count, RequestCount { number: 2, ended: 3 }, "one that left no entry counts too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_that_is_gone_for_a_while_goes_on_with_its_history() {
        let histories = RouteHistories::default();
        histories.of("web").note(&request("/1", Instant::now()));
        histories.of("idle");
        histories.tidy(Instant::now());
        assert!(histories.find("idle").is_none(), "it is gone, and there is nothing to remember");
        histories.of("web").note(&request("/2", Instant::now()));
        assert_eq!(targets(&histories, "web", 0), ["/2", "/1"]);
        tokio::time::advance(GONE_TIME).await;
        histories.tidy(Instant::now());
        assert!(histories.find("web").is_none());
        assert_eq!(histories.places.load(Ordering::Relaxed), PLACES);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_routes_give_their_places_to_others() {
        let histories = RouteHistories { places: Arc::new(AtomicUsize::new(2)), ..RouteHistories::default() };
        let [gone, quiet, busy] = ["gone", "quiet", "busy"].map(|id| histories.of(id));
        quiet.note(&request("/", Instant::now()));
        gone.note(&request("/", Instant::now()));
        let has_place = |id: &str| histories.requests(id, 0).is_some_and(|requests| !requests.is_empty());
        let ask = || busy.note(&request("/", Instant::now()));
        ask();
        histories.tidy(Instant::now());
        ask();
        assert!(!has_place("busy") && has_place("quiet") && has_place("gone"), "nobody has been quiet for long");
        drop(gone);
        histories.tidy(Instant::now());
        ask();
        assert!(has_place("busy") && has_place("quiet") && !has_place("gone"), "one that is gone is the first");
        let late = histories.of("late");
        late.note(&request("/", Instant::now()));
        tokio::time::advance(QUIET_TIME).await;
        ask();
        histories.tidy(Instant::now());
        late.note(&request("/", Instant::now()));
        assert!(has_place("late") && has_place("busy") && !has_place("quiet"));
        let numbers: Vec<u64> =
            histories.requests("late", 0).expect("known").iter().map(|request| request.number).collect();
        assert_eq!(numbers, [2], "its first request found no place, and counts");
    }

    #[test]
    fn all_entries_together_are_bounded() {
        const { assert!(REQUESTS_MAX * size_of::<Entry>() <= 32 << 10 && PLACES >= 350) };
    }

    proptest! {
        #[test]
        fn a_cut_target_shows_the_beginning_of_what_a_whole_one_shows(
            target in r"/[a-z/]{0,60}\?([a-z]{1,6}=[a-z0-9]{0,12}&){0,9}(token|code|api_key)=S3[0-9]{0,80}(&[a-z]=b){0,9}"
        ) {
            let mut text = Text::<TARGET_MAX>::EMPTY;
            text.set(&target);
            let shown = text.shown_target();
            let whole = masked_target(&target);
            prop_assert!(whole.starts_with(shown.trim_end_matches(CUT)), "{} as {}, and not {}", target, shown, whole);
            prop_assert!(!shown.contains("S3"), "{} as {}", target, shown);
            prop_assert_eq!(shown.ends_with(CUT), target.len() > TARGET_MAX);
        }
    }
}
