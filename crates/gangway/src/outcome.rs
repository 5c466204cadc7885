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
    /// Nobody could be asked.
    Unreachable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Fine => 0,
            Outcome::Found => 1,
            Outcome::Usage => 2,
            Outcome::Unreachable => 3,
        })
    }
}

/// Writes to standard output. A reader that went away, as `head` does, has seen what it wanted.
pub(crate) fn print(text: impl Display) {
    try_print(text);
}

/// The same; false where nobody reads any more.
pub(crate) fn try_print(text: impl Display) -> bool {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Writes to standard error, where nobody may be left to read it.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
