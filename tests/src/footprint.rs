//! The memory of a process, as the kernel counts it.

use std::time::Duration;

use gangway_testkit::wait::eventually;

/// Looks in a row, five milliseconds apart, at which a value must be the same until it counts as still.
const LOOKS: u32 = 40;

/// How much a value that is still may vary: pages come and go while nothing happens.
const TREMOR_KIB: u64 = 64;

/// What becomes still does so within this time, on a machine that does other things too.
const STILL_WITHIN: Duration = Duration::from_secs(60);

/// The memory of a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Footprint {
    /// All pages, those of the program's file included.
    pub resident_kib: u64,
    /// The pages that no other process has: heap, stacks, written data, and of the program's file what nobody else runs.
    pub private_kib: u64,
}

impl Footprint {
    /// The memory of a process now. Zero if there is no such process.
    pub fn of(id: u32) -> Self {
        let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
        Self::read(&rollup)
    }

    fn read(rollup: &str) -> Self {
        let kib = |key: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default()
        };
        Self { resident_kib: kib("Rss:"), private_kib: kib("Private_Clean:") + kib("Private_Dirty:") }
    }

    /// Waits until the memory of a process changes no more.
    pub async fn still(id: u32) -> Self {
        still("the memory of the process", || Self::of(id).private_kib).await;
        Self::of(id)
    }
}

/// Waits until a number changes no more.
pub async fn still(what: &str, number: impl Fn() -> u64) {
    let (mut last, mut looks) = (number(), 0);
    eventually(&format!("{what} is still"), STILL_WITHIN, || {
        let now = number();
        let is_same = now.abs_diff(last) <= TREMOR_KIB;
        looks = if is_same { looks + 1 } else { 0 };
        if !is_same {
            last = now;
        }
        std::future::ready((looks >= LOOKS).then_some(()))
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_pages_are_those_of_this_process_alone() {
        let rollup = "5f-7f ---p 00000000 00:00 0 [rollup]\nRss:            30200 kB\nPss:   1 kB\n\
            Private_Clean:       200 kB\nPrivate_Dirty:      8000 kB\n";
        assert_eq!(Footprint::read(rollup), Footprint { resident_kib: 30_200, private_kib: 8_200 });
        let own = Footprint::of(std::process::id());
        assert!(own.private_kib > 0 && own.private_kib <= own.resident_kib, "{own:?}");
    }
}
