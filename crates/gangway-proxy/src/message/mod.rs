//! HTTP messages, the same for all versions of HTTP. There is no I/O here.

pub(crate) mod address_text;
pub(crate) mod body_length;
pub(crate) mod cache_control;
pub(crate) mod decimal;
pub(crate) mod field_kind;
pub(crate) mod fields;
pub(crate) mod request_head;
pub(crate) mod response_head;
mod spoofable;
pub(crate) mod trailer_fate;
pub(crate) mod vary;
