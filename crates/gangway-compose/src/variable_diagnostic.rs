//! Diagnostics about references to variables.

use gangway_diagnostic::codes::{VARIABLE_REFUSED, VARIABLE_UNSET};

use crate::interpolation::{VariableError, VariableProblem};
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::SourceMap;

/// A diagnostic about a reference to a variable.
///
/// `is_inside` is whether the service sets a variable for its own process, which users often take for the same.
pub(crate) fn variable_diagnostic(
    sources: &SourceMap,
    error: VariableError,
    is_inside: impl Fn(&str) -> bool,
) -> SourceDiagnostic {
    let VariableError { problem, span } = error;
    match problem {
        VariableProblem::Unset(name) => {
            let help = if is_inside(&name) {
                format!(
                    "`environment` and `env_file` set variables inside the container only; set `{name}` in `.env` \
                     beside the compose file, or give a default: `${{{name}:-value}}`"
                )
            } else {
                format!(
                    "set `{name}` in `.env` beside the compose file, or give a default: `${{{name}:-value}}`; where \
                     a `$` is meant, write `$$`"
                )
            };
            SourceDiagnostic::warning(sources, VARIABLE_UNSET, span, format!("the variable `{name}` is not set"))
                .with_note("not set here")
                .with_help(help)
                .with_effect("it was taken as empty, as compose does")
        }
        VariableProblem::Required(name, message) => {
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            let message = format!("the variable `{name}` must be set{message}");
            SourceDiagnostic::error(sources, VARIABLE_REFUSED, span, message)
                .with_note("required")
                .with_help(format!("set `{name}` in `.env` beside the compose file"))
                .with_effect("compose starts nothing of this file; it was taken as empty here")
        }
        VariableProblem::Invalid => {
            SourceDiagnostic::error(sources, VARIABLE_REFUSED, span, "this `$` begins no variable")
                .with_note("not a name behind it")
                .with_help("write `$$` where a `$` is meant, as in password hashes")
                .with_effect("compose starts nothing of this file; the value was taken as written here")
        }
    }
}
