//! `gangway sessions`: who is logged in by `auth.oidc`. Works on the volume itself, whether or not an instance runs.

use std::process::ExitCode;

use gangway_certs::{RegisteredSession, change_login_sessions, login_sessions};
use gangway_diagnostic::printable;
use gangway_model::utc;
use gangway_tls::UnixTime;
use serde::Serialize;

use crate::cli::{Format, RevokeArgs, SessionListArgs};
use crate::client::{Sheet, table};
use crate::exit_status::ExitStatus;
use crate::output::print;
use crate::terminal::Tone;
use crate::volume::VolumeCommand;

/// A line of the list, and an entry of the JSON.
#[derive(Serialize)]
struct SessionRow {
    session: String,
    user: String,
    provider: String,
    host: String,
    since: String,
    until: String,
}

/// Prints the sessions that count.
pub(crate) fn list(args: &SessionListArgs) -> ExitCode {
    let command = match VolumeCommand::start("sessions", &args.volume) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    let sessions = match command.runtime.block_on(login_sessions(&command.data)) {
        Ok(sessions) => sessions,
        Err(error) => return command.failed(format_args!("failed to {error}; {}", error.help())).into(),
    };
    let now = UnixTime::now().seconds();
    let counting = sessions.iter().filter(|session| !session.is_ended && session.ends > now);
    let rows: Vec<SessionRow> = counting.map(row).collect();
    print(match args.format {
        Format::Json => serde_json::to_string_pretty(&rows).expect("text can always be written") + "\n",
        Format::Text if rows.is_empty() => "nobody is logged in by `auth.oidc`\n".to_owned(),
        Format::Text => {
            let cells = |row: &SessionRow| {
                let SessionRow { session, user, provider, host, since, until } = row;
                [session, user, provider, host, since, until].map(|cell| printable(cell))
            };
            let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
            table(Sheet::stdout(), ["SESSION", "USER", "PROVIDER", "HOST", "SINCE", "UNTIL"], &cells, tone)
        }
    });
    ExitStatus::Success.into()
}

fn tone(column: usize, _: &str) -> Tone {
    if column == 1 { Tone::Strong } else { Tone::Neutral }
}

fn row(session: &RegisteredSession) -> SessionRow {
    SessionRow {
        session: session.id.clone(),
        user: session.user.clone(),
        provider: session.provider.clone(),
        host: session.scope.clone(),
        since: utc(session.begun),
        until: utc(session.ends),
    }
}

/// Ends sessions.
pub(crate) fn revoke(args: &RevokeArgs) -> ExitCode {
    let command = match VolumeCommand::start("sessions", &args.volume) {
        Ok(command) => command,
        Err(status) => return status.into(),
    };
    let now = UnixTime::now();
    let is_meant = |session: &RegisteredSession| {
        args.all || args.sessions.contains(&session.id) || args.user.contains(&session.user)
    };
    let mut ended = Vec::new();
    let end = |sessions: &mut Vec<RegisteredSession>| {
        let counting = |session: &&mut RegisteredSession| !session.is_ended && session.ends > now.seconds();
        for session in sessions.iter_mut().filter(counting).filter(|session| is_meant(session)) {
            session.is_ended = true;
            ended.push(session.clone());
        }
    };
    if let Err(error) = command.runtime.block_on(change_login_sessions(&command.data, now, end)) {
        return command.failed(format_args!("failed to {error}; {}", error.help())).into();
    }
    if ended.is_empty() {
        return command.failed("no such session counts; `gangway sessions` lists those that do").into();
    }
    for RegisteredSession { id, user, scope, .. } in &ended {
        print(format!("{}: {} is logged out of {scope}\n", printable(id), printable(user)));
    }
    ExitStatus::Success.into()
}
