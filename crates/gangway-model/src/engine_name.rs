//! The name of an engine.

/// The engine that a container was read from, by the name that people see.
///
/// Addresses of two engines are never mixed into one network.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EngineName(pub Box<str>);
