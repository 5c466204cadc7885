//! Values for tests of the endpoint side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gangway_model::{Address, Scheme};

use crate::limits::Limits;
use crate::overload::open_connections::OpenConnections;
use crate::samples;
use crate::serving_table::{ActiveEndpoint, active_endpoint};
use crate::upstream::connector::{ConnectionNeed, Connector, ConnectorSettings};
use crate::upstream::dedicated::ConnectionOwner;
use crate::upstream::endpoint_state::{EndpointHealth, EndpointState};
use crate::upstream::sticky::CookieSecret;

/// The need of an ordinary request.
pub(crate) const NEED: ConnectionNeed<'static> = ConnectionNeed {
    owner: ConnectionOwner::Shared,
    client: None,
    is_upgrade: false,
    is_repeatable: true,
    connect_timeout: Duration::from_secs(5),
};

/// An endpoint whose certificate is not checked.
pub(crate) fn endpoint(scheme: Scheme, address: SocketAddr) -> ActiveEndpoint {
    endpoint_at(scheme, Address::Ip(address.ip(), address.port()))
}

pub(crate) fn endpoint_at(scheme: Scheme, address: Address) -> ActiveEndpoint {
    let table = samples::table(|_| {});
    let route = &table.routes().first().expect("it has routes").route;
    let endpoint = samples::endpoint_at(scheme, address);
    let state = Arc::new(EndpointState::new(EndpointHealth::Healthy));
    active_endpoint(&endpoint, route, state, &CookieSecret::none())
}

pub(crate) fn connector() -> Arc<Connector> {
    Connector::new(&ConnectorSettings::new(&Limits::default(), OpenConnections::default()))
}
