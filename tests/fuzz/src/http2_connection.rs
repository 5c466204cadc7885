//! Any frames from a client over HTTP/2: the connection ends, and every request that is served is read the same way over
//! HTTP/1.
#![no_main]

use gangway_proxy::fuzzing::http2_connection;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| http2_connection(input));
