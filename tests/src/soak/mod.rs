//! Mixed load and faults for a long time, on the release binary, with an engine that is played.
//!
//! Three promises are held over all of it: nothing is lost, memory is flat, descriptors are flat. Requests to apps that
//! crash on purpose are not counted among the lost.

pub mod clients;
pub mod faults;
pub mod growth;
pub mod stage;
