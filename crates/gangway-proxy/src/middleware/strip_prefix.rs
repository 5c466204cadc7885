//! Removes the path prefix by which the route matched.

use std::borrow::Cow;

use gangway_model::target_change::{Unconfined, without_prefix};
use gangway_model::{follows_redirects, slash_redirect};
use http::Method;

use crate::middleware::upstream_target::UpstreamTarget;
use crate::reply::local_reply::LocalReply;

/// Redirects a request for exactly the prefix to the prefix with a slash: otherwise relative links would lead out of
/// the application. Requests by methods whose clients do not follow go up as `/`; so do requests to switch the
/// protocol, which are not given to this function.
pub(crate) fn on_request(method: &Method, target: &str, prefix: &str) -> Option<LocalReply> {
    if !follows_redirects(method) {
        return None;
    }
    slash_redirect(target, prefix).map(|location| LocalReply::redirect(308, location))
}

/// Removes the decoded `prefix` from the target as sent.
///
/// Fails if the path as sent does not begin with the prefix. A route that matched by the prefix excludes that.
pub(crate) fn on_target<'a>(prefix: &'a str, target: &mut UpstreamTarget<'a>) -> Result<(), Unconfined> {
    if matches!(prefix, "" | "/") {
        return Ok(());
    }
    target.text = Cow::Owned(without_prefix(prefix, &target.text).ok_or(Unconfined)?);
    target.removed_prefix = Cow::Borrowed(prefix);
    Ok(())
}
