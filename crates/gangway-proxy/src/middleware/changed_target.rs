//! Runs all middlewares of a route over the target of a request.

use gangway_model::Middleware;
use gangway_model::target_change::Unconfined;

use crate::middleware::upstream_target::UpstreamTarget;
use crate::middleware::{add_prefix, path_change, rewrite, strip_prefix};

/// Computes the target for the endpoint. The fields are changed later: a forwarding field tells the prefix that is
/// removed here, and a label may override that field.
pub(crate) fn upstream_target<'a>(
    middlewares: &[Middleware],
    target: &'a str,
    prefix: &'a str,
) -> Result<UpstreamTarget<'a>, Unconfined> {
    let mut target = UpstreamTarget::new(target);
    for middleware in middlewares {
        match middleware {
            Middleware::StripPrefix(_) => strip_prefix::on_target(prefix, &mut target)?,
            Middleware::AddPrefix(added) => add_prefix::on_target(added, &mut target)?,
            Middleware::Rewrite { pattern, replacement } => rewrite::on_target(pattern, replacement, &mut target)?,
            Middleware::PathChange(change) => path_change::on_target(change, &mut target)?,
            Middleware::Redirect { .. }
            | Middleware::UrlRedirect(_)
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_)
            | Middleware::SecureHeaders { .. }
            | Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::Appsec(_)
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Authentication(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cors(_)
            | Middleware::AllowedHosts(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cache(_) => {}
        }
    }
    Ok(target)
}
