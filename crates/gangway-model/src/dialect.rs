//! Dialects: ways to say in labels what is wanted.
//!
//! Each dialect is one module from the labels of one container to the same typed [specs](crate::spec).
//! It reports everything it finds, needs no other container, and knows nothing of addresses. Whatever
//! comes after it, replicas, conflicts, the table, does not know which dialect a spec came from.
//!
//! There is one so far: [`native`], our own.

pub(crate) mod native;
