//! Routes without a container: kept for the next one for a while, so that recreating is no outage.
//!
//! What a container that is gone asked for goes on being asked for until its `hold` is over or its
//! service, or its name, is up again. It gives no endpoint, and it takes no host: it is served where its party
//! holds the host, or nobody does. Nothing is ever said about it.

use std::collections::HashSet;
use std::time::Duration;

use super::bounds::{self, ALTERNATIVES_IN_ALL_MAX, ContainerFindings};
use super::cache::Cache;
use super::replicas::{self, Candidate, Group, Owner, Owners};
use super::why_not_up;
use crate::address::Surroundings;
use crate::dialect::native::Asked;
use crate::label::Source;
use crate::select::is_selected;
use crate::settings::Settings;
use crate::snapshot::{EngineName, Gone, Snapshot};

/// A container that is gone and for which a route is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// The engine it was read from.
    pub engine: EngineName,
    /// Its id.
    pub container: Box<str>,
    /// How much longer, counted from the snapshot.
    pub left: Duration,
}

/// The routes that are held, and for which containers.
pub(super) fn groups<'s>(
    snapshot: &'s Snapshot,
    owners: &Owners<'s>,
    surroundings: &Surroundings<'s>,
    settings: &Settings,
    cache: &mut Cache,
) -> (Vec<Group<'s>>, Vec<Hold>) {
    if snapshot.gone.is_empty() {
        return (Vec::new(), Vec::new());
    }
    // What there is to say was said while they ran, or will be when they run again.
    let (mut unread, mut unsaid) = (ContainerFindings::default(), Vec::new());
    let up: HashSet<Owner<'_>> =
        snapshot.containers.iter().filter(|one| why_not_up(one).is_none()).map(|one| owners.of(one)).collect();
    let mut holds = Vec::new();
    let mut candidates = Vec::new();
    for gone in sorted(snapshot) {
        let (container, owner) = (&gone.container, owners.of(&gone.container));
        let is_ours = is_selected(&settings.select, container) && !surroundings.is_own(container);
        if up.contains(&owner) || !is_ours || why_not_up(container).is_some() {
            continue;
        }
        let Asked::Routes { specs, by_label: true } = cache.read(container, settings, &mut unread) else { continue };
        let mut longest = Duration::ZERO;
        for spec in specs {
            let left = spec.upstream.policy.hold.saturating_sub(gone.since);
            if !left.is_zero() {
                longest = longest.max(left);
                let source = Source::Container(container);
                let party = owners.party(container, &spec);
                let (spec, endpoints) = (Box::new(spec), Vec::new());
                candidates.push(Candidate { party, source, spec, endpoints, unreachable: None });
            }
        }
        if !longest.is_zero() {
            holds.push(Hold { engine: container.engine.clone(), container: container.id.clone(), left: longest });
        }
    }
    let (candidates, _) = bounds::within(candidates, ALTERNATIVES_IN_ALL_MAX, &mut unsaid);
    let mut held = replicas::gather(candidates, snapshot.own.len() > 1, &mut unsaid);
    held.iter_mut().for_each(Group::hold);
    (held, holds)
}

/// The same whatever the order of listing.
fn sorted(snapshot: &Snapshot) -> Vec<&Gone> {
    let mut gone: Vec<&Gone> = snapshot.gone.iter().collect();
    gone.sort_by_key(|gone| (&gone.container.engine, &gone.container.id));
    gone
}
