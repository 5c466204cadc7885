//! What becomes of each part of a stack, before any of it is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gangway_compose::{ComposeSnapshot, Project, Service, SourceMap};
use gangway_diagnostic::{Diagnostic, Severity, codes};
use gangway_model::{Compiled, Route};

use super::listeners::{ListenerPlan, names_without_entry_point};
use super::published_ports;
use super::static_options::StaticPlan;
use crate::check::traefik_stack::{TraefikStack, is_label};

/// What becomes of a stack.
pub(super) struct Migration<'m> {
    pub(super) project: &'m Project,
    pub(super) stack: &'m TraefikStack,
    pub(super) compose: &'m ComposeSnapshot<'m>,
    pub(super) compiled: &'m Compiled,
    pub(super) plan: ListenerPlan,
    pub(super) options: StaticPlan<'m>,
    /// The routes of each service, by its name.
    pub(super) of_services: BTreeMap<&'m str, Vec<&'m Arc<Route>>>,
    /// The services without a label of Traefik, which it serves all the same, with the rule of each.
    pub(super) unlabelled: BTreeMap<&'m str, &'m str>,
    /// Routes that lead to no container of these files.
    pub(super) of_files: Vec<&'m Arc<Route>>,
    /// The priority of each route that has to say one, by its id.
    pub(super) priorities: BTreeMap<&'m str, i64>,
}

impl<'m> Migration<'m> {
    pub(super) fn new(
        project: &'m Project,
        compose: &'m ComposeSnapshot<'m>,
        stack: &'m TraefikStack,
        compiled: &'m Compiled,
        sources: &SourceMap,
    ) -> Self {
        let mut services = project.services.values();
        let proxy = services.find(|one| stack.service.as_deref() == Some(one.name.as_str()));
        let is_free = |port| proxy.is_none_or(|service| published_ports::removals(service, port, sources).is_some());
        let plan = ListenerPlan::new(stack, &compiled.table, &is_free);
        let (mut of_services, mut of_files) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        let mut unlabelled = BTreeMap::new();
        for route in compiled.table.routes().iter().filter(|route| !plan.goes_without_saying(route)) {
            let of_endpoint = route.upstream.endpoints.iter().find(|endpoint| !endpoint.key.container.is_empty());
            let container = of_endpoint.map(|endpoint| &endpoint.name).or_else(|| route.origin.first());
            match container.and_then(|name| compose.service(name)) {
                Some(service) if !service.all_labels().keys().any(|key| is_label(key)) => {
                    unlabelled.insert(service.name.as_str(), &*route.rule);
                }
                // Labels of ours on the own container are not read.
                Some(service) if stack.service.as_deref() == Some(service.name.as_str()) => {}
                Some(service) => of_services.entry(service.name.as_str()).or_default().push(route),
                None => of_files.push(route),
            }
        }
        let priorities = priorities(project, compiled);
        let options = StaticPlan::new(stack, proxy, &plan, &compiled.table);
        Self { project, stack, compose, compiled, plan, options, of_services, unlabelled, of_files, priorities }
    }

    /// What was found about the labels of a service, one sentence each.
    pub(super) fn findings(&self, service: &Service) -> Vec<&str> {
        let is_of = |found: &&Diagnostic| {
            let of = found.place.container().and_then(|name| self.compose.service(name));
            of.is_some_and(|of| of.name.as_str() == service.name.as_str()) && found.severity != Severity::Note
        };
        let mut messages: Vec<&str> = Vec::new();
        // What resolvers are called matters no longer, the image knows its ports, and a broken middleware has a finding of its
        // own.
        let matters = |found: &&Diagnostic| {
            ![codes::TRAEFIK_RESOLVER, codes::PORT_NOT_EXPOSED, codes::PORT_UNKNOWN].contains(&found.code)
                && !found.message.ends_with("could not be made")
        };
        for found in self.compiled.diagnostics.iter().filter(is_of).filter(matters) {
            if !messages.contains(&&*found.message) {
                messages.push(&found.message);
            }
        }
        messages
    }
}

/// The priorities that have to be said: those that a label says, and those of routes that share a host with one of these.
fn priorities<'m>(project: &Project, compiled: &'m Compiled) -> BTreeMap<&'m str, i64> {
    let routes = compiled.table.routes();
    let all: BTreeMap<usize, i64> =
        compiled.table.precedences().map(|(position, precedence)| (position, precedence.priority)).collect();
    let labels: BTreeSet<String> = project
        .services
        .values()
        .flat_map(|service| service.all_labels().into_keys())
        .map(|key| key.to_ascii_lowercase())
        .filter(|key| is_label(key) && key.ends_with(".priority"))
        .collect();
    let is_said = |route: &Route| {
        let mut names = std::iter::once(&*route.name).chain(names_without_entry_point(route));
        names.any(|name| {
            let name = name.split('@').next().unwrap_or_default().to_ascii_lowercase();
            labels.contains(&format!("traefik.http.routers.{name}.priority"))
        })
    };
    let said: Vec<&Arc<Route>> = routes.iter().filter(|route| is_said(route)).collect();
    let shares_host = |one: &Route, other: &Route| one.hosts.iter().any(|host| other.hosts.contains(host));
    let needed = routes.iter().enumerate().filter(|(_, route)| said.iter().any(|said| shares_host(said, route)));
    // One that stands alone has nothing to come before.
    let needed: Vec<_> = needed.collect();
    let has_other = |route: &Route| needed.iter().any(|(_, other)| other.id != route.id && shares_host(other, route));
    needed
        .iter()
        .filter(|(_, route)| has_other(route))
        .filter_map(|(position, route)| Some((&*route.id, *all.get(position)?)))
        .collect()
}
