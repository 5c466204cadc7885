//! `gangway log`: what happens, one line each, in the order in which it comes: requests, what changed, findings, and the lines of
//! the instance's own log; or of one route alone.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use gangway_admin::api;

use super::api_request::{ask, encoded, report_failure};
use super::find::find;
use super::http::{self, AskError};
use super::log_line::LogLine;
use super::printed::Printed;
use crate::cli::{Format, LogArgs};
use crate::output::{print_error, try_print};
use crate::settings::Layer;
use crate::terminal::Paint;

/// The time before a stream that has ended is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints until the process is interrupted or its output is closed. Ends at once if the first request fails.
#[expect(clippy::disallowed_methods, reason = "no runtime is blocked: each request has one of its own")]
pub(super) fn log(args: &LogArgs) -> ExitCode {
    let found = match find(&args.query.instance, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    let mut follower = Follower {
        args,
        address: &found.address,
        paint: Paint::of_stdout(),
        route: args.route.clone(),
        printed: Printed::default(),
        has_begun: false,
    };
    let mut is_lost = false;
    loop {
        match if args.no_follow { follower.catch_up() } else { follower.listen() } {
            Ok(()) if args.no_follow => return ExitCode::SUCCESS,
            Ok(()) => is_lost = false,
            Err(Stopped::OutputClosed) => return ExitCode::SUCCESS,
            Err(Stopped::Ask(error)) if !follower.has_begun => return report_failure("log", &error),
            // The instance may be restarting.
            Err(Stopped::Ask(error)) if !is_lost => {
                is_lost = true;
                print_error(format_args!("gangway log: failed to {error}; asking again"));
            }
            Err(Stopped::Ask(_)) => {}
        }
        sleep(PAUSE);
    }
}

/// Why nothing more is printed now.
enum Stopped {
    OutputClosed,
    Ask(AskError),
}

impl From<AskError> for Stopped {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

struct Follower<'a> {
    args: &'a LogArgs,
    address: &'a str,
    paint: Paint,
    /// The route that is shown alone: its id, once the instance has told it.
    route: Option<String>,
    printed: Printed,
    /// The instance has answered once.
    has_begun: bool,
}

impl Follower<'_> {
    /// Prints what the instance remembers and was not printed.
    fn catch_up(&mut self) -> Result<(), Stopped> {
        let of_route = self.args.route.as_ref().map_or_else(String::new, |route| format!("?route={}", encoded(route)));
        let requests = ask::<api::RequestsResponse>(self.address, &format!("/api/v1/requests{of_route}"))?;
        let changes = ask::<api::ChangesResponse>(self.address, "/api/v1/changes")?.changes;
        let log = match self.args.route {
            Some(_) => Vec::new(),
            None => ask::<api::LogResponse>(self.address, "/api/v1/log")?.lines,
        };
        self.has_begun = true;
        self.route = requests.route.or_else(|| self.route.take());
        let missed = self.printed.go_on(&requests.requests);
        let at = requests.requests.last().map_or_else(String::new, |oldest| oldest.at.clone());
        let missed = api::MissedEvent { at, requests: missed, ..api::MissedEvent::default() };
        // The lists come newest first, and what the log says of a change stands before it.
        let mut past: Vec<LogLine> = log.into_iter().map(LogLine::Log).collect();
        past.extend(changes.into_iter().rev().map(LogLine::Change));
        past.extend((missed.requests > 0).then_some(LogLine::Missed(missed)));
        past.extend(requests.requests.into_iter().rev().map(LogLine::Request));
        past.sort_by(|one, other| one.at().cmp(other.at()));
        past.iter().try_for_each(|line| self.print(line))
    }

    /// Prints what comes, until the stream ends.
    fn listen(&mut self) -> Result<(), Stopped> {
        let mut has_caught_up = false;
        let path = match &self.args.route {
            Some(route) => format!("/api/v1/events?route={}&diagnostics", encoded(route)),
            None => "/api/v1/events?requests&diagnostics&log".to_owned(),
        };
        let mut outcome = Ok(());
        http::listen(self.address, &path, |event, data| {
            outcome = match event {
                // What came before is asked for once the stream is there, so that nothing is in neither. The runtime of the
                // stream has this thread.
                "table" if !std::mem::replace(&mut has_caught_up, true) => std::thread::scope(|scope| {
                    let caught_up = scope.spawn(|| self.catch_up()).join();
                    caught_up.unwrap_or(Ok(()))
                }),
                _ => LogLine::of_event(event, data).map_or(Ok(()), |line| self.print(&line)),
            };
            outcome.is_ok()
        })?;
        outcome
    }

    /// Prints a line, if it is about what is shown and was not printed.
    fn print(&mut self, line: &LogLine) -> Result<(), Stopped> {
        if self.route.as_ref().is_some_and(|route| !line.is_about(route)) || !self.printed.takes(line) {
            return Ok(());
        }
        let text = match self.args.query.format {
            Format::Text => line.text(self.paint, self.route.is_none()),
            Format::Json => line.json(),
        };
        try_print(format_args!("{text}\n")).map_err(|_| Stopped::OutputClosed)
    }
}
