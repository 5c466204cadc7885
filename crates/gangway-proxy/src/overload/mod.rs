//! Keeps the process within its memory and its descriptors.
//!
//! When memory runs short, idle connections are closed first, then the connections of the address that holds most,
//! and then new requests are refused with a 503. So a client that asks for too much loses before others do, and the
//! process is never killed.

pub(crate) mod address_account;
pub(crate) mod idle_connections;
pub(crate) mod manager;
pub(crate) mod memory_budget;
pub(crate) mod memory_limit;

use std::sync::Arc;

use idle_connections::IdleConnections;
use memory_budget::MemoryBudget;

/// What sessions and requests ask before they take more.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    pub(crate) memory: MemoryBudget,
    pub(crate) idle: Arc<IdleConnections>,
}

impl Overload {
    pub(crate) fn new(memory_max: usize) -> Self {
        Self { memory: MemoryBudget::new(memory_max), idle: Arc::new(IdleConnections::new()) }
    }
}
