//! The two ends of a request: what every version of HTTP offers to the code between them.

pub(crate) mod body_bytes;
pub(crate) mod body_frame;
pub(crate) mod downstream;
pub(crate) mod last_read;
pub(crate) mod read_width;
pub(crate) mod upstream_error;
pub(crate) mod upstream_request;
