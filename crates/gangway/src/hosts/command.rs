//! `gangway hosts` and `gangway release`. Both work on the volume itself, whether or not an instance runs.

use std::path::Path;
use std::process::ExitCode;

use gangway_acme::storage::{FolderStorage, Storage as _, StorageError};
use gangway_model::{Digest, Holding, Holdings, HostCondition, Party, Tenure, utc};
use serde::Serialize;

use super::format;
use super::keys::{HOLDINGS, NOTES_LOCK, RELEASE_NOTES};
use crate::cli::{Format, HostsArgs, ReleaseArgs};
use crate::client::{Sheet, table};
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::terminal::Tone;
use crate::volume::VolumeCommand;

/// A line of the list, and an entry of the JSON.
#[derive(Serialize)]
struct HostRow {
    host: String,
    holder: String,
    route: String,
    since: String,
    state: String,
}

/// Prints the holder of each host, and the parties with a refused claim.
pub(crate) fn hosts(args: &HostsArgs) -> ExitCode {
    let command = match VolumeCommand::start("hosts", &args.volume) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    let storage = FolderStorage::new(&command.data);
    let holdings = match command.runtime.block_on(storage.get(HOLDINGS)) {
        Ok(Some(text)) => format::read(&text),
        Ok(None) => Ok(Holdings::default()),
        Err(error) => Err(format!("failed to {error}; {}", error.help())),
    };
    let holdings = match holdings {
        Ok(holdings) => holdings,
        Err(error) => return command.failed(error).into(),
    };
    let mut hosts: Vec<(&HostCondition, &Holding)> = holdings.iter().collect();
    hosts.sort_by_key(|(host, _)| *host);
    let rows: Vec<HostRow> = hosts.into_iter().flat_map(|(host, holding)| rows_of(host, holding)).collect();
    print(match args.format {
        Format::Json => serde_json::to_string_pretty(&rows).expect("text can always be written") + "\n",
        Format::Text if rows.is_empty() => "no host is held yet\n".to_owned(),
        Format::Text => {
            let cells =
                |row: &HostRow| [&row.host, &row.holder, &row.route, &row.since, &row.state].map(ToOwned::to_owned);
            let cells: Vec<[String; 5]> = rows.iter().map(cells).collect();
            table(Sheet::stdout(), ["HOST", "HOLDER", "ROUTE", "SINCE", "STATE"], &cells, tone)
        }
    });
    ExitStatus::Success.into()
}

fn tone(column: usize, cell: &str) -> Tone {
    match (column, cell) {
        (0, _) => Tone::Strong,
        (4, "holder" | "guest") => Tone::Good,
        (4, _) => Tone::Warning,
        (_, _) => Tone::Neutral,
    }
}

fn rows_of(host: &HostCondition, holding: &Holding) -> Vec<HostRow> {
    let row = |party: &Party, since: i64, state: String| HostRow {
        host: host.to_string(),
        holder: party.to_string().replace('`', ""),
        route: party.route.to_string(),
        since: utc(since),
        state,
    };
    let holders = holding.tenures.iter().map(|(party, tenure)| row(party, tenure.since, state(tenure)));
    let refused = holding.refused.iter().map(|(party, refusal)| row(party, refusal.since, "refused".to_owned()));
    holders.chain(refused).collect()
}

fn state(tenure: &Tenure) -> String {
    let guest = if tenure.is_guest { "guest" } else { "holder" };
    match tenure.gone {
        None => guest.to_owned(),
        Some(gone) => format!("{guest}, gone since {}", utc(gone)),
    }
}

/// Leaves a note that a host is released.
pub(crate) fn release(args: &ReleaseArgs) -> ExitCode {
    let Some(host) = HostCondition::parse(args.host.trim()) else {
        print_error(format_args!("gangway release: `{}` is no host; `gangway hosts` lists them", args.host));
        return ExitStatus::Usage.into();
    };
    let command = match VolumeCommand::start("release", &args.volume) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    let storage = FolderStorage::new(&command.data);
    let held = command.runtime.block_on(storage.get(HOLDINGS)).ok().flatten().and_then(|text| format::read(&text).ok());
    let Some(holder) = held.as_ref().and_then(|held| held.of(&host)).and_then(Holding::holder) else {
        return command
            .failed(format_args!("no project or container holds `{host}`; `gangway hosts` lists the holders"))
            .into();
    };
    match command.runtime.block_on(leave_note(&command.data, &host)) {
        Ok(()) => {
            print(format!(
                "{host}: {} releases it, and the next party that waits gets it as soon as an instance runs\n",
                holder.0
            ));
            ExitStatus::Success.into()
        }
        Err(error) => command.failed(format_args!("failed to {error}; {}", error.help())).into(),
    }
}

async fn leave_note(data: &Path, host: &HostCondition) -> Result<(), StorageError> {
    let storage = FolderStorage::new(data);
    let text = host.to_string();
    // The digest is a valid name of a file for any host, however long or strange.
    let key = format!("{RELEASE_NOTES}{:016x}", Digest::of(&text));
    let busy = || StorageError::busy("write", &key);
    let lease = storage.lock(NOTES_LOCK).await?.ok_or_else(busy)?;
    storage.put(&key, text.into_bytes(), &lease).await
}
