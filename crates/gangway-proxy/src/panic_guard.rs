//! Limits a panic to one request, which still gets an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic of ours that was caught. The panic hook has reported it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Panicked;

/// Runs `act` for one request and turns a panic into an error.
pub(crate) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Only this request sees the state that a panic left half changed.
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_nothing_else_is() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded(|| panic!("on purpose")).map(|()| 0), Err(Panicked));
    }
}
