//! The binary: reads the command line and runs the command.

mod ca;
mod certs;
mod check;
mod cli;
mod client;
mod exit_status;
mod finding_log;
mod hash;
mod hosts;
mod main_process;
mod manual;
mod migrate;
mod output;
mod pem_file;
mod serve;
mod sessions;
mod settings;
mod terminal;
mod traefik;
mod traefik_command;
mod traefik_compare;
mod volume;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{CertsArgs, CertsCommand, Cli, Command, SessionsArgs, SessionsCommand};
use crate::exit_status::ExitStatus;
use crate::output::print;
use crate::settings::Layer;

/// Requests allocate and free small pieces on many threads. mimalloc is made for that; the allocator of the C library,
/// which a static binary would use otherwise, is not. Without huge pages (`no_thp`): with them an idle process holds 40 MiB
/// more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before any other code could install another provider.
    gangway_tls::install_crypto_provider();
    let mut arguments = std::env::args_os().filter_map(|text| text.into_string().ok());
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    if let Some(arguments) = traefik_command::arguments(&program, &arguments) {
        return traefik_command::run(arguments);
    }
    let Cli { command, serve } = Cli::parse();
    if command.is_none() && serve.0 == Layer::default() && !main_process::is_main_process() {
        // A user who types `gangway` alone has asked for nothing. To serve would make a data folder in this
        // directory, or compete with an instance that runs.
        return help();
    }
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(flags) => serve::run(flags.0, None),
        Command::Check(args) => check::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Explain(args) => client::explain(&args),
        Command::Routes(args) => client::routes(&args),
        Command::Top(args) => client::top(&args),
        Command::Log(args) => client::log(&args),
        Command::Certs(CertsArgs { command: None, query }) => client::certs(&query),
        Command::Certs(CertsArgs { command: Some(CertsCommand::Import(args)), .. }) => certs::import(&args),
        Command::Certs(CertsArgs { command: Some(CertsCommand::Rekey(args)), .. }) => certs::rekey(&args),
        Command::Status(args) => client::status(&args),
        Command::Hosts(args) => hosts::hosts(&args),
        Command::Release(args) => hosts::release(&args),
        Command::Sessions(SessionsArgs { command: None, list }) => sessions::list(&list),
        Command::Sessions(SessionsArgs { command: Some(SessionsCommand::List(list)), .. }) => sessions::list(&list),
        Command::Sessions(SessionsArgs { command: Some(SessionsCommand::Revoke(args)), .. }) => sessions::revoke(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Hash(args) => hash::run(&args),
        Command::Healthcheck(args) => client::healthcheck(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man(args) => manual::run(&args),
        Command::Version => {
            print(format_args!("gangway {}\n", env!("CARGO_PKG_VERSION")));
            ExitStatus::Success.into()
        }
    }
}

fn help() -> ExitCode {
    let mut command = Cli::command();
    let help = command.render_help();
    print(if std::io::stdout().is_terminal() { help.ansi().to_string() } else { help.to_string() });
    ExitStatus::Success.into()
}

/// The script is made in memory first, because `generate` panics if it writes to a closed pipe.
fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gangway", &mut script);
    print(String::from_utf8_lossy(&script));
    ExitStatus::Success.into()
}
