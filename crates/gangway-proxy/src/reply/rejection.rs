//! Why a request is rejected: one value for the gate, for admission and for the reply.

use std::fmt;
use std::time::Duration;

use crate::reply::reason::Reason;

/// A request that breaks a rule of HTTP or one of the bounds in [`Limits`](crate::limits::Limits).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) reason: Reason,
    /// The rule that was broken, for the access log and for clients on the local network.
    pub(crate) detail: &'static str,
    /// The bound that was exceeded; it follows `detail`.
    bound: Option<Bound>,
}

/// A bound with the value that is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bound {
    Bytes(usize),
    Fields(usize),
    Time(Duration),
    Rate(u64),
}

impl Rejection {
    pub(crate) const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail, bound: None }
    }

    pub(crate) const fn bad(detail: &'static str) -> Self {
        Self::new(Reason::BadRequest, detail)
    }

    pub(crate) const fn target_too_long(bytes_max: usize) -> Self {
        Self::over(Reason::TargetTooLong, "the target is longer than", Bound::Bytes(bytes_max))
    }

    pub(crate) const fn head_too_large(bytes_max: usize) -> Self {
        Self::over(Reason::HeadTooLarge, "the head is larger than", Bound::Bytes(bytes_max))
    }

    pub(crate) const fn too_many_fields(fields_max: usize) -> Self {
        Self::over(Reason::HeadTooLarge, "the head has more than", Bound::Fields(fields_max))
    }

    pub(crate) const fn slow_head(time_max: Duration) -> Self {
        Self::over(Reason::RequestTimeout, "the head took longer than", Bound::Time(time_max))
    }

    pub(crate) const fn slow_body(rate_min: u64) -> Self {
        Self::over(Reason::RequestTimeout, "the body came slower than", Bound::Rate(rate_min))
    }

    const fn over(reason: Reason, detail: &'static str, bound: Bound) -> Self {
        Self { reason, detail, bound: Some(bound) }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)?;
        match self.bound {
            None => Ok(()),
            Some(Bound::Bytes(bytes)) => write!(f, " {bytes} bytes"),
            Some(Bound::Fields(fields)) => write!(f, " {fields} fields"),
            Some(Bound::Time(time)) => write!(f, " {} s", time.as_secs()),
            Some(Bound::Rate(bytes)) => write!(f, " {bytes} bytes a second"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_names_the_bound_that_is_set() {
        assert_eq!(Rejection::bad("several Hosts").to_string(), "several Hosts");
        assert_eq!(Rejection::target_too_long(10).to_string(), "the target is longer than 10 bytes");
        assert_eq!(Rejection::slow_head(Duration::from_secs(3)).to_string(), "the head took longer than 3 s");
    }
}
