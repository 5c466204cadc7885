//! The merged settings: flags before variables before the config file before defaults.

use std::path::PathBuf;

use gangway_diagnostic::Diagnostic;
use gangway_model::{FileRoute, MiddlewareTable};

use super::file::{self, ConfigFile};
use super::listener_table::ListenerTable;
use super::oidc_table::OidcTable;
use super::schema::{CONFIG, Flag};
use super::user_table::UserTable;
use super::value::{Layer, SettingOrigin, SettingValue};

/// The effect of a diagnostic about settings at the start.
pub(crate) const NOT_STARTED: &str = "Gangway does not start";

/// All values that were given, merged by precedence, and the routes of the config file.
#[derive(Debug, Default)]
pub(crate) struct RawSettings {
    pub(crate) layer: Layer,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) routes: Vec<FileRoute>,
    pub(crate) middlewares: Vec<MiddlewareTable>,
    pub(crate) users: Vec<UserTable>,
    pub(crate) oidc: Vec<OidcTable>,
    pub(crate) listeners: Vec<ListenerTable>,
}

/// Flags and variables as they were when the process started; they cannot change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessLayer(Layer);

impl ProcessLayer {
    /// Flags take precedence over variables.
    pub(crate) fn new(flags: Layer, variables: Layer) -> Self {
        Self(variables.overlaid_by(flags))
    }

    /// Takes away what is given for a setting.
    pub(crate) fn remove(&mut self, flag: &Flag) {
        self.0.remove(flag);
    }

    /// Replaces what is given for a setting.
    pub(crate) fn set(&mut self, flag: &'static Flag, value: SettingValue) {
        self.0.set(flag, vec![value]);
    }

    /// The config file, if one is named.
    pub(crate) fn config_file(&self) -> Option<PathBuf> {
        self.0.last(&CONFIG).map(PathBuf::from)
    }

    /// Merges this layer with the config file below it.
    pub(crate) fn over(&self, config: ConfigFile) -> RawSettings {
        RawSettings {
            layer: config.globals.overlaid_by(self.0.clone()),
            config_file: self.config_file(),
            routes: config.routes,
            middlewares: config.middlewares,
            users: config.users,
            oidc: config.oidc,
            listeners: config.listeners,
        }
    }

    /// Reads the config file, if one is named, and merges it.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is broken; the diagnostics say that Gangway does not start.
    pub(crate) fn read(&self) -> Result<RawSettings, Vec<Diagnostic>> {
        let Some(path) = self.config_file() else { return Ok(self.over(ConfigFile::default())) };
        let text = file::read(&path).map_err(|error| vec![error.diagnostic(&path, NOT_STARTED)])?;
        let config = file::parse(&path.display().to_string(), &text, NOT_STARTED)?;
        Ok(self.over(config))
    }
}

impl RawSettings {
    /// The values of a setting, or its default if none is given.
    pub(crate) fn values(&self, flag: &Flag) -> Vec<SettingValue> {
        if self.layer.contains(flag) {
            return self.layer.get(flag).to_vec();
        }
        match flag.default {
            "" => Vec::new(),
            text => vec![SettingValue { text: text.to_owned(), origin: SettingOrigin::Default }],
        }
    }

    /// The last value of a setting, or its default.
    pub(crate) fn last(&self, flag: &Flag) -> Option<String> {
        self.values(flag).pop().map(|value| value.text)
    }
}
