//! Any frames of a client over HTTP/2, through the pipeline to endpoints: the connection ends, endpoints read each request
//! as the one that was served, and nothing is held afterwards.
#![no_main]

use gangway_proxy::fuzzing::http2_connection;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    http2_connection(input);
});
