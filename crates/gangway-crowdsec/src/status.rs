//! What is known of the engine, for people.

use crate::lapi_error::LapiError;
use crate::ledger::Skipped;

/// How the last question to the engine went, and what of its decisions is not in force.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// Why the engine could not be asked; none while it answers.
    pub trouble: Option<LapiError>,
    /// Whether decisions were read, now or before.
    pub is_known: bool,
    /// Decisions that cannot be kept.
    pub skipped: Skipped,
    /// Whether there are decisions about countries.
    pub names_countries: bool,
    /// Whether there are decisions about autonomous systems.
    pub names_autonomous_systems: bool,
}
