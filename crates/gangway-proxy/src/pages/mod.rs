//! `errors`: pages in place of errors, of applications and of our own.

mod audience;
pub(crate) mod library;
pub(crate) mod lookup;
pub(crate) mod page;
pub(crate) mod rest;
mod service;
