//! A panic of ours costs one request, and that one is answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pingora::{Error, ErrorType, Result};

/// Does something for one request; an error where it panics, which the panic's hook reports.
pub(crate) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T> {
    // What is left half done belongs to this request alone.
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
