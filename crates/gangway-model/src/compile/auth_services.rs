//! Looks up the services that `auth.forward` names.
//!
//! Such a service decides who comes in, so it is never guessed: a name that could mean two services means none, and the
//! route is closed, as it is where the service is not there or cannot be reached.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;

use super::availability::{readiness, why_not_up};
use super::targets::url_endpoint;
use crate::address::{Surroundings, TargetOwner};
use crate::authentication::LoginMethod;
use crate::engine_name::EngineName;
use crate::forward_auth::{AuthProduct, ForwardAuth, IDENTITY_OF_ALL, IdentityField};
use crate::image_defaults;
use crate::label::Source;
use crate::route::{Address, Endpoint, EndpointKey, Middleware};
use crate::snapshot::{Container, Snapshot};
use crate::spec::{Access, AuthServiceSpec, Part, RouteSpec};
use crate::value::and_list;
use gangway_diagnostic::{Diagnostic, Finding, Span, codes, quoted};

/// Services that are named in one diagnostic.
const NAMED_MAX: usize = 5;

/// The containers of one snapshot, to look up log-in services.
pub(super) struct AuthServices<'a, 's> {
    snapshot: &'s Snapshot,
    surroundings: &'a Surroundings<'s>,
    /// Most snapshots need none of it.
    index: OnceCell<Index<'s>>,
}

/// The containers that are up, by what a label may name.
#[derive(Default)]
struct Index<'s> {
    by_name: HashMap<&'s str, Vec<&'s Container>, RandomState>,
    by_service: HashMap<&'s str, Vec<&'s Container>, RandomState>,
    by_product: BTreeMap<AuthProduct, Vec<&'s Container>>,
}

/// The service that a container belongs to: its engine, its project and its service, or itself.
type ServiceKey<'s> = (&'s EngineName, Option<&'s str>, &'s str);

/// Where a service is, and which.
struct FoundService {
    endpoints: Vec<Endpoint>,
    product: Option<AuthProduct>,
}

impl<'a, 's> AuthServices<'a, 's> {
    pub(super) fn new(snapshot: &'s Snapshot, surroundings: &'a Surroundings<'s>) -> Self {
        Self { snapshot, surroundings, index: OnceCell::new() }
    }

    /// Puts into a route where its log-in service is, or closes it.
    pub(super) fn put(&self, route: &mut RouteSpec<'s>, source: Source<'s>, found: &mut Vec<Diagnostic>) {
        let Some(wanted) = &route.auth_service else { return };
        let outcome = self.look_up(wanted, route, source).and_then(|service| {
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
                route.auth_endpoints = endpoints;
            }
            Err(finding) => {
                let name = &route.name;
                let effect =
                    format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected");
                route.closed = true;
                found.push(about(source, wanted, finding, effect));
            }
        }
    }

    fn look_up(
        &self,
        wanted: &AuthServiceSpec<'s>,
        route: &RouteSpec<'s>,
        source: Source<'s>,
    ) -> Result<FoundService, Finding> {
        let of_name = wanted.target.as_deref().and_then(AuthProduct::of_target);
        let of_name = of_name.or_else(|| AuthProduct::in_name(&wanted.name));
        // The world outside the engine knows names with dots.
        let may_be_container = wanted.url.is_none() || !wanted.name.contains(['.', ':', '[']);
        let containers = match may_be_container {
            true => self.containers(wanted, source)?,
            false => Vec::new(),
        };
        if containers.is_empty() {
            let Some(url) = &wanted.url else {
                return Err(unknown(&wanted.name));
            };
            return Ok(FoundService { endpoints: vec![url_endpoint(url, 1)], product: of_name });
        }
        let product = of_name.or_else(|| containers.iter().find_map(|one| product_of_image(&one.image)));
        let target_owner = TargetOwner { source, name: &route.name, words: route.words };
        let mut trouble = None;
        let mut endpoints = Vec::with_capacity(containers.len());
        for container in containers {
            let is_known = image_defaults::find(&container.image).is_some();
            let port = wanted.port.or_else(|| product.filter(|_| !is_known).map(AuthProduct::port));
            let access = Access {
                port: port.map(|port| (port, wanted.mark)),
                scheme: wanted.url.as_ref().map(|url| url.scheme),
                ..Access::default()
            };
            // What is found concerns the service, and not the route that asks it.
            let mut findings = Vec::new();
            match self.surroundings.reach(container, &access, &target_owner, &mut findings) {
                Ok(reach) => endpoints.push(Endpoint {
                    key: EndpointKey {
                        container: container.id.clone(),
                        address: Address::Ip(reach.address.ip(), reach.address.port()),
                    },
                    name: container.name.clone(),
                    scheme: reach.scheme,
                    verify: reach.verify,
                    host: None,
                    readiness: readiness(container),
                    weight: 1,
                }),
                Err(why) => {
                    let help = findings.pop().map(|finding| finding.help);
                    trouble.get_or_insert_with(|| unreachable(&container.name, &why, help.as_deref()));
                }
            }
        }
        match trouble {
            Some(finding) if endpoints.is_empty() => Err(finding),
            Some(_) | None => Ok(FoundService { endpoints, product }),
        }
    }

    /// The containers that a name means; none where there are none.
    fn containers(&self, wanted: &AuthServiceSpec<'s>, source: Source<'s>) -> Result<Vec<&'s Container>, Finding> {
        let index = self.index.get_or_init(|| self.indexed());
        let home = match source {
            Source::Container(container) if !wanted.is_shared => Some(container),
            Source::Container(_) | Source::File(_) | Source::Definition(_) => None,
        };
        let is_near = |one: &&&Container| home.is_none_or(|home| home.engine == one.engine);
        let is_at_home = |one: &&Container| {
            let project = home.and_then(Container::project);
            project.is_some() && one.project() == project
        };
        let name = &*wanted.name;
        let near = |all: Option<&Vec<&'s Container>>| -> Vec<&'s Container> {
            all.into_iter().flatten().filter(is_near).copied().collect()
        };
        let (services, named) = (near(index.by_service.get(name)), near(index.by_name.get(name)));
        let images = match AuthProduct::named(name) {
            Some(product) if wanted.url.is_none() => near(index.by_product.get(&product)),
            Some(_) | None => Vec::new(),
        };
        let of_home = |all: &[&'s Container]| all.iter().copied().filter(is_at_home).collect::<Vec<_>>();
        let in_turn = match home {
            Some(_) => vec![of_home(&services), named, of_home(&images), services, images],
            // The file means no project, so nobody may put a service before the one that was meant by calling it alike.
            None => vec![[named, services, images].concat()],
        };
        for all in in_turn {
            let mut keys: Vec<ServiceKey<'_>> = all.iter().map(|one| service_key(one)).collect();
            keys.sort_unstable();
            keys.dedup();
            match keys.len() {
                0 => {}
                1 => {
                    // The order of listing must not matter.
                    let mut all = all;
                    all.sort_unstable_by_key(|one| (&one.name, &one.id));
                    all.dedup_by_key(|one| (&one.engine, &one.id));
                    return Ok(all);
                }
                _ => return Err(ambiguous(name, &all)),
            }
        }
        Ok(Vec::new())
    }

    fn indexed(&self) -> Index<'s> {
        let mut index = Index::default();
        let is_up = |one: &&Container| why_not_up(one).is_none() && !self.surroundings.is_own(one);
        for container in self.snapshot.containers.iter().filter(is_up) {
            index.by_name.entry(&container.name).or_default().push(container);
            let service = container.service();
            if let Some(service) = service {
                index.by_service.entry(service).or_default().push(container);
            }
            // The background jobs of authentik have the same image, and answer nothing.
            let is_worker = service.unwrap_or(&container.name).contains("worker");
            if let Some(product) = product_of_image(&container.image).filter(|_| !is_worker) {
                index.by_product.entry(product).or_default().push(container);
            }
        }
        index
    }
}

fn service_key(container: &Container) -> ServiceKey<'_> {
    match container.service() {
        Some(service) => (&container.engine, container.project(), service),
        None => (&container.engine, None, &container.name),
    }
}

/// The product that an image contains.
fn product_of_image(image: &str) -> Option<AuthProduct> {
    let name = image_defaults::name(image)?;
    let (owner, last) = name.rsplit_once('/').unwrap_or(("", name));
    match last {
        "authelia" => Some(AuthProduct::Authelia),
        "tinyauth" => Some(AuthProduct::Tinyauth),
        "oauth2-proxy" => Some(AuthProduct::Oauth2Proxy),
        "server" | "proxy" if owner.ends_with("goauthentik") => Some(AuthProduct::Authentik),
        _ => None,
    }
}

/// What `auth.forward` has made of a route's middlewares.
fn forward_auth<'m>(middlewares: &'m mut [Part<'_, Middleware>]) -> Option<&'m mut ForwardAuth> {
    middlewares.iter_mut().find_map(|part| match part {
        Part::Own(Middleware::Authentication(authentication)) => match &mut Arc::make_mut(authentication).method {
            LoginMethod::Forward(forward) => Some(forward),
            LoginMethod::Basic(_) => None,
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

fn ambiguous(name: &str, all: &[&Container]) -> Finding {
    let mut names: Vec<&str> = all.iter().map(|container| &*container.name).collect();
    names.sort_unstable();
    names.truncate(NAMED_MAX);
    let message = format!("{} could mean several log-in services", quoted(name));
    let help = format!("write the name of a container: {}", and_list(names));
    Finding::error(codes::AUTH_SERVICE_AMBIGUOUS, 0..0, message, "several", help)
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
