//! `gangway log`: the last lines of the instance's log or the last requests of a route, and further ones as they come.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use gangway_admin::api;
use gangway_diagnostic::printable;

use super::api_request::{ask, encoded, report_failure};
use super::find::find;
use super::http::{self, AskError};
use crate::cli::{Format, LogArgs};
use crate::output::{print_error, try_print};
use crate::settings::Layer;
use crate::terminal::{Paint, Tone};

/// The time before a stream that has ended is asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints until the process is interrupted or its output is closed. Ends at once if the first request fails.
#[expect(clippy::disallowed_methods, reason = "no runtime is blocked: each request has one of its own")]
pub(super) fn log(args: &LogArgs) -> ExitCode {
    let found = match find(&args.query.instance, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    let mut follower = Follower { args, address: &found.address, paint: Paint::of_stdout(), shown: Shown::Nothing };
    let mut is_lost = false;
    loop {
        match if args.no_follow { follower.catch_up() } else { follower.listen() } {
            Ok(()) if args.no_follow => return ExitCode::SUCCESS,
            Ok(()) => is_lost = false,
            Err(Stopped::OutputClosed) => return ExitCode::SUCCESS,
            Err(Stopped::Ask(error)) if follower.shown == Shown::Nothing => return report_failure("log", &error),
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

/// What was printed last, from which further lines go on.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Shown {
    Nothing,
    /// Requests up to this number.
    Requests(u64),
    /// Lines of the log up to this time.
    Lines(String),
}

struct Follower<'a> {
    args: &'a LogArgs,
    address: &'a str,
    paint: Paint,
    shown: Shown,
}

impl Follower<'_> {
    /// Prints what the instance remembers and was not printed.
    fn catch_up(&mut self) -> Result<(), Stopped> {
        match &self.args.route {
            Some(route) => {
                let path = format!("/api/v1/requests?route={}", encoded(route));
                let answer = ask::<api::RequestsResponse>(self.address, &path)?;
                // A restarted instance counts anew.
                let newest = answer.requests.first().map_or(0, |request| request.number);
                let known = match self.shown {
                    Shown::Requests(number) if number <= newest => number,
                    _ => 0,
                };
                self.shown = Shown::Requests(known);
                answer.requests.iter().rev().try_for_each(|request| self.request(request))
            }
            None => {
                let answer = ask::<api::LogResponse>(self.address, "/api/v1/log")?;
                let known = match &self.shown {
                    Shown::Lines(at) => at.clone(),
                    _ => String::new(),
                };
                self.shown = Shown::Lines(known.clone());
                answer.lines.iter().filter(|line| line.at > known).try_for_each(|line| self.line(line))
            }
        }
    }

    /// Prints what comes, until the stream ends.
    fn listen(&mut self) -> Result<(), Stopped> {
        let mut has_caught_up = false;
        let path = match &self.args.route {
            Some(route) => format!("/api/v1/events?route={}", encoded(route)),
            None => "/api/v1/events?log".to_owned(),
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
                "request" => serde_json::from_str(data).map_or(Ok(()), |request| self.request(&request)),
                "log" => serde_json::from_str(data).map_or(Ok(()), |line| self.line(&line)),
                _ => Ok(()),
            };
            outcome.is_ok()
        })?;
        outcome
    }

    fn request(&mut self, request: &api::RequestView) -> Result<(), Stopped> {
        if matches!(self.shown, Shown::Requests(number) if request.number <= number) {
            return Ok(());
        }
        self.shown = Shown::Requests(request.number);
        self.print(request, |paint| request_line(request, paint))
    }

    fn line(&mut self, line: &api::LogView) -> Result<(), Stopped> {
        if matches!(&self.shown, Shown::Lines(at) if line.at < *at) {
            return Ok(());
        }
        self.shown = Shown::Lines(line.at.clone());
        self.print(line, |paint| log_line(line, paint))
    }

    fn print(&self, value: &impl serde::Serialize, text: impl Fn(Paint) -> String) -> Result<(), Stopped> {
        let line = match self.args.query.format {
            Format::Text => text(self.paint),
            Format::Json => serde_json::to_string(value).expect("texts, numbers and lists always become JSON"),
        };
        try_print(format_args!("{line}\n")).map_err(|_| Stopped::OutputClosed)
    }
}

fn request_line(request: &api::RequestView, paint: Paint) -> String {
    let tone = match request.status {
        200..400 => Tone::Good,
        400..500 => Tone::Warning,
        _ => Tone::Bad,
    };
    let status = paint.paint(tone, &request.status.to_string());
    let (method, path) = (printable(&request.method), printable(&request.path));
    let mut line =
        format!("{} {status} {method} {path} {} {:.1} ms", request.at, request.protocol, request.duration_ms);
    for (name, value) in [("reason", &request.reason), ("endpoint", &request.endpoint)] {
        if let Some(value) = value {
            line += &format!(" {name}={}", printable(value));
        }
    }
    line
}

fn log_line(log: &api::LogView, paint: Paint) -> String {
    let tone = match log.level.as_str() {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Warning,
        "INFO" => Tone::Good,
        _ => Tone::Neutral,
    };
    let level = paint.paint(tone, &format!("{:>5}", log.level));
    let mut line = format!("{} {level} {}", log.at, printable(&log.message));
    for (name, value) in log.fields.iter().filter(|(name, _)| name != "diagnostic") {
        let quote = if value.contains([' ', '"', '=']) { "\"" } else { "" };
        line += &format!(" {name}={quote}{}{quote}", printable(value).replace('"', "\\\""));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_they_know_and_command_no_terminal() {
        let request = api::RequestView {
            at: "2026-09-21T14:13:20.000Z".into(),
            method: "GET".into(),
            path: "/a\u{1b}[2J".into(),
            status: 502,
            duration_ms: 1.25,
            reason: Some("upstream-refused".into()),
            protocol: "HTTP/2".into(),
            ..api::RequestView::default()
        };
        assert_eq!(
            request_line(&request, Paint::Plain),
            "2026-09-21T14:13:20.000Z 502 GET /a\\u{1b}[2J HTTP/2 1.2 ms reason=upstream-refused"
        );
        assert!(request_line(&request, Paint::Ansi).contains("\u{1b}[31m502\u{1b}[0m"));
        let log = api::LogView {
            at: "now".into(),
            level: "WARN".into(),
            message: "requests failed".into(),
            fields: vec![("route".into(), "web".into()), ("why".into(), "a b\n".into())],
            ..api::LogView::default()
        };
        assert_eq!(log_line(&log, Paint::Plain), "now  WARN requests failed route=web why=\"a b\\n\"");
    }
}
