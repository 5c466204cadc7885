//! A program of the user that makes records: `<program> present|cleanup <record> <value>`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::record::RecordChange;

/// The part of the program's output that is kept. The rest is read and dropped, so that the program does not block
/// on a full pipe.
const WORDS_BYTES_MAX: u64 = 400;

/// The variables that every program may need: paths, the locale and proxies. The program gets no other part of our
/// environment, least of all the secrets of other providers.
const VARIABLES: [&str; 15] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Variables with this prefix are passed to the program without the prefix.
pub(super) const PREFIX: &str = "EXEC_";

/// Runs the program. Its exit code decides; its standard error becomes the error's text.
pub(super) async fn change(program: &Path, owner: &str, value: &str, change: RecordChange) -> Result<(), String> {
    let act = match change {
        RecordChange::Present => "present",
        RecordChange::Remove => "cleanup",
    };
    let mut command = Command::new(program);
    command.args([act, &format!("{owner}."), value]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env_clear().envs(environment(std::env::vars_os()));
    // A program that hangs is ended when the wait for it is dropped.
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| format!("run the program: {error}"))?;
    let mut words = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = (&mut stderr).take(WORDS_BYTES_MAX).read_to_end(&mut words).await;
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    let status = child.wait().await.map_err(|error| format!("wait for the program: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&words).replace('\n', " ");
    Err(format!("the program ended with {status}: {}", words.trim()))
}

/// The part of our environment that a program gets.
fn environment(ours: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let (mut given, mut own) = (Vec::new(), Vec::new());
    for (name, value) in ours {
        match name.as_bytes().strip_prefix(PREFIX.as_bytes()) {
            Some(rest) if !rest.is_empty() => own.push((OsString::from_vec(rest.to_vec()), value)),
            _ if VARIABLES.iter().any(|known| *OsStr::new(known) == *name) => given.push((name, value)),
            _ => {}
        }
    }
    // The later one wins: a variable set for the program goes last.
    given.append(&mut own);
    given
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    /// Writes a script in such a way that no process has it open for writing when it runs.
    fn script(folder: &Path, text: &str) -> std::path::PathBuf {
        let path = folder.join("hook.sh");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o700).open(&path).expect("is ours");
        file.write_all(text.as_bytes()).expect("is ours");
        path
    }

    #[test]
    fn a_program_sees_what_is_its_own_and_nobody_elses_secret() {
        let ours = [
            ("PATH", "/bin"),
            ("TZ", "UTC"),
            ("EXEC_TZ", "CET"),
            ("EXEC_TOKEN", "t"),
            ("EXEC_", "x"),
            ("CLOUDFLARE_API_TOKEN", "secret"),
            ("GANGWAY_ACME_EAB_KEY", "secret"),
        ];
        let given = environment(ours.map(|(name, value)| (name.into(), value.into())).into_iter());
        let expected = [("PATH", "/bin"), ("TZ", "UTC"), ("TZ", "CET"), ("TOKEN", "t")];
        assert_eq!(given, expected.map(|(name, value)| (OsString::from(name), OsString::from(value))));
    }

    #[tokio::test]
    async fn a_program_that_never_stops_talking_costs_no_memory_and_is_not_kept_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let loud =
            "#!/bin/sh\nhead -c 4000000 /dev/zero | tr '\\0' x >&2\necho \"$1 $2 $3\" > \"${0%/*}/said\"\nexit 3\n";
        let program = script(folder.path(), loud);
        let outcome = change(&program, "_acme-challenge.a.test", "v", RecordChange::Present).await;
        let error = outcome.expect_err("it ends with 3");
        assert!(error.starts_with("the program ended with exit status: 3: xxx") && error.len() < 500, "{error}");
        let said = std::fs::read_to_string(folder.path().join("said")).expect("it came to its end");
        assert_eq!(said.trim(), "present _acme-challenge.a.test. v");
    }
}
