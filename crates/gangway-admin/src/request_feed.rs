//! Which requests those who follow them hear of: all that have ended since the last look, up to a bound.
//!
//! What is beyond the bound, and what left no entry, is counted, so that those who follow know that there was more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::RequestView;
use crate::instance::{Instance, RequestCount};

/// The requests that one look tells. There are two looks a second, and a line of each request is a few hundred bytes: a
/// client that stalls until it is cut off makes a few megabytes wait.
pub(crate) const REQUESTS_AT_ONCE_MAX: u64 = 500;

/// How many requests of a route have been told, or counted as missed.
pub(crate) type Told = RequestCount;

/// The requests of one look.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NewRequests {
    /// In the order in which they ended.
    pub(crate) requests: Vec<RequestView>,
    /// The number of those that are not among them.
    pub(crate) missed: u64,
}

impl NewRequests {
    /// The requests of one route, of which `count` have ended: the latest `max` of those that were not told.
    pub(crate) fn of_route(
        instance: &dyn Instance,
        route: &str,
        count: RequestCount,
        told: &mut Told,
        max: u64,
    ) -> Self {
        // Its history was forgotten meanwhile, and begins anew.
        if count.ended < told.ended || count.number < told.number {
            *told = Told::default();
        }
        if count.ended == told.ended {
            return Self::default();
        }
        let after = told.number.max(count.number.saturating_sub(max));
        let mut requests = if count.number > after { instance.requests_after(route, after) } else { Vec::new() };
        requests.reverse();
        // Some have ended since they were counted.
        let number = requests.last().map_or(count.number, |latest| latest.number.max(count.number));
        let known = told.ended + requests.len() as u64;
        let ended = count.ended.max(known);
        *told = Told { number, ended };
        Self { requests, missed: ended - known }
    }

    /// The requests of all routes. Where they are too many, a busy route leaves room for the others.
    pub(crate) fn of_all(
        instance: &dyn Instance,
        counts: &[(Arc<str>, RequestCount)],
        told: &mut BTreeMap<Arc<str>, Told>,
    ) -> Self {
        let mut before = std::mem::take(told);
        let mut news = Vec::new();
        for (route, count) in counts {
            let of_route = before.remove(route).unwrap_or_default();
            if of_route != *count {
                news.push((route, *count, of_route));
            } else {
                told.insert(Arc::clone(route), of_route);
            }
        }
        let share = fair_share(news.iter().map(|(_, count, told)| count.number.saturating_sub(told.number)).collect());
        let mut all = Self::default();
        for (route, count, mut of_route) in news {
            let Self { requests, missed } = Self::of_route(instance, route, count, &mut of_route, share);
            all.requests.extend(requests);
            all.missed += missed;
            told.insert(Arc::clone(route), of_route);
        }
        all.requests.sort_by(|one, other| one.at.cmp(&other.at));
        all
    }
}

/// The greatest number of requests that each route may tell, so that all together tell [`REQUESTS_AT_ONCE_MAX`] at most.
fn fair_share(mut pending: Vec<u64>) -> u64 {
    pending.sort_unstable();
    let mut left = REQUESTS_AT_ONCE_MAX;
    for (position, count) in pending.iter().enumerate() {
        let share = left / (pending.len() - position) as u64;
        if *count > share {
            return share;
        }
        left -= count;
    }
    REQUESTS_AT_ONCE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_route_leaves_room_for_the_others() {
        for (pending, share) in [
            (vec![], 500),
            (vec![100, 0, 300], 500),
            (vec![10_000], 500),
            (vec![10_000, 1, 2], 497),
            (vec![10_000, 3, 10_000], 248),
            (vec![7; 1000], 0),
        ] {
            let told: u64 = pending.iter().map(|count| share.min(*count)).sum();
            assert_eq!(fair_share(pending), share);
            assert!(told <= REQUESTS_AT_ONCE_MAX, "{told}");
        }
    }
}
