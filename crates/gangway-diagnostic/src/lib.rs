//! Diagnostics: findings about what the user wrote, and about what it led to.
//!
//! A [`Diagnostic`] names the place, the problem, the fix and the effect. Labels, rules, settings, compose files
//! and certificates all use this one type, so the log, `gangway check`, the API and the page show the same text.
//! [`codes`] lists every code; codes are stable promises, and `docs/reference/diagnostics.md` documents each.
//!
//! A parser that reads a text without knowing where it stands returns a [`Finding`]; the caller adds the place and
//! the effect.
//!
//! There is deliberately no I/O here, no logging and no JSON: the crates at the edges convert by hand.

mod code;
pub mod codes;
mod diagnostic;
mod diagnostics;
mod excerpt;
mod finding;
mod known;
mod nearest;
mod place;
mod printable;
mod render;
mod severity;
mod span;

pub use code::{Code, CodeDescription};
pub use diagnostic::Diagnostic;
pub use diagnostics::Diagnostics;
pub use finding::Finding;
pub use known::{DiagnosticChanges, KnownDiagnostics};
pub use nearest::{distance, nearest};
pub use place::{FilePosition, Place};
pub use printable::{printable, quoted};
pub use render::SourceLine;
pub use severity::Severity;
pub use span::Span;
