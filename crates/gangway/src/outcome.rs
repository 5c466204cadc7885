//! How commands end, and how they say what they have to say.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// What a command found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Nothing is wrong.
    Fine,
    /// Something is.
    Found,
    /// It was used wrongly.
    Usage,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Fine => 0,
            Outcome::Found => 1,
            Outcome::Usage => 2,
        })
    }
}

/// Writes to standard output. A reader that went away, as `head` does, has seen what it wanted.
pub(crate) fn print(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// Writes to standard error, where nobody may be left to read it.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
