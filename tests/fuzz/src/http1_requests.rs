//! Any bytes from a client over HTTP/1: however they are cut they are read alike, and what goes to the application is
//! read by another parser as it was by ours.
#![no_main]

use gangway_proxy::fuzzing::http1_requests;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| http1_requests(input));
