//! The buckets of all rate limits: one table of a fixed size that all threads share without a lock.
//!
//! A bucket is a theoretical arrival time, as in the generic cell rate algorithm (GCRA, ITU-T I.371): the moment at which
//! the client's bucket is full again. It shares one word with a tag of its key, so every change is one compare-and-swap
//! and a limit is exact, whichever threads serve a client. A key belongs to one of many small sets. In a full set the
//! bucket that would be full again first makes room: its client gains least by being forgotten.
//!
//! Two clients share a bucket where set and tag are the same, which happens to about one of 100,000 clients.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::RandomState;
use gangway_model::RateLimit;
use tokio::time::Instant;

/// Buckets of a set: 64 bytes, a cache line.
const WAYS: usize = 8;

/// Sets. A million buckets take 8 MiB.
const SETS: usize = 1 << 17;

/// The bits of a word that are a time, in microseconds modulo their number.
const TIME_BITS: u32 = 44;

const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// The longest time ahead that can be told from one behind.
const AHEAD_MAX: u64 = 1 << (TIME_BITS - 2);

/// How far the time of a request may be behind that of another one which took from the same bucket before it. A request is counted
/// by when it came, and may have waited since.
const BEHIND_MAX: u64 = 3_600_000_000;

/// All buckets.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    words: Box<[AtomicU64]>,
    keys: RandomState,
    start: Instant,
}

/// A request that comes too early.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RateExceeded {
    /// How long the client has to wait.
    pub(crate) retry_after: Duration,
}

/// A rate in the units of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Microseconds from one request to the next.
    interval: u64,
    /// Microseconds by which requests may come early.
    tolerance: u64,
}

impl Rate {
    pub(crate) fn of(limit: &RateLimit) -> Self {
        Self::new(limit.period, limit.requests.get(), limit.burst.get())
    }

    pub(crate) fn new(period: Duration, requests: u32, burst: u32) -> Self {
        let requests = u64::from(requests.max(1));
        let interval = (micros(period).saturating_add(requests / 2) / requests).clamp(1, AHEAD_MAX / 2);
        let tolerance = interval.saturating_mul(u64::from(burst.saturating_sub(1))).min(AHEAD_MAX - interval);
        Self { interval, tolerance }
    }
}

impl RateLimiter {
    pub(crate) fn new() -> Self {
        Self::with(SETS, RandomState::new())
    }

    fn with(sets: usize, keys: RandomState) -> Self {
        let words = (0..sets * WAYS).map(|_| AtomicU64::new(0)).collect();
        Self { words, keys, start: Instant::now() }
    }

    /// Whether the bucket of a key has a request left at this time. Takes none.
    pub(crate) fn check(&self, key: &impl Hash, rate: Rate, now: Instant) -> Result<(), RateExceeded> {
        let (set, tag) = self.place(key);
        let now = self.time(now);
        let known = self.set(set).iter().map(|word| word.load(Ordering::Relaxed)).find(|word| word >> TIME_BITS == tag);
        next_arrival(known.unwrap_or(0), now, rate).map(drop)
    }

    /// Takes one request, which came at this time, out of the bucket of a key.
    pub(crate) fn take(&self, key: &impl Hash, rate: Rate, now: Instant) -> Result<(), RateExceeded> {
        let (set, tag) = self.place(key);
        let now = self.time(now);
        let set = self.set(set);
        loop {
            let words: [u64; WAYS] = std::array::from_fn(|way| set[way].load(Ordering::Relaxed));
            let known = words.iter().position(|word| word >> TIME_BITS == tag);
            let way = known.unwrap_or_else(|| fullest(&words, now));
            let bucket = if known.is_some() { words[way] } else { 0 };
            let next = next_arrival(bucket, now, rate)?;
            let word = tag << TIME_BITS | next;
            // On failure another thread has changed the bucket: everything is looked at anew.
            if set[way].compare_exchange_weak(words[way], word, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    /// The set of a key, and its tag, which is not zero.
    fn place(&self, key: &impl Hash) -> (usize, u64) {
        let hash = self.keys.hash_one(key);
        let sets = self.words.len() / WAYS;
        let set = usize::try_from(hash).unwrap_or(usize::MAX) % sets;
        (set, (hash >> TIME_BITS).max(1))
    }

    fn set(&self, set: usize) -> &[AtomicU64] {
        &self.words[set * WAYS..(set + 1) * WAYS]
    }

    fn time(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.start)) & TIME_MASK
    }
}

/// Whole microseconds. The standard library counts them in 128 bits, which takes longer.
fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

/// How far a time is ahead of now; zero where it is behind.
fn ahead(time: u64, now: u64) -> u64 {
    let distance = time.wrapping_sub(now) & TIME_MASK;
    if distance <= AHEAD_MAX { distance } else { 0 }
}

/// The bucket that is full, or will be first.
fn fullest(words: &[u64; WAYS], now: u64) -> usize {
    let fill = |word: &u64| if *word == 0 { 0 } else { ahead(word & TIME_MASK, now) };
    words.iter().enumerate().min_by_key(|(_, word)| fill(word)).map_or(0, |(way, _)| way)
}

/// The theoretical arrival time after one more request. A word without a tag is a full bucket.
fn next_arrival(word: u64, now: u64, rate: Rate) -> Result<u64, RateExceeded> {
    let early = if word == 0 { 0 } else { ahead(word & TIME_MASK, now) };
    // No bucket is ahead by more. A word of months ago looks so, since the time begins anew.
    let early = if early > rate.tolerance + rate.interval + BEHIND_MAX { 0 } else { early };
    match early.checked_sub(rate.tolerance) {
        None | Some(0) => Ok(now.wrapping_add(early + rate.interval) & TIME_MASK),
        Some(wait) => Err(RateExceeded { retry_after: Duration::from_micros(wait) }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Buckets of two clients are the same by chance, so the chance is always the same.
    fn limiter(sets: usize) -> RateLimiter {
        RateLimiter::with(sets, RandomState::with_seeds(1, 2, 3, 4))
    }

    #[tokio::test]
    async fn a_burst_and_then_one_each_interval() {
        let (limiter, start) = (limiter(4), Instant::now());
        let rate = Rate::new(Duration::from_secs(1), 10, 3);
        let take = |at: u64| limiter.take(&"ann", rate, start + ms(at));
        assert_eq!((take(0), take(0), take(0)), (Ok(()), Ok(()), Ok(())));
        let refused = take(0).expect_err("three at once");
        assert!(refused.retry_after <= ms(100) && refused.retry_after > ms(99), "{refused:?}");
        assert!(limiter.take(&"bob", rate, start).is_ok(), "others have buckets of their own");
        assert!(take(99).is_err() && take(101).is_ok() && take(150).is_err() && take(201).is_ok());
        assert_eq!((take(5000), take(5000), take(5000)), (Ok(()), Ok(()), Ok(())), "full again after a pause");
        assert!(take(5000).is_err());
    }

    #[tokio::test]
    async fn a_look_takes_nothing() {
        let limiter = limiter(1);
        let rate = Rate::new(Duration::from_secs(3600), 1, 1);
        let now = Instant::now();
        assert!(limiter.check(&1, rate, now).is_ok() && limiter.check(&1, rate, now).is_ok());
        assert!(limiter.take(&1, rate, now).is_ok());
        assert!(limiter.check(&1, rate, now).is_err() && limiter.take(&1, rate, now).is_err());
    }

    #[tokio::test]
    async fn the_bucket_that_is_full_first_makes_room() {
        let (limiter, start) = (limiter(1), Instant::now());
        let slow = Rate::new(Duration::from_secs(100), 1, 1);
        let fast = Rate::new(Duration::from_secs(1), 1, 1);
        assert!(limiter.take(&"slow", slow, start).is_ok());
        for other in 0..1000 {
            assert!(limiter.take(&other, fast, start).is_ok(), "a new client is never refused");
        }
        assert!(limiter.take(&"slow", slow, start + ms(1)).is_err(), "the longest is kept");
    }

    #[tokio::test]
    async fn a_client_that_was_away_for_months_is_let_in() {
        const DAY: Duration = Duration::from_hours(24);
        let rate = Rate::new(Duration::from_secs(60), 10, 5);
        for days in 1..500 {
            let (limiter, start) = (limiter(1), Instant::now());
            assert!(limiter.take(&"ann", rate, start + DAY).is_ok());
            assert!(limiter.take(&"ann", rate, start + DAY + DAY * days).is_ok(), "{days} days");
        }
    }

    #[tokio::test]
    async fn a_request_that_came_first_and_is_counted_last_empties_no_bucket() {
        let (limiter, start) = (limiter(1), Instant::now());
        let rate = Rate::new(Duration::from_secs(60), 60, 2);
        let take = |at: u64| limiter.take(&"ann", rate, start + Duration::from_secs(at)).is_ok();
        assert!(take(600) && take(600) && !take(600));
        for at in [599, 598, 570, 0] {
            assert!(!take(at), "{at} s");
        }
        assert!(take(601) && !take(601), "as if those had not been");
    }

    #[tokio::test]
    async fn threads_share_one_bucket() {
        let (limiter, taken) = (Arc::new(limiter(1)), Arc::new(AtomicU32::new(0)));
        let rate = Rate::new(Duration::from_secs(24 * 3600), 500, 500);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (limiter, taken) = (Arc::clone(&limiter), Arc::clone(&taken));
                let now = Instant::now();
                std::thread::spawn(move || {
                    for _ in 0..1000 {
                        taken.fetch_add(u32::from(limiter.take(&"ann", rate, now).is_ok()), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(taken.load(Ordering::Relaxed), 500);
    }

    proptest! {
        /// The same as counting what has been taken in a model with real numbers.
        #[test]
        fn it_is_a_token_bucket(
            requests in 1..100_u32, burst in 1..50_u32, gaps in prop::collection::vec(0..200_u64, 1..200), uptime in 0..400_u64,
        ) {
            let limiter = limiter(1);
            let rate = Rate::new(Duration::from_secs(1), requests, burst);
            // Also where the time begins anew.
            let mut at = limiter.start + Duration::from_secs(uptime * 86_400);
            let interval = rate.interval;
            let (mut tokens, mut last) = (u64::from(burst) * interval, at);
            for gap in gaps {
                at += ms(gap);
                let passed = u64::try_from((at - last).as_micros()).expect("short");
                tokens = (tokens + passed).min(u64::from(burst) * interval);
                last = at;
                let taken = limiter.take(&0, rate, at).is_ok();
                prop_assert_eq!(taken, tokens >= interval);
                tokens -= if taken { interval } else { 0 };
            }
        }
    }
}
