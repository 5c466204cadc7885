//! Routes without a container: kept for the next one for a while, so that recreating is no outage.
//!
//! What a container that is gone asked for goes on being asked for until its `hold` is over or its
//! service, or its name, is up again. It gives no endpoint, and it takes no host: it is served where its party
//! holds the host, or no party does. It is never reported.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::availability::why_not_up;
use super::candidates::{self, Around, Candidate};
use super::fair_share;
use super::names::SharedNames;
use super::owners::Owner;
use super::replicas::{self, RouteGroup};
use crate::bounds::ALTERNATIVES_IN_ALL_MAX;
use crate::dialect::{self, ReadCache};
use crate::engine_name::EngineName;
use crate::route::Policy;
use crate::select::is_selected;
use crate::settings::Settings;
use crate::snapshot::{Gone, Snapshot};
use crate::spec::{Declarations, Declared};

/// A container that is gone and for which a route is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// The engine it was read from.
    pub engine: EngineName,
    /// The container's id.
    pub container: Box<str>,
    /// How much longer, counted from the snapshot.
    pub left: Duration,
}

/// Routes of containers that are gone, before their names are resolved.
#[derive(Default)]
pub(super) struct HeldRoutes<'s> {
    candidates: Vec<(Candidate<'s>, &'s Gone)>,
    /// For how much longer each container is remembered, by engine and id: for what others name, and for its routes.
    left: BTreeMap<(&'s EngineName, &'s str), Duration>,
}

/// Reads the containers that are gone, and adds what they declare for others to `names`.
pub(super) fn read<'s>(
    snapshot: &'s Snapshot,
    around: Around<'_, 's>,
    settings: &'s Settings,
    cache: &mut ReadCache,
    names: &mut SharedNames<'s>,
) -> HeldRoutes<'s> {
    let Around { owners, surroundings, .. } = around;
    let mut held = HeldRoutes::default();
    if snapshot.gone.is_empty() {
        return held;
    }
    let up: HashSet<Owner<'_>> =
        snapshot.containers.iter().filter(|one| why_not_up(one).is_none()).map(|one| owners.of(one)).collect();
    let is_held = |gone: &&Gone| {
        let container = &gone.container;
        let is_ours = is_selected(&settings.select, container) && !surroundings.is_own(container);
        is_ours && !up.contains(&owners.of(container)) && why_not_up(container).is_none()
    };
    let all: Vec<&Gone> = sorted(snapshot).into_iter().filter(is_held).collect();
    let reads = dialect::read_all(all.iter().map(|gone| &gone.container), settings, cache);
    for (gone, read) in all.iter().zip(reads) {
        let Declared::Routed { mut declarations, by_label: true } = read.declared else { continue };
        let left = hold_of_names(&declarations).saturating_sub(gone.since);
        if !left.is_zero() {
            held.left.insert((&gone.container.engine, &gone.container.id), left);
            candidates::name_of_gone(&gone.container, &mut declarations, around, names);
        }
        let candidates = candidates::of_gone(&gone.container, declarations, around);
        // A route of which nothing is a name is known to be over already, and need not be kept until names are known.
        let is_left = |one: &Candidate<'_>| one.references.is_some() || !left_of(one, gone).is_zero();
        held.candidates.extend(candidates.into_iter().filter(is_left).map(|candidate| (candidate, *gone)));
    }
    held
}

/// How long what a container declares for others is kept for the next container.
fn hold_of_names(declarations: &Declarations<'_>) -> Duration {
    let upstreams = declarations.upstreams.iter().map(|named| named.object.delivery.policy.hold);
    let middlewares = declarations.middlewares.iter().map(|_| Policy::default().hold);
    upstreams.chain(middlewares).max().unwrap_or_default()
}

/// How much longer a route is held.
fn left_of(candidate: &Candidate<'_>, gone: &Gone) -> Duration {
    candidate.spec.upstream.policy.hold.saturating_sub(gone.since)
}

impl<'s> HeldRoutes<'s> {
    pub(super) fn candidates(&mut self) -> impl Iterator<Item = &mut Candidate<'s>> {
        self.candidates.iter_mut().map(|(candidate, _)| candidate)
    }

    /// The routes that are held, and for which containers. SharedNames must be resolved before.
    pub(super) fn gather(self, has_several_engines: bool) -> (Vec<RouteGroup<'s>>, Vec<Hold>) {
        let Self { candidates, mut left } = self;
        let mut held = Vec::with_capacity(candidates.len());
        for (mut candidate, gone) in candidates {
            let of_route = left_of(&candidate, gone);
            if !of_route.is_zero() {
                let of_container = left.entry((&gone.container.engine, &gone.container.id)).or_default();
                *of_container = of_route.max(*of_container);
                candidate.unreachable = None;
                held.push(candidate);
            }
        }
        // What there is to say was said while they ran, or will be when they run again.
        let mut unsaid = Vec::new();
        let (held, _) = fair_share::within(held, ALTERNATIVES_IN_ALL_MAX, &mut unsaid);
        let mut groups = replicas::gather(held, has_several_engines, &mut unsaid);
        groups.iter_mut().for_each(RouteGroup::hold);
        let hold = |((engine, container), left): ((&EngineName, &str), Duration)| Hold {
            engine: engine.clone(),
            container: container.into(),
            left,
        };
        (groups, left.into_iter().map(hold).collect())
    }
}

/// The same whatever the order of listing.
fn sorted(snapshot: &Snapshot) -> Vec<&Gone> {
    let mut gone: Vec<&Gone> = snapshot.gone.iter().collect();
    gone.sort_by_key(|gone| (&gone.container.engine, &gone.container.id));
    gone
}
