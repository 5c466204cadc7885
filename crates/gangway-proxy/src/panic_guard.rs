//! Limits a panic to one request, which still gets an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pingora::{Error, ErrorType, Result};

/// Runs `act` for one request and turns a panic into an error. The panic hook reports it.
pub(crate) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T> {
    // Only this request sees the state that a panic left half changed.
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| Error::explain(ErrorType::InternalError, "a panic of ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_ours_and_nothing_else_is() {
        assert_eq!(guarded(|| 1).expect("no panic"), 1);
        let error = guarded(|| panic!("on purpose")).map(|()| 0).expect_err("a panic");
        assert_eq!(error.etype(), &ErrorType::InternalError);
    }
}
