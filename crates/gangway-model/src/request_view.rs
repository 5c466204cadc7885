//! The part of a request that decides about its route.

use std::net::IpAddr;

use http::{HeaderMap, Method};

/// Everything that a matcher may look at.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The host in lower case, without port and final dot; see [`crate::canonical_host`].
    pub host: &'a str,
    /// The path, percent-decoded and normalised; see [`crate::path::normalise`].
    pub path: &'a str,
    /// The query as sent, without the question mark.
    pub query: &'a str,
    /// The request method.
    pub method: &'a Method,
    /// The fields as the client sent them.
    pub headers: &'a HeaderMap,
    /// The address of the client, which a trusted proxy may have named.
    pub client: IpAddr,
}
