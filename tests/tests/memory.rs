//! The memory of the process: what clients cost, and what becomes of those who want too much.
//!
//! Memory is measured and time is not: a measurement begins when nothing moves any more. Counted are the private pages of
//! the process unless it is said otherwise. What the kernel keeps for sockets is not among them.

use std::net::IpAddr;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Connection, Speaks, Stream};
use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::wait::eventually;
use gangway_tests::abuse::{self, Abuse, CALM, STREAMS, WIDE, WIDE_FIELDS, WIDE_VALUE, address};
use gangway_tests::bench::proxies::{BESIDE_EACH_OTHER, Kind, Stage};
use gangway_tests::bench::scenes::SCENES;
use gangway_tests::cgroup::MemoryCgroup;
use gangway_tests::engines::played;
use gangway_tests::figures::figure;
use gangway_tests::footprint::Footprint;
use gangway_tests::gangway::{Gangway, Options};
use gangway_tests::http2_bytes::{Follows, block, fields, headers, preface, read_heads, send, send_and_drop_answers};
use gangway_tests::process::raise_open_files;
use gangway_tests::{STUCK, run};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Kilobytes are KiB here, the larger unit, wherever a promise says KB.
const KIB_OF_MIB: u64 = 1024;

/// An instance with a host for each kind of endpoint, which has served a request.
async fn started(options: impl FnOnce(Options) -> Options) -> Gangway {
    let (calm, _) = app::spawn(App::new("calm")).await.expect("a free port");
    let config = abuse::config(calm);
    let gangway = options(Options::docker("none").config(&config).flag("--access-log", "off")).start().await;
    gangway.answers(CALM, 200).await;
    gangway.served(CALM, "/").await;
    gangway
}

fn footprint(gangway: &Gangway) -> Footprint {
    Footprint::of(gangway.process.id())
}

/// A number of the metrics; the sum over all its labels.
async fn metric(gangway: &Gangway, name: &str) -> f64 {
    let text = gangway.admin("/metrics").await.map(|answer| answer.text()).unwrap_or_default();
    let lines = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// What was given up for lack of memory.
async fn shed(gangway: &Gangway, what: &str) -> f64 {
    let text = gangway.admin("/metrics").await.map(|answer| answer.text()).unwrap_or_default();
    let name = format!("gangway_shed_total{{what=\"{what}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn mib(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let mib = kib as f64 / KIB_OF_MIB as f64;
    mib
}

fn each(kib: u64, count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = kib as f64 / count as f64;
    each
}

#[test]
fn a_host_that_is_kept_for_an_app_that_is_gone_takes_little_memory() {
    const HOSTS: u64 = 100;
    const APPS: u64 = 16;
    run(async {
        let (app, _) = app::spawn(App::new("passing")).await.expect("a free port");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let engine = Engine::default();
        let gangway = Options::docker(&played(&engine, folder.path())).start().await;
        let pass = async |number: u64| {
            let hosts: Vec<String> = (0..HOSTS).map(|host| format!("h{host}.passing-{number}.test")).collect();
            let container = Container::new(&format!("passing-{number}")).exposes(&[app.port()]).address(app.ip());
            let all = hosts.join(", ");
            let labels = [("gangway.host", &*all), ("gangway.tls", "off"), ("gangway.hold", "0s")];
            let id = engine.run(labels.iter().fold(container, |container, (key, value)| container.label(key, value)));
            gangway.answers(&hosts[0], 200).await;
            engine.stop(&id);
            engine.remove(&id);
            gangway.answers(&hosts[0], 404).await;
        };
        // What the first tables take stays.
        for number in 0..APPS / 2 {
            pass(number).await;
        }
        let before = Footprint::still(gangway.process.id()).await;
        for number in APPS / 2..APPS + APPS / 2 {
            pass(number).await;
        }
        let now = Footprint::still(gangway.process.id()).await;
        let each = each(now.private_kib.saturating_sub(before.private_kib), HOSTS * APPS);
        figure(format!("a host that is kept for an app that is gone: {each:.2} KiB (limit 6.5)"));
        assert!(each > 0.1, "nothing is kept: {each:.2} KiB");
        assert!(each < 6.5, "{each:.2} KiB");
    });
}

#[test]
fn two_thousand_streams_with_closed_windows_and_large_heads_take_less_than_64_mib() {
    const CONNECTIONS: u16 = 20;
    run(async {
        raise_open_files();
        let gangway = started(|options| options).await;
        let before = Footprint::still(gangway.process.id()).await;
        gangway.process.forget_resident_max();
        let resident = gangway.process.resident_kib();
        let block = block("GET", WIDE, "/", &fields(WIDE_FIELDS, WIDE_VALUE));
        let mut clients = Vec::new();
        for number in 0..CONNECTIONS {
            let client = gangway.plain().leaving_from(address(61, number, 5));
            let block = block.clone();
            clients.push(tokio::spawn(async move {
                let mut stream = client.stream(WIDE).await?;
                send(&mut stream, &preface(0)).await?;
                for number in 0..STREAMS {
                    send(&mut stream, &headers(number * 2 + 1, &block, Follows::Nothing)).await?;
                }
                // Every one has its answer but for the body, for which there is no room.
                read_heads(&mut stream, STREAMS as usize).await.map(|()| stream)
            }));
        }
        let mut open = Vec::new();
        for client in clients {
            open.push(client.await.expect("no panic").expect("all heads are answered"));
        }
        let now = Footprint::still(gangway.process.id()).await;
        let peak = gangway.process.resident_max_kib() - resident;
        let grown = now.private_kib.saturating_sub(before.private_kib);
        figure(format!(
            "20 × 100 streams with closed windows and 90-field heads: {:.1} MiB above idle, {:.1} MiB at the peak (limit 64)",
            mib(grown),
            mib(peak)
        ));
        assert!(grown > 1024, "they cost nothing: {grown} KiB");
        assert!(peak < 64 * KIB_OF_MIB, "{} MiB", mib(peak));
        drop(open);
    });
}

/// Opens connections that have had an answer each, and keeps them.
async fn idle(client: &Client, second: u8, count: u16) -> Vec<Connection> {
    const AT_ONCE: u16 = 100;
    let mut open = Vec::new();
    for first in (0..count).step_by(usize::from(AT_ONCE)) {
        let opening: Vec<_> = (first..count.min(first + AT_ONCE))
            .map(|number| {
                let client = client.clone().leaving_from(address(second, number, 400));
                tokio::spawn(async move {
                    let mut connection = client.connect(CALM).await?;
                    assert_eq!(connection.get("/").await?.status, 200);
                    std::io::Result::Ok(connection)
                })
            })
            .collect();
        for one in opening {
            open.push(one.await.expect("no panic").expect("a connection can be had"));
        }
    }
    open
}

#[test]
fn ten_thousand_idle_tls_connections_take_at_most_40_kb_each() {
    const MOST: u16 = 10_000;
    run(async {
        let files = raise_open_files();
        // Both sides have a descriptor of each, and Gangway gives four fifths of its own to connections.
        let count = MOST.min(u16::try_from(files / 2).unwrap_or(MOST));
        let gangway = started(|options| options).await;
        let client = gangway.secure();
        let mut open = idle(&client, 62, 100).await;
        for (speaks, second) in [(Speaks::H1, 63), (Speaks::H2, 64)] {
            let before = Footprint::still(gangway.process.id()).await;
            let were = metric(&gangway, "gangway_connections").await;
            open.extend(idle(&client.clone().speaking(speaks), second, count / 2).await);
            let now = Footprint::still(gangway.process.id()).await;
            let are = metric(&gangway, "gangway_connections").await;
            let grown = now.private_kib.saturating_sub(before.private_kib);
            let each = each(grown, u64::from(count / 2));
            figure(format!("{} idle TLS connections, {speaks:?}: {each:.1} KiB each (limit 40)", count / 2));
            assert!(each > 1.0, "they cost nothing");
            assert!(each <= 40.0, "{each} KiB");
            let is_all = are - were >= f64::from(count / 2) - 1.0;
            assert!(is_all, "only {} of {} are open", are - were, count / 2);
        }
        figure(format!("idle TLS connections open at once: {}", open.len()));
    });
}

#[test]
fn a_slow_reader_by_http1_takes_at_most_96_kb() {
    const READERS: u16 = 500;
    run(async {
        raise_open_files();
        let gangway = started(|options| options).await;
        for (what, client, second) in [("plain", gangway.plain(), 65), ("TLS", gangway.secure(), 66)] {
            let before = Footprint::still(gangway.process.id()).await;
            let mut readers = Vec::new();
            for number in 0..READERS {
                let client = client.clone().leaving_from(address(second, number, 400));
                readers.push(tokio::spawn(async move {
                    let mut stream = client.stream(CALM).await?;
                    let ask = format!("GET /bytes/100000000 HTTP/1.1\r\nHost: {CALM}\r\n\r\n");
                    stream.write_all(ask.as_bytes()).await?;
                    // It has begun to read, and reads slowly from now on.
                    stream.read_exact(&mut [0; 2048]).await?;
                    std::io::Result::Ok(stream)
                }));
            }
            let mut open = Vec::new();
            for reader in readers {
                open.push(reader.await.expect("no panic").expect("the download has begun"));
            }
            let now = Footprint::still(gangway.process.id()).await;
            let each = each(now.private_kib.saturating_sub(before.private_kib), u64::from(READERS));
            figure(format!("slow reader of a large download, {what}: {each:.1} KiB each of {READERS} (limit 96)"));
            assert!(each > 1.0 && each <= 96.0, "{each} KiB");
            let last = open.last_mut().expect("some are open");
            last.read_exact(&mut vec![0; 1_000_000]).await.expect("it is read on as soon as somebody reads");
            drop(open);
        }
    });
}

#[test]
fn after_the_loads_of_the_bench_the_process_has_at_most_40_mib() {
    run(async {
        let stage = Stage::set().await;
        let proxy = stage.start(Kind::Gangway).await;
        let before = Footprint::of(proxy.id());
        for scene in SCENES.iter().filter(|scene| scene.proxies == BESIDE_EACH_OTHER) {
            tokio::task::block_in_place(|| scene.measure(&stage, &proxy, 1, None));
        }
        let now = Footprint::of(proxy.id());
        figure(format!(
            "memory after the loads of the bench: {:.1} MiB resident (limit 40), of which {:.1} private; {:.1} and {:.1} before",
            mib(now.resident_kib),
            mib(now.private_kib),
            mib(before.resident_kib),
            mib(before.private_kib)
        ));
        assert!(now.resident_kib > 1024, "there is no such process");
        assert!(now.resident_kib <= 40 * KIB_OF_MIB, "{} MiB", mib(now.resident_kib));
    });
}

/// Requests that stay under way for as long as this lives, or until their connections are closed.
struct Held {
    connections: Vec<Stream>,
}

/// Large heads, so that few requests hold much.
fn heavy_fields() -> Vec<(String, String)> {
    fields(WIDE_FIELDS, 250)
}

/// A request with a large head whose answer is not read, by HTTP/1.1 with TLS; the connection once the answer begins.
async fn hold_h1(client: Client) -> std::io::Result<Stream> {
    let lines: String = heavy_fields().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut stream = client.stream(CALM).await?;
    let head = format!("GET /bytes/100000000 HTTP/1.1\r\nHost: {CALM}\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.read_exact(&mut [0; 1024]).await?;
    Ok(stream)
}

/// As many requests with large heads as a connection of HTTP/2 may have, without room for their answers.
async fn hold_h2(client: Client) -> std::io::Result<Stream> {
    let stream = client.stream(WIDE).await?;
    let block = block("GET", WIDE, "/", &heavy_fields());
    let mut bytes = preface(0);
    for number in 0..STREAMS {
        bytes.extend(headers(number * 2 + 1, &block, Follows::Nothing));
    }
    send_and_drop_answers(stream, &bytes).await
}

impl Held {
    /// Requests by so many connections. `address_of` tells the address that each comes from.
    async fn begin(gangway: &Gangway, speaks: Speaks, connections: u16, address_of: impl Fn(u16) -> IpAddr) -> Self {
        let client = gangway.secure().speaking(speaks);
        let opening: Vec<_> = (0..connections)
            .map(|number| {
                let client = client.clone().leaving_from(address_of(number));
                tokio::spawn(async move {
                    match speaks {
                        Speaks::H1 => hold_h1(client).await,
                        Speaks::H2 => hold_h2(client).await,
                    }
                })
            })
            .collect();
        let mut connections = Vec::new();
        for one in opening {
            // Some may be closed or refused already; that is what it is about.
            connections.extend(one.await.expect("no panic").ok());
        }
        Self { connections }
    }

    /// Waits until the other side has ended every connection.
    async fn all_end(self) {
        for mut stream in self.connections {
            let mut scrap = vec![0; 64 * 1024];
            let end = async { while let Ok(1..) = stream.read(&mut scrap).await {} };
            tokio::time::timeout(STUCK, end).await.expect("the heaviest address keeps no connection");
        }
    }
}

/// Opens idle connections with TLS, and keeps those that could be had.
async fn idle_where_possible(gangway: &Gangway, second: u8, first: u16, count: u16) -> Vec<Connection> {
    let client = gangway.secure();
    let opening: Vec<_> = (first..first + count)
        .map(|number| {
            let client = client.clone().leaving_from(address(second, number, 400));
            tokio::spawn(async move {
                let mut connection = client.connect(CALM).await.ok()?;
                connection.get("/").await.is_ok_and(|answer| answer.status == 200).then_some(connection)
            })
        })
        .collect();
    let mut open = Vec::new();
    for one in opening {
        open.extend(one.await.expect("no panic"));
    }
    open
}

/// Two clients of light addresses, who want little and have it under way all the time.
struct SlowReaders {
    h1: Stream,
    h2: BoxBody<bytes::Bytes, std::io::Error>,
    _connection: Connection,
}

impl SlowReaders {
    async fn begin(gangway: &Gangway) -> Self {
        let h1 = hold_h1(gangway.secure().leaving_from(address(70, 0, 1))).await.expect("there is room");
        let client = gangway.secure().speaking(Speaks::H2).leaving_from(address(70, 1, 1));
        let mut connection = client.connect(CALM).await.expect("there is room");
        let answer = connection.begin("GET", "/bytes/100000000", &[], "").await.expect("there is room");
        let h2 = answer.into_body().map_err(std::io::Error::other).boxed();
        Self { h1, h2, _connection: connection }
    }

    /// Reads a little of both, so that neither counts as stalled, however long the test takes.
    async fn go_on(&mut self, when: &str) {
        const LITTLE: usize = 200_000;
        let h1 = self.h1.read_exact(&mut vec![0; LITTLE]).await;
        h1.unwrap_or_else(|error| panic!("{when}, a reader over HTTP/1 of a light address is cut: {error}"));
        let mut read = 0;
        while read < LITTLE {
            let frame = self.h2.frame().await.unwrap_or_else(|| panic!("{when}, the answer over HTTP/2 ends"));
            let frame = frame.unwrap_or_else(|error| panic!("{when}, a reader over HTTP/2 is cut: {error}"));
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
    }
}

#[test]
fn when_memory_runs_short_idle_connections_go_first_and_then_the_heaviest_address() {
    const ONE: u16 = u16::MAX;
    run(async {
        raise_open_files();
        for speaks in [Speaks::H1, Speaks::H2] {
            // What is trusted speaks for many clients, so its connections are never closed as those of one address.
            let options = |options: Options| {
                options.flag("--memory", "64MiB").flag("--trusted-proxies", "127.73.0.0/16, 127.75.0.0/16")
            };
            let gangway = started(options).await;
            // Most of the memory is in use, whatever the program itself takes.
            let mut filling = Vec::new();
            for number in 0.. {
                if gangway.process.resident_kib() > 46 * KIB_OF_MIB {
                    break;
                }
                assert!(number < 50, "memory does not grow");
                filling.push(Held::begin(&gangway, Speaks::H2, 1, |_| address(73, number, 400)).await);
                Footprint::still(gangway.process.id()).await;
            }
            let mut others = SlowReaders::begin(&gangway).await;
            let mut open = Vec::new();
            while shed(&gangway, "idle").await == 0.0 {
                let first = u16::try_from(open.len()).expect("64 MiB are used up long before");
                open.extend(idle_where_possible(&gangway, 71, first, 100).await);
                others.go_on("while idle connections are closed").await;
            }
            let closed_before = shed(&gangway, "heaviest-address").await + shed(&gangway, "request").await;
            assert!(closed_before < 1.0, "{speaks:?}: {closed_before} were given up before idle connections");
            let idle_count = open.len();
            drop(open);

            // What idle connections gave up is filled again, in small steps, so that it is the next one that asks for much.
            for number in 0.. {
                if gangway.process.resident_kib() > 54 * KIB_OF_MIB {
                    break;
                }
                assert!(number < 200, "memory does not grow");
                let from = |at: u16| address(75, number * 10 + at, 400);
                filling.push(Held::begin(&gangway, Speaks::H1, 10, from).await);
                Footprint::still(gangway.process.id()).await;
                others.go_on("while memory is filled").await;
            }
            // Its connections are idle up to their first request, so some may be closed as such. Therefore more come until
            // the address is closed as a whole.
            let mut heavy = Vec::new();
            let step = if speaks == Speaks::H1 { 100 } else { 10 };
            while shed(&gangway, "heaviest-address").await == 0.0 {
                assert!(heavy.len() < 5, "{speaks:?}: the heaviest address is closed");
                let first = u16::try_from(heavy.len()).expect("few") * step;
                heavy.push(Held::begin(&gangway, speaks, step, |number| address(72, first + number, ONE)).await);
                others.go_on("beside the heaviest address").await;
            }
            // The last ones may have come when it had been closed.
            heavy.pop();
            for held in heavy {
                held.all_end().await;
            }
            figure(format!(
                "64 MiB, {speaks:?}: {} of {idle_count} idle connections closed first, then {} of the heaviest address; {} requests refused meanwhile",
                shed(&gangway, "idle").await,
                shed(&gangway, "heaviest-address").await,
                shed(&gangway, "request").await
            ));
            others.go_on("after the heaviest address").await;
            gangway.answers(CALM, 200).await;
        }
    });
}

#[test]
fn when_nothing_is_left_to_close_new_requests_get_503_and_are_served_again_afterwards() {
    run(async {
        raise_open_files();
        for speaks in [Speaks::H1, Speaks::H2] {
            // What is trusted speaks for many clients, so its connections are never closed as those of one address.
            let options =
                |options: Options| options.flag("--memory", "64MiB").flag("--trusted-proxies", "127.73.0.0/16");
            let gangway = started(options).await;
            let mut held = Vec::new();
            let client = gangway.plain().leaving_from(address(74, 0, 1)).speaking(speaks);
            let mut round = 0;
            let refused = loop {
                let count = if speaks == Speaks::H1 { 100 } else { 4 };
                held.push(Held::begin(&gangway, speaks, count, |number| address(73, round * 100 + number, 400)).await);
                round += 1;
                assert!(round < 50, "nothing is ever refused");
                if let Some(answer) = client.get(CALM, "/").await.ok().filter(|answer| answer.status == 503) {
                    break answer;
                }
            };
            assert!(!refused.header("retry-after").is_empty(), "{:?}", refused.headers);
            figure(format!(
                "64 MiB held by peers that are trusted, {speaks:?}: 503 with `Retry-After: {}` at {:.1} MiB resident",
                refused.header("retry-after"),
                mib(footprint(&gangway).resident_kib)
            ));
            assert!(footprint(&gangway).resident_kib < 72 * KIB_OF_MIB, "the bound is kept");
            drop(held);
            eventually("it serves again", STUCK, async || {
                client.get(CALM, "/").await.ok().filter(|answer| answer.status == 200).map(drop)
            })
            .await;
        }
    });
}

#[test]
fn in_a_group_of_128_mib_no_abuse_has_the_process_killed() {
    run(async {
        raise_open_files();
        let group = MemoryCgroup::new(128 << 20);
        let mut gangway = started(|options| options.within(&group)).await;
        let mut held = Vec::new();
        for (abuse, second) in Abuse::ALL.into_iter().zip(80..) {
            let connections = match abuse {
                Abuse::Idle | Abuse::EndlessHeads => 3000,
                Abuse::IdleTls | Abuse::UnreadDownloads | Abuse::UnreadTlsDownloads | Abuse::UnreadBodies => 800,
                Abuse::EndlessBlocks => 400,
                Abuse::UnreadStreams | Abuse::Pings => 50,
                Abuse::ClosedWindows | Abuse::UnreadAnswers | Abuse::RapidResets => 20,
            };
            let abusers = abuse.begin(&gangway, connections, second);
            abusers.are_done().await;
            // Those before stay and take what they can while the next begin.
            held.push(abusers);
            let ended = gangway.process.ended();
            assert!(ended.is_none() && group.kills() == 0, "{abuse:?}: {ended:?}, {} killed", group.kills());
            for speaks in [Speaks::H1, Speaks::H2] {
                let client = gangway.plain().leaving_from(address(79, 0, 1)).speaking(speaks);
                eventually(&format!("{abuse:?}: others are answered over {speaks:?}"), STUCK, async || {
                    client.get(CALM, "/").await.ok().filter(|answer| matches!(answer.status.as_u16(), 200 | 503))
                })
                .await;
            }
        }
        drop(held);
        gangway.answers(CALM, 200).await;
        gangway.served(CALM, "/").await;
        let ended = gangway.process.ended();
        assert!(ended.is_none() && group.kills() == 0, "{ended:?}, {} killed", group.kills());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let peak = group.peak_bytes().map(|bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)));
        figure(format!(
            "{} abuses in a group of 128 MiB: not killed; {} at the peak; closed: {} idle connections, {} of heaviest addresses; refused: {} requests",
            Abuse::ALL.len(),
            peak.unwrap_or_else(|| "unknown".into()),
            shed(&gangway, "idle").await,
            shed(&gangway, "heaviest-address").await,
            shed(&gangway, "request").await
        ));
    });
}
