//! What routes lead to, in terms of what a label may name.

use super::replicas::RouteGroup;
use crate::route::{Address, Endpoint};

/// A service as it is recognised: a container's id, or a host or an address in a URL.
pub(super) type Service = Box<str>;

pub(super) fn service(endpoint: &Endpoint) -> Service {
    match (&*endpoint.key.container, &endpoint.key.address) {
        ("", Address::Name(name, _)) => name.clone(),
        ("", address @ Address::Ip(..)) => address.to_string().into(),
        (container, _) => container.into(),
    }
}

/// Everything that a route leads to and that a label could name: its endpoints, and itself by its hosts.
pub(super) fn led_to(group: &RouteGroup<'_>) -> impl Iterator<Item = Service> {
    let hosts = group.spec.matcher.hosts().into_iter().map(|host| host.to_string().into());
    let endpoints: Vec<Service> = group.endpoints.iter().map(service).collect();
    endpoints.into_iter().chain(hosts)
}
