//! Measures the memory of the process and relieves it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::registry::CacheRegistry;
use crate::downstream::connection_limits::ConnectionLimits;
use crate::metrics::Metrics;
use crate::overload::idle_connections::IdleConnections;
use crate::overload::memory_budget::{MemoryBudget, MemoryPressure};
use crate::overload::resident_memory::{FreedMemory, resident_bytes};

/// How often memory is measured while nothing asks for it.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// How soon it is measured again at the earliest: what was closed needs a moment to give up its memory.
const MEASURE_PAUSE: Duration = Duration::from_millis(5);

/// What was closed needs a moment to give up its memory, and the allocator to give it back. For this long nothing more is
/// closed, unless memory grows all the same.
const RELIEF_TIME: Duration = Duration::from_secs(1);

/// An address that holds less than this share of the bound is not heavy.
const HEAVY_SHARE: usize = 128;

/// The bound is exceeded for this time before addresses that are not heavy are closed as well.
const LAST_RESORT_AFTER: Duration = Duration::from_millis(500);

/// Memory has grown if it is more by this much: pages come and go all the time.
const GROWTH_MIN: usize = 1 << 20;

/// Idle connections that are closed at a time: enough to keep up with new ones, few enough that a short peak does not
/// close all.
const CLOSED_AT_ONCE: usize = 256;

/// Measures the memory of the process and relieves it.
#[derive(Clone, Debug)]
pub struct OverloadManager {
    memory: MemoryBudget,
    idle: Arc<IdleConnections>,
    addresses: Arc<ConnectionLimits>,
    freed: FreedMemory,
    caches: CacheRegistry,
    metrics: Arc<Metrics>,
}

impl OverloadManager {
    pub(crate) fn new(
        memory: MemoryBudget,
        idle: Arc<IdleConnections>,
        addresses: Arc<ConnectionLimits>,
        freed: FreedMemory,
        caches: CacheRegistry,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { memory, idle, addresses, freed, caches, metrics }
    }

    /// Runs for as long as the process does.
    pub fn run(&self) -> impl Future<Output = Infallible> + Send + use<> {
        self.clone().relieve_for_ever()
    }

    async fn relieve_for_ever(self) -> Infallible {
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reported = MemoryPressure::None;
        let mut reliefs = Reliefs::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.idle.tick(),
                () = self.memory.should_be_measured() => {}
            }
            let Some(resident) = resident_bytes() else { continue };
            let pressure = self.memory.measured(resident);
            self.metrics.memory.set(i64::try_from(resident).unwrap_or(i64::MAX));
            self.caches.sweep();
            self.metrics.cache_bytes.set(i64::try_from(self.caches.memory.taken()).unwrap_or(i64::MAX));
            if pressure > reported {
                tracing::warn!(resident, ?pressure, "memory runs short: connections are closed, idle ones first");
            }
            reported = if pressure == MemoryPressure::None { pressure } else { pressure.max(reported) };
            self.relieve(pressure, resident, &mut reliefs);
            tokio::time::sleep(MEASURE_PAUSE).await;
        }
    }

    fn relieve(&self, pressure: MemoryPressure, resident: usize, reliefs: &mut Reliefs) {
        let is_last_resort = reliefs.is_last_resort(pressure);
        // What was freed counts as resident until it goes back. Without this, requests could be refused for ever.
        if reliefs.needs_freed(pressure) {
            self.freed.ask();
        }
        if pressure >= MemoryPressure::CloseIdle {
            if self.caches.clear() {
                self.metrics.shed.with_label_values(&["caches"]).inc();
            }
            reliefs.idle.unless_it_works(resident, || {
                let closed = self.idle.close(CLOSED_AT_ONCE);
                self.count("idle", closed);
                closed
            });
        }
        if pressure >= MemoryPressure::CloseHeaviest {
            // Light addresses stay as long as the bound holds: they are not the ones who use it up, and new requests are
            // refused before they suffer.
            let bytes_min = if is_last_resort { 1 } else { self.memory.limit() / HEAVY_SHARE };
            reliefs.heaviest.unless_it_works(resident, || {
                let closed = self.addresses.close_heaviest(bytes_min);
                self.count("heaviest-address", closed);
                closed
            });
        }
    }

    fn count(&self, what: &str, closed: usize) {
        if closed > 0 {
            tracing::debug!(what, closed, "closed connections for lack of memory");
            self.metrics.shed.with_label_values(&[what]).inc_by(u64::try_from(closed).unwrap_or(u64::MAX));
        }
    }
}

/// The last relief of each kind.
#[derive(Debug, Default)]
struct Reliefs {
    idle: Relief,
    heaviest: Relief,
    /// The bound is exceeded since then.
    exceeded_since: Option<Instant>,
    /// Requests are refused since then, or since freed memory was last asked for.
    refused_since: Option<Instant>,
}

impl Reliefs {
    /// Whether freed memory is asked for: where requests were refused for a while and what was closed meanwhile did not
    /// end that. Not earlier, since what is freed is soon used again, and the whole heap is looked through.
    fn needs_freed(&mut self, pressure: MemoryPressure) -> bool {
        if pressure < MemoryPressure::Refuse {
            self.refused_since = None;
            return false;
        }
        let is_due = self.refused_since.is_some_and(|since| since.elapsed() >= RELIEF_TIME);
        if is_due || self.refused_since.is_none() {
            self.refused_since = Some(Instant::now());
        }
        is_due
    }

    /// Whether nothing else has helped.
    fn is_last_resort(&mut self, pressure: MemoryPressure) -> bool {
        let is_exceeded = pressure == MemoryPressure::Exceeded;
        self.exceeded_since = is_exceeded.then(|| self.exceeded_since.unwrap_or_else(Instant::now));
        self.exceeded_since.is_some_and(|since| since.elapsed() >= LAST_RESORT_AFTER)
    }
}

/// When something was closed, and the memory of the process then.
#[derive(Debug, Default)]
struct Relief(Option<(Instant, usize)>);

impl Relief {
    /// Closes something, unless what was closed before may still show.
    fn unless_it_works(&mut self, resident: usize, close: impl FnOnce() -> usize) {
        let works =
            self.0.is_some_and(|(at, then)| at.elapsed() < RELIEF_TIME && resident < then.saturating_add(GROWTH_MIN));
        if !works && close() > 0 {
            self.0 = Some((Instant::now(), resident));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::task::JoinHandle;

    use super::*;
    use crate::limits::Limits;
    use crate::overload::idle_connections::{IdleMark, connection_for_test};
    use crate::whereabouts::Whereabouts;

    #[tokio::test(start_paused = true)]
    async fn light_addresses_are_closed_only_after_the_bound_was_exceeded_for_a_while() {
        let mut reliefs = Reliefs::default();
        assert!(!reliefs.is_last_resort(MemoryPressure::Exceeded));
        tokio::time::advance(LAST_RESORT_AFTER - Duration::from_millis(1)).await;
        assert!(!reliefs.is_last_resort(MemoryPressure::Exceeded));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(reliefs.is_last_resort(MemoryPressure::Exceeded));
        assert!(!reliefs.is_last_resort(MemoryPressure::Refuse), "to refuse requests is enough");
        tokio::time::advance(LAST_RESORT_AFTER).await;
        assert!(!reliefs.is_last_resort(MemoryPressure::Refuse), "however long");
        assert!(!reliefs.is_last_resort(MemoryPressure::Exceeded));
    }

    /// A manager of one connection that is idle, and its task.
    fn manager() -> (OverloadManager, Arc<IdleMark>, JoinHandle<()>) {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).expect("fresh registry"));
        let (_whereabouts_tx, whereabouts) = gangway_publish::channel(Whereabouts::default());
        let addresses = Arc::new(ConnectionLimits::new(&Limits::default(), whereabouts, Arc::clone(&metrics)));
        let (memory, idle) = (MemoryBudget::new(1 << 20), Arc::new(IdleConnections::new()));
        let (mark, task) = connection_for_test(&idle);
        (
            OverloadManager::new(
                memory,
                idle,
                addresses,
                FreedMemory::default(),
                CacheRegistry::new(MemoryBudget::new(1 << 20)),
                metrics,
            ),
            mark,
            task,
        )
    }

    #[tokio::test]
    async fn idle_connections_are_closed_where_memory_runs_short_and_not_before() {
        let (manager, _mark, task) = manager();
        let shed = || manager.metrics.shed.with_label_values(&["idle"]).get();
        manager.relieve(MemoryPressure::None, 1 << 20, &mut Reliefs::default());
        assert_eq!(shed(), 0);
        manager.relieve(MemoryPressure::CloseIdle, 1 << 20, &mut Reliefs::default());
        assert_eq!(shed(), 1);
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn freed_memory_is_asked_for_where_requests_are_refused_for_a_while() {
        let (manager, _mark, _task) = manager();
        let mut reliefs = Reliefs::default();
        let mut is_asked = |pressure| {
            let asked = pin!(manager.freed.is_asked_for());
            manager.relieve(pressure, 1 << 20, &mut reliefs);
            asked.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(!is_asked(MemoryPressure::CloseHeaviest) && !is_asked(MemoryPressure::Refuse));
        tokio::time::advance(RELIEF_TIME).await;
        assert!(is_asked(MemoryPressure::Refuse) && !is_asked(MemoryPressure::Exceeded), "once in a while");
        tokio::time::advance(RELIEF_TIME).await;
        assert!(is_asked(MemoryPressure::Exceeded), "and again, if it has not helped");
        tokio::time::advance(RELIEF_TIME).await;
        assert!(!is_asked(MemoryPressure::CloseHeaviest) && !is_asked(MemoryPressure::Refuse), "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_more_is_closed_while_the_last_closing_may_still_show() {
        let mut relief = Relief::default();
        let mut closed = |resident, count| {
            let mut called = false;
            relief.unless_it_works(resident, || {
                called = true;
                count
            });
            called
        };
        assert!(closed(50 << 20, 0) && closed(50 << 20, 3), "nothing was closed the first time");
        assert!(!closed(50 << 20, 3) && !closed(40 << 20, 3));
        assert!(closed(51 << 20, 3), "memory has grown");
        assert!(!closed(51 << 20, 3));
        tokio::time::advance(RELIEF_TIME).await;
        assert!(closed(40 << 20, 3), "it did not help enough");
    }
}
