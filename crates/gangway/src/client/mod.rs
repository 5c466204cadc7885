//! The commands that ask the running instance over its admin listener. If it cannot be reached, they exit with status 3.

mod api_request;
mod find;
mod follow;
mod http;
mod log_line;
mod printed;
mod show;
mod table;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use gangway_admin::api;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use api_request::ask;
use api_request::{ROUTES, encoded, report_failure};
pub(crate) use find::{Found, find};
pub(crate) use table::{Sheet, table};

use crate::cli::{ExplainArgs, Format, InstanceArgs, LogArgs, QueryArgs, RoutesArgs};
use crate::exit_status::ExitStatus;
use crate::output::print;
use crate::settings::Layer;

/// The time for a health check. It must end before its caller gives up, which is after three seconds in our image.
const HEALTH_TIME: Duration = Duration::from_secs(2);

/// `gangway routes`.
pub(crate) fn routes(args: &RoutesArgs) -> ExitCode {
    if args.watch {
        return watch::routes(&args.query);
    }
    let shown = |routes: &api::RoutesResponse| (show::routes(routes, Sheet::stdout()), ExitStatus::Success);
    answered::<api::RoutesResponse>("routes", &args.query, ROUTES, shown)
}

/// `gangway log`.
pub(crate) fn log(args: &LogArgs) -> ExitCode {
    follow::log(args)
}

/// `gangway top`.
pub(crate) fn top(args: &QueryArgs) -> ExitCode {
    watch::top(args)
}

/// `gangway certs`. Exits with status 1 if a certificate is wrong or missing.
pub(crate) fn certs(args: &QueryArgs) -> ExitCode {
    answered::<api::CertificatesResponse>("certs", args, "/api/v1/certificates", |certificates| {
        let troubled = certificates.certificates.iter().any(|certificate| certificate.trouble.is_some());
        (
            show::certificates(certificates, Sheet::stdout()),
            if troubled { ExitStatus::Problem } else { ExitStatus::Success },
        )
    })
}

/// `gangway status`. Exits with status 1 if something that was asked for is not in force.
pub(crate) fn status(args: &QueryArgs) -> ExitCode {
    let found = match find(&args.instance, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    let answers = ask::<api::StatusResponse>(&found.address, "/api/v1/status").and_then(|status| {
        ask::<api::DiagnosticsResponse>(&found.address, "/api/v1/diagnostics").map(|diagnostics| (status, diagnostics))
    });
    match answers {
        Ok((status, diagnostics)) => {
            let in_trouble = !status.ready
                || status.errors > 0
                || status.volume_degraded
                || status.engines.iter().any(|engine| engine.trouble.is_some());
            match args.format {
                Format::Text => print(show::status(&status, &diagnostics)),
                Format::Json => {
                    print(json(&show::StatusWithDiagnostics { status, diagnostics: diagnostics.diagnostics }));
                }
            }
            if in_trouble { ExitStatus::Problem } else { ExitStatus::Success }.into()
        }
        Err(error) => report_failure("status", &error),
    }
}

/// `gangway explain`. Exits with status 1 if no route takes the request.
pub(crate) fn explain(args: &ExplainArgs) -> ExitCode {
    let mut query = format!("url={}&method={}", encoded(&args.url), encoded(&args.method));
    if let Some(from) = &args.from {
        query += &format!("&from={}", encoded(from));
    }
    if let Some(listener) = &args.listener {
        query += &format!("&listener={}", encoded(listener));
    }
    for header in &args.headers {
        query += &format!("&header={}", encoded(header));
    }
    let path = format!("/api/v1/explain?{query}");
    answered::<api::ExplainResponse>("explain", &args.query, &path, |explanation| {
        (
            show::explanation(explanation),
            if explanation.route.is_some() { ExitStatus::Success } else { ExitStatus::Problem },
        )
    })
}

/// `gangway healthcheck`. Exits with status 0 if a table is in force, and otherwise with 1: engines know no other status.
pub(crate) fn healthcheck(args: &InstanceArgs) -> ExitCode {
    let found = match find(args, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    asked_for_health(&found.address, "/readyz")
}

/// The same for the instance of the variables and the usual config file.
pub(crate) fn readiness() -> ExitCode {
    healthcheck(&InstanceArgs::default())
}

/// Exits with status 0 if `/ping` at this address is answered by success.
pub(crate) fn ping(address: &str) -> ExitCode {
    asked_for_health(address, "/ping")
}

fn asked_for_health(address: &str, path: &str) -> ExitCode {
    match http::get(address, path, HEALTH_TIME) {
        Ok(text) => {
            print(text);
            ExitStatus::Success.into()
        }
        Err(error) => {
            report_failure("healthcheck", &error);
            ExitStatus::Problem.into()
        }
    }
}

/// Asks the instance and prints the answer. `shown` gives the text and the exit status.
fn answered<T: DeserializeOwned + Serialize>(
    command: &str,
    args: &QueryArgs,
    path: &str,
    shown: impl Fn(&T) -> (String, ExitStatus),
) -> ExitCode {
    let found = match find(&args.instance, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    match ask::<T>(&found.address, path) {
        Ok(answer) => {
            let (text, outcome) = shown(&answer);
            print(if args.format == Format::Json { json(&answer) } else { text });
            outcome.into()
        }
        Err(error) => report_failure(command, &error),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("texts, numbers and lists always become JSON") + "\n"
}
