//! Containers that were asked to stop and take longer than their stop timeout.
//!
//! Beside others that serve, such a one gets no requests until it is dead or has started anew. Alone, it gets
//! them again: it may ignore the signal for ever, and for a client a slow container is better than none.

use std::collections::HashSet;

use super::replicas::RouteGroup;
use crate::route::Readiness;
use crate::snapshot::Snapshot;

/// Makes such containers ready where no other container serves their route.
pub(super) fn serve_again(groups: &mut [RouteGroup<'_>], snapshot: &Snapshot) {
    if snapshot.lingering.values().all(std::collections::BTreeSet::is_empty) {
        return;
    }
    for group in groups {
        if group.endpoints.iter().any(|endpoint| endpoint.readiness != Readiness::Leaving) {
            continue;
        }
        let lingers = |id: &str, engine| snapshot.lingering.get(engine).is_some_and(|ids| ids.contains(id));
        let lingering: HashSet<&str> = group
            .origin
            .containers()
            .filter(|container| lingers(&container.id, &container.engine))
            .map(|container| &*container.id)
            .collect();
        for endpoint in &mut group.endpoints {
            if lingering.contains(&*endpoint.key.container) {
                endpoint.readiness = Readiness::Ready;
            }
        }
    }
}
