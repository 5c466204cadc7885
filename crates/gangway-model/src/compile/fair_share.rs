//! Bounds on what all containers ask for together.
//!
//! Where they are exceeded, the services that ask for most are cut: each may have as much as any other, and what some
//! do not need the others share. So a service that asks for little loses nothing, however many ask for much.

use std::collections::{BTreeMap, HashSet};

use super::candidates::Candidate;
use super::unserved::UnservedClaims;
use crate::bounds::{ALTERNATIVES_IN_ALL_MAX, ContainerFindings, FOUND_IN_ALL_MAX, FOUND_MAX};
use crate::label::Source;
use crate::ownership::{Party, Tenant};
use crate::spec::RouteSpec;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Diagnostic, Diagnostics, Place, Severity, Span};

/// Candidates as they are read: never many more than may be served, however many are asked for.
pub(super) struct Intake<'s> {
    candidates: Vec<Candidate<'s>>,
    size: usize,
}

impl<'s> Intake<'s> {
    pub(super) fn new(candidates: Vec<Candidate<'s>>) -> Self {
        Self { size: candidates.iter().map(size).sum(), candidates }
    }

    /// Takes those of one container. Whatever is left out goes to the unserved.
    pub(super) fn add(
        &mut self,
        candidates: Vec<Candidate<'s>>,
        unserved: &mut UnservedClaims<'s>,
        found: &mut Vec<Diagnostic>,
    ) {
        self.size += candidates.iter().map(size).sum::<usize>();
        self.candidates.extend(candidates);
        // Not at every call, as cutting looks at all candidates.
        if self.size > 2 * ALTERNATIVES_IN_ALL_MAX {
            self.cut(unserved, found);
        }
    }

    pub(super) fn all(mut self, unserved: &mut UnservedClaims<'s>, found: &mut Vec<Diagnostic>) -> Vec<Candidate<'s>> {
        if self.size > ALTERNATIVES_IN_ALL_MAX {
            self.cut(unserved, found);
        }
        self.candidates
    }

    fn cut(&mut self, unserved: &mut UnservedClaims<'s>, found: &mut Vec<Diagnostic>) {
        let (kept, cut) = within(std::mem::take(&mut self.candidates), ALTERNATIVES_IN_ALL_MAX, found);
        self.size = kept.iter().map(size).sum();
        self.candidates = kept;
        for candidate in cut {
            if let Source::Container(container) = candidate.source {
                let RouteSpec { matcher, listener, priority, .. } = *candidate.spec;
                unserved.add(candidate.party, container, matcher, listener.scope, priority);
            }
        }
    }
}

fn size(candidate: &Candidate<'_>) -> usize {
    candidate.spec.matcher.alternatives().len()
}

/// Takes away the largest routes of the services, and containers without a service, that ask for more than their share;
/// the file has what it asks for. Replicas count once. What is kept, and what is not.
pub(super) fn within<'s>(
    candidates: Vec<Candidate<'s>>,
    max: usize,
    found: &mut Vec<Diagnostic>,
) -> (Vec<Candidate<'s>>, Vec<Candidate<'s>>) {
    if candidates.iter().map(size).sum::<usize>() <= max {
        return (candidates, Vec::new());
    }
    let mut sizes: BTreeMap<&Party, usize> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.party.tenant != Tenant::File) {
        let known = sizes.entry(&candidate.party).or_default();
        *known = size(candidate).max(*known);
    }
    let mut of_owners: BTreeMap<(&Tenant, &str), Vec<(usize, &Party)>> = BTreeMap::new();
    for (party, size) in sizes {
        of_owners.entry((&party.tenant, &party.service)).or_default().push((size, party));
    }
    let sum = |routes: &Vec<(usize, &Party)>| routes.iter().map(|(size, _)| size).sum();
    let share = share(of_owners.values().map(sum).collect(), max);
    let mut left_out: HashSet<Party, ahash::RandomState> = HashSet::default();
    for mut routes in of_owners.into_values() {
        routes.sort_unstable();
        let mut sum = 0;
        left_out.extend(routes.into_iter().filter_map(|(size, party)| {
            sum += size;
            (sum > share).then(|| party.clone())
        }));
    }
    let (cut, kept): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| left_out.contains(&candidate.party));
    found.extend(cut.iter().map(|candidate| beyond(candidate, size(candidate), share)));
    (kept, cut)
}

/// The most that each may have so that all have `max` together.
fn share(mut counts: Vec<usize>, max: usize) -> usize {
    counts.sort_unstable();
    let (mut left, len) = (max, counts.len());
    for (position, count) in counts.into_iter().enumerate() {
        let share = left / (len - position);
        if count > share {
            return share;
        }
        left -= count;
    }
    usize::MAX
}

fn beyond(candidate: &Candidate<'_>, size: usize, share: usize) -> Diagnostic {
    let claim = candidate.spec.claim;
    let finding = Finding::error(
        codes::ALTERNATIVES_IN_ALL_TOO_MANY,
        0..claim.value.trim().len(),
        format!("more than {ALTERNATIVES_IN_ALL_MAX} combinations of conditions in all"),
        format!("has {size} of them"),
        format!("ask for at most {share} combinations of hosts, paths and other conditions on one container"),
    );
    let effect =
        format!("route `{}` of this container is not served; other routes are unaffected", candidate.spec.name);
    if claim.label.is_empty() {
        return candidate.source.about(finding, effect);
    }
    candidate.source.about_value(claim, finding, effect)
}

/// Counts the findings that are not shown, by container.
#[derive(Default)]
pub(super) struct Hidden(BTreeMap<Place, usize>);

impl Hidden {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// What is shown of the findings of one container.
    pub(super) fn show(&mut self, findings: ContainerFindings) -> Vec<Diagnostic> {
        let (shown, hidden) = findings.shown();
        if let Some((place, more)) = hidden {
            *self.0.entry(place).or_default() += more;
        }
        shown
    }

    /// All findings in the canonical order: no more for one container than [`FOUND_MAX`], and less where many
    /// containers have many.
    pub(super) fn bounded(self, found: Vec<Diagnostic>) -> Diagnostics {
        bounded(found, self.0)
    }
}

fn bounded(found: Vec<Diagnostic>, mut unshown: BTreeMap<Place, usize>) -> Diagnostics {
    let all: Diagnostics = found.into_iter().collect();
    let is_same = |a: &Diagnostic, b: &Diagnostic| {
        (a.place.container(), a.place.project()) == (b.place.container(), b.place.project())
    };
    let all: Vec<Diagnostic> = all.into_iter().collect();
    // The order goes by container and project first.
    let counts = all.chunk_by(is_same).filter(|of_one| of_one[0].place.container().is_some()).map(<[_]>::len);
    let shown_max = share(counts.collect(), FOUND_IN_ALL_MAX).clamp(1, FOUND_MAX);
    let mut shown = Vec::with_capacity(all.len());
    let mut number = 0;
    for one in all {
        let is_next = shown.last().is_some_and(|last| is_same(last, &one));
        number = if is_next { number + 1 } else { 0 };
        if one.place.container().is_none() || number < shown_max {
            shown.push(one);
        } else {
            *unshown.entry(one.place.as_whole()).or_default() += 1;
        }
    }
    let more = unshown.into_iter().map(|(place, count)| Diagnostic {
        code: codes::MORE_FOUND,
        severity: Severity::Error,
        message: format!("{count} more findings than are shown"),
        place,
        text: String::new(),
        span: Span::default(),
        note: String::new(),
        help: "put right what is shown, and look again".to_owned(),
        effect: "each of them has its effect, shown or not".to_owned(),
    });
    shown.into_iter().chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_little_has_all_of_it_and_the_rest_share_what_is_left() {
        assert_eq!(share(vec![1, 2, 3], 6), usize::MAX);
        assert_eq!(share(vec![1, 2, 100], 50), 47);
        assert_eq!(share(vec![100, 1, 100], 51), 25);
        assert_eq!(share(vec![10; 10], 50), 5);
        assert_eq!(share(vec![], 0), usize::MAX);
    }
}
