//! The traces that requests belong to, for those who follow requests through several services.

mod bounded_text;
pub(crate) mod request_trace;
pub(crate) mod spans;
