//! The client's side over HTTP/2: the h2 library frames and compresses, everything else is decided here.
//!
//! [`session`] serves a connection and all its streams in one task, in which [`wakes`] notes what is to be polled.
//! [`streams`] polls the streams, each in a [`stream_loop`]. [`client_stream`] is the client's end of one request.
//! [`watched_io`] keeps the deadlines of the connection's bytes, [`send_budget`] bounds what is buffered for it,
//! and [`unread_bodies`] counts what is buffered of requests.

mod client_stream;
mod field_map;
mod read_head;
mod send_budget;
pub(crate) mod session;
mod stream_loop;
mod streams;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;
mod unread_bodies;
mod wakes;
mod watched_io;
