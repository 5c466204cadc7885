//! The request target on its way to an endpoint.
//!
//! Routes match a decoded copy of the path, but the original bytes go upstream. Middlewares change those bytes
//! directly, so that the rest of the path is neither decoded nor encoded again.

use std::borrow::Cow;

/// A target in origin form that middlewares change.
#[derive(Debug, PartialEq)]
pub(crate) struct UpstreamTarget<'a> {
    /// Borrowed until a middleware changes it.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// For `X-Forwarded-Prefix`; empty if no middleware removed a prefix.
    pub(crate) removed_prefix: &'a str,
}

impl<'a> UpstreamTarget<'a> {
    pub(crate) fn new(target: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(target), removed_prefix: "" }
    }
}

/// Splits a target in origin form into the path, and the query with its question mark.
pub(crate) fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => target.split_at(at),
        None => (target, &[]),
    }
}

/// Puts a slash in front of `rest`, unless it has one. A target must begin with a slash, even if only a query is
/// left.
pub(crate) fn with_slash(rest: &[u8]) -> Vec<u8> {
    let mut target = Vec::with_capacity(rest.len() + 1);
    if rest.first() != Some(&b'/') {
        target.push(b'/');
    }
    target.extend_from_slice(rest);
    target
}
