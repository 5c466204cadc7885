//! Puts a path in front of the request's path.

use std::borrow::Cow;

use crate::middleware::upstream_target::UpstreamTarget;

pub(crate) fn on_target(added: &str, target: &mut UpstreamTarget<'_>) {
    let mut longer = added.trim_end_matches('/').as_bytes().to_vec();
    longer.extend_from_slice(&target.bytes);
    target.bytes = Cow::Owned(longer);
}
