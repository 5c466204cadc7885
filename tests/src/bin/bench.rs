//! CPU time per request, beside nginx, HAProxy and Caddy in one interleaved run on loopback.
//!
//! Processor seconds and not requests a second are compared, because on two shared cores the latter tell
//! mostly what else was running. Every proxy sets the same headers and writes no log; the configurations
//! lie in `tests/bench/`.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gangway_testkit::app::self_signed_pem;
use gangway_testkit::client::Client;
use gangway_testkit::wait::eventually;
use gangway_tests::gangway::{free_addresses, replace_file};
use gangway_tests::process::{Process, cpu_seconds, outcome, output, tree};
use gangway_tests::{STUCK, artifact, root};
use tempfile::TempDir;

const PROXIES: [&str; 4] = ["gangway", "nginx", "haproxy", "caddy"];

/// What is done, how, and which ratio to nginx is aimed at.
const SCENES: &[Scene] = &[
    Scene { name: "1 KB, h1", load: Load::Wrk { secure: false, path: "/1k", up: false }, target: Some(1.5) },
    Scene { name: "1 KB, h1+TLS", load: Load::Wrk { secure: true, path: "/1k", up: false }, target: Some(1.4) },
    Scene { name: "1 KB, h2+TLS", load: Load::H2load { path: "/1k", up: false }, target: Some(1.3) },
    Scene { name: "full handshake", load: Load::Handshakes, target: Some(0.85) },
    Scene { name: "1 MB down, h1", load: Load::Wrk { secure: false, path: "/1m", up: false }, target: None },
    Scene { name: "1 MB down, h1+TLS", load: Load::Wrk { secure: true, path: "/1m", up: false }, target: None },
    Scene { name: "1 MB down, h2+TLS", load: Load::H2load { path: "/1m", up: false }, target: Some(0.85) },
    Scene { name: "1 MB up, h1", load: Load::Wrk { secure: false, path: "/upload", up: true }, target: None },
    Scene { name: "1 MB up, h1+TLS", load: Load::Wrk { secure: true, path: "/upload", up: true }, target: None },
    Scene { name: "1 MB up, h2+TLS", load: Load::H2load { path: "/upload", up: true }, target: Some(0.85) },
];

struct Scene {
    name: &'static str,
    load: Load,
    target: Option<f64>,
}

#[derive(Clone, Copy)]
enum Load {
    Wrk { secure: bool, path: &'static str, up: bool },
    H2load { path: &'static str, up: bool },
    Handshakes,
}

struct Proxy {
    name: &'static str,
    process: Process,
    plain: u16,
    secure: u16,
}

struct Wishes {
    rounds: usize,
    seconds: u64,
    scenes: Vec<String>,
}

fn main() {
    let wishes = wishes();
    gangway_tests::run(compare(&wishes));
}

fn wishes() -> Wishes {
    let mut wishes = Wishes { rounds: 3, seconds: 4, scenes: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number after the flag");
        match word.as_str() {
            "--rounds" => wishes.rounds = usize::try_from(number()).expect("a small number"),
            "--seconds" => wishes.seconds = number(),
            _ => wishes.scenes.push(word),
        }
    }
    wishes
}

async fn compare(wishes: &Wishes) {
    let folder =
        tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).expect("a folder");
    let [backend_at, app_at] = free_addresses::<2>().map(|address| address.port());
    make_files(&folder);
    let _backend = start_backend(&folder, backend_at).await;
    let _app = start_app(&folder, app_at).await;
    let mut proxies = Vec::new();
    for name in PROXIES {
        proxies.push(start_proxy(name, &folder, backend_at, app_at).await);
    }
    println!(
        "{} rounds of {} s, interleaved; processor seconds of the proxy per 100,000 requests, medians",
        wishes.rounds, wishes.seconds
    );
    println!(
        "{:<20}{:>10}{:>10}{:>10}{:>10}   {:>7} {:>7} {:>7}   aim",
        "", PROXIES[0], PROXIES[1], PROXIES[2], PROXIES[3], "/nginx", "/hapr.", "/caddy"
    );
    let wanted = |scene: &&Scene| {
        wishes.scenes.is_empty() || wishes.scenes.iter().any(|wish| scene.name.contains(wish.as_str()))
    };
    for scene in SCENES.iter().filter(wanted) {
        let mut costs = vec![Vec::new(); PROXIES.len()];
        let mut rates = vec![Vec::new(); PROXIES.len()];
        for round in 0..wishes.rounds {
            for turn in 0..PROXIES.len() {
                // Nobody is always first.
                let at = (turn + round) % PROXIES.len();
                let (cost, rate) = measure(&proxies[at], scene.load, wishes.seconds, &folder).await;
                costs[at].push(cost);
                rates[at].push(rate);
            }
        }
        let cost: Vec<f64> = costs.iter().map(|values| median(values)).collect();
        let rate: Vec<f64> = rates.iter().map(|values| median(values)).collect();
        print_row(scene, &cost);
        println!("{:<20}{:>10.0}{:>10.0}{:>10.0}{:>10.0}   requests a second", "", rate[0], rate[1], rate[2], rate[3]);
    }
    let mut memory = String::new();
    for proxy in &proxies {
        let _ = write!(
            memory,
            " {} {} MiB",
            proxy.name,
            tree(proxy.process.id()).iter().map(|id| resident_kib(*id)).sum::<u64>() / 1024
        );
    }
    println!("memory after all that:{memory}");
}

fn print_row(scene: &Scene, cost: &[f64]) {
    let aim = scene.target.map_or_else(String::new, |target| {
        let ratio = cost[0] / cost[1];
        format!("{target:.2} {}", if ratio <= target { "reached" } else { "missed" })
    });
    println!(
        "{:<20}{:>10.2}{:>10.2}{:>10.2}{:>10.2}   {:>7.2} {:>7.2} {:>7.2}   {aim}",
        scene.name,
        cost[0],
        cost[1],
        cost[2],
        cost[3],
        cost[0] / cost[1],
        cost[0] / cost[2],
        cost[0] / cost[3],
    );
}

fn make_files(folder: &TempDir) {
    let files = folder.path().join("files");
    std::fs::create_dir(&files).expect("a fresh folder");
    replace_file(&files.join("1k"), &"k".repeat(1024));
    replace_file(&files.join("1m"), &"m".repeat(1024 * 1024));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = self_signed_pem(&["localhost"]);
    // Gangway takes certificates from its volume.
    std::fs::create_dir_all(folder.path().join("data/certs")).expect("a fresh folder");
    for (name, text) in [("cert.pem", &certificate), ("data/certs/bench.crt", &certificate)] {
        replace_file(Path::new(&at(name)), text);
    }
    for (name, text) in [("key.pem", &key), ("data/certs/bench.key", &key)] {
        replace_file(Path::new(&at(name)), text);
    }
    replace_file(Path::new(&at("both.pem")), &format!("{certificate}{key}"));
    // Workers of nginx run as a plain user and read the files.
    output("chmod", ["-R", "a+rX", &folder.path().display().to_string()]);
}

fn configure(name: &str, folder: &TempDir, ports: &[(&str, u16)]) -> String {
    let mut text = std::fs::read_to_string(root().join("tests/bench").join(name)).expect("a file of this repository");
    text = text.replace("@FOLDER@", &folder.path().display().to_string());
    for (key, port) in ports {
        text = text.replace(&format!("@{key}@"), &port.to_string());
    }
    let path = folder.path().join(name);
    replace_file(&path, &text);
    path.display().to_string()
}

async fn start_backend(folder: &TempDir, port: u16) -> Process {
    let config = configure("backend.conf", folder, &[("BACKEND", port)]);
    let process =
        Process::start(Command::new("nginx").args(["-e", "stderr", "-c", &config]), &folder.path().join("backend.log"));
    answers(port, "/1k").await;
    process
}

async fn start_app(folder: &TempDir, port: u16) -> Process {
    let mut command = Command::new(artifact("app"));
    command.args(["--http", &format!("127.0.0.1:{port}")]);
    let process = Process::start(&mut command, &folder.path().join("app.log"));
    answers(port, "/").await;
    process
}

async fn start_proxy(name: &'static str, folder: &TempDir, backend: u16, app: u16) -> Proxy {
    let [plain, secure, admin] = free_addresses::<3>().map(|address| address.port());
    let ports = [("BACKEND", backend), ("APP", app), ("PLAIN", plain), ("SECURE", secure)];
    let mut command = match name {
        "gangway" => {
            let config = configure("gangway.toml", folder, &ports);
            let mut command = Command::new(artifact("gangway"));
            command.args(["serve", "--docker", "none", "--access-log", "off", "--config", &config]);
            command.args(["--http", &format!("127.0.0.1:{plain}"), "--https", &format!("127.0.0.1:{secure}")]);
            command.args(["--admin", &format!("127.0.0.1:{admin}")]).arg("--data").arg(folder.path().join("data"));
            command
        }
        "nginx" => {
            let config = configure("nginx.conf", folder, &ports);
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-c", &config]);
            command
        }
        "haproxy" => {
            let config = configure("haproxy.cfg", folder, &ports);
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f", &config]);
            command
        }
        _ => {
            let config = configure("Caddyfile", folder, &ports);
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config", &config]);
            command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path()).env("GOMAXPROCS", "2");
            command
        }
    };
    let process = Process::start(&mut command, &folder.path().join(format!("{name}.log")));
    answers(plain, "/1k").await;
    Proxy { name, process, plain, secure }
}

async fn answers(port: u16, path: &str) {
    let client = Client::plain(([127, 0, 0, 1], port).into());
    eventually(&format!("port {port} answers {path}"), STUCK, async || {
        client.get("localhost", path).await.ok().filter(|answer| answer.status == 200).map(drop)
    })
    .await;
}

/// Processor seconds per 100,000 requests, and requests a second.
async fn measure(proxy: &Proxy, load: Load, seconds: u64, folder: &TempDir) -> (f64, f64) {
    let id = proxy.process.id();
    let (before, began) = (cpu_seconds(id), tokio::time::Instant::now());
    let requests = match load {
        Load::Wrk { secure, path, up } => wrk(proxy, secure, path, up, seconds),
        Load::H2load { path, up } => h2load(proxy, path, up, seconds, folder),
        Load::Handshakes => handshakes(proxy, seconds, folder).await,
    };
    assert!(requests > 0, "{} answered nothing", proxy.name);
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    let requests = requests as f64;
    ((cpu_seconds(id) - before) * 100_000.0 / requests, requests / began.elapsed().as_secs_f64())
}

fn wrk(proxy: &Proxy, secure: bool, path: &str, up: bool, seconds: u64) -> u64 {
    let (scheme, port) = if secure { ("https", proxy.secure) } else { ("http", proxy.plain) };
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c32", &format!("-d{seconds}s")]);
    if up {
        command.arg("-s").arg(root().join("tests/bench/upload.lua"));
    }
    let said = outcome(command.arg(format!("{scheme}://localhost:{port}{path}")));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(!said.contains("Non-2xx"), "{}: {said}", proxy.name);
    number_before(&said, " requests in")
}

fn h2load(proxy: &Proxy, path: &str, up: bool, seconds: u64, folder: &TempDir) -> u64 {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c8", "-m8", "-D", &seconds.to_string()]);
    if up {
        command.arg("-d").arg(folder.path().join("files/1m"));
    }
    let said = outcome(command.arg(format!("https://localhost:{}{path}", proxy.secure)));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(" 0 3xx, 0 4xx, 0 5xx"), "{}: {said}", proxy.name);
    number_before(&said, " 2xx")
}

/// The number that stands just before these words.
fn number_before(text: &str, words: &str) -> u64 {
    let before = text.split(words).next().filter(|before| before.len() < text.len()).unwrap_or_default();
    before
        .rsplit(|letter: char| !letter.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

/// New connections with full handshakes and one small request each. Resumption is off on this side, so
/// that no proxy's own choice of it matters; one key exchange, which all of them speak.
async fn handshakes(proxy: &Proxy, seconds: u64, folder: &TempDir) -> u64 {
    let pem = std::fs::read_to_string(folder.path().join("cert.pem")).expect("just made");
    let client = Client::tls_with_full_handshakes(([127, 0, 0, 1], proxy.secure).into(), &pem).expect("a certificate");
    let (client, count) = (Arc::new(client), Arc::new(AtomicU64::new(0)));
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (client, count) = (Arc::clone(&client), Arc::clone(&count));
            tokio::spawn(async move {
                while tokio::time::Instant::now() < until {
                    let answer = client.get("localhost", "/1k").await.expect("a handshake and an answer");
                    assert_eq!(answer.status, 200);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("every request is answered");
    }
    count.load(Ordering::Relaxed)
}

fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
