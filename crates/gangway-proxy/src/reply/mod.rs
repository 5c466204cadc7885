//! Replies that Gangway gives itself instead of an application.

pub(crate) mod auth_reply;
pub(crate) mod internal;
pub(crate) mod local_reply;
pub(crate) mod page;
pub(crate) mod reason;
pub(crate) mod rejection;
pub(crate) mod render;
