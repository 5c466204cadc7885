//! Looks up the services that `auth.forward` names.
//!
//! Such a service decides who comes in, so it is never guessed: a name that could mean two services means none, and the
//! route is closed, as it is where the service is not there or cannot be reached.

use std::sync::Arc;

use super::named_services::{NamedServices, WantedService, ambiguous, product_of_image};
use crate::address::TargetOwner;
use crate::authentication::LoginMethod;
use crate::forward_auth::{AuthProduct, ForwardAuth, IDENTITY_OF_ALL, IdentityField};
use crate::image_defaults;
use crate::label::Source;
use crate::route::{Endpoint, Middleware};
use crate::snapshot::Container;
use crate::spec::{Access, AuthServiceSpec, MiddlewareSpec, Named, NamedSteps, Part, RouteSpec, Without};
use crate::value::and_list;
use gangway_diagnostic::{Diagnostic, Finding, Span, codes, quoted};

/// Where a service is, and which.
struct FoundService {
    endpoints: Vec<Endpoint>,
    product: Option<AuthProduct>,
}

/// Puts into a named middleware where its log-in service is, or breaks it.
pub(super) fn put_into_named<'s>(
    services: &NamedServices<'_, 's>,
    named: &mut Named<'s, MiddlewareSpec>,
    source: Source<'s>,
    found: &mut Vec<Diagnostic>,
) {
    let MiddlewareSpec::Steps(NamedSteps { log_in: Some(service), .. }) = &mut named.object else { return };
    let wanted = AuthServiceSpec {
        name: service.url.host.clone(),
        port: Some(service.url.address.port()),
        url: Some(service.url.clone()),
        target: None,
        mark: named.mark,
        is_shared: false,
    };
    let owner = TargetOwner { source, name: &named.name, words: named.words };
    match look_up(services, &wanted, &owner) {
        Ok(FoundService { mut endpoints, .. }) => {
            endpoints.sort_by(|one, other| one.key.cmp(&other.key));
            service.endpoints = endpoints;
        }
        Err(finding) => {
            let effect = format!("routes that name {} are closed", quoted(&named.name));
            found.push(source.about_key(named.mark, finding, effect));
            named.object = MiddlewareSpec::Broken(Without::Closed);
        }
    }
}

/// Puts into a route where its log-in service is, or closes it.
pub(super) fn put<'s>(
    services: &NamedServices<'_, 's>,
    route: &mut RouteSpec<'s>,
    source: Source<'s>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(wanted) = &route.auth_service else { return };
    let owner = TargetOwner { source, name: &route.name, words: route.words };
    let outcome = look_up(services, wanted, &owner).and_then(|service| {
        let forward = forward_auth(&mut route.middlewares);
        match forward {
            Some(forward) => complete(forward, service.product, wanted).map(|()| service.endpoints),
            // The route is closed already.
            None => Ok(Vec::new()),
        }
    });
    match outcome {
        Ok(mut endpoints) => {
            endpoints.sort_by(|one, other| one.key.cmp(&other.key));
            route.auth_endpoints = vec![endpoints];
        }
        Err(finding) => {
            let name = &route.name;
            let effect = format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected");
            route.closed = true;
            found.push(about(source, wanted, finding, effect));
        }
    }
}

fn look_up<'s>(
    services: &NamedServices<'_, 's>,
    wanted: &AuthServiceSpec<'s>,
    owner: &TargetOwner<'_, 's>,
) -> Result<FoundService, Finding> {
    let of_name = wanted.target.as_deref().and_then(AuthProduct::of_target);
    let of_name = of_name.or_else(|| AuthProduct::in_name(&wanted.name));
    let service = WantedService { name: &wanted.name, url: wanted.url.as_ref(), is_shared: wanted.is_shared };
    let of_image = AuthProduct::named(&wanted.name).filter(|_| wanted.url.is_none());
    let containers = services
        .wanted(&service, of_image, owner.source)
        .map_err(|all| ambiguous(codes::AUTH_SERVICE_AMBIGUOUS, "log-in services", &wanted.name, &all))?;
    if containers.is_empty() {
        let Some(url) = &wanted.url else {
            return Err(unknown(&wanted.name));
        };
        return Ok(FoundService { endpoints: vec![services.of_url(url)?], product: of_name });
    }
    let product = of_name.or_else(|| containers.iter().find_map(|one| product_of_image(&one.image)));
    let access = |container: &Container| {
        let is_known = image_defaults::find(&container.image).is_some();
        let port = wanted.port.or_else(|| product.filter(|_| !is_known).map(AuthProduct::port));
        Access {
            port: port.map(|port| (port, wanted.mark)),
            scheme: wanted.url.as_ref().map(|url| url.scheme),
            transport: wanted.url.as_ref().map(|url| Arc::clone(&url.transport)),
            ..Access::default()
        }
    };
    let endpoints = services.endpoints(&containers, access, owner);
    let endpoints = endpoints.map_err(|far| unreachable(&far.container, &far.why, far.help.as_deref()))?;
    Ok(FoundService { endpoints, product })
}

/// What `auth.forward` has made of a route's middlewares.
fn forward_auth<'m>(middlewares: &'m mut [Part<'_, Middleware>]) -> Option<&'m mut ForwardAuth> {
    middlewares.iter_mut().find_map(|part| match part {
        Part::Own(Middleware::Authentication(authentication)) => match &mut Arc::make_mut(authentication).method {
            LoginMethod::Forward(forward) => Some(forward),
            LoginMethod::Basic(_) | LoginMethod::Oidc(_) => None,
        },
        Part::Own(_) | Part::Named(_) => None,
    })
}

/// Completes what follows from the product.
fn complete(
    forward: &mut ForwardAuth,
    product: Option<AuthProduct>,
    wanted: &AuthServiceSpec<'_>,
) -> Result<(), Finding> {
    forward.product = product;
    if forward.target.is_empty() {
        let target = product.map(AuthProduct::target).ok_or_else(|| without_path(wanted))?;
        forward.target = target.into();
    }
    if forward.identity.is_empty() {
        let of_product = product.map(AuthProduct::identity).unwrap_or_default();
        let of_all = [IdentityField::Begins(IDENTITY_OF_ALL.into())];
        forward.identity = of_all.into_iter().chain(of_product.iter().map(|text| IdentityField::new(text))).collect();
    }
    Ok(())
}

/// A diagnostic about the label, without its value where that may have a password.
fn about(source: Source<'_>, wanted: &AuthServiceSpec<'_>, finding: Finding, effect: String) -> Diagnostic {
    match wanted.mark.value.contains('@') {
        true => source.about_key(wanted.mark, finding, effect),
        false => {
            let span = Span { start: 0, end: wanted.mark.value.trim().len() };
            source.about_value(wanted.mark, Finding { span, ..finding }, effect)
        }
    }
}

fn unknown(name: &str) -> Finding {
    let help = match AuthProduct::named(name) {
        Some(_) => format!("start it, or write the name of its container or service, or a URL such as `http://{name}`"),
        None => "start it, or correct the name; a service of another project can be named by its container".to_owned(),
    };
    let message = format!("log-in service {} is not there", quoted(name));
    Finding::error(codes::AUTH_SERVICE_UNKNOWN, 0..0, message, "no such container or service is up", help)
}

fn unreachable(container: &str, why: &str, help: Option<&str>) -> Finding {
    let message = format!("the log-in service in container {} cannot be reached: {why}", quoted(container));
    let help = help.unwrap_or("put it on a network that Gangway is on");
    Finding::error(codes::AUTH_SERVICE_UNREACHABLE, 0..0, message, "asked about each request", help)
}

fn without_path(wanted: &AuthServiceSpec<'_>) -> Finding {
    let message = format!("where log-in service {} is asked is not known", quoted(&wanted.name));
    let port = wanted.port.map(|port| format!(":{port}")).unwrap_or_default();
    let names: Vec<&str> = AuthProduct::ALL.into_iter().map(AuthProduct::name).collect();
    let help = format!(
        "write a URL with the path, such as `http://{}{port}/check`; known are {}",
        wanted.name,
        and_list(names)
    );
    Finding::error(codes::AUTH_SERVICE_PATH, 0..0, message, "none of the products that are known", help)
}
