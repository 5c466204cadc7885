//! Traefik's static configuration and the files of its file provider, as values.
//!
//! [`read_static`] takes flags, variables or a file, whichever counts, and gives a [`StaticConfig`] with everything of
//! it that Gangway does, and a diagnostic for everything else. [`CATALOGUE`] lists every option that Traefik has, with
//! what becomes of it. [`DynamicFiles`] gives what the file provider reads, as the keys that the dialect of Traefik's
//! labels understands, and [`AcmeStorage`] what `acme.json` holds. [`file_kind`] tells which of these a text is.
//!
//! Nothing that a user wrote stops Gangway: an option that is unknown, has no effect or has an unusable value is a
//! warning with its place, and the rest is in force.
//!
//! The crate reads the files that it is pointed at, and touches nothing else. Variables are arguments.

mod acme_storage;
mod apply;
mod catalogue;
mod config;
mod dynamic;
mod entry;
mod file;
mod files_on_disk;
mod flags;
mod kind;
mod later;
mod model_settings;
mod serve_flags;
mod setting;
mod sources;
mod tls_files;
mod value;
mod variables;

pub use acme_storage::{AcmeAccount, AcmeCertificate, AcmeStorage, AcmeStorageError, ResolverStorage};
pub use catalogue::{CATALOGUE, Fate, Kind, StaticOption};
pub use config::{
    AccessLog, AccessLogFormat, Api, DockerProvider, EntryPointAddress, EntryPointConfig, FieldMode, FileProvider, Log,
    LogFormat, LogLevel, OWN_ENTRY_POINT, Ping, Prometheus, ProxyProtocol, Redirection, Resolver, Secret, StaticConfig,
};
pub use dynamic::{DynamicFiles, DynamicFolder};
pub use kind::{FileKind, file_kind};
pub use model_settings::model_settings;
pub use serve_flags::serve_flags;
pub use setting::{GivenOption, Setting};
pub use sources::{FILE_NAMES, Source, StaticReading, are_variables, is_command_line, read_static};
pub use tls_files::{TlsFilePair, TlsFiles};
