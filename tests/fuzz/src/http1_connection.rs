//! Any bytes of a client over HTTP/1, through the pipeline to endpoints: the connection ends, endpoints read each request
//! as the one that was served, and nothing is held afterwards.
#![no_main]

use gangway_proxy::fuzzing::http1_connection;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    http1_connection(input);
});
