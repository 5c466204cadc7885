//! Prints an answer again and again: `gangway routes --watch` whenever it changes, `gangway top` all the time.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use gangway_admin::api;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api_request::{ROUTES, ask, report_failure};
use super::find::find;
use super::show;
use super::table::Sheet;
use crate::cli::{Format, QueryArgs};
use crate::output::{print_error, try_print};
use crate::settings::Layer;
use crate::terminal::width_of_stdout;

/// The time between two requests. People do not read faster.
const PAUSE: Duration = Duration::from_secs(1);

/// Moves the cursor to the beginning and clears the terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// `gangway routes --watch`.
pub(super) fn routes(args: &QueryArgs) -> ExitCode {
    repeat("routes", ROUTES, args, |mut routes: api::RoutesResponse, is_terminal| {
        // Without a terminal, the counts of requests under way are left out: they would make a new output for each
        // request.
        if !is_terminal {
            let endpoints = routes.routes.iter_mut().flat_map(|route| &mut route.endpoints);
            endpoints.for_each(|endpoint| endpoint.under_way = None);
        }
        match args.format {
            Format::Text => show::routes(&routes, Sheet::stdout()),
            Format::Json => json(&routes),
        }
    })
}

/// `gangway top`: again and again on a terminal, else once.
pub(super) fn top(args: &QueryArgs) -> ExitCode {
    let shown = |figures: api::FiguresResponse, _: bool| match args.format {
        Format::Text => show::figures(&figures, Sheet::stdout()),
        Format::Json => json(&figures),
    };
    if width_of_stdout().is_some() && args.format == Format::Text {
        return repeat("top", FIGURES, args, shown);
    }
    let found = match find(&args.instance, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    match ask(&found.address, FIGURES) {
        Ok(figures) => {
            crate::output::print(shown(figures, false));
            ExitCode::SUCCESS
        }
        Err(error) => report_failure("top", &error),
    }
}

/// The path of the figures.
const FIGURES: &str = "/api/v1/figures";

/// Prints until the process is interrupted or its output is closed. Ends at once if the first request fails.
#[expect(clippy::disallowed_methods, reason = "no runtime is blocked: each request has one of its own")]
fn repeat<T: DeserializeOwned>(
    command: &str,
    path: &str,
    args: &QueryArgs,
    shown: impl Fn(T, bool) -> String,
) -> ExitCode {
    let found = match find(&args.instance, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    let (mut last, mut is_lost) = (None, false);
    loop {
        match ask::<T>(&found.address, path) {
            Ok(answer) => {
                is_lost = false;
                let is_terminal = width_of_stdout().is_some();
                let text = shown(answer, is_terminal);
                if last.as_ref() != Some(&text) {
                    let begin = match (is_terminal, &last) {
                        (true, _) => CLEAR,
                        (false, Some(_)) if args.format == Format::Text => "\n",
                        _ => "",
                    };
                    if try_print(format_args!("{begin}{text}")).is_err() {
                        return ExitCode::SUCCESS;
                    }
                    last = Some(text);
                }
            }
            Err(error) if last.is_none() => return report_failure(command, &error),
            // The instance may be restarting. That the output is out of date is printed once.
            Err(error) if !is_lost => {
                is_lost = true;
                print_error(format_args!("gangway {command}: failed to {error}; asking again"));
            }
            Err(_) => {}
        }
        sleep(PAUSE);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists always become JSON") + "\n"
}
