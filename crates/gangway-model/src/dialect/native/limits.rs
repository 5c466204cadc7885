//! Limits on what one container may ask for: high enough for every real set of labels, and low enough that no one else
//! is kept waiting.
//!
//! Reading a label takes as long as its values are many and its regular expressions large, and every combination of
//! conditions takes its time again in each table. Both are counted before they cost anything. What is beyond is left
//! out, the largest first: that leaves most of the container's routes, whatever the order of its labels.

use std::collections::{BTreeMap, BTreeSet};

use super::label::Label;
use super::schema::KeyId;
use crate::regex_pattern::RegexPattern;
use crate::rule;
use crate::value::{list, list_of_patterns};
use gangway_diagnostic::{Finding, codes};

/// Alternatives of all routes of one container.
pub(crate) const ALTERNATIVES_MAX: usize = 4096;

/// Values in the hosts, paths, rules and rewritings of one container; a regular expression counts as several.
pub(crate) const VALUES_MAX: usize = 4096;

/// The labels that are not read, by the positions of their route and of their own. `routes` are the labels of each route.
pub(super) fn labels_beyond<'l, 'a: 'l>(
    routes: impl Iterator<Item = &'l [Label<'a>]>,
) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut labels = Vec::new();
    for (route, of_route) in routes.enumerate() {
        let values = of_route.iter().map(values).enumerate();
        labels.extend(values.filter(|(_, values)| *values > 0).map(|(label, values)| (values, route, label)));
    }
    let mut left_out: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (_, route, label) in beyond(labels, VALUES_MAX, |(values, ..)| *values) {
        left_out.entry(route).or_default().insert(label);
    }
    left_out
}

/// The routes that are left out, by position, with the size that they would have had. `routes` are the size, where it
/// is known, and the name of each.
pub(super) fn routes_beyond<'r>(routes: impl Iterator<Item = (Option<usize>, &'r str)>) -> BTreeMap<usize, usize> {
    let sizes = routes.enumerate().filter_map(|(position, (size, name))| Some((size?, name, position)));
    let beyond = beyond(sizes.collect(), ALTERNATIVES_MAX, |(size, ..)| *size);
    beyond.into_iter().map(|(size, _, position)| (position, size)).collect()
}

/// Those for which there is no room once the smaller ones have theirs.
fn beyond<T: Ord>(mut all: Vec<T>, max: usize, size: impl Fn(&T) -> usize) -> Vec<T> {
    all.sort_unstable();
    let mut sum = 0_usize;
    let fitting = all.iter().take_while(|one| {
        sum = sum.saturating_add(size(one));
        sum <= max
    });
    let fitting = fitting.count();
    all.split_off(fitting)
}

/// The cost of reading a label, in values.
pub(super) fn values(label: &Label<'_>) -> usize {
    let entry = |entry: &str| entry.strip_prefix('~').map_or(1, RegexPattern::cost);
    let text = label.value();
    match label.key.id() {
        Some(
            KeyId::Host
            | KeyId::Allow
            | KeyId::Deny
            | KeyId::AuthBasic
            | KeyId::AuthHeaders
            | KeyId::AuthUsers
            | KeyId::AuthGroups
            | KeyId::AuthDomains
            | KeyId::Listen,
        ) => list(text).count(),
        Some(KeyId::Path | KeyId::AuthSkip) => list_of_patterns(text).map(|(_, text)| entry(text)).sum(),
        Some(KeyId::Rewrite) => entry(text),
        // Longer ones are refused unread.
        Some(KeyId::Rule) if text.len() <= rule::RULE_LEN_MAX => {
            let is_pattern = text.contains("Regexp");
            rule::values(text).iter().map(|value| if is_pattern { RegexPattern::cost(value) } else { 1 }).sum()
        }
        Some(
            KeyId::Rule
            | KeyId::Enable
            | KeyId::Priority
            | KeyId::Port
            | KeyId::Scheme
            | KeyId::Verify
            | KeyId::Network
            | KeyId::Upstream
            | KeyId::StripPrefix
            | KeyId::AddPrefix
            | KeyId::Redirect
            | KeyId::Tls
            | KeyId::HttpsRedirect
            | KeyId::RequestHeader
            | KeyId::ResponseHeader
            | KeyId::HostHeader
            | KeyId::Upgrade
            | KeyId::BodyLimit
            | KeyId::TimeoutConnect
            | KeyId::TimeoutResponse
            | KeyId::TimeoutIdle
            | KeyId::Hsts
            | KeyId::Headers
            | KeyId::ClientCa
            | KeyId::TlsMin
            | KeyId::Balance
            | KeyId::Sticky
            | KeyId::Weight
            | KeyId::HealthPath
            | KeyId::HealthInterval
            | KeyId::HealthTimeout
            | KeyId::HealthStatus
            | KeyId::Hold
            | KeyId::Drain
            | KeyId::Group
            | KeyId::Share
            | KeyId::CertExport
            | KeyId::Concurrency
            | KeyId::Crowdsec
            | KeyId::Appsec
            | KeyId::RateLimit
            | KeyId::AuthForward
            | KeyId::AuthKeep
            | KeyId::AuthRealm
            | KeyId::AuthOidc
            | KeyId::AuthBearer
            | KeyId::Compress
            | KeyId::Errors
            | KeyId::Cache
            | KeyId::Use
            | KeyId::OptOut
            | KeyId::PageName
            | KeyId::PageIcon
            | KeyId::PageGroup
            | KeyId::PageDescription
            | KeyId::PageOrder
            | KeyId::PageHide,
        )
        | None => 0,
    }
}

pub(super) fn value_beyond(label: &Label<'_>) -> Finding {
    Finding::error(
        codes::CONTAINER_VALUES_TOO_MANY,
        0..label.value().len(),
        format!("more than {VALUES_MAX} values on one container"),
        format!("counts as {}", values(label)),
        "use a wildcard, or fewer and shorter regular expressions, or spread the routes over several containers",
    )
}

pub(super) fn route_beyond(label: &Label<'_>, size: usize) -> Finding {
    Finding::error(
        codes::CONTAINER_COMBINATIONS_TOO_MANY,
        0..label.value().len(),
        format!("more than {ALTERNATIVES_MAX} combinations of conditions on one container"),
        format!("has {size} of them"),
        "use a wildcard or a regular expression, or spread the routes over several containers",
    )
}
