//! Output of the commands: what they found on standard output, problems on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes to standard output and ignores errors: a reader that closed the pipe, such as `head`, has what it wanted.
pub(crate) fn print(text: impl Display) {
    let _ = try_print(text);
}

/// Writes to standard output.
///
/// # Errors
///
/// The reader has closed the pipe.
pub(crate) fn try_print(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// Writes a line to standard error. An error is ignored: there is no other place to report it.
pub(crate) fn print_error(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
