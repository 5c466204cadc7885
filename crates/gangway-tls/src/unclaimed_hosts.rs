//! Certificates for names that no route claims, for clients that may see the reason.
//!
//! A browser that asks for a mistyped host by https would otherwise show an alert without any help. Clients choose
//! these names, so both the number of certificates that are kept and the number that are made in a second are
//! bounded; beyond that the handshake ends as it does for other clients.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::cert_name::CertName;
use crate::name::is_dns_name;
use crate::slot::{Signer, SlotCache};
use crate::time::UnixTime;

/// Certificates kept; the oldest gives way.
const KEPT_MAX: usize = 256;

/// Certificates that may be made at once after a quiet time.
const BURST: u32 = 32;

/// The time after which one more may be made.
const PACE: Duration = Duration::from_millis(125);

/// Certificates for names that are not in the table.
#[derive(Debug, Default)]
pub(crate) struct UnclaimedHosts(Mutex<UnclaimedCache>);

#[derive(Debug, Default)]
struct UnclaimedCache {
    cache: SlotCache,
    /// The time at which the whole burst is available again: each certificate moves it on.
    full: Option<Instant>,
}

impl UnclaimedHosts {
    /// The bundle for a normal name, made now if need be. `None` if the name is not a host name, or too many were
    /// made recently. `now` and `instant` are the same time, for certificates and for pauses.
    pub(crate) fn bundle(
        &self,
        host: &str,
        kind: Signer,
        (now, instant): (UnixTime, Instant),
        make: impl FnOnce() -> Option<Bundle>,
    ) -> Option<Arc<Bundle>> {
        if !is_dns_name(host) || CertName::parse(host).is_wildcard() {
            return None;
        }
        let place = {
            let mut kept = self.0.lock();
            if let Some(place) = kept.cache.known(host, kind)
                && let Some(bundle) = place.current(now)
            {
                return Some(bundle);
            }
            if !kept.has_budget(instant) {
                return None;
            }
            kept.cache.place(host, kind, KEPT_MAX)
        };
        place.bundle(now, make)
    }
}

impl UnclaimedCache {
    /// Whether one may be made now; if so, it is counted.
    fn has_budget(&mut self, now: Instant) -> bool {
        let full = self.full.map_or(now, |full| full.max(now));
        let has = full.saturating_duration_since(now) + PACE <= PACE * BURST;
        if has {
            self.full = Some(full + PACE);
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::internal_ca::{InternalCa, Scope};

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);

    #[test]
    fn strangers_names_cost_few_signatures_a_second_and_little_memory() {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        let (unclaimed, made) = (UnclaimedHosts::default(), Cell::new(0_u32));
        let begun = tokio::time::Instant::now().into_std();
        let ask = |name: &str, after: Duration| {
            unclaimed.bundle(name, Signer::Internal, (NOW, begun + after), || {
                made.set(made.get() + 1);
                ca.issue(name, NOW).ok()
            })
        };
        let answered = (0..1000).filter(|number| ask(&format!("n{number}.test"), Duration::ZERO).is_some()).count();
        assert_eq!((answered, made.get()), (BURST as usize, BURST));
        assert!(ask("n0.test", Duration::ZERO).is_some(), "what is there is served");
        assert_eq!(made.get(), BURST);
        assert!(ask("next.test", PACE / 2).is_none() && ask("next.test", PACE).is_some());
        let answered = (0..1000).filter(|number| ask(&format!("m{number}.test"), PACE * 10_000).is_some()).count();
        assert_eq!(answered, BURST as usize, "a quiet time saves no more than that");
        for number in 0..1000 {
            ask(&format!("k{number}.test"), PACE * (20_000 + number));
        }
        let kept = unclaimed.0.lock();
        assert_eq!(kept.cache.len(), KEPT_MAX);
        assert!(kept.cache.known("k999.test", Signer::Internal).is_some(), "the latest are kept");
    }

    #[test]
    fn only_host_names_get_one() {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        let (unclaimed, instant) = (UnclaimedHosts::default(), tokio::time::Instant::now().into_std());
        for name in ["", "*.test", "a..test", "a b.test", "[::1]", "A.test", &"a".repeat(64)] {
            let made = unclaimed.bundle(name, Signer::Internal, (NOW, instant), || ca.issue("a.test", NOW).ok());
            assert!(made.is_none(), "{name}");
        }
    }
}
