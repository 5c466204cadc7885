//! The figures of the last day, per route, from counters that are read now and then.
//!
//! A sample is the values of a route's counters at one moment. The differences between samples are kept in rings: the
//! last minute by 5 seconds, the last hour by minutes, the last day by 5 minutes. A route that is gone keeps its figures
//! for a day, so that a container that is made anew goes on with them.
//!
//! All rings together take [`BYTES_MAX`] at most. If there are more routes than fit, those with the fewest requests go
//! without.
//!
//! There is deliberately no clock here: time is an argument, counted from any moment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{BucketView, FiguresView, PointView};

/// The number of classes of statuses.
const CLASSES: usize = 5;

/// The number of bounds of durations. What is longer than the last one has a bucket of its own.
pub const DURATION_BOUNDS: usize = 14;

/// The number of buckets of durations.
const BUCKETS: usize = DURATION_BOUNDS + 1;

/// The last minute: the 12 slots that have ended, and the one that has begun.
const RECENT: usize = 13;
const RECENT_STEP: u64 = 5;

const HOUR: usize = 60;
const HOUR_STEP: u64 = 60;

const DAY: usize = 288;
const DAY_STEP: u64 = 300;

/// The memory that the figures of all routes may take.
const BYTES_MAX: usize = 6 << 20;

/// The number of routes with figures.
const ROUTES_MAX: usize = BYTES_MAX / ROUTE_BYTES;

/// The memory of one route, with room for its id.
const ROUTE_BYTES: usize = size_of::<RouteRings>()
    + size_of::<Entry>()
    + size_of::<[Tally; RECENT]>()
    + size_of::<[Tally; HOUR]>()
    + size_of::<[Point; DAY]>()
    + 512;

/// The time for which a route that is gone keeps its figures.
const GONE_TIME: Duration = Duration::from_hours(24);

/// How often places are given to routes that have become busier than others.
const ORDER_STEP: u64 = 60;

/// Each minute, the weight of earlier requests is multiplied by this: it halves in about an hour.
const USE_DECAY: f64 = 0.9885;

/// The values of a route's counters at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RouteCounts {
    /// Requests, streams and WebSockets under way.
    pub under_way: u64,
    /// Requests answered so far, by the first digit of their status, from 1.
    pub statuses: [u64; CLASSES],
    /// The same, by duration: one number for each bound, and one for what is longer.
    pub durations: [u64; BUCKETS],
}

/// The figures of all routes.
#[derive(Debug)]
pub struct Figures {
    /// The bounds of durations in microseconds.
    bounds: [u32; DURATION_BOUNDS],
    routes: BTreeMap<Box<str>, Entry>,
    routes_max: usize,
    /// When the last sample came.
    sampled: Duration,
    /// The number of the minute in which places were given last.
    ordered: u64,
}

#[derive(Debug)]
struct Entry {
    /// The counters as they were read last.
    last: RouteCounts,
    /// When the route was there last.
    seen: Duration,
    /// Requests, of which the earlier ones count less.
    used: f64,
    rings: Option<Box<RouteRings>>,
}

/// The figures of one route.
#[derive(Debug)]
struct RouteRings {
    /// Since when requests are counted here.
    begun: Duration,
    recent: Ring<Tally, RECENT>,
    hour: Ring<Tally, HOUR>,
    day: Ring<Point, DAY>,
    /// The 5 minutes that have begun.
    span: Tally,
}

/// What was counted within a time.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    statuses: [u32; CLASSES],
    durations: [u32; BUCKETS],
}

/// What remains of a tally after an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    requests: u32,
    errors: u32,
    p50_ms: f32,
    p99_ms: f32,
}

/// The last slots of a sequence that goes on by itself. Slots in which nothing was put are as new.
#[derive(Debug)]
struct Ring<T, const N: usize> {
    slots: Box<[T]>,
    /// The number of the newest slot.
    newest: u64,
}

impl<T: Copy + Default, const N: usize> Ring<T, N> {
    fn new(newest: u64) -> Self {
        Self { slots: vec![T::default(); N].into_boxed_slice(), newest }
    }

    fn index(number: u64) -> usize {
        usize::try_from(number % N as u64).unwrap_or(0)
    }

    /// Makes `number` the newest slot. An earlier number changes nothing: time does not go back.
    fn advance(&mut self, number: u64) {
        let begin = self.newest.saturating_add(1).max(number.saturating_sub(N as u64 - 1));
        for passed in begin..=number {
            self.slots[Self::index(passed)] = T::default();
        }
        self.newest = self.newest.max(number);
    }

    fn newest_mut(&mut self) -> &mut T {
        &mut self.slots[Self::index(self.newest)]
    }

    /// All slots, oldest first.
    fn iter(&self) -> impl Iterator<Item = &T> {
        let (newer, older) = self.slots.split_at(Self::index(self.newest) + 1);
        older.iter().chain(newer)
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        let of_status = self.statuses.iter_mut().zip(&other.statuses);
        let of_duration = self.durations.iter_mut().zip(&other.durations);
        of_status.chain(of_duration).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
    }

    fn requests(&self) -> u64 {
        self.statuses.iter().map(|count| u64::from(*count)).sum()
    }

    fn errors(&self) -> u64 {
        u64::from(self.statuses[CLASSES - 1])
    }

    fn sum<'t>(tallies: impl Iterator<Item = &'t Self>) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum.add(tally);
            sum
        })
    }

    /// The duration that this share of the requests does not exceed, in milliseconds, interpolated within its bucket. The
    /// last bound stands for what is longer. None without a request.
    fn quantile(&self, share: f64, bounds: &[u32; DURATION_BOUNDS]) -> Option<f64> {
        let count: u64 = self.durations.iter().map(|count| u64::from(*count)).sum();
        if count == 0 {
            return None;
        }
        let rank = share * count as f64;
        let (mut before, mut lower) = (0.0, 0.0);
        for (in_bucket, bound) in self.durations.iter().zip(bounds) {
            let (in_bucket, upper) = (f64::from(*in_bucket), f64::from(*bound) / 1000.0);
            if in_bucket > 0.0 && before + in_bucket >= rank {
                return Some(lower + (upper - lower) * ((rank - before) / in_bucket).clamp(0.0, 1.0));
            }
            before += in_bucket;
            lower = upper;
        }
        Some(lower)
    }

    fn view(&self, bounds: &[u32; DURATION_BOUNDS]) -> PointView {
        PointView {
            requests: self.requests(),
            errors: self.errors(),
            p50_ms: self.quantile(0.5, bounds),
            p99_ms: self.quantile(0.99, bounds),
        }
    }
}

impl Point {
    #[expect(clippy::cast_possible_truncation, reason = "the longest bound is a minute")]
    fn of(tally: &Tally, bounds: &[u32; DURATION_BOUNDS]) -> Self {
        let view = tally.view(bounds);
        Self {
            requests: u32::try_from(view.requests).unwrap_or(u32::MAX),
            errors: u32::try_from(view.errors).unwrap_or(u32::MAX),
            p50_ms: view.p50_ms.unwrap_or_default() as f32,
            p99_ms: view.p99_ms.unwrap_or_default() as f32,
        }
    }

    fn view(&self) -> PointView {
        let quantile = |millis: f32| (self.requests > 0).then_some(f64::from(millis));
        PointView {
            requests: self.requests.into(),
            errors: self.errors.into(),
            p50_ms: quantile(self.p50_ms),
            p99_ms: quantile(self.p99_ms),
        }
    }
}

impl RouteCounts {
    /// What was counted since `last`. A counter that is less than it was began anew, and so did all others.
    fn since(&self, last: &Self) -> Tally {
        let pairs = || self.statuses.iter().zip(&last.statuses).chain(self.durations.iter().zip(&last.durations));
        let began_anew = pairs().any(|(now, before)| now < before);
        let more = |(now, before): (&u64, &u64)| {
            u32::try_from(if began_anew { *now } else { now - before }).unwrap_or(u32::MAX)
        };
        let mut tally = Tally::default();
        let all = tally.statuses.iter_mut().chain(&mut tally.durations);
        all.zip(pairs()).for_each(|(sum, pair)| *sum = more(pair));
        tally
    }
}

impl RouteRings {
    fn new(begun: Duration, now: Duration) -> Self {
        let now_s = now.as_secs();
        Self {
            begun,
            recent: Ring::new(now_s / RECENT_STEP),
            hour: Ring::new(now_s / HOUR_STEP),
            day: Ring::new(now_s / DAY_STEP),
            span: Tally::default(),
        }
    }

    fn advance(&mut self, now: Duration, bounds: &[u32; DURATION_BOUNDS]) {
        let now_s = now.as_secs();
        self.recent.advance(now_s / RECENT_STEP);
        self.hour.advance(now_s / HOUR_STEP);
        if now_s / DAY_STEP > self.day.newest {
            *self.day.newest_mut() = Point::of(&self.span, bounds);
            self.span = Tally::default();
            self.day.advance(now_s / DAY_STEP);
        }
    }

    fn add(&mut self, tally: &Tally) {
        self.recent.newest_mut().add(tally);
        self.hour.newest_mut().add(tally);
        self.span.add(tally);
    }

    /// The seconds that the last minute covers: up to 65, and less for a route that has just begun.
    fn recent_seconds(&self, now: Duration) -> f64 {
        let begun = Duration::from_secs((self.recent.newest.saturating_sub(RECENT as u64 - 1)) * RECENT_STEP);
        now.saturating_sub(begun.max(self.begun)).as_secs_f64().max(1.0)
    }

    fn view(&self, route: &str, under_way: u64, now: Duration, bounds: &[u32; DURATION_BOUNDS]) -> FiguresView {
        let (recent, hour) = (Tally::sum(self.recent.iter()), Tally::sum(self.hour.iter()));
        let requests = recent.requests() as f64;
        let upper = bounds.iter().map(|bound| Some(f64::from(*bound) / 1000.0)).chain([None]);
        let bucket = |(requests, up_to_ms): (&u32, Option<f64>)| BucketView { up_to_ms, requests: (*requests).into() };
        FiguresView {
            route: route.to_owned(),
            per_second: requests / self.recent_seconds(now),
            error_share: if requests > 0.0 { recent.errors() as f64 / requests } else { 0.0 },
            p50_ms: recent.quantile(0.5, bounds),
            p99_ms: recent.quantile(0.99, bounds),
            under_way,
            statuses: hour.statuses.map(u64::from),
            durations: hour.durations.iter().zip(upper).map(bucket).collect(),
            hour: self.hour.iter().map(|tally| tally.view(bounds)).collect(),
            day: Vec::new(),
        }
    }

    fn day(&self, bounds: &[u32; DURATION_BOUNDS]) -> Vec<PointView> {
        let mut day: Vec<PointView> = self.day.iter().map(Point::view).collect();
        if let Some(newest) = day.last_mut() {
            *newest = self.span.view(bounds);
        }
        day
    }
}

impl Figures {
    /// No figures yet. `bounds` are the upper bounds of durations, in microseconds.
    pub fn new(bounds: [u32; DURATION_BOUNDS]) -> Self {
        Self { bounds, routes: BTreeMap::new(), routes_max: ROUTES_MAX, sampled: Duration::ZERO, ordered: 0 }
    }

    /// Takes in the counters of all routes that are there at this moment.
    ///
    /// The first sample of a route counts as a whole: its counters began with it. One that never had a request takes no
    /// memory, and has no figures.
    pub fn sample<'c>(&mut self, now: Duration, counts: impl Iterator<Item = (&'c str, RouteCounts)>) {
        let mut taken = self.places_taken();
        // Time does not go back. What is new has come since the sample before.
        let (since, now) = (self.sampled, self.sampled.max(now));
        self.sampled = now;
        for (id, counts) in counts {
            if !self.routes.contains_key(id) {
                if counts == RouteCounts::default() {
                    continue;
                }
                let rings = (taken < self.routes_max).then(|| Box::new(RouteRings::new(since, now)));
                taken += usize::from(rings.is_some());
                let last = RouteCounts::default();
                self.routes.insert(id.into(), Entry { last, seen: now, used: 0.0, rings });
            }
            let Some(entry) = self.routes.get_mut(id) else { continue };
            let tally = counts.since(&entry.last);
            entry.used += tally.requests() as f64;
            entry.seen = now;
            entry.last = counts;
            if let Some(rings) = &mut entry.rings {
                rings.advance(now, &self.bounds);
                rings.add(&tally);
            }
        }
        for gone in self.routes.values_mut().filter(|entry| entry.seen < now) {
            // Its counters begin anew when it comes back.
            gone.last = RouteCounts::default();
        }
        self.routes.retain(|_, entry| entry.seen == now || entry.rings.is_some() && now < entry.seen + GONE_TIME);
        let minute = now.as_secs() / ORDER_STEP;
        let passed = i32::try_from(minute.saturating_sub(self.ordered)).unwrap_or(i32::MAX);
        if passed > 0 {
            self.ordered = minute;
            self.routes.values_mut().for_each(|entry| entry.used *= USE_DECAY.powi(passed));
            self.give_places(now);
        }
    }

    fn places_taken(&self) -> usize {
        self.routes.values().filter(|entry| entry.rings.is_some()).count()
    }

    /// Gives the places to the busiest routes.
    ///
    /// A route that has a place keeps it until another one has twice as many requests, so that places do not go back and
    /// forth. One that is gone is the first to lose its place.
    fn give_places(&mut self, now: Duration) {
        let weight = |entry: &Entry| match (entry.seen < now, &entry.rings) {
            (true, _) => -1.0,
            (false, Some(_)) => 2.0 * entry.used,
            (false, None) => entry.used,
        };
        let mut by_weight: Vec<&mut Entry> = self.routes.values_mut().collect();
        // The sort is stable, and of two alike the one that has a place comes first.
        by_weight.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(b.rings.is_some().cmp(&a.rings.is_some())));
        for (position, entry) in by_weight.into_iter().enumerate() {
            if position >= self.routes_max {
                entry.rings = None;
            } else if entry.rings.is_none() {
                entry.rings = Some(Box::new(RouteRings::new(now, now)));
            }
        }
    }

    /// The figures of the routes that were there in the last sample and have some, by id.
    pub fn views(&self, now: Duration) -> Vec<FiguresView> {
        let present = self.present();
        present.map(|(id, entry, rings)| rings.view(id, entry.last.under_way, now, &self.bounds)).collect()
    }

    /// The figures of one route, with those of the last day.
    pub fn view(&self, id: &str, now: Duration) -> Option<FiguresView> {
        let (id, entry, rings) = self.present().find(|(known, ..)| *known == id)?;
        let view = rings.view(id, entry.last.under_way, now, &self.bounds);
        Some(FiguresView { day: rings.day(&self.bounds), ..view })
    }

    fn present(&self) -> impl Iterator<Item = (&str, &Entry, &RouteRings)> {
        let present = self.routes.iter().filter(|(_, entry)| entry.seen == self.sampled);
        present.filter_map(|(id, entry)| Some((&**id, entry, &**entry.rings.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: [u32; DURATION_BOUNDS] = [
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000, 60_000_000,
    ];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// So many requests that were answered by 200 within a millisecond.
    fn well(requests: u64) -> RouteCounts {
        let mut counts = RouteCounts::default();
        (counts.statuses[1], counts.durations[0]) = (requests, requests);
        counts
    }

    fn of_hour(figures: &Figures, id: &str, now: Duration) -> Vec<u64> {
        let Some(view) = figures.view(id, now) else { return vec![0; HOUR] };
        view.hour.iter().map(|point| point.requests).collect()
    }

    #[test]
    fn requests_stand_in_the_minute_in_which_they_were_counted() {
        let mut figures = Figures::new(BOUNDS);
        for (second, requests) in [(0, 0), (30, 10), (59, 12), (60, 12), (130, 20)] {
            figures.sample(at(second), [("a", well(requests))].into_iter());
        }
        let hour = of_hour(&figures, "a", at(130));
        assert_eq!((hour.len(), &hour[56..]), (60, &[0, 12, 0, 8][..]));
        let day = figures.view("a", at(130)).expect("there").day;
        assert_eq!((day.len(), day[287].requests, day[286].requests), (288, 20, 0));
        figures.sample(at(301), [("a", well(20))].into_iter());
        let day = figures.view("a", at(301)).expect("there").day;
        assert_eq!((day[286].requests, day[287].requests), (20, 0));
        figures.sample(at(130 + 3600), [("a", well(21))].into_iter());
        assert_eq!(of_hour(&figures, "a", at(130 + 3600)).iter().sum::<u64>(), 1, "an hour later only what came since");
        figures.sample(at(90_000), [("a", well(21))].into_iter());
        let day = figures.view("a", at(90_000)).expect("there").day;
        assert!(day.iter().all(|point| point.requests <= 1), "{day:?}");
    }

    #[test]
    fn the_last_minute_gives_rate_errors_and_quantiles() {
        let mut figures = Figures::new(BOUNDS);
        figures.sample(at(0), [("a", RouteCounts::default())].into_iter());
        let mut counts = RouteCounts { under_way: 3, ..RouteCounts::default() };
        (counts.statuses, counts.durations[3], counts.durations[4]) = ([0, 90, 0, 6, 4], 50, 50);
        figures.sample(at(10), [("a", counts.clone())].into_iter());
        let now = figures.views(at(10)).pop().expect("there");
        assert_eq!((now.per_second, now.error_share, now.under_way), (10.0, 0.04, 3));
        assert_eq!(now.p50_ms, Some(10.0), "half of them are in the bucket up to 10 ms");
        let p99 = now.p99_ms.expect("there are requests");
        assert!((p99 - 24.7).abs() < 1e-9, "49 of 50 parts of the way from 10 to 25 ms: {p99}");
        assert_eq!(now.statuses, [0, 90, 0, 6, 4]);
        assert_eq!(now.durations.len(), 15);
        assert_eq!((now.durations[3].up_to_ms, now.durations[3].requests), (Some(10.0), 50));
        assert_eq!(now.durations[14].up_to_ms, None);
        figures.sample(at(80), [("a", counts)].into_iter());
        let later = figures.views(at(80)).pop().expect("there");
        assert_eq!((later.per_second, later.p50_ms, later.statuses[1]), (0.0, None, 90), "the hour still has them");
    }

    #[test]
    fn a_route_without_a_request_takes_no_memory() {
        let mut figures = Figures::new(BOUNDS);
        let waits = RouteCounts { under_way: 1, ..RouteCounts::default() };
        figures.sample(at(0), [("idle", well(0)), ("busy", well(1)), ("waits", waits)].into_iter());
        let ids: Vec<_> = figures.views(at(0)).into_iter().map(|view| view.route).collect();
        assert_eq!((ids.as_slice(), figures.routes.len()), (&["busy".to_owned(), "waits".to_owned()][..], 2));
    }

    #[test]
    fn what_takes_longer_than_the_last_bound_is_said_to_take_that() {
        let mut tally = Tally::default();
        tally.durations[DURATION_BOUNDS] = 7;
        assert_eq!(tally.quantile(0.5, &BOUNDS), Some(60_000.0));
        assert_eq!(Tally::default().quantile(0.5, &BOUNDS), None);
    }

    #[test]
    fn a_route_that_comes_back_goes_on_with_its_figures() {
        let mut figures = Figures::new(BOUNDS);
        figures.sample(at(0), [("a", well(5)), ("b", well(1))].into_iter());
        figures.sample(at(61), [("b", well(1))].into_iter());
        assert_eq!(figures.views(at(61)).len(), 1, "it is not shown while it is gone");
        figures.sample(at(122), [("a", well(2)), ("b", well(1))].into_iter());
        assert_eq!(of_hour(&figures, "a", at(122))[57..], [5, 0, 2]);
        let later = at(123) + GONE_TIME;
        figures.sample(at(123), [("b", well(1))].into_iter());
        figures.sample(later, [("b", well(1))].into_iter());
        assert_eq!(figures.routes.len(), 1, "after a day it is forgotten");
    }

    #[test]
    fn the_least_used_routes_go_without() {
        let mut figures = Figures { routes_max: 2, ..Figures::new(BOUNDS) };
        let ids = |figures: &Figures, now| figures.views(now).into_iter().map(|view| view.route).collect::<Vec<_>>();
        let sample = |figures: &mut Figures, second, counts: [u64; 3]| {
            figures.sample(at(second), ["a", "b", "c"].into_iter().zip(counts.map(well)));
        };
        sample(&mut figures, 0, [5, 10, 1]);
        assert_eq!(ids(&figures, at(0)), ["a", "b"], "the first ones");
        sample(&mut figures, 60, [5, 10, 9]);
        assert_eq!(ids(&figures, at(60)), ["a", "b"], "not for twice as many requests");
        sample(&mut figures, 120, [5, 10, 50]);
        assert_eq!(ids(&figures, at(120)), ["b", "c"]);
        assert_eq!(figures.view("c", at(120)).expect("there").statuses[1], 0, "it begins now, not with all at once");
        figures.sample(at(180), [("a", well(5)), ("c", well(50))].into_iter());
        assert_eq!(ids(&figures, at(180)), ["a", "c"], "one that is gone loses its place first");
    }

    #[test]
    fn all_figures_together_are_bounded() {
        const { assert!(ROUTE_BYTES <= 16 << 10 && ROUTES_MAX >= 500) };
        let mut figures = Figures::new(BOUNDS);
        let ids: Vec<String> = (0..ROUTES_MAX + 50).map(|number| number.to_string()).collect();
        for second in [0, 61] {
            figures.sample(at(second), ids.iter().map(|id| (id.as_str(), well(second + 1))));
            assert_eq!(figures.places_taken(), ROUTES_MAX);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_counted_twice_or_lost_whatever_the_clock_and_the_counters_do(
            steps in proptest::collection::vec((0..200u64, any::<bool>(), 0..50u64, any::<bool>()), 1..60)
        ) {
            let mut figures = Figures::new(BOUNDS);
            let (mut now, mut newest, mut counter) = (at(100_000), 0, 0);
            let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
            for (seconds, goes_back, requests, restarts) in steps {
                now = if goes_back { now - at(seconds) } else { now + at(seconds) };
                newest = now.as_secs().max(newest);
                // A counter that began anew and already is where it was cannot be told from one that did not.
                let (began_anew, more) = (restarts && requests < counter, requests);
                counter = if began_anew { more } else { counter + more };
                figures.sample(now, [("a", well(counter))].into_iter());
                *expected.entry(newest / HOUR_STEP).or_default() += more;
                let hour = of_hour(&figures, "a", now);
                prop_assert_eq!(hour.len(), HOUR);
                for (back, requests) in hour.iter().rev().enumerate() {
                    let minute = (newest / HOUR_STEP).checked_sub(back as u64);
                    let known = minute.and_then(|minute| expected.get(&minute)).copied().unwrap_or_default();
                    prop_assert_eq!(*requests, known, "{} minutes back", back);
                }
                let Some(view) = figures.view("a", now) else { continue };
                let of_day: u64 = view.day.iter().map(|point| point.requests).sum();
                prop_assert!(of_day >= hour.iter().sum::<u64>());
                prop_assert!(view.per_second.is_finite() && view.per_second >= 0.0);
            }
        }

        #[test]
        fn quantiles_are_ordered_and_lie_within_their_bucket(
            durations in proptest::array::uniform15(0..1000u32), share in 0.0..1.0f64
        ) {
            let tally = Tally { durations, ..Tally::default() };
            let (low, high) = (tally.quantile(share / 2.0, &BOUNDS), tally.quantile(share, &BOUNDS));
            prop_assert_eq!(low.is_some(), durations.iter().any(|count| *count > 0));
            prop_assert!(low <= high);
            prop_assert!(high.unwrap_or_default() <= 60_000.0);
        }
    }
}
