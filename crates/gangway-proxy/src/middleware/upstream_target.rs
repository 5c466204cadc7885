//! The request target on its way to an endpoint.
//!
//! Routes are matched on a decoded copy, but the original bytes go upstream: middlewares change them byte
//! by byte, and nothing else of the path is decoded or encoded again.

use std::borrow::Cow;

/// A target in origin form that middlewares change.
#[derive(Debug, PartialEq)]
pub(crate) struct UpstreamTarget<'a> {
    /// Borrowed as long as no middleware has changed it.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// For `X-Forwarded-Prefix`; empty where no middleware removed a prefix.
    pub(crate) removed_prefix: &'a str,
}

impl<'a> UpstreamTarget<'a> {
    pub(crate) fn new(target: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(target), removed_prefix: "" }
    }
}

/// The path of a target in origin form, and its query with the question mark.
pub(crate) fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => target.split_at(at),
        None => (target, &[]),
    }
}

/// `rest` with a slash in front. A target must begin with one, also where nothing but a query is left.
pub(crate) fn with_slash(rest: &[u8]) -> Vec<u8> {
    let mut target = Vec::with_capacity(rest.len() + 1);
    if rest.first() != Some(&b'/') {
        target.push(b'/');
    }
    target.extend_from_slice(rest);
    target
}
