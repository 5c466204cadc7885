//! Targets → endpoints.

use std::sync::Arc;

use super::availability::{readiness, why_not_up};
use crate::address::{Surroundings, TargetOwner};
use crate::route::{Address, Endpoint, EndpointKey, Readiness};
use crate::snapshot::Container;
use crate::spec::{Access, Destination, TargetPlace, TargetSpec, Unresolved, UrlTarget};
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::quoted;

/// Where a destination leads by itself; the upstreams that it names are not among it.
#[derive(Default)]
pub(super) struct Reached {
    pub endpoints: Vec<Endpoint>,
    /// How each target is reached, or why it is not, for people.
    pub way: String,
    /// Why it leads nowhere for good, where its declaration says so by itself.
    pub unusable: Option<Box<str>>,
    pub findings: Vec<Diagnostic>,
}

/// Why a destination without any target leads nowhere. A diagnostic has told the cause.
fn unusable(targets: &[TargetSpec<'_>]) -> Option<Box<str>> {
    targets.is_empty().then(|| "its service is declared in a way that cannot be used, as a diagnostic says".into())
}

/// Looks up the targets of what a container declares.
pub(super) fn reach<'s>(
    container: &'s Container,
    destination: &Destination<'s>,
    target_owner: &TargetOwner<'_, 's>,
    surroundings: &Surroundings<'s>,
) -> Reached {
    let targets = match destination {
        Destination::Nowhere => {
            return Reached { way: "it answers with a redirection".to_owned(), ..Reached::default() };
        }
        Destination::Internal(service) => {
            return Reached { way: format!("{} answers", quoted(&service.to_string())), ..Reached::default() };
        }
        Destination::Weighted(upstreams) => {
            let names: Vec<String> = upstreams.iter().map(|one| quoted(&one.upstream.name)).collect();
            return Reached { way: format!("by upstreams {}", names.join(", ")), ..Reached::default() };
        }
        Destination::Targets(targets) => targets,
    };
    let (endpoints, unusable) = (Vec::with_capacity(targets.len()), unusable(targets));
    let mut reached = Reached { endpoints, unusable, ..Reached::default() };
    for target in targets {
        let (endpoint, way) = match &target.place {
            TargetPlace::Declaring(access) => {
                to_container(container, access, target.weight, target_owner, surroundings, &mut reached.findings)
            }
            TargetPlace::Other(reference, access) => {
                let named = surroundings.named(container, &reference.name);
                match named.filter(|other| why_not_up(other).is_none() && !surroundings.is_own(other)) {
                    Some(other) => {
                        to_container(other, access, target.weight, target_owner, surroundings, &mut reached.findings)
                    }
                    None => {
                        let finding = (reference.unresolved)(&reference.name, Unresolved::Unknown);
                        let effect = format!("no requests of `{}` are sent there", target_owner.name);
                        reached.findings.push(target_owner.source.about_value(reference.mark, finding, effect));
                        (None, format!("container {} is not there", quoted(&reference.name)))
                    }
                }
            }
            TargetPlace::Url(url, mark) => match surroundings.own_listener(url) {
                None => (Some(url_endpoint(url, target.weight, Author::Label)), format!("at {}", url.url)),
                Some((listener, finding)) => {
                    let effect = format!("no requests of `{}` are sent there", target_owner.name);
                    reached.findings.push(target_owner.source.about_key(*mark, finding, effect));
                    (None, format!("{} is {listener}", url.url))
                }
            },
        };
        reached.endpoints.extend(endpoint);
        if !reached.way.is_empty() {
            reached.way += ", ";
        }
        reached.way += &way;
    }
    reached
}

/// The same for the configuration file, which is no container.
pub(super) fn reach_urls(destination: &Destination<'_>) -> Reached {
    let targets = match destination {
        Destination::Targets(targets) => targets.as_slice(),
        Destination::Nowhere | Destination::Internal(_) | Destination::Weighted(_) => return Reached::default(),
    };
    let endpoint = |target: &TargetSpec<'_>| match &target.place {
        TargetPlace::Url(url, _) => Some(url_endpoint(url, target.weight, Author::Operator)),
        TargetPlace::Declaring(_) | TargetPlace::Other(..) => None,
    };
    let endpoints = targets.iter().filter_map(endpoint).collect();
    Reached { endpoints, unusable: unusable(targets), ..Reached::default() }
}

fn to_container<'s>(
    container: &'s Container,
    access: &Access<'s>,
    weight: u16,
    target_owner: &TargetOwner<'_, 's>,
    surroundings: &Surroundings<'s>,
    findings: &mut Vec<Diagnostic>,
) -> (Option<Endpoint>, String) {
    if surroundings.is_own(container) {
        return (None, "it is Gangway itself".to_owned());
    }
    let reach = match surroundings.reach(container, access, target_owner, findings) {
        Ok(reach) => reach,
        Err(why) => return (None, why),
    };
    let address = Address::Ip(reach.address.ip(), reach.address.port());
    let endpoint = Endpoint {
        key: EndpointKey { container: container.id.clone(), address },
        name: container.name.clone(),
        scheme: reach.scheme,
        transport: reach.transport,
        host: None,
        readiness: readiness(container),
        weight,
        is_of_operator: false,
    };
    (Some(endpoint), reach.reason)
}

/// Who wrote a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Author {
    /// A label of a container says it.
    Label,
    /// A file says it, which is the operator's.
    Operator,
}

pub(super) fn url_endpoint(target: &UrlTarget, weight: u16, author: Author) -> Endpoint {
    Endpoint {
        key: EndpointKey { container: Box::default(), address: target.address.clone() },
        name: target.url.clone(),
        scheme: target.scheme,
        transport: Arc::clone(&target.transport),
        host: matches!(target.address, Address::Name(..)).then(|| target.host.clone()),
        readiness: Readiness::Ready,
        weight,
        is_of_operator: author == Author::Operator,
    }
}
