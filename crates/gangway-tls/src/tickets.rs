//! Keys that seal session tickets, shared by all instances on a volume.
//!
//! A client that returns may be accepted by another instance, or by this one after a restart. A holder of the keys
//! can read the traffic of the tickets' sessions, so the keys are many and short-lived.

use std::fmt;

pub(crate) const ID_LEN: usize = 16;

/// A key with its name, which stands in front of each ticket.
#[derive(Clone, Eq, PartialEq)]
pub struct TicketKey {
    /// The name of the key.
    pub id: [u8; ID_LEN],
    /// The secret key for AES-256-GCM.
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
