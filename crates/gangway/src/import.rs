//! `gangway certs import`: certificates of other software, taken over into the volume.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use gangway_acme::ImportOutcome;

use crate::cli::Import;
use crate::client;
use crate::outcome::{Outcome, complain, print};
use crate::settings::schema::DATA;
use crate::settings::{Given, Layer};

/// Prints a line for each certificate that was found; 1 where none was, or one could not be written.
pub(crate) fn run(asked: &Import) -> ExitCode {
    let flags = asked.data.iter().map(|data| (DATA.name, vec![Given::flag(data.display().to_string())]));
    let found = match client::find(&asked.find, flags.collect::<Layer>()) {
        Ok(found) => found,
        Err(outcome) => return outcome.into(),
    };
    let data = found.layers.values(&DATA).pop().map_or_else(PathBuf::new, |given| given.text.into());
    if let Some(missing) = asked.sources.iter().find(|source| !source.exists()) {
        complain(format_args!("gangway certs import: there is no `{}`", missing.display()));
        return Outcome::Found.into();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("gangway certs import: failed to start: {error}"));
            return Outcome::Found.into();
        }
    };
    let imported = runtime.block_on(gangway_acme::import(&data, &asked.sources, now));
    let is_failed = imported.iter().any(|one| matches!(one.outcome, ImportOutcome::Failed(_)));
    if imported.is_empty() {
        complain("gangway certs import: no certificate was found");
    }
    print(imported.iter().map(|one| format!("{one}\n")).collect::<String>());
    if is_failed || imported.is_empty() { Outcome::Found } else { Outcome::Fine }.into()
}
