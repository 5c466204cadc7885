//! Files outside of the volume that another configuration names: certificates with their keys, and client CAs.
//!
//! They are followed like those in `certs/` on the volume. Their rights are left as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The files that are named at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NamedFiles {
    /// Certificates, each with its key, by absolute paths.
    pub pairs: Vec<NamedPair>,
    /// Files with client CAs, by the name under which routes ask for them.
    pub client_cas: BTreeMap<Box<str>, Vec<PathBuf>>,
}

/// A file with a chain, and the file with its key.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NamedPair {
    /// The chain, in PEM.
    pub certificate: Box<str>,
    /// The key, in PEM.
    pub key: Box<str>,
}
