//! Hands the listening sockets to a successor that is started beside this instance, so that an upgrade loses nothing.
//!
//! A successor asks the instance that listens on an address for its sockets, at an abstract Unix socket (`unix(7)`)
//! that is named after the address. Such names belong to a network namespace, so the instance that is found there
//! listens where the successor would. Every process of that namespace can connect: each side must run as the other's
//! user, and prove that it knows the secret of the volume, without showing it.
//!
//! ```text
//! successor                               predecessor
//!    | a challenge ---------------------------> |
//!    | <------------ its answer, and another    |
//!    | the answer ----------------------------> |
//!    | <-- a socket, … and that these were all  |  both listen, one accepts
//!    |  reads engine and volume                 |
//!    | ready ---------------------------------> |  both accept; then the successor alone, which is asked
//!    | <------------------------------- leaving |  something as clients ask
//!    | stays ---------------------------------> |  it has handed over in turn; or a minute is over:
//!    |                                          |  the predecessor finishes what it has begun
//! ```
//!
//! If the stream ends before that, the predecessor accepts again.

mod listener;
mod log_limit;
mod predecessor;
mod probe;
mod protocol;
mod secret;
mod socket_passing;
mod sockets_at_hand;
mod state;
#[cfg(test)]
mod tests;

pub(super) use self::listener::{HandoverListener, Successor};
pub(super) use self::predecessor::{Consent, Predecessor, Relief, RelievedPredecessor, is_behind};
pub(super) use self::probe::answers;
pub(super) use self::secret::HandoverSecret;
pub(super) use self::sockets_at_hand::SocketsAtHand;
pub(super) use self::state::{HandoverAction, HandoverEvent, HandoverState, PROBATION};
