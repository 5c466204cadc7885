//! The beginning of a request's body, kept so that it can be sent again, or held before it is sent at all.

use std::sync::Arc;

use crate::overload::address_account::{AddressAccount, KeptBytes};
use crate::overload::memory_budget::{MemoryBudget, MemoryLease};

/// Bytes of a body that are kept. Forms and API calls fit; an upload is not sent twice.
const REPLAY_MAX: usize = 64 * 1024;

/// What was sent of a request's body, or was read before it is sent.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    bytes: Vec<u8>,
    /// The memory of bytes that were held.
    memory: Option<Box<HeldMemory>>,
    is_kept: bool,
    is_truncated: bool,
}

/// Memory that is accounted for as long as this exists.
#[derive(Debug)]
struct HeldMemory {
    lease: MemoryLease,
    of_address: Option<KeptBytes>,
}

impl Replay {
    /// Forgets the last body, and gives its memory back.
    pub(crate) fn reset(&mut self) {
        if self.bytes.capacity() > 0 {
            self.forget();
        }
        self.is_kept = false;
        self.is_truncated = false;
    }

    /// Says whether the body may be sent again. What is held of it stays.
    pub(crate) fn keep(&mut self, is_kept: bool) {
        self.is_kept = is_kept;
    }

    /// Holds bytes that were read, and that are sent before any others.
    pub(crate) fn hold(&mut self, data: &[u8], memory: &MemoryBudget, account: Option<&Arc<AddressAccount>>) {
        let before = self.bytes.capacity();
        self.bytes.extend_from_slice(data);
        let more = self.bytes.capacity() - before;
        if more > 0 {
            let held = self.memory.get_or_insert_with(|| {
                Box::new(HeldMemory { lease: memory.lease(before), of_address: account.map(KeptBytes::new) })
            });
            held.lease.grow(more);
            if let Some(kept) = &mut held.of_address {
                kept.add(more);
            }
        }
    }

    /// Notes bytes that the endpoint took.
    pub(crate) fn note(&mut self, data: &[u8]) {
        if !self.is_kept || self.bytes.len() + data.len() > REPLAY_MAX {
            self.is_truncated = true;
            self.forget();
            self.is_kept = false;
        } else {
            self.bytes.extend_from_slice(data);
        }
    }

    /// The bytes to send before those that the client sends next.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether everything that was read can be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_truncated
    }

    fn forget(&mut self) {
        self.bytes = Vec::new();
        self.memory = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let mut replay = Replay::default();
        replay.keep(true);
        replay.note(&[1; 1000]);
        assert!(replay.is_whole() && replay.bytes().len() == 1000);
        replay.note(&[2; REPLAY_MAX]);
        assert!(!replay.is_whole() && replay.bytes().is_empty());
        replay.reset();
        assert!(replay.is_whole(), "nothing was sent");
        replay.note(&[1]);
        assert!(!replay.is_whole());
    }

    #[test]
    fn what_is_held_is_accounted_for_until_it_is_forgotten() {
        let (memory, account) = (MemoryBudget::new(1 << 30), Arc::<AddressAccount>::default());
        for is_kept in [false, true] {
            let mut replay = Replay::default();
            for _ in 0..100 {
                replay.hold(&[1; 2000], &memory, Some(&account));
            }
            replay.keep(is_kept);
            assert!(replay.is_whole() && replay.bytes().len() == 200_000, "larger than what would be kept");
            let held = memory.leased();
            assert!((200_000..500_000).contains(&held), "{held}");
            assert_eq!(account.bytes(), held);
            // What comes behind it goes on its way, and then nothing can be sent again.
            replay.note(&[2]);
            assert!(!replay.is_whole() && replay.bytes().is_empty());
            assert_eq!((memory.leased(), account.bytes()), (0, 0));
            replay.reset();
            replay.hold(&[3], &memory, None);
            assert!(replay.is_whole() && memory.leased() > 0);
            replay.reset();
            assert_eq!(memory.leased(), 0);
        }
    }
}
