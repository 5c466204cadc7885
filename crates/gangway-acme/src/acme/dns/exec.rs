//! A program of the user's that makes records: `<program> present|cleanup <record> <value>`.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::Change;

/// So much of what the program says is shown.
const WORDS_BYTES_MAX: usize = 400;

/// Runs it. Its exit code decides; what it writes to standard error says why.
pub(super) async fn change(program: &Path, owner: &str, value: &str, change: Change) -> Result<(), String> {
    let act = match change {
        Change::Present => "present",
        Change::Remove => "cleanup",
    };
    let mut command = Command::new(program);
    command.args([act, &format!("{owner}."), value]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A program that hangs is ended when the wait for it is.
    let output = command.kill_on_drop(true).output().await.map_err(|error| format!("run the program: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr[..output.stderr.len().min(WORDS_BYTES_MAX)]).replace('\n', " ");
    Err(format!("the program ended with {}: {}", output.status, words.trim()))
}
