//! The binary: the command line, and everything put together.

mod ca;
mod certs;
mod check;
mod cli;
mod client;
mod exit_status;
mod hash;
mod hosts;
mod main_process;
mod output;
mod serve;
mod settings;
mod terminal;
mod volume;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Certs, CertsAct, Cli, Sub};
use crate::exit_status::ExitStatus;
use crate::output::print;
use crate::settings::Layer;

/// Requests allocate and free small pieces on many threads, which it is made for; and a static binary
/// would otherwise have the C library's, which is not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else could install another provider.
    gangway_tls::install_crypto_provider();
    let Cli { command, serve } = Cli::parse();
    if command.is_none() && serve.0 == Layer::default() && !main_process::is_main_process() {
        // Nothing was asked for. To serve would make a data folder here, or stand beside an instance that runs.
        return help();
    }
    match command.unwrap_or(Sub::Serve(serve)) {
        Sub::Serve(flags) => serve::run(flags.0),
        Sub::Check(asked) => check::run(&asked),
        Sub::Explain(asked) => client::explain(&asked),
        Sub::Routes(asked) => client::routes(&asked),
        Sub::Certs(Certs { act: None, ask }) => client::certs(&ask),
        Sub::Certs(Certs { act: Some(CertsAct::Import(asked)), .. }) => certs::import(&asked),
        Sub::Certs(Certs { act: Some(CertsAct::Rekey(asked)), .. }) => certs::rekey(&asked),
        Sub::Status(asked) => client::status(&asked),
        Sub::Hosts(asked) => hosts::hosts(&asked),
        Sub::Release(asked) => hosts::release(&asked),
        Sub::Ca(asked) => ca::run(&asked),
        Sub::Hash(asked) => hash::run(&asked),
        Sub::Healthcheck(find) => client::healthcheck(&find),
        Sub::Completions { shell } => completions(shell),
        Sub::Version => {
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

/// Made in memory first: who writes a script to a pipe that was closed is no reason for a panic.
fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gangway", &mut script);
    print(String::from_utf8_lossy(&script));
    ExitStatus::Success.into()
}
