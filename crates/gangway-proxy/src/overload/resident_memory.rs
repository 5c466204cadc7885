//! The resident memory of the process, and how what was freed of it goes back to the system.
//!
//! mimalloc keeps freed pages for the thread that freed them, and gives them back in passing, with later frees of the
//! same thread. A thread that frees much and then has nothing to do keeps it. By then requests may be refused for lack of
//! memory, so nothing happens that would free more.

use std::sync::Arc;

use tokio::sync::Notify;

/// More than a process may have, and the most that mimalloc asks the system for rather than refuse at once.
#[cfg(target_pointer_width = "64")]
const UNAVAILABLE: usize = (1 << 48) - (1 << 32);
#[cfg(not(target_pointer_width = "64"))]
const UNAVAILABLE: usize = usize::MAX / 2;

/// Asks the threads of the data plane to give back what they keep.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreedMemory(Arc<Notify>);

impl FreedMemory {
    /// Asks each thread once. A thread that is not waiting right now is not asked.
    pub(crate) fn ask(&self) {
        self.0.notify_waiters();
    }

    /// Waits until that is asked for. Counts from the call on, also before it is polled.
    pub(super) fn is_asked_for(&self) -> impl Future<Output = ()> {
        self.0.notified()
    }

    /// Gives back what this thread keeps, whenever that is asked for.
    pub(crate) async fn give_back_for_ever(self) {
        loop {
            self.is_asked_for().await;
            give_back();
        }
    }
}

/// The resident memory of this process, from the file that states it without the size of a page: to find out that size
/// fails under tools that count instructions.
pub(super) fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: usize = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Gives back what this thread keeps.
///
/// There is no safe function for it. But where memory cannot be had, the allocator gives back all that it keeps for the
/// thread, and tries again. So this asks for more than there can be.
fn give_back() {
    let mut never_had = Vec::<u8>::new();
    // The result is of use: otherwise the compiler may leave out the whole allocation.
    if never_had.try_reserve_exact(UNAVAILABLE).is_ok() {
        tracing::debug!("the system promises more memory than there is");
    }
    std::hint::black_box(&never_had);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    /// The memory of the process, beside which other tests run; so of several tries the best counts.
    #[test]
    fn freed_memory_goes_back_to_the_system_when_that_is_asked_for() {
        const BLOCK: usize = 24 * 1024;
        const BYTES: usize = 96 << 20;
        let mut returned = Vec::new();
        for _ in 0..5 {
            let mut blocks: Vec<Vec<u8>> = (0..BYTES / BLOCK).map(|_| vec![1; BLOCK]).collect();
            // One of each hundred stays, so that the pages around them are not freed as a whole.
            let mut number = 0;
            blocks.retain(|_| {
                number += 1;
                number % 100 == 0
            });
            let before = resident_bytes().expect("known");
            give_back();
            returned.push(before.saturating_sub(resident_bytes().expect("known")));
            drop(blocks);
        }
        assert!(returned.iter().any(|bytes| *bytes > 1 << 20), "{returned:?}");
    }
}
