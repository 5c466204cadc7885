//! The cost of one request in the release binary, counted and not timed.
//!
//! A count is the difference between two runs that differ in the number of requests alone: start, handshakes and end
//! are in both. One core is given to the binary, so that one thread serves and batches do not depend on
//! what else the machine does.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gangway_testkit::app::self_signed_pem;
use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::artifact;
use crate::callgrind::{Profile, addresses};
use crate::echoed_socket::{EchoedSocket, SENT, echoed_frame};
use crate::gangway::{free_addresses, replace_file};
use crate::process::{Process, outcome, tree};

/// A start under valgrind takes some fifty times as long as without.
const SLOW: Duration = Duration::from_secs(120);

/// The functions by which memory is had: the allocator's that Rust calls, and the C library's.
const ALLOCATING: &[&str] =
    &["mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned", "malloc", "calloc", "realloc", "memalign"];

/// The head of the answer is the one of a static file from nginx: eight fields are read and written.
const ANSWER_HEAD: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 1024\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Connection: keep-alive\r\nETag: \"65920080-400\"\r\nAccept-Ranges: bytes\r\n\r\n";

/// The bytes of a long answer.
const LONG: usize = 1024 * 1024;

/// The way in which a request comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1 without TLS.
    H1,
    /// HTTP/1.1 without TLS, one request after the other. Each wakes its thread, so that counts vary least.
    H1Alone,
    /// HTTP/1.1 without TLS, over a connection of its own.
    H1Anew,
    /// HTTP/1.1 over TLS.
    H1Tls,
    /// HTTP/1.1 over TLS, with a long answer.
    H1TlsLong,
    /// HTTP/2 over TLS.
    H2Tls,
    /// A message over a WebSocket without TLS, and its echo.
    WebSocket,
    /// A log-in over HTTP/1.1 with this name and a wrong password, from an address of its own.
    WrongPassword(&'static str),
}

/// What callgrind counts of a request.
#[derive(Clone, Copy, Debug)]
pub struct PerRequest {
    /// Instructions.
    pub instructions: f64,
    /// Calls of functions that allocate.
    pub allocations: f64,
}

/// A volume, a configuration and an endpoint, on which the binary is run several times.
#[derive(Debug)]
pub struct Subject {
    folder: TempDir,
}

impl Subject {
    /// Prepares everything that a run would otherwise have to make, such as keys: their cost varies.
    pub async fn prepare() -> Self {
        Self::prepare_with("").await
    }

    /// The same, with further keys of the route in the configuration.
    pub async fn prepare_with(keys: &str) -> Self {
        let folder =
            tempfile::Builder::new().prefix("gangway-cost-").tempdir().expect("a temporary folder can be made");
        let endpoint = endpoint().await;
        let (certificate, key) = self_signed_pem(&["localhost"]);
        let certs = folder.path().join("data/certs");
        std::fs::create_dir_all(&certs).expect("a fresh folder");
        replace_file(&certs.join("cost.crt"), &certificate);
        replace_file(&certs.join("cost.key"), &key);
        let config = format!(
            "[routes.cost]\nhost = \"localhost\"\nupstream = \"http://{endpoint}\"\nhttps-redirect = false\n{keys}"
        );
        replace_file(&folder.path().join("gangway.toml"), &config);
        let subject = Self { folder };
        subject.run(&[], Load { protocol: Protocol::H1, requests: 100, connections: FEW }).await;
        subject
    }

    /// Counts by callgrind, over runs with `requests` and three times as many.
    pub async fn per_request(&self, protocol: Protocol, requests: u32) -> PerRequest {
        let map = artifact("gangway").with_file_name("gangway.map");
        let map = std::fs::read_to_string(&map).unwrap_or_else(|error| panic!("{}: {error}", map.display()));
        let allocating = addresses(&map, ALLOCATING);
        assert!(allocating.contains_key("mi_malloc_aligned"), "the map has the allocator: {allocating:?}");
        let mut counts = Vec::new();
        for requests in [requests, requests * 3] {
            let connections = if protocol == Protocol::H1Alone { 1 } else { FEW };
            let profile =
                Profile::read(&self.counted("valgrind", &CALLGRIND, Load { protocol, requests, connections }).await);
            let allocations: u64 = allocating.values().map(|address| profile.calls(*address)).sum();
            // A start alone allocates thousands of times. A map of another binary would show none.
            assert!(allocations > 1000, "the map is not the one of this binary: {allocations} calls");
            counts.push((profile.instructions, allocations));
        }
        let (less, more) = (counts[0], counts[1]);
        PerRequest { instructions: per(less.0, more.0, requests * 2), allocations: per(less.1, more.1, requests * 2) }
    }

    /// System calls for each request, over runs with `requests` and three times as many.
    pub async fn system_calls(&self, protocol: Protocol, requests: u32) -> f64 {
        let mut counts = Vec::new();
        for requests in [requests, requests * 3] {
            counts.push(total_calls(
                &self.counted("strace", &STRACE, Load { protocol, requests, connections: MANY }).await,
            ));
        }
        per(counts[0], counts[1], requests * 2)
    }

    /// Runs the binary under a tool; the tool's output.
    async fn counted(&self, tool: &str, arguments: &[&str], load: Load) -> String {
        let out = self.folder.path().join("counts");
        let out_flag = if tool == "valgrind" { "--callgrind-out-file=" } else { "--output=" };
        let out_flag = format!("{out_flag}{}", out.display());
        let mut words = vec![tool];
        words.extend(arguments);
        words.push(&out_flag);
        self.run(&words, load).await;
        std::fs::read_to_string(&out).unwrap_or_else(|error| panic!("{tool} wrote nothing: {error}"))
    }

    async fn run(&self, tool: &[&str], load: Load) {
        let [http, https, admin] = free_addresses();
        let log = self.folder.path().join("log");
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new("taskset");
        command.args(["-c", &first_core()]).args(tool).arg(artifact("gangway"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("GANGWAY_") || key == "DOCKER_HOST") {
            command.env_remove(key);
        }
        command.args(["serve", "--docker", "none", "--access-log", "off"]);
        for (flag, address) in [("--http", http), ("--https", https), ("--admin", admin)] {
            command.arg(flag).arg(address.to_string());
        }
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("gangway.toml"));
        let mut process = Process::start(&mut command, &log);
        // Asking whether it is ready would cost as much as the requests that are counted.
        eventually("a table is in force", SLOW, async || process.log().contains(" serving ").then_some(())).await;
        let client = Client::plain(http);
        eventually("it answers", SLOW, async || {
            client.get("localhost", "/").await.ok().filter(|answer| answer.status == 200).map(drop)
        })
        .await;
        send(load, http, https).await;
        // The tool may be the same process, or its parent, which would end without it.
        let served = *tree(process.id()).last().expect("a process is in its own tree");
        let _ = Command::new("kill").args(["-TERM", &served.to_string()]).status();
        process.end(SLOW).await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The number of connections where calls of the allocator are counted: the fewer, the less their own cost varies.
const FEW: u32 = 4;

/// The number of connections where system calls are counted: as many as under load, so that waits are shared.
const MANY: u32 = 32;

#[derive(Clone, Copy, Debug)]
struct Load {
    protocol: Protocol,
    requests: u32,
    connections: u32,
}

/// The instructions of a program that ends by itself.
pub fn instructions(program: &Path, argument: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let out = folder.path().join("counts");
    let out_flag = format!("--callgrind-out-file={}", out.display());
    let mut command = Command::new("valgrind");
    command.args(CALLGRIND).arg(out_flag).arg(program).arg(argument);
    let ended = command.output().expect("valgrind can be run");
    assert!(ended.status.success(), "{argument}: {}", String::from_utf8_lossy(&ended.stderr));
    Profile::read(&std::fs::read_to_string(&out).expect("valgrind writes its counts")).instructions
}

const CALLGRIND: [&str; 4] = ["--tool=callgrind", "--dump-instr=yes", "--compress-strings=no", "--compress-pos=no"];
const STRACE: [&str; 3] = ["--follow-forks", "--summary-only", "--quiet"];

fn per(less: u64, more: u64, requests: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of some minutes")]
    let difference = more as f64 - less as f64;
    difference / f64::from(requests)
}

/// The sum in the last line of `strace -c`: `100.00    0.032180           2     16055       130 total`.
fn total_calls(summary: &str) -> u64 {
    let line = summary.lines().rfind(|line| line.ends_with(" total")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no sum:\n{summary}"))
}

/// The first core that this process may run on.
fn first_core() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0").trim();
    list.split(['-', ',']).next().unwrap_or("0").to_owned()
}

/// Sends requests, so many at a time. Every one has to be answered with 200.
async fn send(load: Load, http: SocketAddr, https: SocketAddr) {
    let (plain, secure) =
        (format!("http://localhost:{}/", http.port()), format!("https://localhost:{}/", https.port()));
    match load.protocol {
        Protocol::H1 | Protocol::H1Alone => send_by_h2load(load, &["--h1", &plain]).await,
        Protocol::H1Tls => send_by_h2load(load, &["--h1", &secure]).await,
        Protocol::H1TlsLong => send_by_h2load(load, &["--h1", &format!("{secure}long")]).await,
        Protocol::H2Tls => send_by_h2load(load, &["-m", "8", &secure]).await,
        Protocol::H1Anew => send_anew(load, http).await.expect("every connection is served"),
        Protocol::WebSocket => exchange(load, http).await.expect("every message comes back"),
        Protocol::WrongPassword(name) => guess(load, http, name).await.expect("every guess is answered"),
    }
}

/// Sends log-ins that are refused, one after the other. Addresses differ, because wrong passwords are limited by address.
async fn guess(load: Load, http: SocketAddr, name: &str) -> std::io::Result<()> {
    for number in 0..load.requests {
        let [.., high, low] = number.to_be_bytes();
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 1, high, low), 0).into())?;
        let mut stream = socket.connect(http).await?;
        let credentials = BASE64_STANDARD.encode(format!("{name}:guess-{number:05}"));
        let head = format!(
            "GET /guess HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::with_capacity(4096);
        stream.read_to_end(&mut answer).await?;
        assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// Sends each request over a new connection.
async fn send_anew(load: Load, http: SocketAddr) -> std::io::Result<()> {
    let Load { requests, connections, .. } = load;
    let clients = (0..connections).map(|number| async move {
        let mut answer = Vec::with_capacity(2048);
        for _ in (number..requests).step_by(connections as usize) {
            let mut stream = TcpStream::connect(http).await?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
            answer.clear();
            stream.read_to_end(&mut answer).await?;
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    });
    futures::future::try_join_all(clients).await.map(drop)
}

/// Exchanges messages over WebSockets that stay.
async fn exchange(load: Load, http: SocketAddr) -> std::io::Result<()> {
    let Load { requests, connections, .. } = load;
    let clients = (0..connections).map(|_| async move {
        let mut socket = EchoedSocket::open(&Client::plain(http)).await?;
        for _ in 0..requests / connections {
            socket.exchange().await?;
        }
        Ok(())
    });
    futures::future::try_join_all(clients).await.map(drop)
}

/// Sends requests over connections that stay.
async fn send_by_h2load(load: Load, arguments: &[&str]) {
    let Load { protocol, requests, connections } = load;
    let mut command = Command::new("h2load");
    command.args(["-t", "1", "-n", &requests.to_string(), "-c", &connections.to_string()]).args(arguments);
    let said = tokio::task::spawn_blocking(move || outcome(&mut command)).await.expect("h2load can be run");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&format!("{requests} 2xx, 0 3xx, 0 4xx, 0 5xx")), "{protocol:?}: {said}");
}

/// An endpoint that answers every head with the same 1 KB, in one write, or with a long answer if it asks for `/long`. One
/// that asks for a WebSocket gets it, and an echo of each message.
async fn endpoint() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let answer = format!("{ANSWER_HEAD}{}", "k".repeat(1024));
    let long_head = ANSWER_HEAD.replace("Content-Length: 1024", &format!("Content-Length: {LONG}"));
    let mut head = Vec::new();
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        while let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            if head.windows(9).any(|word| word == b"websocket") {
                return echo(stream).await;
            }
            let is_long = head.starts_with(b"GET /long ");
            head.drain(..end + 4);
            match is_long {
                true => stream.write_all(format!("{long_head}{}", "k".repeat(LONG)).as_bytes()).await?,
                false => stream.write_all(answer.as_bytes()).await?,
            }
        }
    }
}

/// Accepts a WebSocket with the key that [`EchoedSocket`] sends, and answers each of its messages.
async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut message = [0; SENT];
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&echoed_frame()).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_strace_is_read() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 60.00    0.020000           2     10000           sendto
 40.00    0.012180           2      6055       130 recvfrom
------ ----------- ----------- --------- --------- ------------------
100.00    0.032180           2     16055       130 total
";
        assert_eq!(total_calls(summary), 16055);
    }

    #[test]
    fn a_count_is_what_more_requests_add() {
        assert!((per(5_000_000, 5_400_000, 4000) - 100.0).abs() < 1e-9);
    }
}
