//! The memory that the process may use.

use std::path::{Path, PathBuf};

/// The least budget: below it, nothing useful could be served.
pub(crate) const BYTES_MIN: usize = 64 << 20;

/// Where control groups are mounted, and the file with the bound of a group: version 1, and version 2.
const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";
const MEMORY_GROUP_LIMIT: &str = "memory.limit_in_bytes";
const GROUPS: &str = "/sys/fs/cgroup";
const GROUP_LIMIT: &str = "memory.max";

/// The default budget: 75 % of what the container, the service or the machine has, at least 64 MiB. The rest is for what
/// the kernel counts beside the process's own memory: sockets and pages of files.
pub(crate) fn default_bytes() -> usize {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let group = limit_files(&own).iter().filter_map(|file| read(file)?.trim().parse().ok()).min();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    from_available([group, machine].into_iter().flatten().min())
}

/// The files that may bound the groups of a process, from its `/proc/self/cgroup`. The bound of each group above holds
/// as well. A container sees its own group as the root, whatever the path says.
fn limit_files(own: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut words = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (words.next(), words.next()) else { continue };
        let (root, limit) = match controllers {
            "" => (GROUPS, GROUP_LIMIT),
            _ if controllers.split(',').any(|name| name == "memory") => (MEMORY_GROUPS, MEMORY_GROUP_LIMIT),
            _ => continue,
        };
        let above = Path::new(path.trim_start_matches('/')).ancestors();
        files.extend(above.map(|group| Path::new(root).join(group).join(limit)));
    }
    files
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
    fn every_group_above_a_process_may_bound_it() {
        let files = |own| limit_files(own).iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        let of_version_1 = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ];
        assert_eq!(files("9:name=systemd:/x\n8:pids:/x\n4:cpu,memory:/a/b\nnot a line\n"), of_version_1);
        let of_version_2 = [
            "/sys/fs/cgroup/system.slice/a:b.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files("0::/system.slice/a:b.service\n"), of_version_2);
    }

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
