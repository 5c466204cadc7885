//! The memory that the process may use.

use std::path::{Path, PathBuf};

/// The least budget: below it, nothing useful could be served.
pub(crate) const BYTES_MIN: usize = 64 << 20;

/// Where control groups are mounted. Version 1 has a folder there for each controller.
const GROUPS: &str = "/sys/fs/cgroup";
const MEMORY_CONTROLLER: &str = "memory";

/// The file with the bound of a group: version 1, and version 2.
const MEMORY_GROUP_LIMIT: &str = "memory.limit_in_bytes";
const GROUP_LIMIT: &str = "memory.max";

/// The default budget: 75 % of what the container, the service or the machine has, at least 64 MiB. The rest is for what
/// the kernel counts beside the process's own memory: sockets and pages of files.
pub(crate) fn default_bytes() -> usize {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let group = group_limit(&own, Path::new(GROUPS));
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    from_available([group, machine].into_iter().flatten().min())
}

/// The least bound of the groups of a process, from its `/proc/self/cgroup`. A group without a bound says `max`.
fn group_limit(own: &str, groups: &Path) -> Option<u64> {
    let limit = |file: &PathBuf| std::fs::read_to_string(file).ok()?.trim().parse().ok();
    limit_files(own, groups).iter().filter_map(limit).min()
}

/// The files that may bound the groups of a process. The bound of each group above holds as well. A container sees its
/// own group as the root, whatever the path says.
fn limit_files(own: &str, groups: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut words = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (words.next(), words.next()) else { continue };
        let (root, limit) = match controllers {
            "" => (groups.to_owned(), GROUP_LIMIT),
            _ if controllers.split(',').any(|name| name == MEMORY_CONTROLLER) => {
                (groups.join(MEMORY_CONTROLLER), MEMORY_GROUP_LIMIT)
            }
            _ => continue,
        };
        let above = Path::new(path.trim_start_matches('/')).ancestors();
        files.extend(above.map(|group| root.join(group).join(limit)));
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
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_group_above_a_process_may_bound_it() {
        let files =
            |own| limit_files(own, Path::new(GROUPS)).iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
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

    /// A folder like `/sys/fs/cgroup` with these files.
    fn groups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below the folder")).expect("ours");
            File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("ours");
        }
        folder
    }

    #[test]
    fn the_least_bound_of_all_groups_above_counts_in_version_2() {
        let own = "0::/system.slice/gangway.service\n";
        let limit_with = |files: &[(&str, &str)]| group_limit(own, groups(files).path());
        let (unit, slice, root) = ("system.slice/gangway.service/memory.max", "system.slice/memory.max", "memory.max");
        assert_eq!(limit_with(&[(unit, "300\n"), (slice, "max\n")]), Some(300));
        assert_eq!(limit_with(&[(unit, "max\n"), (slice, "200\n")]), Some(200));
        assert_eq!(limit_with(&[(unit, "300\n"), (slice, "200\n"), (root, "100\n")]), Some(100));
        assert_eq!(limit_with(&[(unit, "max\n"), (slice, "max\n")]), None);
        // The group of the controller may lie above that of the process.
        assert_eq!(limit_with(&[(slice, "200\n")]), Some(200));
        assert_eq!(limit_with(&[("system.slice/other.service/memory.max", "50\n")]), None);
        assert_eq!(limit_with(&[(unit, "\n"), (slice, "-1\n"), (root, "3 4\n")]), None, "none is a bound");
    }

    #[test]
    fn a_container_of_version_2_is_bounded_by_the_root_that_it_sees() {
        let folder = groups(&[("memory.max", "100\n")]);
        let limit_of = |own: &str| group_limit(own, folder.path());
        assert_eq!(limit_of("0::/\n"), Some(100), "a namespace of its own");
        assert_eq!(limit_of("0::/docker/0123456789ab\n"), Some(100), "the path of the machine");
        assert_eq!(limit_of("0::/../0123456789ab\n"), Some(100), "moved out of its namespace");
        assert_eq!(limit_of("0::/gangway.service (deleted)\n"), Some(100));
        assert_eq!(limit_of(""), None);
    }

    #[test]
    fn beside_version_1_an_empty_hierarchy_of_version_2_says_nothing() {
        let own = "5:memory:/a\n1:name=systemd:/a\n0::/a\n";
        let folder = groups(&[
            ("memory/a/memory.limit_in_bytes", "100\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("unified/a/cgroup.procs", "1\n"),
        ]);
        assert_eq!(group_limit(own, folder.path()), Some(100));
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
