//! Measures the memory of the process and relieves it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::downstream::connection_limits::ConnectionLimits;
use crate::metrics::Metrics;
use crate::overload::idle_connections::IdleConnections;
use crate::overload::memory_budget::{MemoryBudget, MemoryPressure};

/// How often memory is measured. Faster than a fast network fills what a bound leaves free.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// Idle connections that are closed at a time: enough to keep up with new ones, few enough that a short peak does not
/// close all.
const CLOSED_AT_ONCE: usize = 256;

/// Measures the memory of the process and relieves it.
#[derive(Clone, Debug)]
pub struct OverloadManager {
    memory: MemoryBudget,
    idle: Arc<IdleConnections>,
    addresses: Arc<ConnectionLimits>,
    metrics: Arc<Metrics>,
}

impl OverloadManager {
    pub(crate) fn new(
        memory: MemoryBudget,
        idle: Arc<IdleConnections>,
        addresses: Arc<ConnectionLimits>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { memory, idle, addresses, metrics }
    }

    /// Runs for as long as the process does.
    pub fn run(&self) -> impl Future<Output = Infallible> + Send + use<> {
        self.clone().relieve_for_ever()
    }

    async fn relieve_for_ever(self) -> Infallible {
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reported = MemoryPressure::None;
        loop {
            ticks.tick().await;
            self.idle.tick();
            let Some(resident) = resident_bytes() else { continue };
            let pressure = self.memory.measured(resident);
            self.metrics.memory.set(i64::try_from(resident).unwrap_or(i64::MAX));
            if pressure > reported {
                tracing::warn!(resident, ?pressure, "memory runs short: connections are closed, idle ones first");
            }
            reported = if pressure == MemoryPressure::None { pressure } else { pressure.max(reported) };
            self.relieve(pressure);
        }
    }

    fn relieve(&self, pressure: MemoryPressure) {
        if pressure >= MemoryPressure::CloseIdle {
            let closed = self.idle.close(CLOSED_AT_ONCE);
            self.count("idle", closed);
        }
        if pressure >= MemoryPressure::CloseHeaviest {
            let closed = self.addresses.close_heaviest();
            self.count("heaviest-address", closed);
        }
    }

    fn count(&self, what: &str, closed: usize) {
        if closed > 0 {
            self.metrics.shed.with_label_values(&[what]).inc_by(u64::try_from(closed).unwrap_or(u64::MAX));
        }
    }
}

/// The resident memory of this process.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
