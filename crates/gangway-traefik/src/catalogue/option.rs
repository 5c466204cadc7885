//! One option of the static configuration.

use crate::setting::Setting;

/// One option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StaticOption {
    /// The way to it, as Traefik's reference spells it. `<name>` is any name, `[n]` a position of a list, and `**` at the
    /// end everything below.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What becomes of it.
    pub fate: Fate,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Nothing, or `true`: naming it switches it on.
    Section,
    /// `true` or `false`, as Go spells them.
    Bool,
    /// A whole number.
    Int,
    /// Seconds, or a duration such as `1m30s`.
    Duration,
    /// Texts, separated by commas or as a list.
    List,
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It does what it does in Traefik.
    InForce(Setting),
    /// It does nothing. The sentence, without its full stop, says what happens instead.
    WithoutEffect(&'static str),
}
