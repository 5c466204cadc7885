//! The test application as a program: one static file that is a whole image.
//!
//! ```text
//! app [--name NAME] [--http ADDR]… [--tls ADDR]… [--start-delay MS] [--keep-alive MS] [--unhealthy] [--directed PREFIX] [--on-term exit|ignore|drain] [--drain-max MS]
//! app hc [PORT]            asks /health of this container; ends with 0 or 1, for HEALTHCHECK
//! app sum [PATTERN-BYTES]  prints the sum of standard input, or of that much of the pattern
//! app pattern BYTES        writes that much of the pattern to standard output
//! ```
#![expect(clippy::print_stdout, reason = "a program for tests")]

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::sum::{Pattern, Sum};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

const DEFAULT_ADDRESS: &str = "0.0.0.0:8080";

/// How long `--on-term drain` lets requests under way go on, unless `--drain-max` says otherwise.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often in a row, ten milliseconds apart, nothing must be under way until it ends: what was on its way
/// when the signal came, or came in before others could hear of it, is served, as by applications that take
/// care. Looks are counted and not time, for on a busy machine time passes without anything being read.
const DRAIN_LOOKS: u32 = 25;

struct Arguments {
    name: String,
    http: Vec<String>,
    tls: Vec<String>,
    start_delay: Duration,
    keep_alive: Option<Duration>,
    healthy: bool,
    /// What the names of the fields begin with that direct it.
    directed: Option<String>,
    on_term: OnTerm,
    drain_max: Duration,
}

#[derive(Clone, Copy)]
enum OnTerm {
    Exit,
    Ignore,
    Drain,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["hc", rest @ ..] => return health(rest.first().copied().unwrap_or("8080")),
        ["sum"] => sum_of_input(),
        ["sum", len] => {
            println!("{}", Sum::of_pattern(len.parse().unwrap_or_default()));
            Ok(())
        }
        ["pattern", len] => write_pattern(len.parse().unwrap_or_default()),
        _ => parse(&words).and_then(run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("app: {error}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[&str]) -> io::Result<Arguments> {
    let mut arguments = Arguments {
        name: std::env::var("APP_NAME").unwrap_or_else(|_| "app".into()),
        http: Vec::new(),
        tls: Vec::new(),
        start_delay: Duration::ZERO,
        keep_alive: None,
        healthy: true,
        directed: None,
        on_term: OnTerm::Exit,
        drain_max: DRAIN_MAX,
    };
    let mut words = words.iter();
    while let Some(flag) = words.next() {
        if *flag == "--unhealthy" {
            arguments.healthy = false;
            continue;
        }
        let value = *words.next().ok_or_else(|| io::Error::other(format!("`{flag}` needs a value")))?;
        let millis = || value.parse().map(Duration::from_millis).map_err(io::Error::other);
        match *flag {
            "--directed" => arguments.directed = Some(value.into()),
            "--name" => arguments.name = value.into(),
            "--http" => arguments.http.push(value.into()),
            "--tls" => arguments.tls.push(value.into()),
            "--start-delay" => arguments.start_delay = millis()?,
            "--keep-alive" => arguments.keep_alive = Some(millis()?),
            "--drain-max" => arguments.drain_max = millis()?,
            "--on-term" => {
                arguments.on_term = match value {
                    "exit" => OnTerm::Exit,
                    "ignore" => OnTerm::Ignore,
                    "drain" => OnTerm::Drain,
                    other => return Err(io::Error::other(format!("`{other}` is not exit, ignore or drain"))),
                }
            }
            other => return Err(io::Error::other(format!("unknown argument `{other}`"))),
        }
    }
    if arguments.http.is_empty() && arguments.tls.is_empty() {
        arguments.http.push(DEFAULT_ADDRESS.into());
    }
    Ok(arguments)
}

fn run(arguments: Arguments) -> io::Result<()> {
    // One thread: the tests start a hundred of these on two cores.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    // Installed before anything else: process 1 of a container that has no handler cannot be ended by TERM.
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut app = App::new(arguments.name);
    if let Some(idle) = arguments.keep_alive {
        app = app.keep_alive(idle);
    }
    if let Some(prefix) = &arguments.directed {
        app = app.directed(prefix);
    }
    app.set_healthy(arguments.healthy);
    let app = Arc::new(app);
    let serving = {
        let app = Arc::clone(&app);
        async move {
            tokio::time::sleep(arguments.start_delay).await;
            let (config, _) = app::self_signed(&["localhost", "upstream.test"], &["h2", "http/1.1"]);
            for address in &arguments.http {
                tokio::spawn(app::serve(TcpListener::bind(address).await?, Arc::clone(&app)));
            }
            for address in &arguments.tls {
                tokio::spawn(app::serve_tls(TcpListener::bind(address).await?, Arc::clone(&app), Arc::clone(&config)));
            }
            std::future::pending::<io::Result<()>>().await
        }
    };
    tokio::pin!(serving);
    loop {
        tokio::select! {
            failed = &mut serving => return failed,
            _ = interrupt.recv() => return Ok(()),
            _ = term.recv() => match arguments.on_term {
                OnTerm::Exit => return Ok(()),
                OnTerm::Ignore => {}
                OnTerm::Drain => {
                    let _ = tokio::time::timeout(arguments.drain_max, quiet(&app)).await;
                    return Ok(());
                }
            },
        }
    }
}

/// Waits until nothing has been asked for a while.
async fn quiet(app: &App) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut served, mut looks) = (app.served(), 0);
    while looks < DRAIN_LOOKS {
        tick.tick().await;
        let is_quiet = app.under_way() == 0 && app.served() == served;
        (served, looks) = (app.served(), if is_quiet { looks + 1 } else { 0 });
    }
}

fn health(port: &str) -> ExitCode {
    let asked = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        runtime.block_on(async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
        })
    });
    if matches!(asked, Ok(Ok(true))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sum_of_input() -> io::Result<()> {
    let (mut input, mut buffer, mut sum) = (io::stdin().lock(), vec![0; 256 * 1024], Sum::default());
    loop {
        let len = input.read(&mut buffer)?;
        if len == 0 {
            println!("{} {}", sum.hex(), sum.len());
            return Ok(());
        }
        sum.add(&buffer[..len]);
    }
}

fn write_pattern(len: u64) -> io::Result<()> {
    let (mut output, mut pattern, mut left) = (io::stdout().lock(), Pattern::default(), len);
    while left > 0 {
        let part = pattern.next(left);
        left -= part.len() as u64;
        output.write_all(part)?;
    }
    output.flush()
}
