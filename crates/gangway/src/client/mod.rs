//! The commands that ask the running instance over its admin listener. Where it cannot be reached, they end
//! with 3.

mod find;
mod http;
mod show;
mod table;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use gangway_admin::api;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use find::{Found, find};
use http::AskError;
pub(crate) use table::{Sheet, table};

use crate::cli::{ExplainArgs, Format, InstanceArgs, QueryArgs, RoutesArgs};
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};
use crate::settings::Layer;

/// For an answer; ten thousand routes take less than a second.
const ANSWER_TIME: Duration = Duration::from_secs(20);

const ROUTES: &str = "/api/v1/routes";

/// A health check must have ended before its caller gives up, which is after three seconds in our image.
const HEALTH_TIME: Duration = Duration::from_secs(2);

/// `gangway routes`.
pub(crate) fn routes(args: &RoutesArgs) -> ExitCode {
    if args.watch {
        return watch::routes(&args.query);
    }
    let shown = |routes: &api::RoutesResponse| (show::routes(routes, Sheet::stdout()), ExitStatus::Success);
    answered::<api::RoutesResponse>("routes", &args.query, ROUTES, shown)
}

/// `gangway certs`: 1 where a certificate is wrong or missing.
pub(crate) fn certs(args: &QueryArgs) -> ExitCode {
    answered::<api::CertificatesResponse>("certs", args, "/api/v1/certificates", |certificates| {
        let troubled = certificates.certificates.iter().any(|certificate| certificate.trouble.is_some());
        (
            show::certificates(certificates, Sheet::stdout()),
            if troubled { ExitStatus::Problem } else { ExitStatus::Success },
        )
    })
}

/// `gangway status`: 1 where something asked for is not in force.
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
        Err(error) => failed("status", &error),
    }
}

/// `gangway explain`: 1 where no route takes the request.
pub(crate) fn explain(args: &ExplainArgs) -> ExitCode {
    let mut query = format!("url={}&method={}", encoded(&args.url), encoded(&args.method));
    if let Some(from) = &args.from {
        query += &format!("&from={}", encoded(from));
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

/// `gangway healthcheck`: 0 where a table is in force, else 1: engines know no other.
pub(crate) fn healthcheck(args: &InstanceArgs) -> ExitCode {
    let found = match find(args, Layer::default()) {
        Ok(found) => found,
        Err(status) => return status.into(),
    };
    match http::get(&found.address, "/readyz", HEALTH_TIME) {
        Ok(text) => {
            print(text);
            ExitStatus::Success.into()
        }
        Err(error) => {
            failed("healthcheck", &error);
            ExitStatus::Problem.into()
        }
    }
}

/// Asks, prints, and ends as `shown` says.
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
        Err(error) => failed(command, &error),
    }
}

/// One answer of the API.
pub(crate) fn ask<T: DeserializeOwned>(address: &str, path: &str) -> Result<T, AskError> {
    let text = http::get(address, path, ANSWER_TIME)?;
    serde_json::from_str(&text)
        .map_err(|error| AskError::Strange { address: address.to_owned(), error: error.to_string() })
}

fn failed(command: &str, error: &AskError) -> ExitCode {
    print_error(format_args!("gangway {command}: failed to {error}"));
    if let Some(help) = error.help() {
        print_error(format_args!("  help: {help}"));
    }
    error.exit_status().into()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("texts, numbers and lists always become JSON") + "\n"
}

/// The bytes of a parameter that are encoded. Those that are common in URLs stay readable.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// Encodes a parameter of a query.
fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}
