//! What was read of each container, kept from one table to the next.
//!
//! What a container asks for follows from its labels, its name and its image, and from nothing else but the settings.
//! So it is read once, and what one container costs to read delays the others once and not with every change. Kept is
//! what the last table was made of.

use std::collections::HashMap;

use ahash::RandomState;

use crate::bounds::{ALTERNATIVES_IN_ALL_MAX, ContainerFindings};
use crate::label::Mark;
use crate::settings::Settings;
use crate::snapshot::Container;
use crate::spec::{Declarations, Declared};
use gangway_diagnostic::Diagnostic;

/// Alternatives that are kept. More than all may have together are read each time: memory is for what is served.
const ALTERNATIVES_MAX: usize = 2 * ALTERNATIVES_IN_ALL_MAX;

/// What was read of containers, by the labels, names and images that it was read from.
#[derive(Debug, Default)]
pub(crate) struct ReadCache {
    reads: HashMap<Fingerprint, CachedRead, RandomState>,
    /// The alternatives of all that is kept.
    size: usize,
    /// The settings that it was read under, without the routes of the file.
    settings: Settings,
    hashers: [RandomState; 2],
    /// How many tables were made with it.
    round: u64,
}

/// Identifies labels, name and image. It is made with random keys, so that nobody can write two sets of labels with
/// the same fingerprint.
type Fingerprint = [u64; 2];

#[derive(Debug)]
struct CachedRead {
    declared: Detached,
    found: ContainerFindings,
    /// The number of its alternatives.
    size: usize,
    /// The round in which it was last asked for.
    used: u64,
}

#[derive(Debug)]
enum Detached {
    Routed {
        declarations: Declarations<'static>,
        /// The labels that the marks stand at, in the order in which they are handed over.
        labels: Vec<Box<str>>,
        by_label: bool,
    },
    NotRouted(String),
}

impl ReadCache {
    /// Begins a table.
    pub(crate) fn begin(&mut self, settings: &Settings) {
        let settings = Settings { file_routes: Vec::new(), ..settings.clone() };
        if self.settings != settings {
            (self.reads, self.size) = (HashMap::default(), 0);
            self.settings = settings;
        }
        self.round += 1;
    }

    /// Ends a table: what it did not need is forgotten.
    pub(crate) fn end(&mut self) {
        self.reads.retain(|_, read| read.used == self.round);
        self.size = self.reads.values().map(|read| read.size).sum();
    }

    /// Reads a container, or remembers what was read of one with the same labels. `read` is a pure function of them and
    /// of the settings.
    pub(super) fn read<'s>(
        &mut self,
        container: &'s Container,
        read: impl FnOnce(&'s Container, &mut Vec<Diagnostic>) -> Declared<'s>,
    ) -> (Declared<'s>, ContainerFindings) {
        let content = (&container.name, &container.image, &container.labels);
        let fingerprint = self.hashers.each_ref().map(|state| state.hash_one(content));
        if let Some(read) = self.reads.get_mut(&fingerprint) {
            read.used = self.round;
            return (read.declared.attached(container), read.found.clone());
        }
        let mut found = Vec::new();
        let declared = read(container, &mut found);
        let found = ContainerFindings::cut(found);
        let size = declared.size();
        if self.size + size <= ALTERNATIVES_MAX {
            self.size += size;
            let read = CachedRead { declared: Detached::of(&declared), found: found.clone(), size, used: self.round };
            self.reads.insert(fingerprint, read);
        }
        (declared, found)
    }
}

impl Detached {
    fn of(declared: &Declared<'_>) -> Self {
        match declared {
            Declared::Routed { declarations, by_label } => {
                let mut labels = Vec::new();
                let declarations = declarations.marked(|mark| {
                    labels.push(mark.label.into());
                    Mark::default()
                });
                Self::Routed { declarations, labels, by_label: *by_label }
            }
            Declared::NotRouted(why) => Self::NotRouted(why.clone()),
        }
    }

    /// The same with marks at the labels of this container.
    fn attached<'s>(&self, container: &'s Container) -> Declared<'s> {
        match self {
            Self::Routed { declarations, labels, by_label } => {
                let mut labels = labels.iter();
                let declarations = declarations.marked(|_| {
                    let at = labels.next().and_then(|label| container.labels.get_key_value(label));
                    at.map_or_else(Mark::default, |(label, value)| Mark { label, value, place: None })
                });
                Declared::Routed { declarations, by_label: *by_label }
            }
            Self::NotRouted(why) => Declared::NotRouted(why.clone()),
        }
    }
}
