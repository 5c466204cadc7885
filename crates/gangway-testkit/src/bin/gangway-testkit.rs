//! The testkit as a program, for scenes that no test function can set.
//!
//! ```text
//! gangway-testkit engine [--socket PATH] [--tcp ADDR] [--flavour docker-2020|docker-2026|podman]
//!                        [--containers N [--domain NAME] [--address IP] [--port PORT]]
//! ```
//!
//! `engine` answers as an engine does, on a socket, and takes orders there:
//!
//! ```text
//! curl --unix-socket PATH -d '{"name":"web","labels":{"gangway.host":"web.localhost"},
//!   "address":"127.0.0.1","ports":[8081]}' http://engine/testkit/containers
//! curl --unix-socket PATH -X POST http://engine/testkit/containers/web/restart
//! curl --unix-socket PATH -X DELETE http://engine/testkit/containers/web
//! ```
#![expect(clippy::print_stdout, reason = "a program for tests")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use gangway_testkit::engine::{Container, Engine, Flavour};
use tokio::net::TcpListener;

struct Arguments {
    socket: Option<PathBuf>,
    tcp: Option<SocketAddr>,
    flavour: Flavour,
    containers: u32,
    domain: String,
    address: IpAddr,
    port: u16,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((command, rest)) if command == "engine" => parse(rest).and_then(run),
        _ => Err(io::Error::other("usage: gangway-testkit engine [--socket PATH] [--tcp ADDR] …")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gangway-testkit: {error}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> io::Result<Arguments> {
    let mut arguments = Arguments {
        socket: None,
        tcp: None,
        flavour: Flavour::Docker2026,
        containers: 0,
        domain: "localhost".into(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 8080,
    };
    let mut words = words.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| io::Error::other(format!("`{flag}` needs a value")))?;
        match flag.as_str() {
            "--socket" => arguments.socket = Some(value.into()),
            "--tcp" => arguments.tcp = Some(value.parse().map_err(io::Error::other)?),
            "--containers" => arguments.containers = value.parse().map_err(io::Error::other)?,
            "--domain" => arguments.domain = value.clone(),
            "--address" => arguments.address = value.parse().map_err(io::Error::other)?,
            "--port" => arguments.port = value.parse().map_err(io::Error::other)?,
            "--flavour" => {
                arguments.flavour = match value.as_str() {
                    "docker-2020" => Flavour::Docker2020,
                    "docker-2026" => Flavour::Docker2026,
                    "podman" => Flavour::Podman,
                    other => return Err(io::Error::other(format!("unknown flavour `{other}`"))),
                }
            }
            other => return Err(io::Error::other(format!("unknown argument `{other}`"))),
        }
    }
    if arguments.socket.is_none() && arguments.tcp.is_none() {
        return Err(io::Error::other("nowhere to answer: give --socket or --tcp"));
    }
    Ok(arguments)
}

fn run(arguments: Arguments) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let engine = Engine::new(arguments.flavour);
    for number in 0..arguments.containers {
        engine.add(
            Container::new(&format!("app-{number}"))
                .label("gangway.host", &format!("app-{number}.{}", arguments.domain))
                .exposes(&[arguments.port])
                .address(arguments.address),
        );
    }
    println!("engine: {} containers", arguments.containers);
    let on_socket = async {
        match &arguments.socket {
            Some(path) => engine.listen_unix(path).await,
            None => std::future::pending().await,
        }
    };
    let on_tcp = async {
        match arguments.tcp {
            Some(address) => engine.listen_tcp(TcpListener::bind(address).await?).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = on_socket => failed,
        failed = on_tcp => failed,
    }
}
