//! Whether a container was made for this very process.

use std::path::Path;

/// Whether a container ends with us, and its engine may start it again: we are its first process, or were
/// started by an init that is. Whoever is brought into a running one, as `docker exec` does, is not.
pub(crate) fn is_main_process() -> bool {
    let is_container = || ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists());
    std::process::id() == 1 || (std::os::unix::process::parent_id() == 1 && is_container())
}
