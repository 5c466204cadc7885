//! The cost of a request beside nginx, HAProxy and Caddy, measured in one interleaved run on loopback.
//!
//! Processor seconds are compared and not requests a second: on two shared cores the latter tell mostly what else was
//! running. A ratio is made within a round, where the machine was about the same for both, and the median of the
//! rounds is shown. Every proxy sets the same fields and writes no log; their configurations lie in `tests/bench/`.

pub mod chart;
pub mod clients;
pub mod h2load;
pub mod page;
pub mod proxies;
pub mod results;
pub mod sample;
pub mod scenes;
