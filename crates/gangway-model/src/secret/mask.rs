//! What stands for a secret.

/// The text in place of a secret.
pub const MASK: &str = "***";
