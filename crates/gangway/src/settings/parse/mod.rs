//! Parsers of single values: a text becomes a type, and no later code looks at the text again.

pub(super) mod acme;
pub(super) mod network;
pub(super) mod words;
