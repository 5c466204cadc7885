//! `gangway hash`: a password → its hash, against which `auth.basic` checks it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::HashArgs;
use crate::exit_status::ExitStatus;
use crate::output::{print, print_error};

/// The memory for one check in KiB. Of the parameters that OWASP calls equally strong, these take the least memory:
/// a small machine may check many passwords at once.
const MEMORY_KIB: u32 = 7 * 1024;

/// The number of passes over the memory.
const PASSES: u32 = 5;

/// A longer line is surely a file that was piped in by mistake.
const PASSWORD_LEN_MAX: usize = 1024;

/// Asks for a password, or reads it from standard input, and prints its hash.
pub(crate) fn run(args: &HashArgs) -> ExitCode {
    if args.user.as_deref().is_some_and(|user| !is_user(user)) {
        print_error("gangway hash: a user's name is not empty and has no colon, comma, space or control character");
        return ExitStatus::Usage.into();
    }
    match password().and_then(|password| hash(&password)) {
        Ok(hash) => {
            print(entry(args, &hash) + "\n");
            ExitStatus::Success.into()
        }
        Err(error) => {
            print_error(format_args!("gangway hash: failed to {error}"));
            ExitStatus::Problem.into()
        }
    }
}

/// One entry of `auth.basic`.
fn entry(args: &HashArgs, hash: &str) -> String {
    let entry = args.user.as_ref().map_or_else(|| hash.to_owned(), |user| format!("{user}:{hash}"));
    if args.compose { entry.replace('$', "$$") } else { entry }
}

fn is_user(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|char: char| char == ':' || char == ',' || char.is_whitespace() || char.is_control())
}

fn hash(password: &str) -> Result<String, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the constants are within argon2's bounds");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::generate(&mut OsRng);
    let hash = argon2.hash_password(password.as_bytes(), &salt).map_err(HashError::Hash)?;
    Ok(hash.to_string())
}

fn password() -> Result<String, HashError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return checked(read_line(&mut stdin.lock())?);
    }
    let first = checked(read_silently("Password: ")?)?;
    if read_silently("Again: ")? == first { Ok(first) } else { Err(HashError::Different) }
}

fn checked(password: String) -> Result<String, HashError> {
    if password.is_empty() { Err(HashError::Empty) } else { Ok(password) }
}

/// Reads one line, without its line ending.
fn read_line(from: &mut impl BufRead) -> Result<String, HashError> {
    let mut line = String::new();
    let mut bounded = io::Read::take(from, PASSWORD_LEN_MAX as u64 + 2);
    bounded.read_line(&mut line).map_err(HashError::Read)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.len() > PASSWORD_LEN_MAX { Err(HashError::TooLong) } else { Ok(password.to_owned()) }
}

/// Asks at the terminal and does not show the typed text.
fn read_silently(question: &str) -> Result<String, HashError> {
    let stdin = io::stdin();
    let failed = |errno: rustix::io::Errno| HashError::Read(errno.into());
    let before = tcgetattr(&stdin).map_err(failed)?;
    let mut silent = before.clone();
    silent.local_modes -= LocalModes::ECHO;
    silent.local_modes |= LocalModes::ECHONL;
    let _ = write!(io::stderr(), "{question}");
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(failed)?;
    let line = read_line(&mut stdin.lock());
    tcsetattr(&stdin, OptionalActions::Now, &before).map_err(failed)?;
    line
}

/// Why the password cannot be hashed. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error("read the password: {0}")]
    Read(io::Error),
    #[error("read the password: it is empty")]
    Empty,
    #[error("read the password: it has more than {PASSWORD_LEN_MAX} bytes")]
    TooLong,
    #[error("read the password: the two are different")]
    Different,
    #[error("make the hash: {0}")]
    Hash(argon2::password_hash::Error),
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;
    use argon2::password_hash::PasswordHash;

    use super::*;

    #[test]
    fn only_the_password_matches_its_hash() {
        let text = hash("correct horse").expect("a hash");
        let parsed = PasswordHash::new(&text).expect("in PHC form");
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"correct horsf", &parsed).is_err());
        assert_ne!(hash("correct horse").expect("a hash"), text, "the salt is new each time");
    }

    #[test]
    fn an_entry_has_the_user_and_survives_compose() {
        let args = HashArgs { user: Some("bob".into()), compose: true };
        assert_eq!(entry(&args, "$x$y"), "bob:$$x$$y");
        assert_eq!(entry(&HashArgs { user: None, compose: false }, "$x$y"), "$x$y");
        assert!(is_user("bob") && !is_user("") && !is_user("a:b") && !is_user("a b") && !is_user("a,b"));
    }

    #[test]
    fn the_line_ending_is_not_part_of_the_password() {
        let read = |text: &str| read_line(&mut text.as_bytes());
        assert_eq!(read("a b \r\nrest").expect("a line"), "a b ");
        assert_eq!(read("a").expect("a line"), "a");
        assert!(matches!(read(&"x".repeat(PASSWORD_LEN_MAX + 1)), Err(HashError::TooLong)));
        assert!(matches!(read("").and_then(checked), Err(HashError::Empty)));
    }
}
