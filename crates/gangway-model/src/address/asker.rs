//! What a container is looked up for.

use crate::label::Source;
use crate::vocabulary::Vocabulary;

/// For what a container is looked up, and in whose words findings are written.
pub(crate) struct Asker<'n, 's> {
    /// Where it is declared that requests go to the container.
    pub source: Source<'s>,
    /// The route, or the upstream that routes share.
    pub name: &'n str,
    pub words: &'static Vocabulary,
}
