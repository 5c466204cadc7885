//! `gangway hosts` and `gangway release`: what is done about hosts on the volume itself, whether or not an
//! instance runs.

use std::path::Path;
use std::process::ExitCode;

use gangway_acme::storage::{FolderStorage, Storage as _, StorageError};
use gangway_model::digest::Digest;
use gangway_model::matcher::HostCondition;
use gangway_model::ownership::{Holding, Holdings, Tenure};
use gangway_model::utc;
use serde::Serialize;

use super::{KEY, NOTES, format};
use crate::cli::{Format, Hosts, Release};
use crate::client::{Sheet, table};
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::terminal::Tone;
use crate::volume::VolumeCommand;

/// One line of the list, and one entry of the JSON.
#[derive(Serialize)]
struct Line {
    host: String,
    holder: String,
    route: String,
    since: String,
    state: String,
}

/// Prints who holds which host and whose claims are refused.
pub(crate) fn hosts(asked: &Hosts) -> ExitCode {
    let command = match VolumeCommand::start("hosts", asked.data.as_deref(), &asked.find) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    let storage = FolderStorage::new(&command.data);
    let holdings = match command.runtime.block_on(storage.get(KEY)) {
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
    let lines: Vec<Line> = hosts.into_iter().flat_map(|(host, holding)| lines(host, holding)).collect();
    print(match asked.format {
        Format::Json => serde_json::to_string_pretty(&lines).expect("text can always be written") + "\n",
        Format::Text if lines.is_empty() => "no host is held yet\n".to_owned(),
        Format::Text => {
            let row =
                |line: &Line| [&line.host, &line.holder, &line.route, &line.since, &line.state].map(ToOwned::to_owned);
            let rows: Vec<[String; 5]> = lines.iter().map(row).collect();
            table(Sheet::stdout(), ["HOST", "HOLDER", "ROUTE", "SINCE", "STATE"], &rows, tone)
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

fn lines(host: &HostCondition, holding: &Holding) -> Vec<Line> {
    let line = |party: &gangway_model::ownership::Party, since: i64, state: String| Line {
        host: host.to_string(),
        holder: party.to_string().replace('`', ""),
        route: party.route.to_string(),
        since: utc(since),
        state,
    };
    let holders = holding.tenures.iter().map(|(party, tenure)| line(party, tenure.since, state(tenure)));
    let refused = holding.refused.iter().map(|(party, refusal)| line(party, refusal.since, "refused".to_owned()));
    holders.chain(refused).collect()
}

fn state(tenure: &Tenure) -> String {
    let guest = if tenure.is_guest { "guest" } else { "holder" };
    match tenure.gone {
        None => guest.to_owned(),
        Some(gone) => format!("{guest}, gone since {}", utc(gone)),
    }
}

/// Leaves a note that a host is given up.
pub(crate) fn release(asked: &Release) -> ExitCode {
    let Some(host) = HostCondition::parse(asked.host.trim()) else {
        print_error(format_args!("gangway release: `{}` is no host; `gangway hosts` lists them", asked.host));
        return ExitStatus::Usage.into();
    };
    let command = match VolumeCommand::start("release", asked.data.as_deref(), &asked.find) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    let storage = FolderStorage::new(&command.data);
    let held = command.runtime.block_on(storage.get(KEY)).ok().flatten().and_then(|text| format::read(&text).ok());
    let Some(holder) = held.as_ref().and_then(|held| held.of(&host)).and_then(Holding::holder) else {
        return command.failed(format_args!("nobody holds `{host}`; `gangway hosts` lists who holds what")).into();
    };
    match command.runtime.block_on(leave_note(&command.data, &host)) {
        Ok(()) => {
            print(format!("{host}: {} gives it up to whoever waits for it, as soon as an instance runs\n", holder.0));
            ExitStatus::Success.into()
        }
        Err(error) => command.failed(format_args!("failed to {error}; {}", error.help())).into(),
    }
}

async fn leave_note(data: &Path, host: &HostCondition) -> Result<(), StorageError> {
    let storage = FolderStorage::new(data);
    let text = host.to_string();
    // A name of its own for each host, however long or strange it is.
    let key = format!("{NOTES}{:016x}", Digest::of(&text));
    let busy = || StorageError::busy("write", &key);
    let lease = storage.lock("hosts-released").await?.ok_or_else(busy)?;
    storage.put(&key, text.into_bytes(), &lease).await
}
