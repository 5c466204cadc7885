//! Names → what they stand for: upstreams and middlewares that containers share.
//!
//! Names belong to an engine. A route gets what its own tenant declares under a name, so that no other project can take
//! the middleware away that protects it; or else what the tenant of the oldest container declares. Within a tenant the
//! owner of the oldest container has the name. Containers of one owner are replicas: the newest says what is in force,
//! and all of them are endpoints.
//!
//! A route that names a middleware which is not there is closed: what the middleware would have done is not known, so
//! it may have kept somebody out. A route that names an upstream which is not there answers 503.
//!
//! Declarations need no bound in all. Each has a label, so they are never much more than the labels in the snapshot.

use std::collections::HashMap;
use std::rc::Rc;

use ahash::RandomState;

use super::candidates::Candidate;
use super::owners::{Owner, TenantRef};
use super::weights;
use crate::diagnostic::Diagnostic;
use crate::label::{Mark, Source};
use crate::route::{Endpoint, Middleware};
use crate::rule::{Finding, shown};
use crate::snapshot::{Container, EngineName};
use crate::spec::{
    Delivery, MiddlewareSpec, Named, Part, Reference, Unresolved, UpstreamSpec, WeightedUpstream, Without,
};

/// Steps that the routes of one container may have by name, together: each costs a table its memory, and a name of
/// few bytes may stand for much more.
const NAMED_STEPS_MAX: usize = 1024;

/// How deep upstreams may name upstreams.
const DEPTH_MAX: usize = 4;

/// The names in one route.
#[derive(Debug, Default)]
pub(super) struct References<'s> {
    /// The whole chain, where a part of it is a name.
    pub middlewares: Vec<Part<'s, Middleware>>,
    pub upstream: Option<Reference<'s>>,
    /// The upstreams that share the requests of the route's own.
    pub weighted: Vec<WeightedUpstream<'s>>,
}

/// Whether the container that declares something is there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Presence {
    Up,
    /// Its routes are held for the next container.
    Gone,
}

/// What all containers declare under names.
#[derive(Default)]
pub(super) struct Names<'s> {
    upstreams: ByName<'s, DeclaredUpstream<'s>>,
    middlewares: ByName<'s, MiddlewareSpec>,
}

/// By engine and name, every declaration.
type ByName<'s, T> = HashMap<&'s EngineName, HashMap<Box<str>, Vec<Declaration<'s, T>>, RandomState>, RandomState>;

struct Declaration<'s, T> {
    container: &'s Container,
    owner: Owner<'s>,
    presence: Presence,
    mark: Mark<'s>,
    taken: fn(&str) -> Finding,
    object: T,
}

struct DeclaredUpstream<'s> {
    delivery: Delivery,
    endpoints: Vec<Endpoint>,
    unreachable: Option<Box<str>>,
    weighted: Vec<WeightedUpstream<'s>>,
}

/// What the name of an upstream stands for.
#[derive(Clone)]
struct NamedUpstream {
    endpoints: Rc<[Endpoint]>,
    delivery: Delivery,
    unreachable: Option<Box<str>>,
}

impl References<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.middlewares.is_empty() && self.upstream.is_none() && self.weighted.is_empty()
    }
}

impl<'s> Names<'s> {
    pub(super) fn add_upstream(
        &mut self,
        container: &'s Container,
        owner: Owner<'s>,
        presence: Presence,
        named: Named<'s, UpstreamSpec<'s>>,
        endpoints: Vec<Endpoint>,
        unreachable: Option<Box<str>>,
    ) {
        let Named { name, mark, object: UpstreamSpec { destination, delivery }, taken, .. } = named;
        let object = DeclaredUpstream { delivery, endpoints, unreachable, weighted: destination.weighted() };
        let of_name = self.upstreams.entry(&container.engine).or_default().entry(name).or_default();
        of_name.push(Declaration { container, owner, presence, mark, taken, object });
    }

    pub(super) fn add_middleware(
        &mut self,
        container: &'s Container,
        owner: Owner<'s>,
        presence: Presence,
        named: Named<'s, MiddlewareSpec>,
    ) {
        let Named { name, mark, object, taken, .. } = named;
        let of_name = self.middlewares.entry(&container.engine).or_default().entry(name).or_default();
        of_name.push(Declaration { container, owner, presence, mark, taken, object });
    }

    /// Decides what each name stands for. Call it when everything was added.
    pub(super) fn settle(&mut self, found: &mut Vec<Diagnostic>) -> Resolver<'_, 's> {
        award(&mut self.upstreams, found);
        award(&mut self.middlewares, found);
        Resolver { names: self, upstreams: HashMap::default(), steps: HashMap::default() }
    }
}

/// Leaves each name to one owner of each tenant. The declarations of a tenant stand together, the one that is in force
/// first; the tenant of the oldest container comes first.
fn award<T: Declares>(names: &mut ByName<'_, T>, found: &mut Vec<Diagnostic>) {
    for (name, declarations) in names.values_mut().flatten() {
        declarations.sort_by(|one, other| one.age().cmp(&other.age()));
        let mut awarded: Vec<Declaration<'_, T>> = Vec::with_capacity(declarations.len());
        let mut left = std::mem::take(declarations);
        while let Some(tenant) = left.first().map(Declaration::tenant) {
            let (of_tenant, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|one| one.tenant() == tenant);
            left = others;
            let of_tenant = award_within_tenant(name, of_tenant, found);
            if let (Some(oldest), Some(in_force)) = (awarded.first(), of_tenant.first())
                && (T::LEADS_TO_CONTAINERS || !in_force.object.is_same(&oldest.object))
            {
                in_force.report(name, "routes of other projects get what the older container declares", found);
            }
            awarded.extend(of_tenant);
        }
        *declarations = awarded;
    }
}

/// Of the declarations of one tenant, the oldest first, those that its owner of the name makes, and the same ones.
fn award_within_tenant<'s, T: Declares>(
    name: &str,
    mut declarations: Vec<Declaration<'s, T>>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Declaration<'s, T>> {
    let Some(holder) = declarations.first().map(|first| first.owner) else { return declarations };
    let newest = declarations.iter().rposition(|one| one.owner == holder && one.presence == Presence::Up);
    declarations[..=newest.unwrap_or(0)].rotate_right(1);
    let mut kept: Vec<Declaration<'s, T>> = Vec::with_capacity(declarations.len());
    for declaration in declarations {
        let is_replica = declaration.owner == holder;
        match kept.first() {
            Some(in_force) if !is_replica && !declaration.object.is_same(&in_force.object) => {
                declaration.report(name, "what the older container declares is in force", found);
            }
            Some(_) | None => kept.push(declaration),
        }
    }
    kept
}

impl<'s, T> Declaration<'s, T> {
    /// The smallest counts first.
    fn age(&self) -> (Presence, i64, &'s str) {
        (self.presence, self.container.created, &self.container.id)
    }

    fn tenant(&self) -> TenantRef<'s> {
        TenantRef::of(Source::Container(self.container))
    }

    /// Says that somebody else has the name. What is only held was reported when it ran.
    fn report(&self, name: &str, effect: &str, found: &mut Vec<Diagnostic>) {
        if self.presence == Presence::Up {
            let source = Source::Container(self.container);
            found.push(source.about_value(self.mark, (self.taken)(name), effect.to_owned()));
        }
    }
}

/// What is in force under a name for a container, and the same of other containers of the tenant.
fn for_container<'n, 's, T>(
    names: &'n ByName<'s, T>,
    container: &'s Container,
    name: &str,
) -> Option<(&'n Declaration<'s, T>, impl Iterator<Item = &'n Declaration<'s, T>> + Clone)> {
    let declarations = names.get(&container.engine)?.get(name)?;
    let tenant = TenantRef::of(Source::Container(container));
    let own = declarations.iter().find(|one| one.tenant() == tenant);
    let in_force = own.or_else(|| declarations.first())?;
    let tenant = in_force.tenant();
    Some((in_force, declarations.iter().filter(move |one| one.tenant() == tenant)))
}

/// What may be declared under one name several times.
trait Declares {
    /// Whether requests go to the containers that declare it, so that the same of another tenant is not the same.
    const LEADS_TO_CONTAINERS: bool;

    fn is_same(&self, other: &Self) -> bool;
}

impl Declares for DeclaredUpstream<'_> {
    const LEADS_TO_CONTAINERS: bool = true;

    fn is_same(&self, other: &Self) -> bool {
        let names =
            |one: &Self| one.weighted.iter().map(|one| (one.upstream.name.clone(), one.weight)).collect::<Vec<_>>();
        self.delivery == other.delivery && names(self) == names(other)
    }
}

impl Declares for MiddlewareSpec {
    const LEADS_TO_CONTAINERS: bool = false;

    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

/// Puts what names stand for into routes.
pub(super) struct Resolver<'n, 's> {
    names: &'n Names<'s>,
    /// What was resolved already, by the container whose declaration is in force: replicas name the same upstream.
    upstreams: HashMap<(&'s EngineName, &'s str, Box<str>), NamedUpstream, RandomState>,
    /// The steps that the routes of each container have by name.
    steps: HashMap<(&'s EngineName, &'s str), usize, RandomState>,
}

impl<'n, 's> Resolver<'n, 's> {
    /// Puts what the names in these routes stand for into them.
    pub(super) fn resolve<'c>(
        &mut self,
        candidates: impl Iterator<Item = &'c mut Candidate<'s>>,
        found: &mut Vec<Diagnostic>,
    ) where
        's: 'c,
    {
        for candidate in candidates {
            // A route of the configuration file names nothing yet.
            if let Some(references) = candidate.references.take()
                && let Some(container) = candidate.container()
            {
                self.put(candidate, container, *references, found);
            }
        }
    }

    fn put(
        &mut self,
        candidate: &mut Candidate<'s>,
        container: &'s Container,
        references: References<'s>,
        found: &mut Vec<Diagnostic>,
    ) {
        let References { middlewares, upstream, weighted } = references;
        if !middlewares.is_empty() {
            self.put_middlewares(candidate, container, middlewares, found);
        }
        let named = match upstream {
            Some(reference) => match self.upstream(container, &reference, 0, found) {
                Ok(named) => named,
                Err(why) => return report_missing(candidate, &reference, why, found),
            },
            None if weighted.is_empty() => return,
            None => {
                let (endpoints, unreachable) = self.weighted(container, &weighted, 0, found);
                NamedUpstream { endpoints: endpoints.into(), delivery: candidate.spec.upstream.clone(), unreachable }
            }
        };
        candidate.spec.upstream = named.delivery;
        candidate.unreachable = named.unreachable;
        candidate.shared = Some(named.endpoints);
    }

    /// Puts a chain of middlewares into a route, and closes the route where one is missing that may protect it.
    fn put_middlewares(
        &mut self,
        candidate: &mut Candidate<'s>,
        container: &'s Container,
        chain: Vec<Part<'s, Middleware>>,
        found: &mut Vec<Diagnostic>,
    ) {
        for part in chain {
            let reference = match part {
                Part::Own(middleware) => {
                    candidate.spec.middlewares.push(middleware);
                    continue;
                }
                Part::Named(reference) => reference,
            };
            let (why, without) = match self.steps(container, &reference.name) {
                Ok(steps) => {
                    candidate.spec.middlewares.extend_from_slice(steps);
                    continue;
                }
                Err(unusable) => unusable,
            };
            let name = &candidate.spec.name;
            let effect = match without {
                Without::Closed => {
                    candidate.spec.closed = true;
                    format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected")
                }
                Without::Served => format!("route `{name}` is served without it"),
            };
            let finding = (reference.unresolved)(&reference.name, why);
            found.push(candidate.source.about_value(reference.mark, finding, effect));
        }
    }

    /// What the middleware of this name does; else why it does nothing, and what becomes of the route.
    fn steps(&mut self, container: &'s Container, name: &str) -> Result<&'n [Middleware], (Unresolved, Without)> {
        let named = for_container(&self.names.middlewares, container, name);
        let steps = match named.map(|(in_force, _)| &in_force.object) {
            None => return Err((Unresolved::Unknown, Without::Closed)),
            Some(MiddlewareSpec::Broken(without)) => return Err((Unresolved::Broken, *without)),
            Some(MiddlewareSpec::Steps(steps)) => steps,
        };
        let count = self.steps.entry((&container.engine, &container.id)).or_default();
        if *count + steps.len() > NAMED_STEPS_MAX {
            return Err((Unresolved::TooMany, Without::Closed));
        }
        *count += steps.len();
        Ok(steps)
    }

    /// The upstream of this name. It is looked up once, and so is reported what is wrong below it.
    fn upstream(
        &mut self,
        container: &'s Container,
        reference: &Reference<'s>,
        depth: usize,
        found: &mut Vec<Diagnostic>,
    ) -> Result<NamedUpstream, Unresolved> {
        if depth > DEPTH_MAX {
            return Err(Unresolved::Circular);
        }
        let names = self.names;
        let Some((in_force, declarations)) = for_container(&names.upstreams, container, &reference.name) else {
            return Err(Unresolved::Unknown);
        };
        let key = (&in_force.container.engine, &*in_force.container.id, reference.name.clone());
        if let Some(known) = self.upstreams.get(&key) {
            return Ok(known.clone());
        }
        let DeclaredUpstream { delivery, unreachable, weighted, .. } = &in_force.object;
        let (endpoints, unreachable) = if weighted.is_empty() {
            let all_are = declarations.clone().all(|one| one.object.unreachable.is_some());
            let endpoints = declarations.flat_map(|one| one.object.endpoints.iter().cloned()).collect();
            (endpoints, unreachable.clone().filter(|_| all_are))
        } else {
            self.weighted(in_force.container, weighted, depth + 1, found)
        };
        let upstream = NamedUpstream { endpoints: endpoints.into(), delivery: delivery.clone(), unreachable };
        self.upstreams.insert(key, upstream.clone());
        Ok(upstream)
    }

    /// The endpoints of several upstreams, each with its share; and why there is none, where that does not pass.
    fn weighted(
        &mut self,
        container: &'s Container,
        upstreams: &[WeightedUpstream<'s>],
        depth: usize,
        found: &mut Vec<Diagnostic>,
    ) -> (Vec<Endpoint>, Option<Box<str>>) {
        let mut shares = Vec::with_capacity(upstreams.len());
        let mut unreachable = Vec::new();
        for WeightedUpstream { upstream: reference, weight } in upstreams {
            match self.upstream(container, reference, depth, found) {
                Ok(named) => {
                    unreachable.push(named.unreachable);
                    shares.push((*weight, named.endpoints.to_vec()));
                }
                Err(why) => {
                    let finding = (reference.unresolved)(&reference.name, why);
                    let effect = format!("the share of {} goes to the others", shown(&reference.name));
                    unreachable.push(Some(finding.message.clone().into()));
                    found.push(Source::Container(container).about_value(reference.mark, finding, effect));
                }
            }
        }
        let all_are = unreachable.iter().all(Option::is_some);
        let unreachable = unreachable.into_iter().flatten().next().filter(|_| all_are);
        (weights::share(shares), unreachable)
    }
}

/// Says that the upstream of a route is not there. The route is kept, so that a broader one does not take its requests.
fn report_missing(
    candidate: &mut Candidate<'_>,
    reference: &Reference<'_>,
    why: Unresolved,
    found: &mut Vec<Diagnostic>,
) {
    let finding = (reference.unresolved)(&reference.name, why);
    candidate.unreachable = Some(format!("{}. To mend it, {}.", finding.message, finding.help).into());
    let effect = format!("route `{}` has no endpoint; it answers 503", candidate.spec.name);
    found.push(candidate.source.about_value(reference.mark, finding, effect));
}
