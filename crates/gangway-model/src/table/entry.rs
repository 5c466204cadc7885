//! A route on its way into a table.

use crate::matcher::Matcher;

/// One route on its way into a table.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Which requests it takes.
    pub matcher: Matcher,
    /// `priority`.
    pub priority: i64,
    /// Its place by seniority: of two that are equally specific the smaller one wins.
    pub age: i64,
    /// Unique in the table.
    pub id: Box<str>,
    /// What a look-up returns.
    pub payload: T,
}
