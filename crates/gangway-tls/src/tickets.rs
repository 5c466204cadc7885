//! Keys that session tickets are sealed with, shared by all instances that have them.
//!
//! A client that returns may be accepted by another instance, or by this one after a restart. Who has the keys
//! can read what was sent under the tickets' sessions, so they are many and short-lived.

use std::fmt;

pub(crate) const ID_LEN: usize = 16;

/// A key with its name, which stands in front of each ticket.
#[derive(Clone, Eq, PartialEq)]
pub struct TicketKey {
    /// Tells it from others.
    pub id: [u8; ID_LEN],
    /// For AES-256-GCM.
    pub secret: [u8; 32],
}

/// Keys, the one that seals first; all of them open.
pub type TicketKeys = Vec<TicketKey>;

/// The secret stays out of logs.
impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").finish_non_exhaustive()
    }
}
