//! Bounds on what all containers ask for together.
//!
//! Where they are exceeded, it is by those who ask for most: each may have as much as any other, and what some do not
//! need the others share. So nobody who asks for little loses anything, however many ask for much.

use std::collections::{BTreeMap, HashMap};

use super::FOUND_MAX;
use super::replicas::Candidate;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Severity, Span};
use crate::dialect::native::Source;
use crate::rule::Finding;

/// Alternatives in one table: each costs every new table some microseconds and a kilobyte or less.
pub const ALTERNATIVES_IN_ALL_MAX: usize = 1 << 17;

/// Findings that are kept in all: each may show a label of 4 KiB.
pub const FOUND_IN_ALL_MAX: usize = 10_000;

/// Takes the largest routes of those containers that ask for more than their share.
pub(super) fn within<'s>(
    candidates: Vec<Candidate<'s>>,
    max: usize,
    found: &mut Vec<Diagnostic>,
) -> Vec<Candidate<'s>> {
    let size = |candidate: &Candidate<'s>| candidate.spec.matcher.alternatives().len();
    if candidates.iter().map(size).sum::<usize>() <= max {
        return candidates;
    }
    let container = |candidate: &Candidate<'s>| match candidate.source {
        Source::Container(container) => Some((&*container.engine.0, &*container.id)),
        Source::File(_) => None,
    };
    let mut counts: HashMap<(&str, &str), usize, ahash::RandomState> = HashMap::default();
    for candidate in &candidates {
        if let Some(container) = container(candidate) {
            *counts.entry(container).or_default() += size(candidate);
        }
    }
    let share = share(counts.values().copied().collect(), max);
    let mut of_container: BTreeMap<(&str, &str), Vec<Candidate<'s>>> = BTreeMap::new();
    let mut kept = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match container(&candidate) {
            Some(container) if counts[&container] > share => of_container.entry(container).or_default().push(candidate),
            _ => kept.push(candidate),
        }
    }
    for mut candidates in of_container.into_values() {
        candidates.sort_by_cached_key(|candidate| (size(candidate), candidate.spec.name.clone()));
        let mut sum = 0;
        for candidate in candidates {
            sum += size(&candidate);
            if sum <= share {
                kept.push(candidate);
            } else {
                found.push(beyond(&candidate, size(&candidate), share));
            }
        }
    }
    kept
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

/// Findings that are not shown, by container and project.
pub(super) type Unshown = BTreeMap<(Box<str>, Option<Box<str>>), usize>;

/// No more of one container than [`FOUND_MAX`], before they are put to those of others.
pub(super) fn cut(mut of_container: Vec<Diagnostic>, unshown: &mut Unshown) -> Vec<Diagnostic> {
    if of_container.len() > FOUND_MAX {
        let all: Diagnostics = of_container.into_iter().collect();
        of_container = all.into_iter().collect();
        let more = of_container.split_off(of_container.len().min(FOUND_MAX));
        if let Some(Diagnostic { place, .. }) = more.first() {
            *unshown.entry((place.container.clone(), place.project.clone())).or_default() += more.len();
        }
    }
    of_container
}

/// In the canonical order, no more for one container than [`FOUND_MAX`], and less where many containers have many.
pub(super) fn bounded(found: Vec<Diagnostic>, mut unshown: Unshown) -> Diagnostics {
    let all: Diagnostics = found.into_iter().collect();
    let is_same = |a: &Diagnostic, b: &Diagnostic| {
        (&a.place.container, &a.place.project) == (&b.place.container, &b.place.project)
    };
    let all: Vec<Diagnostic> = all.into_iter().collect();
    // The order goes by container and project first.
    let counts = all.chunk_by(is_same).filter(|of_one| !of_one[0].place.container.is_empty()).map(<[_]>::len);
    let shown_max = share(counts.collect(), FOUND_IN_ALL_MAX).clamp(1, FOUND_MAX);
    let mut shown = Vec::with_capacity(all.len());
    let mut number = 0;
    for one in all {
        let is_next = shown.last().is_some_and(|last| is_same(last, &one));
        number = if is_next { number + 1 } else { 0 };
        if one.place.container.is_empty() || number < shown_max {
            shown.push(one);
        } else {
            *unshown.entry((one.place.container, one.place.project)).or_default() += 1;
        }
    }
    let more = unshown.into_iter().map(|((container, project), count)| Diagnostic {
        code: codes::MORE_FOUND,
        severity: Severity::Error,
        message: format!("{count} more findings than are shown"),
        place: Place { container, project, ..Place::default() },
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
