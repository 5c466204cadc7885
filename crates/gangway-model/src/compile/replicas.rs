//! Candidates → groups: the containers that serve the same route.
//!
//! Containers of one service are replicas, and so are those of services of one project that say the same
//! `group`. A group asks for what its newest container that is ready asks for. What only others of its
//! containers ask for is served by those, as a group of its own: a container with other labels must not
//! take a host away from the rest.

use std::collections::HashSet;
use std::rc::Rc;

use super::candidates::Candidate;
use super::owners::TenantRef;

use crate::label::Mark;
use crate::label::Source;
use crate::matcher::Alternative;
use crate::ownership::{Party, Tenant};
use crate::route::{Endpoint, Readiness};
use crate::settings::{FileRoute, MiddlewareTable};
use crate::snapshot::Container;
use crate::spec::ResolvedRoute;
use crate::value::and_list;
use crate::vocabulary::Vocabulary;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, quoted};

/// One route with all its replicas.
#[derive(Debug)]
pub(super) struct RouteGroup<'s> {
    pub id: Box<str>,
    pub party: Party,
    pub tenant: TenantRef<'s>,
    /// Creation of the oldest container; the file is older than any. Once claims are settled, its place among
    /// all groups by seniority.
    pub age: i64,
    /// What the newest replica that is ready asks for, as far as it is in force.
    pub spec: Box<ResolvedRoute<'s>>,
    pub origin: RouteOrigin<'s>,
    pub endpoints: Vec<Endpoint>,
    /// No container of it runs; the route is kept for the next one.
    pub held: bool,
    /// Why none of the replicas can be reached, where that does not pass by waiting.
    pub unreachable: Option<Box<str>>,
}

/// The containers behind a route, or its table in the file, for diagnostics about it.
#[derive(Debug)]
pub(super) struct RouteOrigin<'s> {
    /// Where what is in force was written.
    pub source: Source<'s>,
    pub name: Box<str>,
    /// Where it says which requests it takes.
    pub claim: Mark<'s>,
    /// The words of the dialect that it is written in.
    pub words: &'static Vocabulary,
    /// All replicas, the oldest first.
    sources: Vec<Source<'s>>,
}

/// Gathers replicas. The result does not depend on the order of candidates.
pub(super) fn gather<'s>(
    mut candidates: Vec<Candidate<'s>>,
    has_several_engines: bool,
    found: &mut Vec<Diagnostic>,
) -> Vec<RouteGroup<'s>> {
    candidates.sort_by(|one, other| one.party.cmp(&other.party).then_with(|| one.seniority().cmp(&other.seniority())));
    let mut groups = Vec::with_capacity(candidates.len());
    let mut replicas: Vec<Candidate<'s>> = Vec::new();
    for candidate in candidates {
        if replicas.first().is_some_and(|first| first.party != candidate.party) {
            RouteGroup::gather(std::mem::take(&mut replicas), has_several_engines, &mut groups, found);
        }
        replicas.push(candidate);
    }
    if !replicas.is_empty() {
        RouteGroup::gather(replicas, has_several_engines, &mut groups, found);
    }
    groups
}

impl<'s> RouteGroup<'s> {
    /// Of replicas, the oldest first: one group, and one for whatever only some of them ask for besides.
    fn gather(
        mut replicas: Vec<Candidate<'s>>,
        has_several_engines: bool,
        groups: &mut Vec<Self>,
        found: &mut Vec<Diagnostic>,
    ) {
        if replicas[0].spec.is_common {
            replicas = of_oldest(replicas, found);
        }
        let chosen = newest_ready(&replicas);
        report_differences(&replicas, chosen, found);
        let id = route_id(&replicas[chosen].party, has_several_engines);
        groups.extend(besides(&replicas, chosen).into_iter().map(|(alternatives, positions)| {
            let newest = positions[newest_ready_of(&replicas, &positions)];
            let mut spec = replicas[newest].spec.clone();
            let is_asked: HashSet<&Alternative> = alternatives.iter().copied().collect();
            // There is at least one, so something is left.
            if let Some(matcher) = spec.matcher.clone().retain(|asked| is_asked.contains(asked)) {
                spec.matcher = matcher;
            }
            let endpoints = endpoints_of(positions.iter().map(|position| &replicas[*position]));
            // The newest that asks for it asks for nothing else of this kind, so its name makes the id unlike others.
            let last = positions.last().map_or(newest, |last| *last);
            let name = escaped(replicas[last].container().map_or("", |container| &container.name));
            Self {
                id: format!("{id}@{name}").into(),
                party: replicas[newest].party.clone(),
                tenant: TenantRef::of(replicas[newest].source, replicas[newest].spec.is_common),
                age: replicas[positions[0]].created(),
                origin: RouteOrigin {
                    source: replicas[newest].source,
                    name: spec.name.clone(),
                    claim: spec.claim,
                    words: spec.words,
                    sources: positions.iter().map(|position| replicas[*position].source).collect(),
                },
                spec,
                endpoints,
                held: false,
                unreachable: positions[0..1]
                    .iter()
                    .find_map(|first| replicas[*first].unreachable.clone())
                    .filter(|_| positions.iter().all(|position| replicas[*position].unreachable.is_some())),
            }
        }));
        let age = replicas[0].created();
        let sources = replicas.iter().map(|replica| replica.source).collect();
        // Replicas have the same networks, so one stands for all of them.
        let all_are = replicas.iter().all(|replica| replica.unreachable.is_some());
        let unreachable = replicas[0].unreachable.take().filter(|_| all_are);
        let mut endpoints = std::mem::take(&mut replicas[0].endpoints);
        endpoints.extend(replicas[1..].iter_mut().flat_map(|replica| replica.endpoints.drain(..)));
        endpoints.extend(shared_by(replicas.iter()));
        let Candidate { party, source, spec, .. } = replicas.swap_remove(chosen);
        groups.push(Self {
            id,
            party,
            tenant: TenantRef::of(source, spec.is_common),
            age,
            origin: RouteOrigin { source, name: spec.name.clone(), claim: spec.claim, words: spec.words, sources },
            spec,
            endpoints,
            held: false,
            unreachable,
        });
    }

    /// Keeps the route for a container to come.
    pub(super) fn hold(&mut self) {
        (self.held, self.age) = (true, i64::MAX);
    }

    /// Whether it needs no endpoint.
    pub(super) fn is_answered_here(&self) -> bool {
        self.spec.is_answered_here()
    }
}

/// The endpoints of some replicas.
fn endpoints_of<'c>(replicas: impl Iterator<Item = &'c Candidate<'c>> + Clone) -> Vec<Endpoint> {
    let own = replicas.clone().flat_map(|replica| replica.endpoints.iter().cloned());
    own.chain(shared_by(replicas)).collect()
}

/// The endpoints of the named upstreams of some replicas: once each, however many replicas name them.
fn shared_by<'c>(replicas: impl Iterator<Item = &'c Candidate<'c>>) -> Vec<Endpoint> {
    let mut known: Vec<&Rc<[Endpoint]>> = Vec::new();
    for shared in replicas.filter_map(|replica| replica.shared.as_ref()) {
        if !known.iter().any(|other| Rc::ptr_eq(other, shared)) {
            known.push(shared);
        }
    }
    known.into_iter().flat_map(|shared| shared.iter().cloned()).collect()
}

/// What other replicas than the chosen one ask for and it does not: those that ask for the same together.
fn besides<'c>(replicas: &'c [Candidate<'_>], chosen: usize) -> Vec<(Vec<&'c Alternative>, Vec<usize>)> {
    if replicas.len() == 1 {
        return Vec::new();
    }
    let of_chosen = replicas[chosen].spec.matcher.alternatives();
    let differs = |replica: &Candidate<'_>| replica.spec.matcher.alternatives() != of_chosen;
    if !replicas.iter().any(differs) {
        return Vec::new();
    }
    let of_chosen: HashSet<&Alternative> = of_chosen.iter().collect();
    // The newest first, so that each alternative belongs to those that ask for it together with the newest.
    let mut known: HashSet<&Alternative> = HashSet::new();
    let mut besides: Vec<(Vec<&Alternative>, Vec<usize>)> = Vec::new();
    for replica in replicas.iter().rev().filter(|replica| differs(replica)) {
        let alternatives: Vec<&Alternative> = (replica.spec.matcher.alternatives().iter())
            .filter(|asked| !of_chosen.contains(asked) && known.insert(asked))
            .collect();
        let asks = |replica: &Candidate<'_>| {
            let asked: HashSet<&Alternative> = replica.spec.matcher.alternatives().iter().collect();
            alternatives.iter().all(|one| asked.contains(one))
        };
        if !alternatives.is_empty() {
            let positions = (0..replicas.len()).filter(|position| asks(&replicas[*position])).collect();
            besides.push((alternatives, positions));
        }
    }
    besides
}

impl<'s> RouteOrigin<'s> {
    pub(super) fn containers(&self) -> impl Iterator<Item = &'s Container> {
        self.sources.iter().filter_map(|source| match source {
            Source::Container(container) => Some(*container),
            Source::File(_) | Source::Definition(_) | Source::Provider(_) => None,
        })
    }

    /// Whether no container has a share in it.
    pub(super) fn is_of_operator(&self) -> bool {
        self.containers().next().is_none()
    }

    /// The names of containers, or of the file; sorted, without repeats.
    pub(super) fn names(&self) -> Vec<Box<str>> {
        let name = |source: &Source<'_>| -> Box<str> {
            match source {
                Source::Container(container) => container.name.clone(),
                Source::File(FileRoute { place, .. }) | Source::Definition(MiddlewareTable { place, .. }) => {
                    place.position().map_or_else(|| "configuration file".into(), |at| at.file.clone())
                }
                Source::Provider(place) => {
                    place.position().map_or_else(|| "file provider".into(), |at| at.file.clone())
                }
            }
        };
        let mut origin: Vec<Box<str>> = self.sources.iter().map(name).collect();
        origin.sort();
        origin.dedup();
        origin
    }

    /// ``container `shop-web-1` of project `shop` ``, for a diagnostic.
    pub(super) fn described(&self) -> String {
        let Some(oldest) = self.containers().min_by_key(|container| (container.created, &container.id)) else {
            return format!("route {} of the configuration file", quoted(&self.name));
        };
        match oldest.project() {
            Some(project) => format!("container {} of project {}", quoted(&oldest.name), quoted(project)),
            None => format!("container {}", quoted(&oldest.name)),
        }
    }
}

/// What the newest that is ready asks for is what the user wrote last, and it works.
fn newest_ready(replicas: &[Candidate<'_>]) -> usize {
    (0..replicas.len()).max_by_key(|at| newness(&replicas[*at])).unwrap_or_default()
}

/// The place in `positions` of the one that counts among these.
fn newest_ready_of(replicas: &[Candidate<'_>], positions: &[usize]) -> usize {
    (0..positions.len()).max_by_key(|at| newness(&replicas[positions[*at]])).unwrap_or_default()
}

/// The greatest counts.
fn newness<'s>(replica: &Candidate<'s>) -> (bool, Option<(i64, &'s str, &'s str)>) {
    (replica.is_ready(), replica.seniority())
}

/// Those that declare a common route in the way in which the owner of the oldest does. Of the others, who came later, the
/// declarations are left out.
fn of_oldest<'s>(replicas: Vec<Candidate<'s>>, found: &mut Vec<Diagnostic>) -> Vec<Candidate<'s>> {
    if replicas.len() == 1 {
        return replicas;
    }
    let owner = |candidate: &Candidate<'s>| {
        let container = candidate.container()?;
        let service = container.project().zip(container.service());
        Some((service, service.is_none().then_some(&*container.id)))
    };
    let oldest = owner(&replicas[0]);
    let of_owner: Vec<usize> = (0..replicas.len()).filter(|at| owner(&replicas[*at]) == oldest).collect();
    let chosen = of_owner[newest_ready_of(&replicas, &of_owner)];
    let is_same = |candidate: &Candidate<'s>| {
        let upstreams = (&candidate.shared, &replicas[chosen].shared);
        let leads_to_the_same = match upstreams {
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        leads_to_the_same && candidate.spec.asks_for_the_same(&replicas[chosen].spec)
    };
    let is_kept: Vec<bool> =
        replicas.iter().map(|candidate| owner(candidate) == oldest || is_same(candidate)).collect();
    let named: Box<str> = replicas[0].container().map_or_else(|| "a file".into(), |first| quoted(&first.name).into());
    let mut kept = Vec::with_capacity(replicas.len());
    for (candidate, is_kept) in replicas.into_iter().zip(is_kept) {
        if is_kept {
            kept.push(candidate);
            continue;
        }
        let finding = Finding::error(
            codes::CLAIMED_TWICE,
            0..0,
            format!("{} is declared differently by {named}", quoted(&candidate.spec.name)),
            "",
            "give it another name, or write the same on both",
        );
        found.push(candidate.source.about_key(
            candidate.spec.claim,
            finding,
            "the older declaration is in force".into(),
        ));
    }
    kept
}

fn report_differences(replicas: &[Candidate<'_>], chosen: usize, found: &mut Vec<Diagnostic>) {
    let chosen = &replicas[chosen];
    // One that is being stopped is only the past.
    let is_staying =
        |one: &&Candidate<'_>| one.endpoints.iter().all(|endpoint| endpoint.readiness != Readiness::Leaving);
    let differing: Vec<&str> = replicas
        .iter()
        .filter(is_staying)
        .filter(|one| !std::ptr::eq(*one, chosen) && !one.spec.asks_for_the_same(&chosen.spec))
        .filter_map(|one| one.container().map(|container| &*container.name))
        .collect();
    if differing.is_empty() {
        return;
    }
    let names = and_list(differing);
    let finding = Finding::error(
        codes::REPLICAS_DIFFER,
        0..0,
        format!("replicas of route {} ask for different things", quoted(&chosen.spec.name)),
        "",
        format!("recreate {names}, or give them the same labels"),
    );
    let effect = format!("what this container asks for is in force; requests also go to {names}");
    found.push(chosen.source.about(finding.warning(), effect));
}

/// Stable however often everything is read, and different for everything that is different.
fn route_id(party: &Party, has_several_engines: bool) -> Box<str> {
    let name = escaped(&party.route);
    // The key of a group begins with a character that no escaped name of a service begins with.
    let service = match party.service.strip_prefix('@') {
        Some(group) => format!("@{}", escaped(group)),
        None => escaped(&party.service),
    };
    match &party.tenant {
        Tenant::File => format!("@file/{name}"),
        Tenant::Project(project) => format!("{}/{service}/{name}", escaped(project)),
        Tenant::Service(_) => format!("@service/{service}/{name}"),
        Tenant::Traefik => format!("@traefik/{name}"),
        Tenant::Container { engine, name: container } if has_several_engines => {
            format!("{}@{}/{name}", escaped(container), escaped(&engine.0))
        }
        Tenant::Container { name: container, .. } => format!("{}/{name}", escaped(container)),
    }
    .into()
}

/// Without what separates the parts of an id, so that no label can make one that is another's.
fn escaped(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for char in part.chars() {
        match char {
            '/' | '@' | '%' | ' ' => escaped.push_str(&format!("%{:02X}", u32::from(char))),
            _ if char.is_control() => escaped.push_str(&format!("%{:02X}", u32::from(char))),
            _ => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine_name::EngineName;

    #[test]
    fn ids_of_different_things_are_different() {
        let party = |tenant, service: &str| Party { tenant, service: service.into(), route: "web".into() };
        let project = |project: &str, service| party(Tenant::Project(project.into()), service);
        let swarm = |service: &str| party(Tenant::Service(service.into()), service);
        let alone = |engine: &str, name: &str| {
            party(Tenant::Container { engine: EngineName(engine.into()), name: name.into() }, "")
        };
        let parties = [
            party(Tenant::File, ""),
            project("a", "b"),
            project("a/b", "c"),
            project("a", "b/c"),
            project("a", "@b"),
            project("@file", "b"),
            swarm("b"),
            project("@service", "b"),
            alone("", "a"),
            alone("", "a@x"),
            alone("", "@file"),
        ];
        let mut ids: Vec<_> = parties.iter().map(|party| route_id(party, false)).collect();
        assert_eq!(&*ids[1], "a/b/web");
        assert_eq!(&*ids[8], "a/web");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), parties.len());
        assert_eq!(&*route_id(&alone("east", "a"), true), "a@east/web");
    }
}
