//! What was read of each container, kept from one table to the next.
//!
//! What a container asks for follows from its labels, its name and its image, and from nothing else but the settings.
//! So it is read once, and what one container costs to read delays the others once and not with every change. Kept is
//! what the last table was made of.

use std::collections::HashMap;

use ahash::RandomState;

use super::bounds::{ALTERNATIVES_IN_ALL_MAX, ContainerFindings};
use crate::dialect::native::{self, Asked};
use crate::label::Mark;
use crate::settings::Settings;
use crate::snapshot::Container;
use crate::spec::RouteSpec;

/// Alternatives that are kept. More than all may have together are read each time: memory is for what is served.
const ALTERNATIVES_MAX: usize = 2 * ALTERNATIVES_IN_ALL_MAX;

/// What was read, by what it was read from.
#[derive(Debug, Default)]
pub(super) struct Cache {
    reads: HashMap<Fingerprint, CachedRead, RandomState>,
    /// The alternatives of all that is kept.
    size: usize,
    /// What it was read under, without the routes of the file.
    settings: Settings,
    hashers: [RandomState; 2],
    /// How many tables were made with it.
    round: u64,
}

/// Tells labels, names and images apart. With keys of our own, so that nobody can make two that are one.
type Fingerprint = [u64; 2];

#[derive(Debug)]
struct CachedRead {
    asked: Detached,
    found: ContainerFindings,
    /// Its alternatives.
    size: usize,
    /// The round in which it was last asked for.
    used: u64,
}

#[derive(Debug)]
enum Detached {
    /// Each spec with the labels that its marks stand at, in the order in which they are asked for.
    Routes {
        specs: Vec<(RouteSpec<'static>, Vec<Box<str>>)>,
        by_label: bool,
    },
    Nothing(String),
}

impl Cache {
    /// Begins a table.
    pub(super) fn begin(&mut self, settings: &Settings) {
        let settings = Settings { file_routes: Vec::new(), ..settings.clone() };
        if self.settings != settings {
            (self.reads, self.size) = (HashMap::default(), 0);
            self.settings = settings;
        }
        self.round += 1;
    }

    /// Ends a table: what it did not need is forgotten.
    pub(super) fn end(&mut self) {
        self.reads.retain(|_, read| read.used == self.round);
        self.size = self.reads.values().map(|read| read.size).sum();
    }

    /// The same as [`native::read`].
    pub(super) fn read<'s>(
        &mut self,
        container: &'s Container,
        settings: &Settings,
        findings: &mut ContainerFindings,
    ) -> Asked<'s> {
        let content = (&container.name, &container.image, &container.labels);
        let fingerprint = self.hashers.each_ref().map(|state| state.hash_one(content));
        if let Some(read) = self.reads.get_mut(&fingerprint) {
            read.used = self.round;
            findings.extend(read.found.clone());
            return read.asked.attached(container);
        }
        let mut found = Vec::new();
        let asked = native::read(container, settings, &mut found);
        let found = ContainerFindings::cut(found);
        let size = asked.size();
        if self.size + size <= ALTERNATIVES_MAX {
            self.size += size;
            let read = CachedRead { asked: Detached::of(&asked), found: found.clone(), size, used: self.round };
            self.reads.insert(fingerprint, read);
        }
        findings.extend(found);
        asked
    }
}

impl Detached {
    fn of(asked: &Asked<'_>) -> Self {
        let (specs, by_label) = match asked {
            Asked::Routes { specs, by_label } => (specs, *by_label),
            Asked::Nothing(why) => return Self::Nothing(why.clone()),
        };
        let detached = |spec: &RouteSpec<'_>| {
            let mut labels = Vec::new();
            let detached = spec.marked(|mark| {
                labels.push(mark.label.into());
                Mark::default()
            });
            (detached, labels)
        };
        Self::Routes { specs: specs.iter().map(detached).collect(), by_label }
    }

    fn attached<'s>(&self, container: &'s Container) -> Asked<'s> {
        let (specs, by_label) = match self {
            Self::Routes { specs, by_label } => (specs, *by_label),
            Self::Nothing(why) => return Asked::Nothing(why.clone()),
        };
        let attached = |(spec, labels): &(RouteSpec<'static>, Vec<Box<str>>)| {
            let mut labels = labels.iter();
            spec.marked(|_| {
                let at = labels.next().and_then(|label| container.labels.get_key_value(label));
                at.map_or_else(Mark::default, |(label, value)| Mark { label, value, place: None })
            })
        };
        Asked::Routes { specs: specs.iter().map(attached).collect(), by_label }
    }
}
