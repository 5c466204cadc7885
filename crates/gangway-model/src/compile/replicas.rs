//! Containers → groups: whoever serves the same route.
//!
//! Containers of one service are replicas by what they are; services of one project are by what they ask
//! for. A group asks for one thing: what its newest container that is ready asks for.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::dialect::native::Source;
use crate::matcher::Alternative;
use crate::route::{Endpoint, Readiness};
use crate::rule::{Finding, shown};
use crate::snapshot::Container;
use crate::spec::{Mark, RouteSpec};
use crate::value::and_list;

/// A service is compared with so many others of its project that ask for the same requests; thousands
/// that do so and differ otherwise are an attack on our time.
const COMPARED_MAX: usize = 16;

/// One container's share in a route, or a route of the file.
#[derive(Debug)]
pub(super) struct Candidate<'s> {
    pub owner: Owner<'s>,
    pub source: Source<'s>,
    /// Boxed, as candidates are moved about and specs are large.
    pub spec: Box<RouteSpec<'s>>,
    /// None where it cannot be reached, one for a container, several for a route of the file.
    pub endpoints: Vec<Endpoint>,
}

/// Whose a route is. Containers of one owner are replicas.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner<'s> {
    File,
    /// The same on every engine.
    Service {
        project: Option<&'s str>,
        service: &'s str,
    },
    /// A container started by itself.
    Alone {
        engine: &'s str,
        name: &'s str,
    },
}

/// Who may not take anything from whom.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Party<'s> {
    File,
    Project(&'s str),
    Service(&'s str),
    Alone { engine: &'s str, name: &'s str },
}

/// One route with all its replicas.
#[derive(Debug)]
pub(super) struct Group<'s> {
    pub id: Box<str>,
    pub party: Party<'s>,
    /// Creation of the oldest container; the file is older than any.
    pub age: i64,
    /// What is in force of what the newest replica that is ready asks for.
    pub spec: Box<RouteSpec<'s>>,
    pub standing: Standing<'s>,
    pub endpoints: Vec<Endpoint>,
    /// Nobody runs; see [`super::held`].
    pub held: bool,
}

/// Who stands behind a route: what diagnostics about it need.
#[derive(Debug)]
pub(super) struct Standing<'s> {
    /// Where what is in force was written.
    pub source: Source<'s>,
    pub name: Box<str>,
    /// Where it says which requests it takes.
    pub claim: Mark<'s>,
    /// All replicas, the oldest first.
    sources: Vec<Source<'s>>,
}

/// Gathers replicas. The result does not depend on the order of candidates.
pub(super) fn gather<'s>(
    mut candidates: Vec<Candidate<'s>>,
    has_several_engines: bool,
    found: &mut Vec<Diagnostic>,
) -> Vec<Group<'s>> {
    candidates.sort_by_cached_key(|candidate| {
        (candidate.owner, candidate.spec.name.to_ascii_lowercase(), candidate.created(), candidate.container_id())
    });
    let mut groups = Vec::with_capacity(candidates.len());
    let mut replicas: Vec<Candidate<'s>> = Vec::new();
    for candidate in candidates {
        if replicas.first().is_some_and(|first| !first.is_replica_of(&candidate)) {
            groups.push(Group::new(std::mem::take(&mut replicas), has_several_engines, found));
        }
        replicas.push(candidate);
    }
    if !replicas.is_empty() {
        groups.push(Group::new(replicas, has_several_engines, found));
    }
    merged(groups)
}

/// Joins services of one project that ask for the same.
fn merged(mut groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    // By id, so that it is always the same one that the others join.
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    let joins = joins(&groups);
    if joins.is_empty() {
        return groups;
    }
    let mut joined: Vec<Option<Group<'_>>> = groups.into_iter().map(Some).collect();
    for (into, from) in joins {
        if let (Some(from), Some(into)) = (joined[from].take(), joined[into].as_mut()) {
            into.age = into.age.min(from.age);
            into.endpoints.extend(from.endpoints);
            into.standing.sources.extend(from.standing.sources);
        }
    }
    joined.into_iter().flatten().collect()
}

/// The positions of groups that one joins, and of those that join it.
#[expect(clippy::mutable_key_type, reason = "a pattern is hashed and compared by its text")]
fn joins(groups: &[Group<'_>]) -> Vec<(usize, usize)> {
    let mut sizes: HashMap<Party<'_>, usize, ahash::RandomState> = HashMap::default();
    for group in groups {
        *sizes.entry(group.party).or_default() += 1;
    }
    let mut joins = Vec::new();
    let mut alike: HashMap<(Party<'_>, &[Alternative]), Vec<usize>, ahash::RandomState> = HashMap::default();
    for (position, group) in groups.iter().enumerate() {
        // What nobody wrote is no sign that two services are meant to be one.
        let is_written = !group.standing.claim.label.is_empty();
        if !is_written || !matches!(group.party, Party::Project(_)) || sizes[&group.party] == 1 {
            continue;
        }
        let others = alike.entry((group.party, group.spec.matcher.alternatives())).or_default();
        match others.iter().find(|other| groups[**other].can_be_joined_by(group)) {
            Some(other) => joins.push((*other, position)),
            None if others.len() < COMPARED_MAX => others.push(position),
            None => {}
        }
    }
    joins
}

impl<'s> Owner<'s> {
    pub(super) fn of(container: &'s Container) -> Self {
        match container.service() {
            Some(service) => Self::Service { project: container.project(), service },
            None => Self::Alone { engine: &container.engine.0, name: &container.name },
        }
    }
}

impl<'s> Party<'s> {
    fn of(source: Source<'s>) -> Self {
        let Source::Container(container) = source else { return Self::File };
        match (container.project(), container.service()) {
            (Some(project), _) => Self::Project(project),
            (None, Some(service)) => Self::Service(service),
            (None, None) => Self::Alone { engine: &container.engine.0, name: &container.name },
        }
    }
}

impl<'s> Candidate<'s> {
    fn container(&self) -> Option<&'s Container> {
        match self.source {
            Source::Container(container) => Some(container),
            Source::File(_) => None,
        }
    }

    fn created(&self) -> i64 {
        self.container().map_or(i64::MIN, |container| container.created)
    }

    fn container_id(&self) -> &'s str {
        self.container().map_or("", |container| &container.id)
    }

    fn is_replica_of(&self, other: &Self) -> bool {
        self.owner == other.owner && self.spec.name.eq_ignore_ascii_case(&other.spec.name)
    }

    fn is_ready(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.readiness == Readiness::Ready)
    }
}

impl<'s> Group<'s> {
    /// Of replicas, the oldest first.
    fn new(mut replicas: Vec<Candidate<'s>>, has_several_engines: bool, found: &mut Vec<Diagnostic>) -> Self {
        let chosen = newest_ready(&replicas);
        report_differences(&replicas, chosen, found);
        let age = replicas[0].created();
        let sources = replicas.iter().map(|replica| replica.source).collect();
        let mut endpoints = std::mem::take(&mut replicas[0].endpoints);
        endpoints.extend(replicas[1..].iter_mut().flat_map(|replica| replica.endpoints.drain(..)));
        let Candidate { owner, source, spec, .. } = replicas.swap_remove(chosen);
        Self {
            id: route_id(owner, &spec.name, has_several_engines),
            party: Party::of(source),
            age,
            standing: Standing { source, name: spec.name.clone(), claim: spec.claim, sources },
            spec,
            endpoints,
            held: false,
        }
    }

    /// Makes it one that is newer than everything that runs.
    pub(super) fn hold(&mut self) {
        (self.held, self.age) = (true, i64::MAX);
    }

    /// Do both ask for the same, for different containers?
    fn can_be_joined_by(&self, other: &Self) -> bool {
        let is_shared = |container: &Container| {
            self.standing.containers().any(|own| own.id == container.id && own.engine == container.engine)
        };
        self.spec.asks_for_the_same(&other.spec) && !other.standing.containers().any(is_shared)
    }
}

impl<'s> Standing<'s> {
    pub(super) fn containers(&self) -> impl Iterator<Item = &'s Container> {
        self.sources.iter().filter_map(|source| match source {
            Source::Container(container) => Some(*container),
            Source::File(_) => None,
        })
    }

    /// The names of containers, or of the file; sorted, without repeats.
    pub(super) fn origin(&self) -> Vec<Box<str>> {
        let name = |source: &Source<'_>| -> Box<str> {
            match source {
                Source::Container(container) => container.name.clone(),
                Source::File(route) => match &route.place.file {
                    Some(at) => at.file.clone(),
                    None => "configuration file".into(),
                },
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
            return format!("route {} of the configuration file", shown(&self.name));
        };
        match oldest.project() {
            Some(project) => format!("container {} of project {}", shown(&oldest.name), shown(project)),
            None => format!("container {}", shown(&oldest.name)),
        }
    }
}

/// What the newest that is ready asks for is what the user wrote last, and it works.
fn newest_ready(replicas: &[Candidate<'_>]) -> usize {
    let newest = |position: &usize| {
        let replica = &replicas[*position];
        (replica.is_ready(), replica.created(), Reverse(replica.container_id()))
    };
    (0..replicas.len()).max_by_key(newest).unwrap_or_default()
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
        format!("replicas of route {} ask for different things", shown(&chosen.spec.name)),
        "",
        format!("recreate {names}, or give them the same labels"),
    );
    let effect = format!("what this container asks for is in force; requests also go to {names}");
    found.push(chosen.source.about(finding.warning(), effect));
}

/// Stable however often everything is read, and different for everything that is different.
fn route_id(owner: Owner<'_>, name: &str, has_several_engines: bool) -> Box<str> {
    let name = escaped(name);
    match owner {
        Owner::File => format!("@file/{name}"),
        Owner::Service { project: Some(project), service } => {
            format!("{}/{}/{name}", escaped(project), escaped(service))
        }
        Owner::Service { project: None, service } => format!("@service/{}/{name}", escaped(service)),
        Owner::Alone { engine, name: container } if has_several_engines => {
            format!("{}@{}/{name}", escaped(container), escaped(engine))
        }
        Owner::Alone { name: container, .. } => format!("{}/{name}", escaped(container)),
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

    #[test]
    fn ids_of_different_things_are_different() {
        let service = |project, service| Owner::Service { project, service };
        let alone = |engine, name| Owner::Alone { engine, name };
        let owners = [
            Owner::File,
            service(Some("a"), "b"),
            service(Some("a/b"), "c"),
            service(Some("a"), "b/c"),
            service(Some("@file"), "b"),
            service(None, "b"),
            service(Some("@service"), "b"),
            alone("", "a"),
            alone("", "a@x"),
            alone("", "@file"),
        ];
        let mut ids: Vec<_> = owners.into_iter().map(|owner| route_id(owner, "web", false)).collect();
        assert_eq!(&*ids[1], "a/b/web");
        assert_eq!(&*ids[7], "a/web");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), owners.len());
        assert_eq!(&*route_id(alone("east", "a"), "web", true), "a@east/web");
    }
}
