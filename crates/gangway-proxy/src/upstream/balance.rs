//! Chooses an endpoint by the route's balance.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gangway_model::Balance;

use crate::hash::mix;
use crate::serving_table::{ActiveEndpoint, ActiveRoute};
use crate::upstream::endpoint_state::EndpointState;

/// The endpoint for a request of this client, by the route's `balance`.
///
/// Endpoints in `failed`, endpoints that could not be connected to lately, and endpoints without weight are used only
/// if there is no other.
pub(crate) fn choose<'r>(
    route: &'r ActiveRoute,
    failed: &[Arc<EndpointState>],
    client: IpAddr,
) -> Option<(usize, &'r ActiveEndpoint)> {
    if let [only] = &route.ready[..] {
        return Some((0, only));
    }
    let untried = |endpoint: &ActiveEndpoint| !failed.iter().any(|state| Arc::ptr_eq(state, &endpoint.state));
    let weighs = |endpoint: &ActiveEndpoint| endpoint.weight > 0;
    let pick = |eligible: &dyn Fn(&ActiveEndpoint) -> bool| pick(route, eligible, client);
    pick(&|endpoint| weighs(endpoint) && !endpoint.state.is_ejected() && untried(endpoint))
        .or_else(|| pick(&|endpoint| !endpoint.state.is_ejected() && untried(endpoint)))
        .or_else(|| pick(&untried))
        .or_else(|| pick(&|_| true))
}

fn pick<'r>(
    route: &'r ActiveRoute,
    eligible: &dyn Fn(&ActiveEndpoint) -> bool,
    client: IpAddr,
) -> Option<(usize, &'r ActiveEndpoint)> {
    let endpoints = || route.ready.iter().enumerate().filter(|(_, endpoint)| eligible(endpoint));
    // If only endpoints without weight are left, they count as equal.
    let weight = |endpoint: &ActiveEndpoint| usize::from(endpoint.weight.max(1));
    let at_share = |mut share: usize| {
        endpoints().find(|(_, endpoint)| {
            let is_it = share < weight(endpoint);
            share = share.saturating_sub(weight(endpoint));
            is_it
        })
    };
    let (count, shares) = endpoints().fold((0, 0), |(count, all), (_, one)| (count + 1, all + weight(one)));
    if count < 2 {
        return endpoints().next();
    }
    match route.route.upstream.policy.balance {
        Balance::RandomTwo => {
            let first = at_share(fastrand::usize(..shares))?;
            // One of the others, by their shares.
            let mut share = fastrand::usize(..shares - weight(first.1));
            let second = endpoints().filter(|(at, _)| *at != first.0).find(|(_, endpoint)| {
                let is_it = share < weight(endpoint);
                share = share.saturating_sub(weight(endpoint));
                is_it
            })?;
            Some(if is_less_busy(second.1, first.1) { second } else { first })
        }
        Balance::LeastRequests => {
            // The search starts anywhere, so that the first of equally busy ones is not always chosen.
            let from = fastrand::usize(..count);
            endpoints().cycle().skip(from).take(count).reduce(|a, b| if is_less_busy(b.1, a.1) { b } else { a })
        }
        Balance::RoundRobin => at_share(route.state.turn.fetch_add(1, Ordering::Relaxed) % shares),
        Balance::Client => {
            let client = hash_of_client(client);
            let score = |endpoint: &ActiveEndpoint| {
                // The endpoint with the highest of independent draws wins, so that other clients stay where they are
                // when an endpoint comes or goes. The exponent makes the weight the share of clients.
                let draw = (mix(client ^ endpoint.hash) >> 11) as f64 / (1_u64 << 53) as f64;
                draw.max(f64::MIN_POSITIVE).ln() / weight(endpoint) as f64
            };
            endpoints().max_by(|a, b| score(a.1).total_cmp(&score(b.1)))
        }
    }
}

/// Compares requests under way in relation to the weight, counting the new request.
fn is_less_busy(one: &ActiveEndpoint, other: &ActiveEndpoint) -> bool {
    let busy = |endpoint: &ActiveEndpoint| endpoint.state.in_flight() + 1;
    let weight = |endpoint: &ActiveEndpoint| usize::from(endpoint.weight.max(1));
    busy(one) * weight(other) < busy(other) * weight(one)
}

fn hash_of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(u32::from(address))),
        // A client with one address of a network has all of them.
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            mix(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
        }
    }
}
