//! Runs all middlewares of a route over a request and its response.
//!
//! Each `match` names every middleware: a new one does not compile until each hook says what it does.

use gangway_model::Middleware;
use gangway_model::target_change::Unconfined;
use http::header::UPGRADE;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::middleware::upstream_target::UpstreamTarget;
use crate::middleware::{add_prefix, body_limit, headers, hsts, redirect, rewrite, strip_prefix};
use crate::reply::local_reply::LocalReply;
use crate::request::client_origin::ClientScheme;

/// Runs before an endpoint is chosen. The first middleware that replies ends the chain. Otherwise the result is the
/// bound on the request's body, if there is one.
///
/// `host` is in the form in which hosts are compared, and `prefix` is the decoded path prefix that matched.
pub(crate) fn on_request(
    middlewares: &[Middleware],
    head: &RequestHeader,
    host: &str,
    prefix: &str,
) -> std::result::Result<Option<u64>, LocalReply> {
    let mut limit = None;
    // Admission has seen that it is ASCII.
    let sent = std::str::from_utf8(head.raw_path()).unwrap_or("/");
    for middleware in middlewares {
        let reply = match middleware {
            Middleware::StripPrefix(_) if head.headers.contains_key(UPGRADE) => None,
            Middleware::StripPrefix(_) => strip_prefix::on_request(&head.method, sent, prefix),
            Middleware::Redirect { status, target } => Some(redirect::on_request(*status, target, host, sent)),
            Middleware::BodyLimit(max) => {
                limit = Some(*max);
                body_limit::on_request(*max, head)
            }
            Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::Hsts(_) => None,
        };
        if let Some(reply) = reply {
            return Err(reply);
        }
    }
    Ok(limit)
}

/// Computes the target for the endpoint. [`on_upstream_head`] runs later: a forwarding field tells the prefix that is
/// removed here, and a label may override that field.
pub(crate) fn upstream_target<'a>(
    middlewares: &[Middleware],
    target: &'a str,
    prefix: &'a str,
) -> std::result::Result<UpstreamTarget<'a>, Unconfined> {
    let mut target = UpstreamTarget::new(target);
    for middleware in middlewares {
        match middleware {
            Middleware::StripPrefix(_) => strip_prefix::on_target(prefix, &mut target)?,
            Middleware::AddPrefix(added) => add_prefix::on_target(added, &mut target)?,
            Middleware::Rewrite { pattern, replacement } => rewrite::on_target(pattern, replacement, &mut target)?,
            Middleware::Redirect { .. }
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_) => {}
        }
    }
    Ok(target)
}

/// Changes the fields for the endpoint, after the forwarding fields were set.
pub(crate) fn on_upstream_head(middlewares: &[Middleware], upstream: &mut RequestHeader) -> Result<()> {
    for middleware in middlewares {
        match middleware {
            Middleware::RequestHeader(name, value) => headers::on_upstream_head(name, value.as_ref(), upstream)?,
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::Redirect { .. }
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_) => {}
        }
    }
    Ok(())
}

/// Changes the head of a response, of the application or of a local reply. Responses pass the chain in reverse.
pub(crate) fn on_response(
    middlewares: &[Middleware],
    response: &mut ResponseHeader,
    scheme: ClientScheme,
) -> Result<()> {
    for middleware in middlewares.iter().rev() {
        match middleware {
            Middleware::ResponseHeader(name, value) => headers::on_response(name, value.as_ref(), response)?,
            Middleware::Hsts(max_age) => hsts::on_response(*max_age, scheme, response)?,
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::Redirect { .. }
            | Middleware::RequestHeader(..)
            | Middleware::BodyLimit(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_prefix_is_told_and_one_that_does_not_begin_the_path_is_refused() {
        let chain = [Middleware::StripPrefix(vec!["/stash".into()])];
        let stripped = upstream_target(&chain, "/stash/a%2Fb//c?x=%20", "/stash").expect("it begins the path");
        assert_eq!((&*stripped.text, stripped.removed_prefix), ("/a%2Fb//c?x=%20", "/stash"));
        assert_eq!(upstream_target(&chain, "/stashed", "/stash"), Err(Unconfined));
    }

    #[test]
    fn each_middleware_changes_what_the_one_before_it_left() {
        let pattern = gangway_model::RegexPattern::parse("^/app/v1/(.*)$", &mut Vec::new()).expect("valid");
        let replacement = gangway_model::Replacement::parse("/api?p=$1", pattern.regex()).expect("valid");
        let chain = [Middleware::AddPrefix("/app/".into()), Middleware::Rewrite { pattern, replacement }];
        let rewritten = upstream_target(&chain, "/x/%2e%2e/v1/users?x=1", "").expect("nothing hides");
        assert_eq!(&*rewritten.text, "/api?p=users&x=1");
        assert_eq!(rewritten.removed_prefix, "");
    }

    #[test]
    fn only_what_a_client_follows_is_redirected_to_the_slash() {
        let chain = [Middleware::StripPrefix(vec!["/stash".into()])];
        let status = |method: &str, fields: &[(&'static str, &'static str)]| {
            let mut head = RequestHeader::build(method, b"/stash?x", None).expect("valid");
            for (name, value) in fields {
                head.append_header(*name, *value).expect("valid");
            }
            on_request(&chain, &head, "a", "/stash").is_err()
        };
        assert!(status("GET", &[]) && status("HEAD", &[]));
        assert!(!status("POST", &[]) && !status("OPTIONS", &[("access-control-request-method", "GET")]));
        assert!(!status("GET", &[("upgrade", "websocket"), ("connection", "upgrade")]));
        assert_eq!(&*upstream_target(&chain, "/stash?x", "/stash").expect("it is the prefix").text, "/?x");
    }
}
