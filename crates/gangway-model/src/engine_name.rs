//! The name of an engine.

/// Which engine a thing was read from: its position in the list given by `--docker`, and a name for
/// people. Addresses of two engines are never mixed into one network.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EngineName(pub Box<str>);
