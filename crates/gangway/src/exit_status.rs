//! The exit codes of the commands, as the reference promises them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExitStatus {
    /// The command did its work and found no problem.
    Success,
    /// The command found a problem, or failed.
    Problem,
    /// The command line or the settings cannot be used.
    Usage,
    /// The running instance cannot be reached.
    Unreachable,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Success => 0,
            ExitStatus::Problem => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Unreachable => 3,
        })
    }
}
