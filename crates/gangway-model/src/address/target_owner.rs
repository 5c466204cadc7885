//! What a container is looked up for.

use crate::label::Source;
use crate::vocabulary::Vocabulary;

/// The route or upstream that a container is looked up for, and the words for findings about it.
pub(crate) struct TargetOwner<'n, 's> {
    /// Where it is declared that requests go to the container.
    pub source: Source<'s>,
    /// The route, or the upstream that routes share.
    pub name: &'n str,
    pub words: &'static Vocabulary,
}
