//! The reasons for which a route takes a request and others do not, and the nearest routes where none does.
//!
//! It serves `gangway explain`, the API, and the part of our own 404 that only a client on the local network
//! sees. It never runs for a request that found its route: it formats and allocates freely. It reads the same index
//! as [`RoutingTable::find`], so the two cannot disagree about the winner.
//!
//! The 404 is written on the thread that serves all clients, so there the work is bounded, whatever the size of the
//! table. Those who ask for an explanation get the whole one.

use gangway_diagnostic::distance;

use crate::host::HostPattern;
use crate::matcher::{HostCondition, Test};
use crate::path::PathPattern;
use crate::request_view::RequestView;
use crate::rule::Condition;
use crate::secret::masked_target;
use crate::table::{HostRank, LOOKED_AT_MAX, Precedence, RoutingTable, Slot};

/// The most routes that an explanation lists as considered.
pub const CONSIDERED_MAX: usize = 50;

/// The most near misses that an explanation lists.
pub const NEAREST_MAX: usize = 5;

/// The largest distance of two hosts that counts as near.
const HOST_DISTANCE_MAX: usize = 2;

/// The result of a look-up, with its reasons.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Explanation {
    /// The route that takes the request.
    pub winner: Option<Winner>,
    /// The other routes that are served under this host, by precedence, each with the first reason against it.
    /// At most [`CONSIDERED_MAX`].
    pub considered: Vec<Considered>,
    /// The number of considered routes that are not listed.
    pub considered_more: usize,
    /// Routes under similar hosts, nearest first, where no route is served under this host. At most
    /// [`NEAREST_MAX`].
    pub nearest: Vec<Nearest>,
    /// The reason for which no route takes the request although one matches: its path can be read in two ways
    /// that lead to different routes.
    pub doubt: Option<String>,
    /// The number of alternatives that were looked at one by one.
    pub looked_at: usize,
}

/// The route that takes a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Winner {
    /// The route's id.
    pub id: Box<str>,
    /// Its position in [`RoutingTable::routes`].
    pub route: usize,
    /// The alternative that matched, as a rule.
    pub rule: String,
    /// Its precedence in words, such as `exact host, path of 6 characters`.
    pub why: String,
}

/// A route that does not take the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Considered {
    /// The route's id.
    pub id: Box<str>,
    /// Its position in [`RoutingTable::routes`].
    pub route: usize,
    /// The alternative, as a rule.
    pub rule: String,
    /// The first condition that failed, such as ``path `/` is not below `/api` ``, or the route that goes first.
    pub why: String,
}

/// A route that nearly matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nearest {
    /// The route's id.
    pub id: Box<str>,
    /// Its position in [`RoutingTable::routes`].
    pub route: usize,
    /// The alternative, as a rule.
    pub rule: String,
    /// The difference, such as ``it is served at `shop.example.org`; you asked for `shp.example.org` ``.
    pub why: String,
}

/// The alternatives that an explanation looks at.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Extent {
    /// The first of them.
    Bounded,
    All,
}

impl<T> RoutingTable<T> {
    /// Explains why no route takes a request, as far as that is known after a bounded number of looks. In a small table
    /// nothing is left out.
    pub fn explain(&self, request: &RequestView<'_>) -> Explanation {
        self.explain_to(Extent::Bounded, request)
    }

    /// Explains which route takes a request, and why the others do not. The work grows with the table.
    pub fn explain_whole(&self, request: &RequestView<'_>) -> Explanation {
        self.explain_to(Extent::All, request)
    }

    fn explain_to(&self, extent: Extent, request: &RequestView<'_>) -> Explanation {
        let index = self.index();
        let mut explanation = Explanation::default();
        let mut found = index.best(request);
        if let Some(best) = found
            && let Some(reading) = index.doubt(request, best.route)
        {
            let slot = &index.slots()[best.slot];
            explanation.doubt = Some(doubt(
                request.path,
                &reading,
                slot,
                index.best(&RequestView { path: &reading, ..*request }).map(|other| &index.slots()[other.slot]),
            ));
            found = None;
        }
        let winner = found.map(|found| (found.slot, &index.slots()[found.slot]));
        explanation.winner = winner.map(|(_, slot)| Winner {
            id: slot.precedence.id.0.clone(),
            route: slot.route as usize,
            rule: slot.alternative.to_string(),
            why: in_words(&slot.precedence),
        });
        let of_host = match extent {
            Extent::Bounded => index.first_of_host(request.host),
            Extent::All => all_of_host(index.slots(), request.host),
        };
        explanation.looked_at = of_host.len();
        for position in of_host.iter().map(|position| *position as usize) {
            let slot = &index.slots()[position];
            // Further alternatives of the winning route explain nothing.
            if winner.is_some_and(|(best, winner)| best == position || winner.route == slot.route) {
                continue;
            }
            if explanation.considered.len() == CONSIDERED_MAX {
                explanation.considered_more += 1;
                continue;
            }
            let why = match (first_failure(slot, request), winner) {
                _ if !index.admits(request.host, slot) => {
                    format!("`{}` is somebody else's, who does not let it in with `gangway.share`", request.host)
                }
                (Some(failure), _) => failure,
                (None, Some((_, winner))) => outranked(&slot.precedence, &winner.precedence),
                (None, None) => "matches the path in one of its readings only".to_owned(),
            };
            explanation.considered.push(Considered {
                id: slot.precedence.id.0.clone(),
                route: slot.route as usize,
                rule: slot.alternative.to_string(),
                why,
            });
        }
        if of_host.is_empty() {
            let slots = index.slots();
            let sisters = index.first_of_sisters(request.host);
            let first = sisters.iter().chain(index.first_of_hosts()).map(|position| &slots[*position as usize]);
            let max = match extent {
                Extent::Bounded => LOOKED_AT_MAX,
                Extent::All => usize::MAX,
            };
            let looked_at = &mut explanation.looked_at;
            explanation.nearest = nearest(first.chain(slots).take(max).inspect(|_| *looked_at += 1), request);
        }
        explanation
    }
}

/// The positions of all slots that take requests of this host.
fn all_of_host(slots: &[Slot], host: &str) -> Vec<u32> {
    let all = (0..).zip(slots).filter(|(_, slot)| slot.alternative.host().matches(host));
    all.map(|(position, _)| position).collect()
}

fn doubt(path: &str, reading: &str, best: &Slot, other: Option<&Slot>) -> String {
    let route =
        |slot: Option<&Slot>| slot.map_or("no route".to_owned(), |slot| format!("route `{}`", slot.precedence.id.0));
    let (path, reading) = (masked_target(path), masked_target(reading));
    format!(
        "path `{path}` leads to {}, but an application may read it as `{reading}`, which leads to {}; it is refused",
        route(Some(best)),
        route(other),
    )
}

fn in_words(precedence: &Precedence) -> String {
    let mut words = Vec::new();
    if precedence.priority != 0 {
        words.push(format!("priority {}", precedence.priority));
    }
    words.push(host_in_words(precedence.host).to_owned());
    words.push(path_in_words(precedence.path));
    if precedence.conditions > 0 {
        words.push(conditions_in_words(precedence.conditions));
    }
    words.join(", ")
}

fn host_in_words(rank: HostRank) -> &'static str {
    match rank {
        HostRank::Exact => "exact host",
        HostRank::Wildcard => "wildcard host",
        HostRank::AnyDomain => "host of any domain",
        HostRank::Regex => "host by regular expression",
        HostRank::Any => "any host",
    }
}

fn path_in_words(len: usize) -> String {
    match len {
        0 => "any path".to_owned(),
        1 => "path of 1 character".to_owned(),
        _ => format!("path of {len} characters"),
    }
}

fn conditions_in_words(count: usize) -> String {
    match count {
        0 => "no further condition".to_owned(),
        1 => "1 further condition".to_owned(),
        _ => format!("{count} further conditions"),
    }
}

/// The reason for which a route that matches does not win.
fn outranked(this: &Precedence, winner: &Precedence) -> String {
    let by = &winner.id.0;
    let reason = if this.priority != winner.priority {
        format!("priority {} against {}", winner.priority, this.priority)
    } else if this.host != winner.host {
        format!("{} before {}", host_in_words(winner.host), host_in_words(this.host))
    } else if this.path != winner.path {
        format!("{} before {}", path_in_words(winner.path), path_in_words(this.path))
    } else if this.conditions != winner.conditions {
        format!("{} before {}", conditions_in_words(winner.conditions), conditions_in_words(this.conditions))
    } else if this.age != winner.age {
        "equally specific, but its container is older".to_owned()
    } else {
        "equally specific and old, but first by name".to_owned()
    };
    format!("matches, but `{by}` goes first: {reason}")
}

/// The first condition that a request does not meet.
fn first_failure(slot: &Slot, request: &RequestView<'_>) -> Option<String> {
    if let Some(failure) = slot.scope.as_ref().and_then(|scope| scope.failure(request.arrival)) {
        return Some(failure);
    }
    let alternative = &slot.alternative;
    if !alternative.path().matches(request.path) {
        let path = masked_target(request.path);
        return Some(match alternative.path() {
            PathPattern::Prefix(prefix) => format!("path `{path}` is not `{prefix}` or below"),
            PathPattern::Exact(exact) => format!("path `{path}` is not exactly `{exact}`"),
            PathPattern::Regex(pattern) => format!("path `{path}` does not match `{}`", pattern.as_str()),
        });
    }
    alternative.tests().iter().find(|test| !test.passes(request)).map(|test| test_failure(test, request))
}

fn test_failure(test: &Test, request: &RequestView<'_>) -> String {
    // Values of fields and parameters may be secrets, so they are not shown.
    let got = match &test.condition {
        Condition::Host(_) | Condition::HostRegexp(_) => format!("the host is `{}`", request.host),
        Condition::Path(_) | Condition::PathPrefix(_) | Condition::PathRegexp(_) => {
            format!("the path is `{}`", masked_target(request.path))
        }
        Condition::Method(_) => format!("the method is `{}`", request.method),
        Condition::ClientIp(_) => format!("the client is `{}`", request.client.to_canonical()),
        Condition::Header(name, _) | Condition::HeaderRegexp(name, _) => match request.headers.count(name) {
            0 => format!("there is no field `{name}`"),
            _ => format!("there is a field `{name}` with another value"),
        },
        Condition::Query(key, _) | Condition::QueryRegexp(key, _) => {
            let is_there = Condition::Query(key.clone(), None).holds(request);
            if is_there {
                format!("parameter `{key}` has another value")
            } else {
                format!("there is no parameter `{key}`")
            }
        }
    };
    let got = match (&test.condition, test.negated) {
        (Condition::Header(name, _) | Condition::HeaderRegexp(name, _), true) => {
            format!("there is such a field `{name}`")
        }
        (Condition::Query(key, _) | Condition::QueryRegexp(key, _), true) => {
            format!("there is such a parameter `{key}`")
        }
        _ => got,
    };
    format!("{} does not hold: {got}", test.expression())
}

/// The slots with hosts similar to the requested one.
fn nearest<'s>(slots: impl Iterator<Item = &'s Slot>, request: &RequestView<'_>) -> Vec<Nearest> {
    let mut near: Vec<(usize, &Slot)> = Vec::new();
    for slot in slots {
        let HostCondition::Pattern(pattern) = slot.alternative.host() else { continue };
        let Some(distance) = host_distance(pattern, request.host) else { continue };
        // Among equally near hosts, a slot that also matches the path comes first.
        let misses_path = usize::from(first_failure(slot, request).is_some());
        near.push((2 * distance + misses_path, slot));
    }
    // The index is sorted by precedence, which means nothing here.
    let by_id = |slot: &Slot, other: &Slot| slot.precedence.id.0.cmp(&other.precedence.id.0);
    near.sort_by(|(a, a_slot), (b, b_slot)| a.cmp(b).then_with(|| by_id(a_slot, b_slot)));
    let mut nearest: Vec<Nearest> = Vec::new();
    for (_, slot) in near {
        if nearest.len() == NEAREST_MAX {
            break;
        }
        if nearest.iter().any(|near| near.route == slot.route as usize) {
            continue;
        }
        let HostCondition::Pattern(pattern) = slot.alternative.host() else { continue };
        nearest.push(Nearest {
            id: slot.precedence.id.0.clone(),
            route: slot.route as usize,
            rule: slot.alternative.to_string(),
            why: format!("it is served at `{pattern}`; you asked for `{}`", request.host),
        });
    }
    nearest
}

/// The distance of a host from a pattern that does not match it; none where they are not similar.
fn host_distance(pattern: &HostPattern, host: &str) -> Option<usize> {
    let (first, domain) = host.split_once('.').unwrap_or((host, ""));
    match pattern {
        HostPattern::Exact(name) => {
            let name = name.as_str();
            let name_first = name.split_once('.').map_or(name, |(first, _)| first);
            let is_www = name.strip_prefix("www.") == Some(host) || host.strip_prefix("www.") == Some(name);
            if is_www {
                return Some(1);
            }
            // Short names are all a few letters apart.
            let max = HOST_DISTANCE_MAX.min(host.len() / 3);
            let by_letters = distance(name, host, max).map(|letters| letters.max(1));
            // `shop.localhost` for `shop.example.org`. Another name of the same domain is not near: in a household
            // all names share one domain.
            let by_label = (name_first == first).then_some(HOST_DISTANCE_MAX + 1);
            by_letters.or(by_label)
        }
        HostPattern::Wildcard(parent) => {
            // The bare domain, one label too many, or a slip in the domain.
            let parent = parent.as_str();
            let is_below = host == parent || host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
            let max = HOST_DISTANCE_MAX.min(domain.len() / 3);
            if is_below { Some(1) } else { distance(parent, domain, max).map(|letters| letters.max(1)) }
        }
        HostPattern::AnyDomain(pattern_first) => {
            let max = HOST_DISTANCE_MAX.min(first.len() / 3);
            distance(pattern_first, first, max).map(|letters| letters.max(1))
        }
        HostPattern::Any => None,
    }
}
