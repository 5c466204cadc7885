//! Load by h2load, and its log of every request.
//!
//! The percentiles come from the log. The summary that h2load prints has only mean and maximum, and one lost time slice
//! of the machine decides about the latter.

use std::path::Path;
use std::process::Command;

use crate::bench::sample::{Sample, Watch};
use crate::process::outcome;

/// A load as h2load is given it.
#[derive(Clone, Debug)]
pub struct H2load<'a> {
    /// Whether HTTP/1.1 is asked for; HTTP/2 otherwise.
    pub is_h1: bool,
    /// The number of connections.
    pub connections: u32,
    /// The number of requests that a connection has under way.
    pub streams: u32,
    /// Requests a second of all connections together; as many as are answered without it.
    pub rate: Option<f64>,
    /// The file that each request uploads.
    pub body: Option<&'a Path>,
    /// Further fields, each `name: value`.
    pub fields: &'a [&'a str],
    /// The URL.
    pub url: &'a str,
}

/// Runs h2load against the proxy that is this process, for about so many seconds.
///
/// # Panics
///
/// Panics if anything was answered but 200.
pub fn run(load: &H2load<'_>, process: u32, seconds: u64, log: &Path) -> Sample {
    let _ = std::fs::remove_file(log);
    let mut command = Command::new("h2load");
    command.args(["-t", "1", "-c", &load.connections.to_string(), "-m", &load.streams.to_string()]);
    command.args(["-D", &seconds.to_string()]).arg(format!("--log-file={}", log.display()));
    if load.is_h1 {
        command.arg("--h1");
    }
    if let Some(rate) = load.rate {
        command.arg(format!("--rps={:.3}", rate / f64::from(load.connections)));
    }
    if let Some(body) = load.body {
        command.arg("-d").arg(body);
    }
    for field in load.fields {
        command.args(["-H", field]);
    }
    command.arg(load.url);
    let watch = Watch::begin(process);
    let said = outcome(&mut command);
    let sample = watch.end(0, Vec::new());
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(" 0 3xx, 0 4xx, 0 5xx"), "{}: {said}", load.url);
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let micros = answered(&text);
    assert!(!micros.is_empty(), "{} answered nothing: {said}", load.url);
    Sample { requests: micros.len() as u64, micros, ..sample }
}

/// The third column of the requests that were answered with 200: microseconds until the end of the answer.
fn answered(log: &str) -> Vec<u32> {
    let micros = |line: &str| {
        let mut columns = line.split('\t').skip(1);
        let is_good = columns.next() == Some("200");
        columns.next().filter(|_| is_good).and_then(|word| word.parse().ok())
    };
    log.lines().filter_map(micros).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_by_its_third_column() {
        let log = "1700000000000000\t200\t1234\n1700000000000001\t503\t9\n1700000000000002\t-1\t7\n\
                   1700000000000003\t200\t66\textra\n";
        assert_eq!(answered(log), [1234, 66]);
    }
}
