//! Looks up the services that `errors` names.

use super::named_services::{NamedServices, WantedService, ambiguous};
use crate::address::TargetOwner;
use crate::label::Source;
use crate::route::Endpoint;
use crate::snapshot::Container;
use crate::spec::{Access, PageServiceSpec, RouteSpec};
use gangway_diagnostic::{Diagnostic, Finding, Span, codes, quoted};

/// Puts into a route where its page services are. Rules whose service is not there have no page.
pub(super) fn put<'s>(
    services: &NamedServices<'_, 's>,
    route: &mut RouteSpec<'s>,
    source: Source<'s>,
    found: &mut Vec<Diagnostic>,
) {
    let mut wanted = std::mem::take(&mut route.page_services);
    for service in &mut wanted {
        let owner = TargetOwner { source, name: &route.name, words: route.words };
        match look_up(services, service, source, &owner) {
            Ok(endpoints) => service.endpoints = endpoints,
            Err(finding) => found.push(about(source, service, &route.name, finding)),
        }
    }
    route.page_services = wanted;
}

fn look_up<'s>(
    services: &NamedServices<'_, 's>,
    wanted: &PageServiceSpec<'s>,
    source: Source<'s>,
    owner: &TargetOwner<'_, 's>,
) -> Result<Vec<Endpoint>, Finding> {
    let name = &*wanted.name;
    let service = WantedService { name, url: wanted.url.as_ref(), is_shared: wanted.is_shared };
    let containers = services
        .wanted(&service, None, source)
        .map_err(|all| ambiguous(codes::PAGE_SERVICE_AMBIGUOUS, "page services", name, &all))?;
    if containers.is_empty() {
        let url = wanted.url.as_ref().ok_or_else(|| unknown(name))?;
        return services.of_url(url).map(|endpoint| vec![endpoint]);
    }
    let access = |_: &Container| Access {
        port: wanted.port.map(|port| (port, wanted.mark)),
        scheme: wanted.url.as_ref().map(|url| url.scheme),
        ..Access::default()
    };
    let mut endpoints = services.endpoints(&containers, access, owner).map_err(|far| {
        let message = format!("the pages of container {} cannot be asked for: {}", quoted(&far.container), far.why);
        let help = far.help.as_deref().unwrap_or("put it on a network that Gangway is on");
        Finding::error(codes::PAGE_SERVICE_UNREACHABLE, 0..0, message, "", help)
    })?;
    endpoints.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(endpoints)
}

/// A diagnostic about the label, without its value where that may have a password.
pub(super) fn about(source: Source<'_>, wanted: &PageServiceSpec<'_>, route: &str, finding: Finding) -> Diagnostic {
    let effect = format!("the statuses of this rule have no page; the rest of route `{route}` is in force");
    let value = wanted.mark.value;
    if value.contains('@') {
        return source.about_key(wanted.mark, finding, effect);
    }
    let trimmed = value.trim();
    let start = trimmed.find(&*wanted.name).unwrap_or_default();
    let end = if start == 0 { trimmed.len() } else { start + wanted.name.len() };
    source.about_value(wanted.mark, Finding { span: Span { start, end }, ..finding }, effect)
}

fn unknown(name: &str) -> Finding {
    let message = format!("page service {} is not there", quoted(name));
    let help = format!("start it, or correct the name; a folder on the volume is written `errors/{name}/`");
    Finding::error(codes::PAGE_SERVICE_UNKNOWN, 0..0, message, "no such container or service is up", help)
}
