//! Removes the path prefix by which the route matched.

use std::borrow::Cow;

use gangway_model::path::strip_prefix;
use gangway_model::slash_redirect;

use crate::middleware::upstream_target::{UpstreamTarget, split, with_slash};
use crate::reply::local_reply::LocalReply;
use crate::reply::rejection::Rejection;

/// Redirects a request for exactly the prefix to the prefix with a slash: otherwise relative links would lead out of
/// the application.
pub(crate) fn on_request(target: &[u8], prefix: &str) -> Option<LocalReply> {
    slash_redirect(target, prefix).map(|location| LocalReply::redirect(308, location))
}

/// Removes the decoded `prefix` from the bytes as sent, by walking both at once.
///
/// Fails if the path as sent does not begin with the prefix. A route that matched by the prefix excludes that.
pub(crate) fn on_target<'a>(prefix: &'a str, target: &mut UpstreamTarget<'a>) -> Result<(), Rejection> {
    if matches!(prefix, "" | "/") {
        return Ok(());
    }
    target.bytes = stripped(&target.bytes, prefix).ok_or(Rejection::bad("the prefix to remove hides in the path"))?;
    target.removed_prefix = prefix;
    Ok(())
}

fn stripped<'b>(target: &[u8], prefix: &str) -> Option<Cow<'b, [u8]>> {
    let (path, query) = split(target);
    let mut rest = with_slash(strip_prefix(std::str::from_utf8(path).ok()?, prefix)?.as_bytes());
    rest.extend_from_slice(query);
    Some(Cow::Owned(rest))
}
