//! Diagnostics as text for people, and as JSON, SARIF and GitHub's commands for programs.

mod count;
mod github;
mod json;
mod paragraph;
mod sarif;
mod text;

pub(super) use self::count::{count, plural};
pub(super) use self::github::github;
pub(super) use self::json::json;
pub(super) use self::sarif::sarif;
pub(super) use self::text::text;
