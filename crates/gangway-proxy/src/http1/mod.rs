//! HTTP/1 as clients send it: heads, bodies and the gate that lets them pass.

mod chunked;
pub(crate) mod gate;
pub(crate) mod head;
