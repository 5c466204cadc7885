//! Changes the path by its text, and notes what the application learns of it.

use std::borrow::Cow;

use gangway_model::target_change::Unconfined;
use gangway_model::{PathChange, ToldChange};

use crate::middleware::upstream_target::UpstreamTarget;

pub(crate) fn on_target(change: &PathChange, target: &mut UpstreamTarget<'_>) -> Result<(), Unconfined> {
    let Some(changed) = change.apply(&target.text)? else { return Ok(()) };
    target.text = Cow::Owned(changed.target);
    match changed.told {
        ToldChange::Removed(prefix) => {
            // What was removed before stood in front of it.
            let prefix = format!("{}{prefix}", target.removed_prefix.trim_end_matches('/'));
            target.removed_prefix = Cow::Owned(prefix);
        }
        ToldChange::Replaced(path) => target.replaced_path = Some(path),
    }
    Ok(())
}
