//! `gangway ca`: the internal root, printed, installed or taken out again.

mod trust_store;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use gangway_admin::api;

use crate::cli::Ca;
use crate::client;
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::settings::schema::DATA;
use crate::volume;

/// Prints the root, or puts it into the system's store or out of it.
pub(crate) fn run(asked: &Ca) -> ExitCode {
    if asked.uninstall {
        return ended(trust_store::uninstall(Path::new("/"), &mut trust_store::run_command));
    }
    let root = match root(asked) {
        Ok(root) => root,
        Err(status) => return status.into(),
    };
    if !asked.install {
        print(root);
        return ExitStatus::Success.into();
    }
    ended(trust_store::install(Path::new("/"), &root, &mut trust_store::run_command))
}

fn ended(done: Result<String, InstallError>) -> ExitCode {
    match done {
        Ok(done) => {
            print(done);
            ExitStatus::Success.into()
        }
        Err(error) => {
            print_error(format_args!("gangway ca: failed to {error}"));
            ExitStatus::Problem.into()
        }
    }
}

/// From the volume, and where none is at hand, from the running instance.
fn root(asked: &Ca) -> Result<String, ExitStatus> {
    let found = volume::settings(asked.data.as_deref(), &asked.find)?;
    let volume_error = match gangway_certs::root_pem(&volume::data_folder(&found)) {
        Ok(root) => return Ok(root),
        Err(error) => error,
    };
    // A folder that is named explicitly is the only one that is meant.
    if found.raw.layer.contains(&DATA) {
        print_error(format_args!("gangway ca: failed to {volume_error}"));
        return Err(ExitStatus::Problem);
    }
    match client::ask::<api::Certificates>(&found.address, "/api/v1/certificates") {
        Ok(answer) => answer.internal_root.ok_or_else(|| {
            print_error("gangway ca: the running instance has no internal root yet");
            ExitStatus::Problem
        }),
        Err(error) => {
            print_error(format_args!("gangway ca: failed to {volume_error}\n  and failed to {error}"));
            print_error(
                "  help: name the volume with --data, or run this where it is: docker compose exec gangway gangway ca",
            );
            Err(error.exit_status())
        }
    }
}

/// Why the root could not be installed. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(
        "find this system's store of trusted roots; copy the root there by hand: `gangway ca > gangway-root.crt` prints it"
    )]
    UnknownSystem,
    #[error("write {path}: {error}{}", hint(error, "install"))]
    Write { path: String, error: io::Error },
    #[error("remove {path}: {error}{}", hint(error, "uninstall"))]
    Remove { path: String, error: io::Error },
    #[error("run `{command}`: {error}")]
    Command { command: String, error: String },
}

fn hint(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("; run it as root: sudo gangway ca --{flag}"),
        _ => String::new(),
    }
}
