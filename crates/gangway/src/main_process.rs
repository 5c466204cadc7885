//! Whether this process is the one that its container was made for.

use std::path::Path;

/// Whether the container ends when this process does, and its engine may then start it again.
///
/// That is the first process of a container, or one that an init as the first process has started. It is not a process
/// that was brought into a running container, as `docker exec` does.
pub(crate) fn is_main_process() -> bool {
    let is_container = || ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists());
    std::process::id() == 1 || (std::os::unix::process::parent_id() == 1 && is_container())
}
