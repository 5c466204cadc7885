//! Bounds on what containers may ask for, and on what is said about them.

use gangway_diagnostic::{Diagnostic, Diagnostics, Place};

/// At most this many findings are shown for one container: more do not help, and a container can have as many labels as
/// it likes.
pub const FOUND_MAX: usize = 100;

/// At most this many findings are kept in all: each may show a label of 4 KiB.
pub const FOUND_IN_ALL_MAX: usize = 10_000;

/// At most this many alternatives are in one table: each costs every new table some microseconds and a kilobyte or
/// less.
pub const ALTERNATIVES_IN_ALL_MAX: usize = 1 << 17;

/// The findings about one container, before they are joined with those about others.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerFindings {
    pub found: Vec<Diagnostic>,
    /// How many more there are.
    more: usize,
}

impl ContainerFindings {
    /// Keeps at most [`FOUND_MAX`], the first in the canonical order, and counts the others.
    pub(crate) fn cut(mut found: Vec<Diagnostic>) -> Self {
        let mut more = 0;
        if found.len() > FOUND_MAX {
            found = found.into_iter().collect::<Diagnostics>().into_iter().collect();
            more = found.len().saturating_sub(FOUND_MAX);
            found.truncate(FOUND_MAX);
        }
        Self { found, more }
    }

    /// The findings that are shown; and how many are not, with the place that all have in common.
    pub(crate) fn shown(self) -> (Vec<Diagnostic>, Option<(Place, usize)>) {
        let Self { found, more } = Self::cut(self.found);
        let more = self.more + more;
        let hidden = found.first().filter(|_| more > 0).map(|first| (first.place.as_whole(), more));
        (found, hidden)
    }
}
