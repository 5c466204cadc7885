//! The certificates for one set of promises.
//!
//! Each name has a slot that its certificate is put into at the first handshake. The next set of promises takes
//! over the slots of names that stay.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use gangway_publish::Reader;

use crate::bundle::Bundle;
use crate::cert_name::{CertName, parent};
use crate::internal_ca::{InternalCa, InternalCaError};
use crate::name::{is_below_internal_domain, is_dns_name};
use crate::notifier::Notifier;
use crate::placeholder::Placeholders;
use crate::promises::{MintPattern, Promises};
use crate::slot::{CertificateSlot, Signer, SlotCache, is_current};
use crate::time::UnixTime;
use crate::unclaimed_hosts::UnclaimedHosts;

/// Certificates kept for names that only a pattern lists. A client that asks for random names pushes others out,
/// which then are signed anew.
const BY_PATTERN_MAX: usize = 1024;

/// Certificates kept for names that no promise lists at the moment: a container that is recreated gets the
/// certificate it had.
const UNLISTED_MAX: usize = 1024;

/// Makes certificates when they are asked for, for the names of its [`Promises`] and for no others.
#[derive(Debug, Default)]
pub(crate) struct PromisedCertificates {
    signer: Option<Arc<InternalCa>>,
    placeholders: Option<Arc<Placeholders>>,
    exact: HashMap<Box<str>, Arc<CertificateSlot>>,
    /// Wildcards by the domain below their star.
    below: HashMap<Box<str>, Arc<CertificateSlot>>,
    patterns: Vec<MintPattern>,
    by_pattern: Mutex<SlotCache>,
    /// Certificates of names that were listed before.
    unlisted: HashMap<Box<str>, Arc<CertificateSlot>>,
    /// Certificates of this signer for names that no route claims.
    unclaimed: Arc<UnclaimedHosts>,
    made: Arc<MintActivity>,
}

/// Statistics of all certificates that were made, shared with earlier and later promises.
#[derive(Debug, Default)]
struct MintActivity {
    count: AtomicU64,
    bell: Notifier,
    /// Whether the last attempt to make one failed.
    is_failing: AtomicBool,
}

impl PromisedCertificates {
    /// The successor for other promises. Certificates are kept, unless another key has signed them.
    pub(crate) fn next(
        &self,
        signer: Option<Arc<InternalCa>>,
        placeholders: Option<Arc<Placeholders>>,
        promises: &Promises,
    ) -> Self {
        let has_same_key = match (&self.signer, &signer) {
            (Some(before), Some(now)) => before.has_key_of(now),
            _ => false,
        };
        let has_same_placeholders = match (&self.placeholders, &placeholders) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            _ => false,
        };
        let is_kept = |place: &&Arc<CertificateSlot>| match place.kind {
            Signer::Internal => has_same_key,
            Signer::Placeholder => has_same_placeholders,
        };
        let mut next = Self { signer, placeholders, made: Arc::clone(&self.made), ..Self::default() };
        let internal = promises.internal.iter().map(|name| (name, Signer::Internal));
        // A name in both sets is internal.
        for (name, kind) in promises.placeholders.iter().map(|name| (name, Signer::Placeholder)).chain(internal) {
            let before = self.place_named(name).or_else(|| self.unlisted.get(name));
            let before = before.filter(|place| place.kind == kind).filter(is_kept);
            let place = before.map_or_else(|| Arc::new(CertificateSlot::empty(kind)), Arc::clone);
            match CertName::parse(name).wildcard_parent() {
                Some(below) => next.below.insert(below.into(), place),
                None => next.exact.insert(name.clone(), place),
            };
        }
        let below = self.below.iter().map(|(below, place)| (CertName::Wildcard(below).to_string().into(), place));
        let known = self.exact.iter().chain(&self.unlisted).map(|(name, place)| (name.clone(), place)).chain(below);
        next.unlisted = known
            .filter(|(name, place)| {
                place.kind == Signer::Internal && is_kept(place) && !promises.internal.contains(name)
            })
            .filter(|(_, place)| place.present().is_some())
            .map(|(name, place)| (name, Arc::clone(place)))
            .take(UNLISTED_MAX)
            .collect();
        next.patterns = promises.patterns.iter().filter_map(|text| MintPattern::parse(text)).collect();
        next.patterns.sort_unstable();
        if has_same_key && has_same_placeholders {
            next.unclaimed = Arc::clone(&self.unclaimed);
        }
        if has_same_key && next.patterns == self.patterns {
            let cache = self.by_pattern.lock();
            next.by_pattern = Mutex::new(cache.clone());
        }
        next
    }

    /// The number of certificates that were made, by this set and those before it.
    pub(crate) fn count(&self) -> u64 {
        self.made.count.load(Ordering::Relaxed)
    }

    /// A reader that wakes after certificates were made, by this set or a later one.
    pub(crate) fn made(&self) -> Reader<()> {
        self.made.bell.reader()
    }

    /// Drops expired certificates, so that a name that was asked for once does not keep one for ever.
    pub(crate) fn forget_ended(&self, now: UnixTime) {
        let listed = self.exact.values().chain(self.below.values()).chain(self.unlisted.values());
        listed.for_each(|place| place.forget_ended(now));
    }

    /// The signer for a normal name, or `None` if no promise covers it.
    pub(crate) fn kind(&self, host: &str) -> Option<Signer> {
        self.place(host).map(|place| place.kind).or_else(|| self.covers(host).then_some(Signer::Internal))
    }

    /// The certificate for a normal name, if it was made already.
    pub(crate) fn present(&self, host: &str) -> Option<Arc<Bundle>> {
        let place = self.place(host).map(Arc::clone);
        let cache = || self.by_pattern.lock().known(host, Signer::Internal).cloned();
        place.or_else(cache)?.present()
    }

    /// Whether a current certificate for a normal name exists, so that a handshake has nothing to sign.
    pub(crate) fn is_made(&self, host: &str, now: UnixTime) -> bool {
        self.present(host).is_some_and(|bundle| is_current(&bundle, now))
    }

    /// The bundle for a normal name, made now if need be.
    pub(crate) fn bundle(&self, host: &str, now: UnixTime) -> Option<Arc<Bundle>> {
        if let Some(place) = self.place(host) {
            let parent = parent(host).filter(|_| !self.exact.contains_key(host));
            return match parent {
                Some(parent) => {
                    place.bundle(now, || self.make(place.kind, &CertName::Wildcard(parent).to_string(), now))
                }
                None => place.bundle(now, || self.make(place.kind, host, now)),
            };
        }
        if !self.covers(host) {
            return None;
        }
        let place = self.by_pattern.lock().place(host, Signer::Internal, BY_PATTERN_MAX);
        place.bundle(now, || self.make(Signer::Internal, host, now))
    }

    /// The bundle for a normal name that no route claims, within a bound. The internal CA signs it if its root
    /// permits the name; otherwise it is a placeholder, since clients would trust neither.
    pub(crate) fn unclaimed(&self, host: &str, now: UnixTime, instant: Instant) -> Option<Arc<Bundle>> {
        let signer = self.signer.as_ref()?;
        let kind = if signer.permits(host) { Signer::Internal } else { Signer::Placeholder };
        let make = || match kind {
            Signer::Internal => signer.issue(host, now).ok(),
            Signer::Placeholder => self.placeholders.as_ref()?.bundle(host, now).ok(),
        };
        self.unclaimed.bundle(host, kind, (now, instant), make)
    }

    /// The slot for a normal name: its own before a wildcard's.
    ///
    /// Clients refuse a star directly below a top-level domain, so such a wildcard is found only by its own name.
    fn place(&self, host: &str) -> Option<&Arc<CertificateSlot>> {
        let below = || {
            let parent = parent(host)?;
            let place = self.below.get(parent)?;
            let is_refused =
                place.kind == Signer::Internal && !parent.contains('.') && !CertName::parse(host).is_wildcard();
            (!is_refused).then_some(place)
        };
        self.exact.get(host).or_else(below)
    }

    /// The slot for exactly this name or wildcard.
    fn place_named(&self, name: &str) -> Option<&Arc<CertificateSlot>> {
        match CertName::parse(name).wildcard_parent() {
            Some(below) => self.below.get(below),
            None => self.exact.get(name),
        }
    }

    /// Whether a pattern matches an internal name.
    fn covers(&self, host: &str) -> bool {
        host.contains('.')
            && is_below_internal_domain(host)
            && is_dns_name(host)
            && !CertName::parse(host).is_wildcard()
            && self.patterns.iter().any(|pattern| pattern.matches(host))
            && self.signer.as_ref().is_some_and(|signer| signer.permits(host))
    }

    fn make(&self, kind: Signer, name: &str, now: UnixTime) -> Option<Bundle> {
        let made = match kind {
            Signer::Internal => self.signer.as_ref()?.issue(name, now),
            Signer::Placeholder => self.placeholders.as_ref()?.bundle(name, now),
        };
        self.made.note(name, made)
    }
}

impl MintActivity {
    fn note(&self, name: &str, made: Result<Bundle, InternalCaError>) -> Option<Bundle> {
        let was_failing = self.is_failing.swap(made.is_err(), Ordering::Relaxed);
        match made {
            Ok(bundle) => {
                self.count.fetch_add(1, Ordering::Relaxed);
                self.bell.ring();
                Some(bundle)
            }
            Err(error) => {
                // Log once: each handshake tries again, and strangers can cause any number of handshakes.
                if !was_failing {
                    tracing::warn!(%error, name, "failed to make a certificate");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::bundle::Origin;
    use crate::internal_ca::{Scope, renewal_time};

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn names(names: &[&str]) -> BTreeSet<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    fn internal(list: &[&str]) -> Promises {
        Promises { internal: names(list), ..Promises::default() }
    }

    fn patterns(list: &[&str]) -> Promises {
        Promises { patterns: names(list), ..Promises::default() }
    }

    fn ca() -> Arc<InternalCa> {
        Arc::new(InternalCa::make(&Scope::default(), NOW).expect("makes a CA"))
    }

    fn mint(promises: &Promises) -> PromisedCertificates {
        PromisedCertificates::default().next(Some(ca()), Placeholders::new().ok().map(Arc::new), promises)
    }

    #[test]
    fn only_internal_names_of_a_pattern_are_covered() {
        let mint = mint(&patterns(&["*.localhost", "budget.*", "nonsense"]));
        for host in ["a.localhost", "budget.lan", "budget.x.home.arpa"] {
            assert!(mint.covers(host), "{host}");
        }
        for host in
            ["a.b.localhost", "budget.example.org", "budgets.lan", "a.lan", "budget", "localhost", "*.localhost"]
        {
            assert!(!mint.covers(host), "{host}");
        }
    }

    #[test]
    fn a_catch_all_covers_every_internal_name_and_no_other() {
        let mint = mint(&patterns(&["*"]));
        assert!(mint.covers("whatever.home.arpa"));
        assert!(!mint.covers("example.org"));
        assert!(!mint.covers("a..lan"));
    }

    #[test]
    fn ten_thousand_names_are_promised_without_a_signature_and_each_costs_one_when_it_is_asked_for() {
        let many: Vec<String> = (0..10_000).map(|number| format!("h{number}.test")).collect();
        let mint = mint(&internal(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(many.iter().all(|name| mint.kind(name) == Some(Signer::Internal)));
        assert_eq!(mint.count(), 0);
        let begun = tokio::time::Instant::now();
        for name in many.iter().step_by(100) {
            assert_eq!(*mint.bundle(name, NOW).expect("makes one").names, [Box::from(name.as_str())]);
        }
        println!("figure: making an internal certificate takes {:?}", begun.elapsed() / 100);
        assert_eq!(mint.count(), 100);
        assert!(mint.present("h1.test").is_none() && !mint.is_made("h1.test", NOW));
    }

    #[test]
    fn one_of_many_handshakes_that_come_at_once_signs_for_all() {
        let listed: Vec<String> = (0..50).map(|number| format!("h{number}.test")).collect();
        let others = ["b.wide.test", "c.localhost"].map(String::from);
        let mut promises = internal(&["*.wide.test"]);
        promises.internal.extend(listed.iter().map(|name| Box::from(name.as_str())));
        promises.patterns = names(&["*.localhost"]);
        let mint = mint(&promises);
        for (name, count) in listed.iter().chain(&others).zip(1..) {
            let together = std::sync::Barrier::new(8);
            let ask = || {
                together.wait();
                mint.bundle(name, NOW).expect("makes one")
            };
            let made: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            assert_eq!(mint.count(), count, "{name}");
            assert!(made.iter().all(|bundle| Arc::ptr_eq(bundle, &made[0]) && bundle.carries(name)), "{name}");
        }
    }

    #[test]
    fn nothing_is_made_for_a_name_that_is_not_promised() {
        let promises = Promises { placeholders: names(&["b.example.org"]), ..internal(&["a.test", "*.wide.test"]) };
        let mint = mint(&promises);
        for name in ["b.test", "x.a.test", "a.b.wide.test", "wide.test", "example.org", "127.0.0.1", "", "*"] {
            assert!(mint.kind(name).is_none() && mint.bundle(name, NOW).is_none(), "{name}");
        }
        assert_eq!(mint.count(), 0);
        let placeholder = mint.bundle("b.example.org", NOW).expect("makes one");
        assert_eq!(
            (placeholder.origin.clone(), mint.kind("b.example.org")),
            (Origin::Placeholder, Some(Signer::Placeholder))
        );
    }

    #[test]
    fn a_certificate_is_made_anew_at_a_handshake_with_a_third_of_its_time_left() {
        let mint = mint(&internal(&["a.test"]));
        let first = mint.bundle("a.test", NOW).expect("makes one");
        let due = renewal_time(&first);
        assert!(Arc::ptr_eq(&first, &mint.bundle("a.test", due - Duration::from_secs(1)).expect("keeps it")));
        let second = mint.bundle("a.test", due).expect("makes another");
        assert!(!Arc::ptr_eq(&first, &second) && second.not_after > first.not_after);
        assert!(mint.bundle("a.test", NOW - 365 * DAY).expect("the clock was set back").is_valid_at(NOW - 365 * DAY));
        assert_eq!(mint.count(), 3);
    }

    #[test]
    fn what_has_ended_is_not_kept_for_a_name_that_nobody_asks_for() {
        let mint = mint(&internal(&["a.test", "*.wide.test"]));
        let made = ["a.test", "*.wide.test"].map(|name| mint.bundle(name, NOW).expect("makes one"));
        mint.forget_ended(made[0].not_after - Duration::from_secs(1));
        assert!(mint.present("a.test").is_some() && mint.present("x.wide.test").is_some());
        mint.forget_ended(made[0].not_after);
        assert!(mint.present("a.test").is_none() && mint.present("x.wide.test").is_none());
    }

    #[test]
    fn what_was_made_outlives_other_promises_but_not_another_key() {
        let signer = ca();
        let first = PromisedCertificates::default().next(
            Some(Arc::clone(&signer)),
            None,
            &internal(&["a.test", "*.wide.test"]),
        );
        let made = ["a.test", "*.wide.test"].map(|name| first.bundle(name, NOW).expect("makes one"));
        let is_same = |mint: &PromisedCertificates| {
            ["a.test", "*.wide.test"]
                .iter()
                .zip(&made)
                .all(|(name, made)| mint.present(name).is_some_and(|present| Arc::ptr_eq(&present, made)))
        };
        let without = first.next(Some(Arc::clone(&signer)), None, &internal(&["b.test"]));
        assert!(without.kind("a.test").is_none() && without.present("a.test").is_none());
        let again = without.next(Some(Arc::clone(&signer)), None, &internal(&["a.test", "*.wide.test"]));
        assert!(is_same(&again), "a container that is made anew gets the one it had");
        let wider = InternalCa::with_key_pem(&signer.key_pem(), &Scope::default(), NOW).expect("another root");
        assert!(is_same(&again.next(Some(Arc::new(wider)), None, &internal(&["a.test", "*.wide.test"]))));
        let other = again.next(Some(ca()), None, &internal(&["a.test", "*.wide.test"]));
        assert!(other.present("a.test").is_none() && other.present("*.wide.test").is_none());
    }

    #[test]
    fn names_that_come_and_go_do_not_pile_up() {
        let signer = ca();
        let sample = Arc::new(signer.issue("a.test", NOW).expect("signs"));
        let mut mint = PromisedCertificates::default();
        for number in 0..UNLISTED_MAX + 10 {
            mint = mint.next(Some(Arc::clone(&signer)), None, &internal(&[&format!("h{number}.test")]));
            for place in mint.exact.values() {
                *place.bundle.write() = Some(Arc::clone(&sample));
            }
        }
        assert_eq!((mint.exact.len(), mint.unlisted.len()), (1, UNLISTED_MAX));
    }

    #[test]
    fn a_name_that_nobody_claims_is_signed_for_as_far_as_the_root_goes_and_told_to_nobody() {
        let mint = mint(&internal(&["a.test"]));
        let instant = tokio::time::Instant::now().into_std();
        for (name, origin) in
            [("b.test", Origin::Internal), ("example.org", Origin::Placeholder), ("nas", Origin::Placeholder)]
        {
            let bundle = mint.unclaimed(name, NOW, instant).expect("makes one");
            assert!(bundle.origin == origin && bundle.carries(name), "{name}");
            let next = mint.next(mint.signer.clone(), mint.placeholders.clone(), &internal(&["c.test"]));
            assert!(Arc::ptr_eq(&bundle, &next.unclaimed(name, NOW, instant).expect("keeps it")), "{name}");
            assert!(mint.kind(name).is_none() && mint.present(name).is_none(), "{name}");
        }
        assert_eq!(mint.count(), 0);
        assert!(PromisedCertificates::default().unclaimed("b.test", NOW, instant).is_none(), "nobody signs");
    }

    #[test]
    fn a_star_below_a_top_level_domain_is_found_by_its_own_name_alone() {
        let mint = mint(&Promises { patterns: names(&["*.localhost"]), ..internal(&["*.localhost"]) });
        let own = mint.bundle("a.localhost", NOW).expect("makes one");
        assert_eq!(*own.names, [Box::from("a.localhost")]);
        let star = mint.bundle("*.localhost", NOW).expect("makes one");
        assert_eq!(*star.names, [Box::from("*.localhost")]);
    }

    #[test]
    fn strangers_cannot_make_it_grow_without_bound() {
        let mint = mint(&patterns(&["*.test"]));
        mint.bundle("a.test", NOW).expect("makes one");
        let mut cache = mint.by_pattern.lock();
        for number in 0..2 * BY_PATTERN_MAX {
            cache.place(&format!("{number}.test"), Signer::Internal, BY_PATTERN_MAX);
        }
        assert_eq!(cache.len(), BY_PATTERN_MAX);
        assert!(cache.known("a.test", Signer::Internal).is_none());
    }
}
