//! `gangway man`: the manual pages of all commands, made from the same description as their help.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, ManArgs};
use crate::exit_status::ExitStatus;
use crate::output::print_error;

/// Writes a page for each command, such as `gangway-explain.1`. Pages of the same names are replaced.
pub(crate) fn run(args: &ManArgs) -> ExitCode {
    match write(&args.folder) {
        Ok(()) => ExitStatus::Success.into(),
        Err(error) => {
            print_error(format_args!(
                "gangway man: failed to write manual pages into {}: {error}",
                args.folder.display()
            ));
            ExitStatus::Problem.into()
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}
