//! One request to the API of the running instance.

use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::http::{self, AskError};
use crate::output::print_error;

/// The time for an answer. Ten thousand routes take less than a second.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// The path of the routes in force.
pub(super) const ROUTES: &str = "/api/v1/routes";

/// Asks for one path and parses the answer.
pub(crate) fn ask<T: DeserializeOwned>(address: &str, path: &str) -> Result<T, AskError> {
    let text = http::get(address, path, ANSWER_TIME)?;
    serde_json::from_str(&text)
        .map_err(|error| AskError::Strange { address: address.to_owned(), error: error.to_string() })
}

/// Prints why there is no answer, and returns the exit status for it.
pub(super) fn report_failure(command: &str, error: &AskError) -> ExitCode {
    print_error(format_args!("gangway {command}: failed to {error}"));
    if let Some(help) = error.help() {
        print_error(format_args!("  help: {help}"));
    }
    error.exit_status().into()
}

/// The bytes of a parameter that are encoded. Those that are common in URLs stay readable.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// Encodes a parameter of a query.
pub(super) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}
