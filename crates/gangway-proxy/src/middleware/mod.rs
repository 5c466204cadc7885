//! Steps on a request or a response, one module each.

pub(crate) mod path;
