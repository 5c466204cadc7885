//! Compose files to the snapshot that an engine would give for them.
//!
//! [`Loader`] merges files, documents, `extends` and `include` as compose does, [`Project`] is the result, and
//! [`ComposeSnapshot`] lists its services as containers. Each text remembers where its bytes were written, so that
//! [`ComposeSnapshot::locate`] leads from a diagnostic of the model back to a line and column of a file.
//!
//! Loading never fails because of the content of a file: a mistake becomes a diagnostic, and the rest is kept.
//!
//! The crate does not touch the world. Files come through [`FileAccess`], and variables and paths are arguments.
//! Sizes, depths, aliases, includes and extended services are bounded, because the files may come from anywhere.

mod documents;
mod dotenv;
mod environment;
mod extends;
mod file_access;
mod interpolation;
mod load_session;
mod loader;
mod merge;
mod profiles;
mod project;
mod project_name;
mod resets;
mod service;
mod service_parser;
mod snapshot;
mod source_diagnostic;
mod source_map;
mod spanned_text;
mod variable_diagnostic;
pub mod yaml;

pub use environment::Environment;
pub use file_access::{FileAccess, FileError, Input};
pub use loader::{LoadError, Loader};
pub use profiles::{ServiceSet, service_sets};
pub use project::Project;
pub use service::{Entries, Service, ServicePort, VolumeMount, is_gangway_label};
pub use snapshot::ComposeSnapshot;
pub use source_diagnostic::SourceDiagnostic;
pub use source_map::{FileId, FileSpan, LineColumn, SourceMap};
pub use spanned_text::{SpannedText, TextLocation};
