//! The volume as the commands see it that work on it directly, whether or not an instance runs.

use std::fmt::Display;
use std::path::PathBuf;

use crate::cli::VolumeArgs;
use crate::client::{self, Found};
use crate::exit_status::ExitStatus;
use crate::output::print_error;
use crate::settings::schema::DATA;
use crate::settings::{Layer, SettingValue};

/// A command that works on the volume, and the runtime for its calls.
pub(crate) struct VolumeCommand {
    name: &'static str,
    pub(crate) data: PathBuf,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl VolumeCommand {
    /// Finds the volume: `--data` if it is given, otherwise the settings of the instance.
    pub(crate) fn start(name: &'static str, args: &VolumeArgs) -> Result<Self, ExitStatus> {
        let data = data_folder(&settings(args)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(name, format_args!("failed to start: {error}")))?;
        Ok(Self { name, data, runtime })
    }

    /// Prints why the command failed.
    pub(crate) fn failed(&self, why: impl Display) -> ExitStatus {
        failed(self.name, why)
    }
}

/// The settings of the instance, over which `--data` takes precedence.
pub(crate) fn settings(args: &VolumeArgs) -> Result<Found, ExitStatus> {
    let flags = args.data.as_ref().map(|data| (&DATA, vec![SettingValue::flag(data.display().to_string())]));
    client::find(&args.instance, flags.into_iter().collect::<Layer>())
}

/// The folder of the volume.
pub(crate) fn data_folder(found: &Found) -> PathBuf {
    found.raw.last(&DATA).unwrap_or_default().into()
}

fn failed(command: &str, why: impl Display) -> ExitStatus {
    print_error(format_args!("gangway {command}: {why}"));
    ExitStatus::Problem
}
