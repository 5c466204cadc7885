//! The global settings: from flags, variables and the config file to types.
//!
//! A setting that several places give is taken from the first of flag, variable, file. Every error is reported, not
//! only the first. Errors are values; the caller decides what they cause: at the start Gangway ends, while it runs
//! the last settings stay in force.

mod environment;
mod error;
pub(crate) mod file;
mod listener_table;
mod listeners;
mod log_options;
mod oidc_table;
mod parse;
mod raw;
pub(crate) mod reload;
pub(crate) mod schema;
mod serve_settings;
mod surroundings;
mod user_table;
mod value;

pub(crate) use self::environment::{EnvironmentLayer, read_environment};
pub(crate) use self::listeners::{ListenItem, WantedListeners};
pub(crate) use self::log_options::{LogFormat, LogLevel};
pub(crate) use self::oidc_table::{OidcTable, Outside, read_file};
pub(crate) use self::parse::acme::{external_account_variables, pem_file, secret};
pub(crate) use self::raw::{NOT_STARTED, ProcessLayer, RawSettings};
pub(crate) use self::serve_settings::{OwnPage, ServeSettings, Times, undefined_defaults};
pub(crate) use self::surroundings::Surroundings;
pub(crate) use self::user_table::UserTable;
pub(crate) use self::value::{Layer, SettingMessage, SettingOrigin, SettingValue};
