//! A control group with a bound on its memory, of version 1 or 2, whichever the machine has.

use std::fs::{File, create_dir, read_to_string, remove_dir};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The group of a test, for the processes that are started in it. It is removed on drop.
#[derive(Debug)]
pub struct MemoryCgroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    One,
    Two,
}

impl MemoryCgroup {
    /// A new group whose processes may have this much memory together, and no swap.
    ///
    /// # Panics
    ///
    /// Panics if none can be made: only root may.
    pub fn new(bytes_max: u64) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gangway-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
        let (parent, version) = match first_version(&own) {
            Some(path) => (below(Path::new("/sys/fs/cgroup/memory"), path), Version::One),
            None => (second_version(&own), Version::Two),
        };
        let folder = parent.join(name);
        create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        let group = Self { folder, version };
        let [limit, swap] =
            group.names(["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"], ["memory.max", "memory.swap.max"]);
        group.set(limit, bytes_max).unwrap_or_else(|error| panic!("cannot bound {}: {error}", group.folder.display()));
        // A kernel without accounting of swap has no such file.
        let _ = group.set(swap, if version == Version::One { bytes_max } else { 0 });
        group
    }

    /// The file that takes the processes of the group.
    pub fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// The number of processes that the kernel killed because the group had no memory.
    pub fn kills(&self) -> u64 {
        let [events] = self.names(["memory.oom_control"], ["memory.events"]);
        let events = self.read(events);
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count of kills in:\n{events}"))
    }

    /// The most memory that the group ever had, if the kernel tells.
    pub fn peak_bytes(&self) -> Option<u64> {
        let [peak] = self.names(["memory.max_usage_in_bytes"], ["memory.peak"]);
        self.read(peak).trim().parse().ok()
    }

    fn names<const N: usize>(&self, first: [&'static str; N], second: [&'static str; N]) -> [&'static str; N] {
        match self.version {
            Version::One => first,
            Version::Two => second,
        }
    }

    fn read(&self, name: &str) -> String {
        read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn set(&self, name: &str, value: u64) -> io::Result<()> {
        assign(&self.folder.join(name), &value.to_string())
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // A process that has just ended may still be in it; then the folder stays, which disturbs nobody.
        let _ = remove_dir(&self.folder);
    }
}

/// The path of this process in the hierarchy of version 1 that counts memory, if that version does.
fn first_version(own: &str) -> Option<&str> {
    own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    })
}

/// A folder of version 2 in which groups with a bound can be made.
fn second_version(own: &str) -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let own = below(root, path);
    // A group with processes has no groups below that count, so the new one stands beside it.
    let parent = if own == root { root.to_owned() } else { own.parent().unwrap_or(root).to_owned() };
    let control = parent.join("cgroup.subtree_control");
    if assign(&control, "+memory").is_err() {
        // The root that a container sees has the same rule, and nothing beside it.
        let leaf = parent.join("gangway-test-others");
        let _ = create_dir(&leaf);
        for id in read_to_string(parent.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = assign(&leaf.join("cgroup.procs"), id);
        }
        assign(&control, "+memory").unwrap_or_else(|error| panic!("cannot set {}: {error}", control.display()));
    }
    parent
}

fn below(root: &Path, path: &str) -> PathBuf {
    let folder = root.join(path.trim_start_matches('/'));
    // A container may see its own group as the root, whatever the path says.
    if folder.is_dir() { folder } else { root.to_owned() }
}

fn assign(file: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_that_counts_memory_is_found() {
        assert_eq!(first_version("8:pids:/a\n4:memory:/b/c\n0::/\n"), Some("/b/c"));
        assert_eq!(first_version("5:cpu,memory:/b\n"), Some("/b"));
        assert_eq!(first_version("0::/user.slice\n"), None);
    }
}
