//! Puts what names stand for into the routes that name them.
//!
//! A route that names a middleware which is not there is closed: what the middleware would have done is not known, so
//! it may have kept somebody out. A route that names an upstream which is not there answers 503.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;

use super::candidates::Candidate;
use super::names::{DeclaredUpstream, References, ResolvedUpstream, SharedNames};
use super::weights;
use crate::engine_name::EngineName;
use crate::error_pages::ErrorPages;
use crate::label::Source;
use crate::route::{Endpoint, Middleware};
use crate::snapshot::Container;
use crate::spec::{
    MiddlewareSpec, NAMES_DEEP_MAX, NamedPages, PageServiceSpec, Part, Reference, ResolvedRoute, Unresolved,
    WeightedUpstream, Without,
};
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Place;
use gangway_diagnostic::quoted;

/// Steps that the routes of one container may have by name, together: each costs a table its memory, and a name of
/// few bytes may stand for much more.
const NAMED_STEPS_MAX: usize = 1024;

/// What names in a chain stand for.
#[derive(Default)]
struct Collected {
    steps: Vec<Middleware>,
    /// Where the log-in services of those that ask one are, in their order.
    log_ins: Vec<Vec<Endpoint>>,
    pages: Vec<NamedPages>,
}

/// Engine and id.
type ContainerKey<'s> = (&'s EngineName, &'s str);

fn key(container: &Container) -> ContainerKey<'_> {
    (&container.engine, &container.id)
}

/// Puts what names stand for into routes.
pub(super) struct NameResolver<'n, 's> {
    names: &'n SharedNames<'s>,
    /// The upstreams that name the one that is looked up, the outermost first.
    upstreams_above: Vec<&'n DeclaredUpstream<'s>>,
    /// The steps that the routes of each container have by name.
    steps: HashMap<Option<ContainerKey<'s>>, usize, RandomState>,
    /// The references to middlewares that were reported, by where they are written.
    reported: HashSet<(*const u8, Box<str>), RandomState>,
}

impl<'n, 's> NameResolver<'n, 's> {
    pub(super) fn new(names: &'n SharedNames<'s>) -> Self {
        Self { names, upstreams_above: Vec::new(), steps: HashMap::default(), reported: HashSet::default() }
    }

    /// Puts what the names in these routes stand for into them.
    pub(super) fn resolve<'c>(
        &mut self,
        candidates: impl Iterator<Item = &'c mut Candidate<'s>>,
        found: &mut Vec<Diagnostic>,
    ) where
        's: 'c,
    {
        for candidate in candidates {
            if let Some(references) = candidate.references.take() {
                self.put(candidate, candidate.container(), *references, found);
            }
        }
    }

    fn put(
        &mut self,
        candidate: &mut Candidate<'s>,
        container: Option<&'s Container>,
        references: References<'s>,
        found: &mut Vec<Diagnostic>,
    ) {
        let References { middlewares, upstream, weighted } = references;
        if !middlewares.is_empty() {
            self.put_middlewares(candidate, container, middlewares, found);
        }
        let named = match upstream {
            Some(reference) => match self.upstream(container, &reference, found) {
                Ok(named) => named,
                Err(why) => return report_missing(candidate, &reference, why, found),
            },
            None if weighted.is_empty() => return,
            None => {
                let (endpoints, unreachable) = self.weighted(container, &weighted, found);
                ResolvedUpstream { endpoints: endpoints.into(), delivery: candidate.spec.upstream.clone(), unreachable }
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
        container: Option<&'s Container>,
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
                Ok(Collected { steps, log_ins, pages }) => {
                    candidate.spec.middlewares.extend(steps);
                    candidate.spec.auth_endpoints.extend(log_ins);
                    let mut is_complete = true;
                    for pages in pages {
                        is_complete &= self.put_pages(candidate, container, &reference, pages, found).is_ok();
                    }
                    match is_complete {
                        true => continue,
                        false => (Unresolved::PagesMissing, Without::Served),
                    }
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
            let mut finding = (reference.unresolved)(&reference.name, why);
            if without == Without::Served {
                finding = finding.warning();
            }
            // Routes of one router on several listeners refer to it at the same place.
            if self.reported.insert((reference.mark.value.as_ptr(), reference.name.clone())) {
                found.push(candidate.source.about_value(reference.mark, finding, effect));
            }
        }
    }

    /// Puts pages for errors into a route, behind those that it has.
    fn put_pages(
        &mut self,
        candidate: &mut Candidate<'s>,
        container: Option<&'s Container>,
        reference: &Reference<'s>,
        NamedPages { pages, upstream }: NamedPages,
        found: &mut Vec<Diagnostic>,
    ) -> Result<(), Unresolved> {
        let named = Reference { name: upstream, ..reference.clone() };
        let endpoints = self.upstream(container, &named, found)?.endpoints;
        let ResolvedRoute { middlewares, page_services, .. } = &mut *candidate.spec;
        // A route has one list of rules, and the first one that is for a status counts: as the outermost does.
        let mut all = ErrorPages { rules: Vec::new() };
        for known in middlewares.extract_if(.., |middleware| middleware.error_pages().is_some()) {
            all.rules.extend(known.error_pages().into_iter().flat_map(|pages| pages.rules.iter().cloned()));
        }
        let first = all.rules.len();
        all.rules.extend(pages.rules);
        page_services.extend((first..all.rules.len()).map(|rule| PageServiceSpec {
            rule,
            endpoints: endpoints.to_vec(),
            ..PageServiceSpec::new(&named.name, None, None, reference.mark)
        }));
        middlewares.push(Middleware::ErrorPages(Arc::new(all)));
        Ok(())
    }

    /// What the middleware of this name does; else why it does nothing, and what becomes of the route.
    fn steps(&mut self, container: Option<&'s Container>, name: &str) -> Result<Collected, (Unresolved, Without)> {
        let mut collected = Collected::default();
        self.collect_steps(container, name, &mut Vec::new(), &mut collected)?;
        let count = self.steps.entry(container.map(key)).or_default();
        if *count + collected.steps.len() > NAMED_STEPS_MAX {
            return Err((Unresolved::TooMany, Without::Closed));
        }
        *count += collected.steps.len();
        Ok(collected)
    }

    /// A member of a chain that could not be made and is no protection is left out by itself. `above` are the chains that
    /// it stands in.
    fn collect_steps<'c>(
        &'c self,
        container: Option<&'s Container>,
        name: &'c str,
        above: &mut Vec<&'c str>,
        collected: &mut Collected,
    ) -> Result<(), (Unresolved, Without)> {
        may_follow(above, |known| **known == *name).map_err(|why| (why, Without::Closed))?;
        match self.names.middleware(container, name) {
            None => Err((Unresolved::Unknown, Without::Closed)),
            Some(MiddlewareSpec::Broken(without)) => Err((Unresolved::Broken, *without)),
            Some(MiddlewareSpec::Steps(own)) if collected.steps.len() + own.steps.len() > NAMED_STEPS_MAX => {
                Err((Unresolved::TooMany, Without::Closed))
            }
            Some(MiddlewareSpec::Steps(own)) => {
                collected.steps.extend_from_slice(&own.steps);
                collected.pages.extend(own.pages.clone());
                collected.log_ins.extend(own.log_in.iter().map(|service| service.endpoints.clone()));
                Ok(())
            }
            Some(MiddlewareSpec::Chain(names)) => {
                above.push(name);
                for name in names {
                    match self.collect_steps(container, name, above, collected) {
                        Ok(()) | Err((_, Without::Served)) => {}
                        Err(closed @ (_, Without::Closed)) => return Err(closed),
                    }
                }
                above.pop();
                Ok(())
            }
        }
    }

    /// The upstream of this name. It is looked up once, and so is reported what is wrong below it.
    fn upstream(
        &mut self,
        container: Option<&'s Container>,
        reference: &Reference<'s>,
        found: &mut Vec<Diagnostic>,
    ) -> Result<ResolvedUpstream, Unresolved> {
        let names = self.names;
        let Some((in_force, declaring, declarations)) = names.upstream(container, &reference.name) else {
            return Err(Unresolved::Unknown);
        };
        // Before what is known already, so that the order of looking up never matters.
        may_follow(&self.upstreams_above, |above| std::ptr::eq(*above, in_force))?;
        let DeclaredUpstream { delivery, unreachable, weighted, resolved, .. } = in_force;
        if let Some(known) = resolved.get() {
            return Ok(known.clone());
        }
        let (endpoints, unreachable) = if weighted.is_empty() {
            let all_are = declarations.clone().all(|one| one.unreachable.is_some());
            let endpoints = declarations.flat_map(|one| one.endpoints.iter().cloned()).collect();
            (endpoints, unreachable.clone().filter(|_| all_are))
        } else {
            self.upstreams_above.push(in_force);
            let shares = self.weighted(declaring, weighted, found);
            self.upstreams_above.pop();
            shares
        };
        let upstream = ResolvedUpstream { endpoints: endpoints.into(), delivery: delivery.clone(), unreachable };
        Ok(resolved.get_or_init(|| upstream).clone())
    }

    /// The endpoints of several upstreams, each with its share; and why there is none, where that does not pass.
    fn weighted(
        &mut self,
        container: Option<&'s Container>,
        upstreams: &[WeightedUpstream<'s>],
        found: &mut Vec<Diagnostic>,
    ) -> (Vec<Endpoint>, Option<Box<str>>) {
        let mut shares = Vec::with_capacity(upstreams.len());
        let mut unreachable = Vec::new();
        for WeightedUpstream { upstream: reference, weight } in upstreams {
            match self.upstream(container, reference, found) {
                Ok(named) => {
                    unreachable.push(named.unreachable);
                    shares.push((*weight, named.endpoints.to_vec()));
                }
                Err(why) => {
                    let finding = (reference.unresolved)(&reference.name, why);
                    let effect = format!("the share of {} goes to the others", quoted(&reference.name));
                    unreachable.push(Some(finding.message.clone().into()));
                    let source = container.map_or(Source::Provider(&Place::Configuration), Source::Container);
                    found.push(source.about_value(reference.mark, finding, effect));
                }
            }
        }
        let all_are = unreachable.iter().all(Option::is_some);
        let unreachable = unreachable.into_iter().flatten().next().filter(|_| all_are);
        (weights::share(shares), unreachable)
    }
}

/// Whether another name may stand below these: none that stands among them, and none too deep.
fn may_follow<N>(above: &[N], is_same: impl FnMut(&N) -> bool) -> Result<(), Unresolved> {
    if above.iter().any(is_same) {
        return Err(Unresolved::Circular);
    }
    if above.len() > NAMES_DEEP_MAX { Err(Unresolved::TooDeep) } else { Ok(()) }
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
