//! The request target on its way to an endpoint.
//!
//! Routes match a decoded copy of the path, but the original bytes go upstream. Middlewares change those bytes
//! directly, so that the rest of the path is neither decoded nor encoded again.

use std::borrow::Cow;

/// A target in origin form that middlewares change.
#[derive(Debug, PartialEq)]
pub(crate) struct UpstreamTarget<'a> {
    /// Borrowed until a middleware changes it.
    pub(crate) text: Cow<'a, str>,
    /// For `X-Forwarded-Prefix`; empty if no middleware removed a prefix.
    pub(crate) removed_prefix: Cow<'a, str>,
    /// For `X-Replaced-Path`; None if no middleware replaced the path.
    pub(crate) replaced_path: Option<Box<str>>,
}

impl<'a> UpstreamTarget<'a> {
    pub(crate) fn new(target: &'a str) -> Self {
        Self { text: Cow::Borrowed(target), removed_prefix: Cow::Borrowed(""), replaced_path: None }
    }
}
