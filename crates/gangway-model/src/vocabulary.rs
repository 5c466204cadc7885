//! The words in which a dialect's users write, for help texts of later steps.
//!
//! Steps after reading do not know which dialect a route was written in. Where they tell users what to write, they take
//! the words from the route, so that no help text names a label of another dialect.

use std::fmt::{self, Debug, Formatter};

use crate::host::HostPattern;
use crate::snapshot::Container;

/// What later steps need to call things as the user does.
pub(crate) struct Vocabulary {
    /// The whole label by which a route says its host.
    pub host: &'static str,
    /// The whole label by which services say that they are one upstream.
    pub group: &'static str,
    /// The same without the prefix.
    pub group_key: &'static str,
    /// The whole label by which a route lets others serve paths of its hosts.
    pub share: &'static str,
    /// What the priority of a route is called.
    pub priority: &'static str,
    /// What the scheme of an endpoint is called.
    pub scheme: &'static str,
    /// What the check of an endpoint's certificate is called.
    pub verify: &'static str,
    /// The whole label by which a route of the container says its port.
    pub port_of: fn(&Container, route: &str) -> String,
    /// The host under which a route is served where it says none, in this domain.
    pub default_host: fn(route: &str, domain: &str) -> Option<HostPattern>,
}

/// Vocabularies are equal when their words are.
impl Debug for Vocabulary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("host", &self.host).finish_non_exhaustive()
    }
}
