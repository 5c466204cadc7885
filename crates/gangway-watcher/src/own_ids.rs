//! The ids of our own container, concluded from the traces that engines leave inside a container.
//!
//! An engine cannot be asked which of its containers asks. A trace alone proves nothing either: it counts only where
//! the engine lists a container with that id.

use std::path::Path;

use gangway_model::Container;

/// Number of hexadecimal digits in the full id of a container.
const ID_LEN: usize = 64;

/// Number of digits in the short id, which Docker uses as the default host name of a container.
pub(crate) const SHORT_ID_LEN: usize = 12;

/// Files that engines mount into each container, from a folder whose name is the id of the container.
const MOUNTED: &[&str] = &["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"];

/// The ids by which we recognise our own container in a listing; the same for all engines.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnIds {
    /// Ids from the mounts and control groups of this process. They are there only inside a container.
    ids: Vec<Box<str>>,
    /// Our host name. It is a short id unless the container was given another name.
    hostname: Box<str>,
}

impl OwnIds {
    #[cfg(test)]
    pub(crate) fn of(ids: &[&str], hostname: &str) -> Self {
        Self { ids: ids.iter().map(|id| (*id).into()).collect(), hostname: hostname.into() }
    }

    /// Reads the traces from `/proc`.
    pub(crate) fn detect() -> Self {
        let file = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        let mut ids = ids_in_mounts(&file("/proc/self/mountinfo"));
        ids.extend(ids_in_groups(&file("/proc/self/cgroup")));
        ids.dedup();
        Self { ids, hostname: file("/proc/sys/kernel/hostname").trim().into() }
    }

    /// Whether this process shows the id of any container.
    pub(crate) fn any(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Finds our own container among those that an engine lists.
    pub(crate) fn find<'c>(&self, containers: &'c [Container]) -> Option<&'c Container> {
        let by_id = containers.iter().find(|container| self.ids.contains(&container.id));
        let by_hostname = || {
            let short = &*self.hostname;
            let is_id = short.len() == SHORT_ID_LEN && short.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id.then(|| containers.iter().find(|container| container.id.starts_with(short))).flatten()
        };
        by_id.or_else(by_hostname)
    }
}

/// Ids in the origins of the files that engines mount into each container.
///
/// On a host, the list of mounts is full of ids as well, but never at these mount points.
fn ids_in_mounts(mounts: &str) -> Vec<Box<str>> {
    let mut ids = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(3);
        let (Some(origin), Some(point)) = (fields.next(), fields.next()) else { continue };
        if MOUNTED.contains(&point) {
            ids.extend(ids_in(origin));
        }
    }
    ids.dedup();
    ids
}

/// Ids in the names of our control groups. Only version 1 of control groups shows them.
fn ids_in_groups(groups: &str) -> Vec<Box<str>> {
    groups.lines().flat_map(ids_in).collect()
}

fn ids_in(text: &str) -> impl Iterator<Item = Box<str>> {
    text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == ID_LEN).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "941d0eb2764328f8ccd96ea79a4ed56d7908dbe683211237392c83585f2b0dab";
    const OTHER: &str = "e4274f9c5e6303ec252e7ad983200aabd51da881768f44b3211c5255dc297870";

    #[test]
    fn ids_are_found_at_the_places_that_only_containers_have() {
        let docker = format!(
            "1 0 254:0 /var/lib/docker/containers/{OURS}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n\
             2 0 0:9 / /var/lib/docker/containers/{OTHER}/mounts/shm rw - tmpfs shm rw\n\
             3 0 0:9 / /var/lib/docker/overlay2/{OTHER}/merged rw - overlay overlay rw"
        );
        assert_eq!(ids_in_mounts(&docker), [OURS.into()]);
        let podman = format!("1 0 0:9 /containers/overlay-containers/{OURS}/userdata/hosts /etc/hosts rw - tmpfs t rw");
        assert_eq!(ids_in_mounts(&podman), [OURS.into()]);
        assert_eq!(ids_in_groups(&format!("4:memory:/docker/{OURS}\n0::/")), [OURS.into()]);
        assert_eq!(ids_in_groups("4:memory:/process/28a03f226591c3bba536e9b80e12f13b\n"), [] as [Box<str>; 0]);
    }
}
