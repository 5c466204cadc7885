//! Removes the path prefix by which the route matched.

use std::borrow::Cow;

use gangway_model::location::slash_redirect;
use gangway_model::path::strip_prefix;
use pingora::{Error, ErrorType, Result};

use crate::middleware::upstream_target::{UpstreamTarget, split, with_slash};
use crate::reply::local_reply::LocalReply;

/// Redirects a request for exactly the prefix to the same with a slash: relative links of the application
/// would otherwise lead out of it.
pub(crate) fn on_request(target: &[u8], prefix: &str) -> Option<LocalReply> {
    slash_redirect(target, prefix).map(|location| LocalReply::redirect(308, location))
}

/// `prefix` is the decoded one that matched. It is removed from the bytes as sent, by walking both at once.
///
/// Fails where the prefix cannot be found in the path as sent. A route that matched by it excludes that.
pub(crate) fn on_target<'a>(prefix: &'a str, target: &mut UpstreamTarget<'a>) -> Result<()> {
    if matches!(prefix, "" | "/") {
        return Ok(());
    }
    target.bytes = stripped(&target.bytes, prefix)
        .ok_or_else(|| Error::explain(ErrorType::HTTPStatus(400), "the prefix to remove hides in the path"))?;
    target.removed_prefix = prefix;
    Ok(())
}

fn stripped<'b>(target: &[u8], prefix: &str) -> Option<Cow<'b, [u8]>> {
    let (path, query) = split(target);
    let mut rest = with_slash(strip_prefix(std::str::from_utf8(path).ok()?, prefix)?.as_bytes());
    rest.extend_from_slice(query);
    Some(Cow::Owned(rest))
}
