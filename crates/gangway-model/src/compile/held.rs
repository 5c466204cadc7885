//! Routes without a container: kept for the next one for a while, so that recreating is no outage.
//!
//! What a container that is gone asked for goes on being asked for until its `hold` is over or its
//! service, or its name, is up again. It gives no endpoint, and it is newer than everything that runs: so it
//! takes from a container only what it asks for more specifically, as it did while it ran, and nothing is
//! ever said about it.

use std::collections::HashSet;
use std::time::Duration;

use super::conflicts;
use super::handshakes;
use super::priorities;
use super::replicas::{self, Candidate, Group, Owner};
use super::why_not_up;
use crate::address::Surroundings;
use crate::dialect::native::{self, Asked, Source};
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

/// Adds the routes that are held to those that are served, and says for which containers.
pub(super) fn add<'s>(
    groups: Vec<Group<'s>>,
    snapshot: &'s Snapshot,
    surroundings: &Surroundings<'s>,
    settings: &Settings,
) -> (Vec<Group<'s>>, Vec<Hold>) {
    if snapshot.gone.is_empty() {
        return (groups, Vec::new());
    }
    // What there is to say was said while they ran, or will be when they run again.
    let mut unsaid = Vec::new();
    let up: HashSet<Owner<'_>> =
        snapshot.containers.iter().filter(|one| why_not_up(one).is_none()).map(Owner::of).collect();
    let mut holds = Vec::new();
    let mut candidates = Vec::new();
    for gone in sorted(snapshot) {
        let (container, owner) = (&gone.container, Owner::of(&gone.container));
        if up.contains(&owner) || surroundings.is_own(container) || why_not_up(container).is_some() {
            continue;
        }
        let Asked::Routes { specs, by_label: true } = native::read(container, settings, &mut unsaid) else { continue };
        let mut longest = Duration::ZERO;
        for spec in specs {
            let left = spec.upstream.policy.hold.saturating_sub(gone.since);
            if !left.is_zero() {
                longest = longest.max(left);
                let source = Source::Container(container);
                candidates.push(Candidate { owner, source, spec: Box::new(spec), endpoints: Vec::new() });
            }
        }
        if !longest.is_zero() {
            holds.push(Hold { engine: container.engine.clone(), container: container.id.clone(), left: longest });
        }
    }
    if candidates.is_empty() {
        return (groups, Vec::new());
    }
    let mut held = replicas::gather(candidates, snapshot.own.len() > 1, &mut unsaid);
    held.iter_mut().for_each(Group::hold);
    let all = groups.into_iter().chain(held).collect();
    // Those that run come first by age, so that among them everything stays as it was settled.
    let (mut groups, _) = conflicts::settle(all, &mut unsaid);
    priorities::settle(&mut groups, &mut unsaid);
    handshakes::settle(&mut groups, &mut unsaid);
    (groups, holds)
}

/// The same whatever the order of listing.
fn sorted(snapshot: &Snapshot) -> Vec<&Gone> {
    let mut gone: Vec<&Gone> = snapshot.gone.iter().collect();
    gone.sort_by_key(|gone| (&gone.container.engine, &gone.container.id));
    gone
}
