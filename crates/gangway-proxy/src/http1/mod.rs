//! HTTP/1 from clients: heads, bodies, and the gate that they pass.

mod chunked;
pub(crate) mod gate;
pub(crate) mod head;
