//! The functions that the fuzz targets call. They are compiled for these alone.

use crate::downstream::http2::stub::check_connection;
use crate::http1::properties::{check_requests, check_responses};
use crate::http1::response_parser::RequestFacts;

/// Any bytes as if a client had sent them over HTTP/1. Two places say where the bytes are cut.
pub fn http1_requests(input: &[u8]) {
    let Some((places, bytes)) = input.split_first_chunk() else { return };
    check_requests(bytes, &cuts(*places));
}

/// Any bytes as if an application had sent them over HTTP/1.
pub fn http1_responses(input: &[u8]) {
    let Some((places, rest)) = input.split_first_chunk() else { return };
    let Some((flags, bytes)) = rest.split_first() else { return };
    let facts = RequestFacts { is_head: flags & 1 == 1, asked_upgrade: flags & 2 == 2 };
    check_responses(bytes, facts, &cuts(*places));
}

/// Any bytes as what a client sends over HTTP/2, after its preface.
pub fn http2_connection(input: &[u8]) {
    check_connection(input);
}

fn cuts([first, more, second, even_more]: [u8; 4]) -> [usize; 2] {
    [u16::from_le_bytes([first, more]).into(), u16::from_le_bytes([second, even_more]).into()]
}
