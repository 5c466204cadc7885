//! What is done otherwise than when the record began, and why.
//!
//! A row only allows cases to be recorded anew: what they come to now is written beside what they were, and compared
//! like all others.

use crate::record::Change;

/// All changes.
pub(crate) const CHANGES: &[Change] = &[
    Change {
        file: "requests",
        cases: &["forwarding-*", "field-57"],
        reason: "fields that applications believe of a proxy are dropped",
    },
    Change {
        file: "streams",
        cases: &["field-h2-11*"],
        reason: "fields that applications believe of a proxy are dropped",
    },
    Change {
        file: "requests",
        cases: &["route-*", "target-*", "host-*"],
        reason: "middlewares work on the path that was matched, and confine",
    },
];
