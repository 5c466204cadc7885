//! SharedNames → what they stand for: upstreams and middlewares that containers share.
//!
//! SharedNames belong to an engine. A route gets what its own tenant declares under a name, so that no other project can take
//! the middleware away that protects it; or else what the tenant of the oldest container declares. Within a tenant the
//! owner of the oldest container has the name. Containers of one owner are replicas: the newest says what is in force,
//! and all of them are endpoints.
//!
//! Declarations need no bound in all. Each has a label, so they are never much more than the labels in the snapshot.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ahash::RandomState;

use super::owners::{Owner, TenantRef};
use crate::engine_name::EngineName;
use crate::label::{Mark, Source};
use crate::route::{Endpoint, HostHeader, Middleware};
use crate::router::LostRouter;
use crate::shared_objects::{MiddlewareObject, SharedMiddleware, SharedObjects, SharedUpstream};
use crate::snapshot::Container;
use crate::spec::{Delivery, MiddlewareSpec, Named, Part, Reference, UpstreamSpec, WeightedUpstream};
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::Place;

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
pub(super) enum DeclaredBy {
    Running,
    /// Its routes are held for the next container.
    Gone,
}

/// Everything that containers declare under names.
pub(super) struct SharedNames<'s> {
    /// Of how many containers declarations may come.
    containers: usize,
    upstreams: DeclarationsByName<'s, DeclaredUpstream<'s>>,
    middlewares: DeclarationsByName<'s, MiddlewareSpec>,
    lost_routers: BTreeMap<Box<str>, LostRouter>,
}

/// By engine and name, every declaration; those of files belong to no engine.
type DeclarationsByName<'s, T> =
    BTreeMap<Option<&'s EngineName>, HashMap<Box<str>, Vec<Declaration<'s, T>>, RandomState>>;

struct Declaration<'s, T> {
    /// None for a file.
    container: Option<&'s Container>,
    is_common: bool,
    owner: Owner<'s>,
    presence: DeclaredBy,
    mark: Mark<'s>,
    taken: fn(&str) -> Finding,
    object: T,
}

/// An upstream as one container declares it.
pub(super) struct DeclaredUpstream<'s> {
    pub delivery: Delivery,
    /// Where it leads by itself.
    pub endpoints: Vec<Endpoint>,
    /// Why it leads nowhere, where that does not pass by waiting.
    pub unreachable: Option<Box<str>>,
    /// The upstreams that share its requests.
    pub weighted: Vec<WeightedUpstream<'s>>,
    /// What the name stands for where this declaration is in force, once it was looked up: replicas name the same upstream.
    pub resolved: OnceCell<ResolvedUpstream>,
}

/// What the name of an upstream stands for.
#[derive(Clone)]
pub(super) struct ResolvedUpstream {
    pub endpoints: Rc<[Endpoint]>,
    pub delivery: Delivery,
    pub unreachable: Option<Box<str>>,
}

impl References<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.middlewares.is_empty() && self.upstream.is_none() && self.weighted.is_empty()
    }
}

impl<'s> SharedNames<'s> {
    /// No name yet, and place for those that so many containers declare.
    pub(super) fn of(containers: usize) -> Self {
        Self { containers, upstreams: BTreeMap::new(), middlewares: BTreeMap::new(), lost_routers: BTreeMap::new() }
    }

    pub(super) fn add_upstream(
        &mut self,
        container: Option<&'s Container>,
        owner: Owner<'s>,
        presence: DeclaredBy,
        named: Named<'s, UpstreamSpec<'s>>,
        endpoints: Vec<Endpoint>,
        unreachable: Option<Box<str>>,
    ) {
        let declared = |UpstreamSpec { destination, delivery }| DeclaredUpstream {
            delivery,
            endpoints,
            unreachable,
            weighted: destination.weighted(),
            resolved: OnceCell::new(),
        };
        declare(&mut self.upstreams, self.containers, (container, owner, presence), named, declared);
    }

    pub(super) fn add_middleware(
        &mut self,
        container: Option<&'s Container>,
        owner: Owner<'s>,
        presence: DeclaredBy,
        named: Named<'s, MiddlewareSpec>,
    ) {
        declare(&mut self.middlewares, self.containers, (container, owner, presence), named, |object| object);
    }

    /// Adds routers that no route could be made of. Replicas have the same ones.
    pub(super) fn add_lost_routers(&mut self, lost: Vec<LostRouter>) {
        for lost in lost {
            self.lost_routers.entry(lost.name.clone()).or_insert(lost);
        }
    }

    /// Decides what each name stands for. Call it when everything was added.
    pub(super) fn settle(&mut self, found: &mut Vec<Diagnostic>) {
        award(&mut self.upstreams, found);
        award(&mut self.middlewares, found);
    }

    /// What is in force under names that are common to all projects.
    pub(super) fn into_objects(self) -> SharedObjects {
        let upstream = |(name, declared): (Box<str>, Vec<Declaration<'s, DeclaredUpstream<'s>>>)| {
            let mut declared = declared.into_iter();
            let in_force = declared.next().filter(|one| one.is_common)?;
            let DeclaredUpstream { delivery, mut endpoints, weighted, .. } = in_force.object;
            endpoints.extend(declared.flat_map(|one| one.object.endpoints));
            endpoints.sort_by(|one, other| one.key.cmp(&other.key));
            endpoints.dedup_by(|one, other| one.key == other.key);
            Some(SharedUpstream {
                name,
                endpoints,
                weighted: weighted.into_iter().map(|one| (one.upstream.name, one.weight)).collect(),
                passes_host: delivery.host_header == HostHeader::Keep,
                has_health_check: delivery.policy.health.is_some(),
            })
        };
        let middleware = |(name, declared): (Box<str>, Vec<Declaration<'s, MiddlewareSpec>>)| {
            let in_force = declared.into_iter().next().filter(|one| one.is_common)?;
            let object = match in_force.object {
                MiddlewareSpec::Steps(own) => MiddlewareObject::Steps(own.steps),
                MiddlewareSpec::Chain(names) => MiddlewareObject::Chain(names),
                MiddlewareSpec::Broken(_) => MiddlewareObject::Broken,
            };
            Some(SharedMiddleware { name, object })
        };
        SharedObjects {
            upstreams: in_order(self.upstreams).into_iter().filter_map(upstream).collect(),
            middlewares: in_order(self.middlewares).into_iter().filter_map(middleware).collect(),
            lost_routers: self.lost_routers.into_values().collect(),
        }
    }

    /// The middleware of this name for a container, or for a file.
    pub(super) fn middleware(&self, container: Option<&'s Container>, name: &str) -> Option<&MiddlewareSpec> {
        in_force(&self.middlewares, container, name).map(|(in_force, _)| &in_force.object)
    }

    /// The upstream of this name for a container, or for a file: the declaration that is in force, and all that are its replicas,
    /// that one among them.
    pub(super) fn upstream(
        &self,
        container: Option<&'s Container>,
        name: &str,
    ) -> Option<(&DeclaredUpstream<'s>, Option<&'s Container>, impl Iterator<Item = &DeclaredUpstream<'s>> + Clone)>
    {
        let (in_force, all) = in_force(&self.upstreams, container, name)?;
        Some((&in_force.object, in_force.container, all.map(|one| &one.object)))
    }
}

/// Adds what stands under a name. There is place for one: nearly every name is declared once, and declarations are large.
fn declare<'s, O, T>(
    names: &mut DeclarationsByName<'s, T>,
    containers: usize,
    (container, owner, presence): (Option<&'s Container>, Owner<'s>, DeclaredBy),
    named: Named<'s, O>,
    declared: impl FnOnce(O) -> T,
) {
    let Named { name, mark, object, taken, is_common, .. } = named;
    let object = declared(object);
    // Most containers declare something where one does, and a map that grows looks at all its names again.
    let expected = if container.is_some() { containers } else { 0 };
    let of_engine = names
        .entry(container.map(|container| &container.engine))
        .or_insert_with(|| HashMap::with_capacity_and_hasher(expected, RandomState::default()));
    let of_name = of_engine.entry(name).or_insert_with(|| Vec::with_capacity(1));
    of_name.push(Declaration { container, is_common, owner, presence, mark, taken, object });
}

/// What is declared, by name; what several engines declare under one, in the order of these.
fn in_order<'s, T>(names: DeclarationsByName<'s, T>) -> Vec<(Box<str>, Vec<Declaration<'s, T>>)> {
    let mut all: Vec<_> = names.into_values().flatten().collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

/// Leaves each name to one owner of each tenant. The declarations of a tenant stand together, the one that is in force
/// first; the tenant of the oldest container comes first.
fn award<T: Declares>(names: &mut DeclarationsByName<'_, T>, found: &mut Vec<Diagnostic>) {
    for (name, declarations) in names.values_mut().flatten() {
        // Nearly every name is declared once, and then nobody has to share it.
        if declarations.len() == 1 {
            continue;
        }
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
    let newest = declarations.iter().rposition(|one| one.owner == holder && one.presence == DeclaredBy::Running);
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
    fn age(&self) -> (DeclaredBy, Option<(i64, &'s str, &'s str)>) {
        (self.presence, self.container.map(Container::seniority))
    }

    fn source(&self) -> Source<'s> {
        self.container.map_or(Source::Provider(&Place::Configuration), Source::Container)
    }

    fn tenant(&self) -> TenantRef<'s> {
        TenantRef::of(self.source(), self.is_common)
    }

    /// Reports that another container has the name. One that is gone was reported when it ran.
    fn report(&self, name: &str, effect: &str, found: &mut Vec<Diagnostic>) {
        if self.presence == DeclaredBy::Running {
            let source = self.source();
            found.push(source.about_value(self.mark, (self.taken)(name), effect.to_owned()));
        }
    }
}

/// What is in force under a name for a container or a file, and the same of other containers of the tenant.
///
/// A container gets what its own engine declares, or else a file; a file gets what files declare, or else the first engine.
fn in_force<'n, 's, T>(
    names: &'n DeclarationsByName<'s, T>,
    container: Option<&'s Container>,
    name: &str,
) -> Option<(&'n Declaration<'s, T>, impl Iterator<Item = &'n Declaration<'s, T>> + Clone)> {
    let of = |engine: Option<&'s EngineName>| names.get(&engine)?.get(name);
    let declarations = match container {
        Some(container) => of(Some(&container.engine)).or_else(|| of(None))?,
        None => of(None).or_else(|| names.values().find_map(|of_engine| of_engine.get(name)))?,
    };
    let tenant = container.map(|container| TenantRef::of(Source::Container(container), false));
    let own = declarations.iter().find(|one| Some(one.tenant()) == tenant);
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
