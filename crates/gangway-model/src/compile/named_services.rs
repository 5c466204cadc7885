//! Looks up the services that labels name.
//!
//! A name that could mean two services means none.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use ahash::RandomState;

use super::availability::{readiness, why_not_up};
use super::targets::{Author, url_endpoint};
use crate::address::{OwnListener, Surroundings, TargetOwner};
use crate::engine_name::EngineName;
use crate::forward_auth::AuthProduct;
use crate::image_defaults;
use crate::label::Source;
use crate::route::{Address, Endpoint, EndpointKey};
use crate::snapshot::{Container, Snapshot};
use crate::spec::{Access, UrlTarget};
use crate::value::and_list;
use gangway_diagnostic::{Code, Finding, quoted};

/// Services that are named in one diagnostic.
const NAMED_MAX: usize = 5;

/// The containers of one snapshot, to look up services in.
pub(super) struct NamedServices<'a, 's> {
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

/// A service as a label names it.
pub(super) struct WantedService<'w> {
    pub name: &'w str,
    /// Where it is if no container and no service has the name.
    pub url: Option<&'w UrlTarget>,
    /// A shared definition names it, so it is looked up from no project.
    pub is_shared: bool,
}

/// Why no container of a service can be reached.
pub(super) struct OutOfReach {
    pub container: Box<str>,
    pub why: String,
    pub help: Option<String>,
}

impl<'a, 's> NamedServices<'a, 's> {
    pub(super) fn new(snapshot: &'s Snapshot, surroundings: &'a Surroundings<'s>) -> Self {
        Self { snapshot, surroundings, index: OnceCell::new() }
    }

    /// The containers that a label names; none where there are none. A name that means several services is an error with
    /// the containers of all of them. With `of_image`, a name also means the only service with an image of that product.
    pub(super) fn wanted(
        &self,
        service: &WantedService<'_>,
        of_image: Option<AuthProduct>,
        source: Source<'s>,
    ) -> Result<Vec<&'s Container>, Vec<&'s Container>> {
        // The world outside the engine knows names with dots.
        if service.url.is_some() && service.name.contains(['.', ':', '[']) {
            return Ok(Vec::new());
        }
        let home = match source {
            Source::Container(container) if !service.is_shared => Some(container),
            Source::Container(_) | Source::File(_) | Source::Definition(_) | Source::Provider(_) => None,
        };
        self.containers(service.name, of_image, home)
    }

    /// The containers that a name means from the project of a container, or from nowhere.
    fn containers(
        &self,
        name: &str,
        of_image: Option<AuthProduct>,
        home: Option<&'s Container>,
    ) -> Result<Vec<&'s Container>, Vec<&'s Container>> {
        let index = self.index.get_or_init(|| self.indexed());
        let is_near = |one: &&&Container| home.is_none_or(|home| home.engine == one.engine);
        let is_at_home = |one: &&Container| {
            let project = home.and_then(Container::project);
            project.is_some() && one.project() == project
        };
        let near = |all: Option<&Vec<&'s Container>>| -> Vec<&'s Container> {
            all.into_iter().flatten().filter(is_near).copied().collect()
        };
        let (services, named) = (near(index.by_service.get(name)), near(index.by_name.get(name)));
        let images = near(of_image.and_then(|product| index.by_product.get(&product)));
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
                _ => return Err(all),
            }
        }
        Ok(Vec::new())
    }

    /// The service at a URL; an error where that is Gangway itself. It would show or decide what only its own admin
    /// listener may.
    pub(super) fn of_url(&self, url: &UrlTarget) -> Result<Endpoint, Finding> {
        match self.surroundings.own_listener(url) {
            Some((OwnListener::Admin, finding)) => Err(finding),
            Some((OwnListener::Public, _)) | None => Ok(url_endpoint(url, 1, Author::Label)),
        }
    }

    /// The endpoints of containers that can be reached; an error where none can.
    pub(super) fn endpoints(
        &self,
        containers: &[&'s Container],
        access: impl Fn(&Container) -> Access<'s>,
        owner: &TargetOwner<'_, 's>,
    ) -> Result<Vec<Endpoint>, OutOfReach> {
        let mut out_of_reach = None;
        let mut endpoints = Vec::with_capacity(containers.len());
        for container in containers {
            // What is found concerns the service, and not the route that asks it.
            let mut findings = Vec::new();
            match self.surroundings.reach(container, &access(container), owner, &mut findings) {
                Ok(reach) => endpoints.push(Endpoint {
                    key: EndpointKey {
                        container: container.id.clone(),
                        address: Address::Ip(reach.address.ip(), reach.address.port()),
                    },
                    name: container.name.clone(),
                    scheme: reach.scheme,
                    transport: reach.transport,
                    host: None,
                    readiness: readiness(container),
                    weight: 1,
                    is_of_operator: false,
                }),
                Err(why) => {
                    let help = findings.pop().map(|finding| finding.help);
                    let container = container.name.clone();
                    out_of_reach.get_or_insert(OutOfReach { container, why, help });
                }
            }
        }
        match out_of_reach {
            Some(out_of_reach) if endpoints.is_empty() => Err(out_of_reach),
            Some(_) | None => Ok(endpoints),
        }
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

/// A name that could mean several services, which are `what`.
pub(super) fn ambiguous(code: Code, what: &str, name: &str, all: &[&Container]) -> Finding {
    let mut names: Vec<&str> = all.iter().map(|container| &*container.name).collect();
    names.sort_unstable();
    names.truncate(NAMED_MAX);
    let message = format!("{} could mean several {what}", quoted(name));
    let help = format!("write the name of a container: {}", and_list(names));
    Finding::error(code, 0..0, message, "several", help)
}

/// The product that an image contains.
pub(super) fn product_of_image(image: &str) -> Option<AuthProduct> {
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
