//! Steps on a request or a response, one module each.
//!
//! A middleware has up to four hooks, which [`chain`] calls for all middlewares of a route: `on_request`
//! before an endpoint is chosen, `on_target` and `on_upstream_fields` on the way to the endpoint, and
//! `on_response` on the way back to the client.

mod add_prefix;
mod address_filter;
mod allowed_hosts;
pub(crate) mod body_limit;
pub(crate) mod chain;
pub(crate) mod changed_target;
mod cors;
mod crowdsec;
pub(crate) mod headers;
mod hsts;
mod path_change;
mod redirect;
mod rewrite;
mod secure_headers;
mod strip_prefix;
pub(crate) mod upstream_target;
mod url_redirect;
