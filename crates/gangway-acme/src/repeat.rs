//! Calls to a CA that are repeated while it refuses the nonce.

/// Repeats a call while the CA only refuses its nonce, which means that the CA has done nothing yet. The protocol
/// crate repeats three times, which is too few for a CA that refuses half of them.
macro_rules! repeat {
    ($call:expr) => {{
        let mut repeats = 0;
        loop {
            match $call.await {
                Err(error) if $crate::failure::is_bad_nonce(&error) && repeats < 50 => repeats += 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(crate) use repeat;
