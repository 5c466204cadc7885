//! A route on its way into a table.

use crate::listener::ListenerScope;
use crate::matcher::Matcher;

/// One route on its way into a table.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The requests that it takes.
    pub matcher: Matcher,
    /// The ways on which these have to come.
    pub scope: ListenerScope,
    /// `priority`.
    pub priority: i64,
    /// Its place by seniority. Of two entries that are equally specific, the smaller one wins.
    pub age: i64,
    /// An id that is unique in the table.
    pub id: Box<str>,
    /// The value that a look-up returns.
    pub payload: T,
}
