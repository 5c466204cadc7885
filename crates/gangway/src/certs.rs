//! `gangway certs import` and `gangway certs rekey`: what is done to the volume itself, whether or not an instance runs.
//!
//! Nothing here speaks to a running instance, which can only be read: it looks at the volume by itself.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use gangway_acme::ImportOutcome;

use crate::cli::{Find, Import, Rekey};
use crate::client;
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::settings::schema::DATA;
use crate::settings::{Given, Layer};

/// Prints a line for each certificate that was found; 1 where none was, or one could not be written.
pub(crate) fn import(asked: &Import) -> ExitCode {
    let begun = volume(asked.data.as_deref(), &asked.find).and_then(|data| Ok((data, runtime("certs import")?)));
    let (data, runtime) = match begun {
        Ok(begun) => begun,
        Err(status) => return status.into(),
    };
    if let Some(missing) = asked.sources.iter().find(|source| !source.exists()) {
        print_error(format_args!("gangway certs import: there is no `{}`", missing.display()));
        return ExitStatus::Problem.into();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let imported = runtime.block_on(gangway_acme::import(&data, &asked.sources, now));
    let is_failed = imported.iter().any(|one| matches!(one.outcome, ImportOutcome::Failed(_)));
    if imported.is_empty() {
        print_error("gangway certs import: no certificate was found");
    }
    print(imported.iter().map(|one| format!("{one}\n")).collect::<String>());
    if is_failed || imported.is_empty() { ExitStatus::Problem } else { ExitStatus::Success }.into()
}

/// Prints a line for each account; 1 where there is none, or one could not be marked.
pub(crate) fn rekey(asked: &Rekey) -> ExitCode {
    let begun = volume(asked.data.as_deref(), &asked.find).and_then(|data| Ok((data, runtime("certs rekey")?)));
    let (data, runtime) = match begun {
        Ok(begun) => begun,
        Err(status) => return status.into(),
    };
    match runtime.block_on(gangway_acme::want_new_account_keys(&data)) {
        Ok(directories) if !directories.is_empty() => {
            let line =
                |directory: &String| format!("{directory}: another key is asked for by the instance that runs\n");
            print(directories.iter().map(line).collect::<String>());
            ExitStatus::Success.into()
        }
        Ok(_) => failed("certs rekey", "there is no account on this volume").into(),
        Err(error) => failed("certs rekey", format_args!("failed to {error}; {}", error.help())).into(),
    }
}

pub(crate) fn volume(data: Option<&Path>, find: &Find) -> Result<PathBuf, ExitStatus> {
    let flags = data.iter().map(|data| (DATA.name, vec![Given::flag(data.display().to_string())]));
    let found = client::find(find, flags.collect::<Layer>())?;
    Ok(found.layers.values(&DATA).pop().map_or_else(PathBuf::new, |given| given.text.into()))
}

pub(crate) fn runtime(act: &str) -> Result<tokio::runtime::Runtime, ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed(act, format_args!("failed to start: {error}")))
}

fn failed(act: &str, why: impl Display) -> ExitStatus {
    print_error(format_args!("gangway {act}: {why}"));
    ExitStatus::Problem
}
