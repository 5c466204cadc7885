//! `gangway ca`: prints the internal root certificate, installs it in the system's trust store, or removes it.

mod trust_store;

use std::path::Path;
use std::process::ExitCode;

use gangway_admin::api;

use self::trust_store::TrustStoreError;
use crate::cli::CaArgs;
use crate::client;
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::settings::schema::DATA;
use crate::volume;

/// Prints, installs or removes the root.
pub(crate) fn run(args: &CaArgs) -> ExitCode {
    if args.uninstall {
        return exit_code(trust_store::uninstall(Path::new("/"), &mut trust_store::run_command));
    }
    let root = match root(args) {
        Ok(root) => root,
        Err(status) => return status.into(),
    };
    if !args.install {
        print(root);
        return ExitStatus::Success.into();
    }
    exit_code(trust_store::install(Path::new("/"), &root, &mut trust_store::run_command))
}

fn exit_code(report: Result<String, TrustStoreError>) -> ExitCode {
    match report {
        Ok(report) => {
            print(report);
            ExitStatus::Success.into()
        }
        Err(error) => {
            print_error(format_args!("gangway ca: failed to {error}"));
            ExitStatus::Problem.into()
        }
    }
}

/// The root of the volume, or that of the running instance where the volume is not at hand.
fn root(args: &CaArgs) -> Result<String, ExitStatus> {
    let found = volume::settings(&args.volume)?;
    let volume_error = match gangway_certs::root_pem(&volume::data_folder(&found)) {
        Ok(root) => return Ok(root),
        Err(error) => error,
    };
    // An explicitly named folder is the only source.
    if found.raw.layer.contains(&DATA) {
        print_error(format_args!("gangway ca: failed to {volume_error}"));
        return Err(ExitStatus::Problem);
    }
    match client::ask::<api::CertificatesResponse>(&found.address, "/api/v1/certificates") {
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
