//! The memory that the process may use.

use std::path::Path;

/// The least budget: below it, nothing useful could be served.
pub(crate) const BYTES_MIN: usize = 64 << 20;

/// The default budget: 75 % of what the container or the machine has, at least 64 MiB. The rest is for what the
/// kernel counts beside the process's own memory: sockets and pages of files.
pub(crate) fn default_bytes() -> usize {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let cgroups = [read("/sys/fs/cgroup/memory.max"), read("/sys/fs/cgroup/memory/memory.limit_in_bytes")];
    let cgroup = cgroups.iter().flatten().filter_map(|text| text.trim().parse().ok()).min();
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    from_available([cgroup, machine].into_iter().flatten().min())
}

fn from_available(available: Option<u64>) -> usize {
    let available = available.and_then(|bytes| usize::try_from(bytes).ok());
    available.map_or(usize::MAX, |bytes| (bytes / 4 * 3).max(BYTES_MIN))
}

/// The memory of the machine, from `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_share_of_what_there_is() {
        assert_eq!(from_available(Some(1 << 30)), 768 << 20);
        assert_eq!(from_available(Some(1 << 20)), BYTES_MIN);
        assert_eq!(from_available(None), usize::MAX);
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24679964 kB\n"), Some(24_679_964 * 1024));
        assert_eq!(total("MemTotal: much"), None);
        assert!(default_bytes() >= BYTES_MIN);
    }
}
