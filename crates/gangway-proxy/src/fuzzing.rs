//! The functions that the fuzz targets call. They are compiled for these alone.

use crate::http1::properties::{check_requests, check_responses};
use crate::http1::response_parser::RequestFacts;
use crate::properties::{ClientHttp, check_connection, frames_from};

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

/// Any bytes as a whole connection of a client over HTTP/1, through the pipeline to endpoints.
pub fn http1_connection(input: &[u8]) {
    check_connection(ClientHttp::One, input);
}

/// Any bytes as a whole connection of a client over HTTP/2, through the pipeline to endpoints. The first byte says
/// whether the others are frames already or choose some.
pub fn http2_connection(input: &[u8]) {
    match input.split_first() {
        Some((0, frames)) => check_connection(ClientHttp::Two, frames),
        Some((_, choices)) => check_connection(ClientHttp::Two, &frames_from(choices)),
        None => return,
    };
}

fn cuts([first, more, second, even_more]: [u8; 4]) -> [usize; 2] {
    [u16::from_le_bytes([first, more]).into(), u16::from_le_bytes([second, even_more]).into()]
}
