//! The addresses that the name of an endpoint stands for, as far as they are known.
//!
//! Known addresses are used at once, however old they are. Old ones are looked up again beside the requests that use
//! them, one look-up at a time: the system's resolver occupies a thread for each, for as long as it likes, so an
//! outage of the resolver costs one thread an endpoint.

use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long addresses are used before they are looked up again.
const FRESH: Duration = Duration::from_secs(30);

/// For this long after a look-up failed, no other one begins. Long enough that a storm of requests does not become
/// one of look-ups.
const FAILURE_FRESH: Duration = Duration::from_secs(1);

/// The addresses of one name.
#[derive(Debug, Default)]
pub(crate) struct KnownAddresses {
    known: Mutex<Known>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Known {
    all: Vec<SocketAddr>,
    /// When they were found; none if they are to be looked up again.
    found: Option<Instant>,
    /// The one that was connected to last.
    good: Option<SocketAddr>,
    is_looking_up: bool,
    failed: Option<Instant>,
}

/// What to do to get at addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Use these.
    Use(Vec<SocketAddr>),
    /// Use these, and look them up again meanwhile.
    UseAndLookUp(Vec<SocketAddr>),
    LookUp,
    /// Wait for the look-up under way.
    Wait,
    /// The last look-up has just failed.
    Fail,
}

impl KnownAddresses {
    /// The next step. A caller that gets a step with a look-up has to run it, and to call [`KnownAddresses::settle`].
    pub(crate) fn next_step(&self) -> Step {
        let mut known = self.known.lock();
        let is_fresh = known.found.is_some_and(|found| found.elapsed() < FRESH);
        let has_just_failed = known.failed.is_some_and(|failed| failed.elapsed() < FAILURE_FRESH);
        if !known.all.is_empty() {
            let addresses = in_order(&known.all, known.good);
            if is_fresh || known.is_looking_up || has_just_failed {
                return Step::Use(addresses);
            }
            known.is_looking_up = true;
            return Step::UseAndLookUp(addresses);
        }
        if known.is_looking_up {
            return Step::Wait;
        }
        if has_just_failed {
            return Step::Fail;
        }
        known.is_looking_up = true;
        Step::LookUp
    }

    /// Notes the result of a look-up. Without any address, the former ones stay.
    pub(crate) fn settle(&self, found: Vec<SocketAddr>) {
        let mut known = self.known.lock();
        known.is_looking_up = false;
        if found.is_empty() {
            known.failed = Some(Instant::now());
        } else {
            known.failed = None;
            known.found = Some(Instant::now());
            known.all = found;
        }
        drop(known);
        self.settled.notify_waiters();
    }

    /// Waits until no look-up is under way.
    pub(crate) async fn wait_settled(&self) {
        let settled = self.settled.notified();
        let mut settled = std::pin::pin!(settled);
        // Before the check: a look-up that ends between the two would be missed.
        settled.as_mut().enable();
        let is_looking_up = self.known.lock().is_looking_up;
        if is_looking_up {
            settled.await;
        }
    }

    /// Notes that a connection to this address succeeded.
    pub(crate) fn worked(&self, address: SocketAddr) {
        self.known.lock().good = Some(address);
    }

    /// Has the addresses looked up again at the next use. They stay: a resolver that fails too must not make a bad
    /// situation worse.
    pub(crate) fn expire(&self) {
        self.known.lock().found = None;
    }
}

/// The order in which addresses are tried: the one that worked, then IPv6 and IPv4 by turns (RFC 8305, section 4).
fn in_order(all: &[SocketAddr], good: Option<SocketAddr>) -> Vec<SocketAddr> {
    let good = good.filter(|good| all.contains(good));
    let others = |wants_v6: bool| {
        all.iter().copied().filter(move |address| address.is_ipv6() == wants_v6 && Some(*address) != good)
    };
    let (mut first, mut second) = (others(true), others(false));
    let mut ordered: Vec<SocketAddr> = good.into_iter().collect();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn families_take_turns_behind_the_address_that_worked() {
        let all = ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"].map(address);
        let order = |good: Option<&str>| {
            let ordered = in_order(&all, good.map(address));
            ordered.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(order(None), ["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.2:80"]);
        assert_eq!(order(Some("192.0.2.2:80")), ["192.0.2.2:80", "[2001:db8::1]:80", "192.0.2.1:80"]);
        assert_eq!(order(Some("192.0.2.9:80")), order(None), "it has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn old_addresses_are_used_while_they_are_looked_up_once() {
        let (one, other) = (address("192.0.2.1:80"), address("192.0.2.2:80"));
        let known = KnownAddresses::default();
        assert_eq!((known.next_step(), known.next_step()), (Step::LookUp, Step::Wait));
        known.settle(vec![]);
        assert_eq!(known.next_step(), Step::Fail);
        tokio::time::advance(FAILURE_FRESH).await;
        assert_eq!(known.next_step(), Step::LookUp);
        known.settle(vec![one]);
        assert_eq!(known.next_step(), Step::Use(vec![one]));
        tokio::time::advance(FRESH).await;
        assert_eq!(known.next_step(), Step::UseAndLookUp(vec![one]));
        assert_eq!(known.next_step(), Step::Use(vec![one]), "one look-up is enough");
        known.settle(vec![]);
        assert_eq!(known.next_step(), Step::Use(vec![one]), "a resolver that fails takes nothing away");
        tokio::time::advance(FAILURE_FRESH).await;
        assert_eq!(known.next_step(), Step::UseAndLookUp(vec![one]));
        known.settle(vec![other]);
        assert_eq!(known.next_step(), Step::Use(vec![other]));
        known.expire();
        assert_eq!(known.next_step(), Step::UseAndLookUp(vec![other]));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_woken_by_the_end_of_the_look_up() {
        let known = KnownAddresses::default();
        known.wait_settled().await;
        assert_eq!(known.next_step(), Step::LookUp);
        let (_, _) = tokio::join!(known.wait_settled(), async {
            tokio::task::yield_now().await;
            known.settle(vec![]);
        });
    }
}
