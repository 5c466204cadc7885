//! The binary: the command line, and everything put together.

mod ca;
mod check;
mod cli;
mod client;
mod config;
mod hash;
mod on_volume;
mod outcome;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Certs, CertsAct, Cli, Sub};

/// Requests allocate and free small pieces on many threads, which it is made for; and a static binary
/// would otherwise have the C library's, which is not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else could install another provider.
    gangway_tls::install_crypto_provider();
    let Cli { command, serve } = Cli::parse();
    match command.unwrap_or(Sub::Serve(serve)) {
        Sub::Serve(flags) => serve::run(flags.0),
        Sub::Check { files, format } => check::run(&files, format),
        Sub::Explain(asked) => client::explain(&asked),
        Sub::Routes(asked) => client::routes(&asked),
        Sub::Certs(Certs { act: None, ask }) => client::certs(&ask),
        Sub::Certs(Certs { act: Some(CertsAct::Import(asked)), .. }) => on_volume::import(&asked),
        Sub::Certs(Certs { act: Some(CertsAct::Rekey(asked)), .. }) => on_volume::rekey(&asked),
        Sub::Status(asked) => client::status(&asked),
        Sub::Ca(asked) => ca::run(&asked),
        Sub::Hash(asked) => hash::run(&asked),
        Sub::Healthcheck(find) => client::healthcheck(&find),
    }
}
