//! Calls to a CA that are repeated while it refuses the nonce.

/// Repeats a call while the CA says only that a number was used twice, which means that nothing has
/// happened. The protocol crate repeats three times, which is too few where half of them are refused.
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
