//! What is known of the engine, for people.

use crate::engine_error::EngineError;

/// How the last question to the engine went, and what of its decisions is not in force.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// Why the engine could not be asked; none while it answers.
    pub trouble: Option<EngineError>,
    /// Whether decisions were read, now or before.
    pub is_known: bool,
    /// Decisions that cannot be kept.
    pub skipped: Skipped,
    /// Whether there are decisions about countries.
    pub names_countries: bool,
    /// Whether there are decisions about autonomous systems.
    pub names_autonomous_systems: bool,
}

/// Decisions that are not in force.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Skipped {
    /// How many were about what is neither an address, a network, a country nor an AS number, or did not say how long they
    /// last.
    pub unreadable: usize,
    /// One of those, such as `Username:ann`.
    pub example: Option<String>,
    /// How many came after as many others as are kept.
    pub too_many: usize,
}
