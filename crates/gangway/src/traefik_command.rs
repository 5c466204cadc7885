//! Traefik's command line: it serves in Traefik's place, asks for its health, or compares with a running Traefik.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gangway_model::ListenerName;
use gangway_traefik::{FILE_NAMES, OWN_ENTRY_POINT, are_variables, is_command_line, read_static};

use crate::client;
use crate::exit_status::ExitStatus;
use crate::main_process;
use crate::output::{print, print_error};
use crate::serve;
use crate::settings::Layer;
use crate::traefik::InTraefiksPlace;
use crate::traefik_compare;

/// Where Traefik looks for its file, in this order.
const FOLDERS: [&str; 2] = ["/etc/traefik", "."];

/// The name by which the program takes Traefik's arguments, as health checks and entrypoints of a stack call it.
const PROGRAM: &str = "traefik";

const HELP: &str = "\
Gangway in Traefik's place: it takes Traefik's flags, variables and files.

Usage: gangway traefik [--OPTION=VALUE]...
       gangway traefik healthcheck [--OPTION=VALUE]...
       gangway traefik version

Options:
  --<option>=<value>  An option of Traefik's static configuration, such as --entrypoints.web.address=:80
  --configfile=FILE   Traefik's own file
  --compare=URL       Compares with the Traefik whose API is at URL, and serves nothing
  -h, --help          Prints this
      --version       Prints the version

`gangway check` says of each option whether it is in force. `gangway --help` shows what Gangway itself takes.
";

/// The arguments for Traefik, if this process was started in its place: by the name of the program, by the subcommand, by a
/// command line of Traefik, or without arguments beside a file or variables of Traefik.
pub(crate) fn arguments<'a>(program: &str, all: &'a [String]) -> Option<&'a [String]> {
    match all {
        all if Path::new(program).file_name().is_some_and(|name| name == PROGRAM) => Some(all),
        [first, rest @ ..] if first == "traefik" => Some(rest),
        [first, rest @ ..] if first == "serve" && is_command_line(rest.iter().map(String::as_str)) => Some(rest),
        // What runs beside the service in its container has its variables too, and is not the service.
        [] if main_process::is_main_process() && (is_file_in(&FOLDERS) || has_variables()) => Some(all),
        // The image says `serve` where a compose file says nothing.
        [first] if first == "serve" && (has_variables() || main_process::is_main_process() && is_file_in(&FOLDERS)) => {
            Some(&[])
        }
        all if is_command_line(all.iter().map(String::as_str)) => Some(all),
        _ => None,
    }
}

/// Whether Traefik's file is in one of the folders.
fn is_file_in(folders: &[impl AsRef<Path>]) -> bool {
    let is_there = |name: &str| folders.iter().any(|folder| folder.as_ref().join(name).is_file());
    FILE_NAMES.into_iter().any(is_there)
}

fn has_variables() -> bool {
    are_variables(variables().iter().map(|(name, _)| &**name))
}

/// Does what a command line of Traefik says: it serves, or does what the command that stands first is for.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let has = |words: &[&str]| arguments.iter().any(|argument| words.contains(&argument.as_str()));
    match arguments {
        _ if has(&["--help", "-h"]) => {
            print(HELP);
            ExitStatus::Success.into()
        }
        [first, ..] if first == "version" => version(),
        _ if has(&["--version"]) => version(),
        [first, rest @ ..] if first == "healthcheck" => healthcheck(rest),
        arguments => serve_in_place(arguments),
    }
}

fn version() -> ExitCode {
    print(format_args!("Version:      {}\nCodename:     Gangway\n", env!("CARGO_PKG_VERSION")));
    ExitStatus::Success.into()
}

/// Asks the instance that runs by these arguments for `/ping`, as Traefik's command does.
fn healthcheck(arguments: &[String]) -> ExitCode {
    let config = read_static(arguments, &variables(), &FOLDERS.map(PathBuf::from)).config;
    let Some(ping) = &config.ping else {
        print_error(format_args!("gangway: failed to check: `ping` is not switched on. Add `--ping`."));
        return ExitStatus::Problem.into();
    };
    let own = ListenerName::parse(OWN_ENTRY_POINT);
    let name = ping.entry_point.as_ref().or(own.as_ref());
    let at = name.and_then(|name| config.http_entry_points().find(|(known, ..)| *known == name));
    match at {
        Some((_, entry, address)) if entry.tls.is_none() && !ping.manual_routing => {
            let ip = address.ip.filter(|ip| !ip.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            client::ping(&SocketAddr::new(ip, address.port).to_string())
        }
        // Over TLS, or behind a router of the user's own, it is asked for in no way that is known here.
        Some(_) | None => client::readiness(),
    }
}

fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("TRAEFIK_"))
        .collect()
}

fn serve_in_place(arguments: &[String]) -> ExitCode {
    let (arguments, compared_with) = traefik_compare::take_url(arguments);
    let arguments = &arguments[..];
    let reading = read_static(arguments, &variables(), &FOLDERS.map(PathBuf::from));
    let place = InTraefiksPlace::of(reading);
    match compared_with {
        Some(url) => traefik_compare::run(&url, place),
        None => serve::run(Layer::default(), Some(place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_counts_in_its_folder_and_where_the_process_is_started() {
        let (own, working) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let folders = [own.path(), working.path()];
        assert!(!is_file_in(&folders));
        for folder in folders {
            let file = folder.join("traefik.yml");
            std::fs::File::create(&file).expect("a file");
            assert!(is_file_in(&folders), "{}", folder.display());
            std::fs::remove_file(file).expect("removed");
        }
    }
}
