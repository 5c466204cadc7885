//! `gangway certs import` and `gangway certs rekey`: changes on the volume itself, whether or not an instance runs.
//!
//! These commands do not speak to a running instance, whose API is read-only. The instance looks at the volume by itself.

use std::process::ExitCode;

use gangway_certs::ImportOutcome;
use gangway_tls::UnixTime;

use crate::cli::{ImportArgs, VolumeArgs};
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::volume::VolumeCommand;

/// Prints a line for each certificate found. Ends with 1 if there is none, or one could not be written.
pub(crate) fn import(args: &ImportArgs) -> ExitCode {
    let command = match VolumeCommand::start("certs import", &args.volume) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    if let Some(missing) = args.sources.iter().find(|source| !source.exists()) {
        return command.failed(format_args!("there is no `{}`", missing.display())).into();
    }
    let imported = command.runtime.block_on(gangway_certs::import(&command.data, &args.sources, UnixTime::now()));
    let is_failed = imported.iter().any(|one| matches!(one.outcome, ImportOutcome::Failed(_)));
    if imported.is_empty() {
        print_error("gangway certs import: no certificate was found");
    }
    print(imported.iter().map(|one| format!("{one}\n")).collect::<String>());
    if is_failed || imported.is_empty() { ExitStatus::Problem } else { ExitStatus::Success }.into()
}

/// Prints a line for each account. Ends with 1 if there is none, or one could not be marked.
pub(crate) fn rekey(args: &VolumeArgs) -> ExitCode {
    let command = match VolumeCommand::start("certs rekey", args) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    match command.runtime.block_on(gangway_acme::want_new_account_keys(&command.data)) {
        Ok(directories) if !directories.is_empty() => {
            let line = |directory: &String| format!("{directory}: the running instance asks for another key\n");
            print(directories.iter().map(line).collect::<String>());
            ExitStatus::Success.into()
        }
        Ok(_) => command.failed("there is no account on this volume").into(),
        Err(error) => command.failed(format_args!("failed to {error}; {}", error.help())).into(),
    }
}
