//! Puts a path in front of the request's path.

use std::borrow::Cow;

use gangway_model::target_change::{Unconfined, with_prefix};

use crate::middleware::upstream_target::UpstreamTarget;

pub(crate) fn on_target(added: &str, target: &mut UpstreamTarget<'_>) -> Result<(), Unconfined> {
    target.text = Cow::Owned(with_prefix(added, &target.text)?);
    Ok(())
}
