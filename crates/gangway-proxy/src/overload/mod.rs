//! Keeps the process within its memory and its descriptors.
//!
//! When memory runs short, what caches keep goes first and idle connections are closed, then the connections of the address that holds most,
//! and then new requests are refused with a 503. So a client that asks for too much loses before others do, and the
//! process is never killed.

pub(crate) mod address_account;
pub(crate) mod idle_connections;
pub(crate) mod manager;
pub(crate) mod memory_budget;
pub(crate) mod memory_limit;
pub(crate) mod open_connections;
pub(crate) mod resident_memory;

use std::sync::Arc;

use idle_connections::IdleConnections;
use memory_budget::MemoryBudget;
use open_connections::OpenConnections;
use resident_memory::FreedMemory;

use crate::cache::registry::CacheRegistry;
use crate::limits::Limits;

/// What sessions and requests ask before they take more.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    pub(crate) memory: MemoryBudget,
    pub(crate) idle: Arc<IdleConnections>,
    /// Connections of clients and to endpoints.
    pub(crate) open: OpenConnections,
    pub(crate) freed: FreedMemory,
    pub(crate) caches: CacheRegistry,
}

impl Overload {
    pub(crate) fn new(limits: &Limits) -> Self {
        let memory = MemoryBudget::new(limits.memory);
        Self {
            caches: CacheRegistry::new(memory.clone()),
            memory,
            idle: Arc::new(IdleConnections::new()),
            open: OpenConnections::at_most(limits.open_connections),
            freed: FreedMemory::default(),
        }
    }
}
