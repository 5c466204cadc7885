//! Replaces the path where a regular expression matches it.

use std::borrow::Cow;

use gangway_model::target_change::{Unconfined, rewritten};
use gangway_model::{RegexPattern, Replacement};

use crate::middleware::upstream_target::UpstreamTarget;

pub(crate) fn on_target(
    pattern: &RegexPattern,
    replacement: &Replacement,
    target: &mut UpstreamTarget<'_>,
) -> Result<(), Unconfined> {
    if let Some(new) = rewritten(pattern, replacement, &target.text)? {
        target.text = Cow::Owned(new);
    }
    Ok(())
}
