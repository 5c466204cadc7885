//! The part of a request that decides about its route.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Method};

use crate::listener::Arrival;

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
    pub headers: &'a dyn FieldValues,
    /// The address of the client, which a trusted proxy may have named.
    pub client: IpAddr,
    /// The way on which it has come.
    pub arrival: Arrival<'a>,
}

/// The fields of a request, in whatever form they are kept.
pub trait FieldValues: fmt::Debug {
    /// Whether any value of the field with this name passes the test.
    fn any_value(&self, name: &HeaderName, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// The number of fields with this name.
    fn count(&self, name: &HeaderName) -> usize;
}

impl FieldValues for HeaderMap {
    fn any_value(&self, name: &HeaderName, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.get_all(name).iter().any(|value| test(value.as_bytes()))
    }

    fn count(&self, name: &HeaderName) -> usize {
        self.get_all(name).iter().count()
    }
}
