//! Gigabytes in constant memory, and clients that are slow on purpose.

use std::process::Command;
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_tests::figures::{figure, quantile};
use gangway_tests::gangway::{Options, free_addresses, replace_file};
use gangway_tests::process::{Process, output};
use gangway_tests::{artifact, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const BIG: u64 = 5 * 1024 * 1024 * 1024;

/// As much as may come on top of idle memory.
const GROWTH_MAX_KIB: u64 = 40 * 1024;

#[test]
fn five_gigabytes_each_way_take_constant_memory() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let [address] = free_addresses();
        let mut command = Command::new(artifact("app"));
        let _app = Process::start(command.args(["--http", &address.to_string()]), &folder.path().join("app.log"));
        let config = format!("[routes.big]\nhost = \"big.test\"\nupstream = \"http://{address}\"\n");
        let gangway = Options::docker("none").config(&config).start().await;
        gangway.served("big.test", "/bytes/1000000").await;
        let root = folder.path().join("root.pem");
        replace_file(&root, &gangway.root_pem());
        // By the release binary: summing gigabytes takes unoptimised code half a minute.
        let want = output(&artifact("app").to_string_lossy(), ["sum", &BIG.to_string()]).trim().to_owned();

        let (port, app) = (gangway.https.port(), artifact("app"));
        let curl = format!(
            "curl -sS --fail-with-body --cacert {} --resolve big.test:{port}:127.0.0.1 https://big.test:{port}",
            root.display()
        );
        for version in ["--http1.1", "--http2"] {
            gangway.process.forget_resident_max();
            let (idle, began) = (gangway.process.resident_kib(), Instant::now());
            let got = output(
                "bash",
                ["-o", "pipefail", "-c", &format!("{curl}/bytes/{BIG} {version} | {} sum", app.display())],
            );
            assert_eq!(got.trim(), format!("{want} {BIG}"), "download over {version}");
            tell("down", version, idle, gangway.process.resident_max_kib(), began.elapsed());

            gangway.process.forget_resident_max();
            let (idle, began) = (gangway.process.resident_kib(), Instant::now());
            let pipe = format!("{} pattern {BIG} | {curl}/upload {version} -T -", app.display());
            let told: serde_json::Value =
                serde_json::from_str(&output("bash", ["-o", "pipefail", "-c", &pipe])).unwrap();
            assert_eq!(
                (told["len"].as_u64(), told["sum"].as_str()),
                (Some(BIG), Some(want.as_str())),
                "upload over {version}"
            );
            tell("up", version, idle, gangway.process.resident_max_kib(), began.elapsed());
        }
    });
}

fn tell(way: &str, version: &str, idle: u64, most: u64, took: Duration) {
    let grown = most.saturating_sub(idle);
    figure(format!(
        "5 GiB {way} over TLS {version}: {:.0} s, {} MiB above idle ({} MiB), bytes equal",
        took.as_secs_f64(),
        grown / 1024,
        idle / 1024
    ));
    assert!(grown <= GROWTH_MAX_KIB, "{grown} KiB above idle");
}

#[test]
fn slow_headers_are_cut_and_hurt_nobody() {
    const SLOW: usize = 500;
    run(async {
        let (address, _) = app::spawn(App::new("calm")).await.unwrap();
        let config =
            format!("[routes.calm]\nhost = \"calm.test\"\nupstream = \"http://{address}\"\nhttps-redirect = false\n");
        let gangway = Options::docker("none").config(&config).start().await;
        gangway.served("calm.test", "/").await;
        let (plain, secure) = (gangway.plain(), gangway.secure());
        let began = Instant::now();
        let slow: Vec<_> = (0..SLOW)
            .map(|number| {
                let client = if number % 2 == 0 { plain.clone() } else { secure.clone() };
                tokio::spawn(async move { slow_head(&client).await })
            })
            .collect();
        let mut healthy = Vec::new();
        let mut lost = 0;
        let mut kept = secure.connect("calm.test").await.unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while began.elapsed() < Duration::from_secs(12) {
            tick.tick().await;
            let asked = Instant::now();
            let fresh = plain.get("calm.test", "/").await.is_ok_and(|answer| answer.status == 200);
            let old = kept.get("/").await.is_ok_and(|answer| answer.status == 200);
            healthy.push(asked.elapsed());
            lost += u32::from(!fresh) + u32::from(!old);
        }
        let mut lives = Vec::new();
        for task in slow {
            lives.push(task.await.unwrap());
        }
        let longest = lives.iter().max().copied().unwrap_or_default();
        let cut = lives.iter().filter(|life| **life <= Duration::from_secs(11)).count();
        figure(format!(
            "{SLOW} slow heads: {cut} cut by 11 s, the last after {:.1} s; {} healthy requests meanwhile, {lost} lost, p99 of a pair {:.1} ms",
            longest.as_secs_f64(),
            healthy.len() * 2,
            quantile(&healthy, 0.99).as_secs_f64() * 1000.0
        ));
        assert_eq!((cut, lost), (SLOW, 0));
    });
}

/// Sends a head byte by byte, two a second, and never ends it; how long that was put up with.
async fn slow_head(client: &Client) -> Duration {
    let mut stream = client.stream("calm.test").await.expect("a connection is accepted");
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut head = b"GET / HTTP/1.1\r\nHost: calm.test\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'a'));
    let mut answer = [0; 1024];
    while began.elapsed() < Duration::from_secs(20) {
        tokio::select! {
            _ = tick.tick() => {
                let byte = head.next().expect("it never ends");
                if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                    break;
                }
            }
            read = stream.read(&mut answer) => if matches!(read, Ok(0) | Err(_)) {
                break;
            },
        }
    }
    began.elapsed()
}
