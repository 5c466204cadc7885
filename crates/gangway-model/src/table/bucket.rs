//! The slots of one host, and the search for the best of them.

use std::collections::HashMap;

use ahash::RandomState;

use super::reserved::AdmittedTenants;
use super::slot::{Slot, SlotMatch};
use crate::path::PathPattern;
use crate::request_view::RequestView;

/// The most slots of one host that are walked. More are indexed by path: walking a few is faster than hashing, but
/// walking ten thousand is not.
const WALKED_MAX: usize = 16;

/// The most slots that are looked at to explain to a client why no route takes its request. Such clients wait for the
/// thread that serves all others.
pub(crate) const LOOKED_AT_MAX: usize = 512;

/// The slots of one host, by precedence.
#[derive(Debug)]
pub(super) enum Bucket {
    /// The first slot takes all requests, and no other gets any. Nearly every host is like this. The route is copied
    /// here so that a look-up need not touch the slot.
    All { slot: u32, route: u32 },
    /// A few slots, which are walked.
    Few(Box<[u32]>),
    /// Many slots, which are looked up by path.
    Many(Box<ByPath>),
}

/// Slots of one host by path.
#[derive(Debug, Default)]
pub(super) struct ByPath {
    paths: HashMap<Box<str>, AtPath, RandomState>,
    /// The most slashes in any prefix: deeper prefixes need not be tried.
    depth_max: usize,
    /// Slots without a path, and with a regular expression for one.
    others: Vec<u32>,
    /// The first slots by precedence, for explanations.
    first: Box<[u32]>,
}

#[derive(Debug, Default)]
struct AtPath {
    exact: Vec<u32>,
    prefix: Vec<u32>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

impl Bucket {
    /// Makes a bucket of positions in ascending order. `is_one` says that the same tenants are admitted to all of them.
    pub(super) fn new(positions: Vec<u32>, slots: &[Slot], is_one: bool) -> Self {
        let first = positions.first().map(|first| (*first, &slots[*first as usize]));
        if let Some((slot, Slot { takes_all: true, route, .. })) = first
            && is_one
        {
            return Self::All { slot, route: *route };
        }
        if positions.len() <= WALKED_MAX {
            return Self::Few(positions.into());
        }
        let first = positions.iter().copied().take(LOOKED_AT_MAX).collect();
        let mut by_path = ByPath { first, ..ByPath::default() };
        for position in positions {
            by_path.add(position, slots[position as usize].alternative.path());
        }
        Self::Many(Box::new(by_path))
    }
}

impl Bucket {
    /// The first slots that get requests, by precedence; at most [`LOOKED_AT_MAX`] of many.
    pub(super) fn first(&self) -> &[u32] {
        match self {
            Self::All { slot, .. } => std::slice::from_ref(slot),
            Self::Few(positions) => positions,
            Self::Many(by_path) => &by_path.first,
        }
    }

    /// Whether `is_so` holds for any slot that gets requests.
    pub(super) fn any(&self, is_so: impl Fn(u32) -> bool) -> bool {
        match self {
            Self::All { slot, .. } => is_so(*slot),
            Self::Few(positions) => positions.iter().copied().any(is_so),
            Self::Many(by_path) => by_path.positions().any(is_so),
        }
    }
}

impl ByPath {
    fn positions(&self) -> impl Iterator<Item = u32> {
        let of_paths = self.paths.values().flat_map(|at_path| at_path.exact.iter().chain(&at_path.prefix));
        of_paths.chain(&self.others).copied()
    }

    fn add(&mut self, position: u32, path: &PathPattern) {
        match path {
            PathPattern::Prefix(prefix) if **prefix != *"/" => {
                self.depth_max = self.depth_max.max(prefix.matches('/').count());
                self.paths.entry(prefix.clone()).or_default().prefix.push(position);
            }
            PathPattern::Exact(path) => self.paths.entry(path.clone()).or_default().exact.push(position),
            PathPattern::Prefix(_) | PathPattern::Regex(_) => self.others.push(position),
        }
    }
}

/// The best slot so far.
pub(super) struct Best<'s, 'r> {
    slots: &'s [Slot],
    request: &'r RequestView<'r>,
    /// `u32::MAX` is none.
    slot: u32,
    route: u32,
    takes_all: bool,
    admitted: AdmittedTenants<'s>,
}

impl<'s, 'r> Best<'s, 'r> {
    pub(super) fn new(slots: &'s [Slot], request: &'r RequestView<'r>) -> Self {
        Self { slots, request, slot: u32::MAX, route: 0, takes_all: false, admitted: AdmittedTenants::all() }
    }

    /// Restricts the search to slots of these tenants from now on.
    pub(super) fn admit(&mut self, admitted: AdmittedTenants<'s>) {
        self.admitted = admitted;
    }

    /// The rank to beat.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    pub(super) fn found(&self) -> Option<SlotMatch> {
        let found = SlotMatch { slot: self.slot as usize, route: self.route as usize, takes_all: self.takes_all };
        (self.slot != u32::MAX).then_some(found)
    }

    /// Searches a bucket whose host matches.
    pub(super) fn consider(&mut self, bucket: &Bucket) {
        match bucket {
            Bucket::All { slot, route } => {
                if *slot < self.slot && self.admitted.has(*route) {
                    (self.slot, self.route, self.takes_all) = (*slot, *route, true);
                }
            }
            Bucket::Few(positions) => self.walk(positions),
            Bucket::Many(by_path) => self.look_up(by_path),
        }
    }

    /// Searches slots whose hosts are regular expressions.
    pub(super) fn consider_hosts(&mut self, positions: &[u32]) {
        self.first_of(positions, |slot, request| slot.alternative.accepts(request));
    }

    fn look_up(&mut self, by_path: &ByPath) {
        let path = self.request.path;
        if let Some(at_path) = by_path.paths.get(path) {
            self.walk(&at_path.exact);
            self.walk(&at_path.prefix);
        }
        // Every slash but the first ends a prefix. No prefix is deeper than the deepest.
        let ends = path.match_indices('/').skip(1).take(by_path.depth_max);
        for (end, _) in ends {
            if let Some(at_path) = by_path.paths.get(&path[..end]) {
                self.walk(&at_path.prefix);
            }
        }
        self.walk(&by_path.others);
    }

    fn walk(&mut self, positions: &[u32]) {
        self.first_of(positions, |slot, request| slot.takes_all || slot.alternative.accepts_path_and_rest(request));
    }

    /// Positions are ranks: the first slot that accepts the request is the best of its list, and slots behind the best
    /// one so far cannot win.
    fn first_of(&mut self, positions: &[u32], accepts: impl Fn(&Slot, &RequestView<'_>) -> bool) {
        for position in positions.iter().copied().take_while(|position| *position < self.slot) {
            let slot = &self.slots[position as usize];
            if self.admitted.has(slot.route) && slot.is_in_scope(self.request) && accepts(slot, self.request) {
                (self.slot, self.route, self.takes_all) = (position, slot.route, slot.takes_all);
                return;
            }
        }
    }
}
