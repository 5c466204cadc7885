//! The parts of HTTP/2 that are followed in a client's bytes, beside the h2 library.

mod field_blocks;
pub(crate) mod frames;
mod huffman;
