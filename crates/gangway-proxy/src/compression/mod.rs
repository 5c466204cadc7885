//! Compresses the bodies of responses, where the client takes it and it is worth it.
//!
//! [`response`] decides by the heads of a request and its response, and changes the latter; [`body_encoder`] then
//! encodes the body on its way, piece by piece.

pub(crate) mod body_encoder;
pub(crate) mod response;
