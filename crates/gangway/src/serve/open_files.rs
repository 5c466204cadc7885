//! The limit of open files, which bounds the number of connections.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Used if the system sets no limit: a million connections would take all memory first.
const ENOUGH: u64 = 1 << 20;

/// Raises the soft limit to the hard one and returns it. The soft limit is for programs that cannot cope with large
/// numbers.
pub(super) fn raise_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < raised) {
        limit.current = Some(raised);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "failed to raise the limit of open files");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH)
}
