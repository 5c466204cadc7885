//! Finds the address of the running instance, from the same flags, variables and config file as the instance itself.

use std::fs;

use clap::Parser as _;
use gangway_diagnostic::Diagnostic;

use crate::cli::{Cli, Command, InstanceArgs};
use crate::exit_status::ExitStatus;
use crate::output::print_error;
use crate::settings::file::ConfigFile;
use crate::settings::schema::{ADMIN, CONFIG};
use crate::settings::{EnvironmentLayer, Layer, ProcessLayer, RawSettings, SettingValue, read_environment};

/// The effect of a variable that cannot be used.
const NOT_USED: &str = "it is not used";

/// The settings of the running instance, as far as they are known here.
#[derive(Debug)]
pub(crate) struct Found {
    /// The host and port of its admin listener.
    pub(crate) address: String,
    /// All settings that are known.
    pub(crate) raw: RawSettings,
}

/// Reads the settings. `flags` count beside those of `args`.
pub(crate) fn find(args: &InstanceArgs, mut flags: Layer) -> Result<Found, ExitStatus> {
    if let Some(admin) = &args.admin {
        flags.set(&ADMIN, vec![SettingValue::flag(admin)]);
    }
    if let Some(config) = &args.config {
        flags.set(&CONFIG, vec![SettingValue::flag(config.display().to_string())]);
    }
    let EnvironmentLayer { layer: variables, diagnostics, .. } = read_environment(std::env::vars_os(), NOT_USED);
    // A bad variable is no reason to give up: it may be meant for another program.
    for diagnostic in diagnostics {
        print_error(format_args!("gangway: warning: {}; {}", diagnostic.message, diagnostic.help));
    }
    // In the container of an instance, the flags of that instance are the best guess.
    let process = ProcessLayer::new(flags_of_main_process().unwrap_or_default().overlaid_by(flags), variables);
    let raw = process.read().unwrap_or_else(|diagnostics| without_file(&process, &diagnostics));
    let admin = raw.last(&ADMIN).unwrap_or_default();
    match address(&admin) {
        Some(address) => Ok(Found { address, raw }),
        None => {
            print_error(format_args!("gangway: `{admin}` is no address of a running instance"));
            print_error("  help: write an address and a port, such as `127.0.0.1:8420`");
            Err(ExitStatus::Usage)
        }
    }
}

/// The settings without the config file. A broken file is no reason to give up: the running instance may say what is
/// wrong.
fn without_file(process: &ProcessLayer, found: &[Diagnostic]) -> RawSettings {
    for diagnostic in found {
        print_error(format_args!("gangway: the config file is not used: {}", diagnostic.message));
    }
    process.over(ConfigFile::default())
}

/// The host and port to connect to. An instance that listens on all addresses is asked on this machine.
fn address(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let text = text.strip_prefix("http://").unwrap_or(text);
    let text = if text.parse::<u16>().is_ok() { format!(":{text}") } else { text.to_owned() };
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let is_name = |host: &str| !host.is_empty() && !host.contains([':', '/', '@', ' ']);
    match host {
        "" | "0.0.0.0" => Some(format!("127.0.0.1:{port}")),
        "[::]" => Some(format!("localhost:{port}")),
        _ if text.parse::<std::net::SocketAddr>().is_ok() || is_name(host) => Some(text),
        _ => None,
    }
}

/// The flags of the instance that is process 1 here, as in its own container. A health check there does not get the
/// flags of `serve`.
fn flags_of_main_process() -> Option<Layer> {
    if std::process::id() == 1 {
        return None;
    }
    let line = fs::read("/proc/1/cmdline").ok()?;
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    flags_of(&words.filter(|word| !word.is_empty()).collect::<Vec<_>>())
}

/// The flags in a command line of Gangway, or of an init process that runs Gangway.
fn flags_of(words: &[String]) -> Option<Layer> {
    let is_ours = |word: &String| word == "gangway" || word.ends_with("/gangway");
    let start = match words.iter().position(|word| word == "--") {
        Some(dashes) if !is_ours(words.first()?) => dashes + 1,
        _ => 0,
    };
    let words = words.get(start..)?;
    if !is_ours(words.first()?) {
        return None;
    }
    let Cli { command, serve } = Cli::try_parse_from(words).ok()?;
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(flags) => Some(flags.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_written_in_several_ways() {
        for (text, expected) in [
            ("127.0.0.1:8420", "127.0.0.1:8420"),
            ("http://gangway:8420/", "gangway:8420"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "localhost:1"),
            ("[::1]:1", "[::1]:1"),
            (":1", "127.0.0.1:1"),
            ("8420", "127.0.0.1:8420"),
        ] {
            assert_eq!(address(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "gangway", "a:b", "::1", "a b:1", "a/b:1", "x@y:1", "127.0.0.1:99999"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn flags_are_taken_from_the_command_line_of_an_instance() {
        let flags = |line: &str| flags_of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let admin = |line: &str| flags(line).and_then(|layer| Some(layer.last(&ADMIN)?.to_owned()));
        assert_eq!(admin("/gangway serve --admin 0.0.0.0:1").as_deref(), Some("0.0.0.0:1"));
        assert_eq!(admin("/sbin/docker-init -- /gangway --admin=:2").as_deref(), Some(":2"));
        assert_eq!(flags("/sbin/init"), None);
        assert_eq!(flags("/gangway check x"), None);
        assert_eq!(flags("sh -c gangway"), None);
    }
}
