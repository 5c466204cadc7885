//! Any bytes from an application over HTTP/1: however they are cut they are read alike, and what goes to the client is
//! read by another parser as it was by ours.
#![no_main]

use gangway_proxy::fuzzing::http1_responses;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| http1_responses(input));
