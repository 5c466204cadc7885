//! Compares the processor time and the latency of a request with nginx's, HAProxy's and Caddy's: see `tests/bench/run`.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use gangway_tests::bench::chart::chart;
use gangway_tests::bench::page::{self, Run};
use gangway_tests::bench::proxies::{Kind, Proxy, Stage, versions};
use gangway_tests::bench::results::Results;
use gangway_tests::bench::scenes::{SCENES, Scene};
use gangway_tests::gangway::replace_file;
use gangway_tests::root;
use tokio::task::block_in_place;

fn main() {
    let is_written = std::env::args().skip(1).any(|word| word == "--write");
    let run = Run {
        rounds: usize::try_from(number("BENCH_ROUNDS", 5)).unwrap_or(5).max(1),
        seconds: number("BENCH_SECONDS", 3).max(1),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        versions: versions(),
        memory: Vec::new(),
    };
    let wishes = std::env::var("BENCH_SCENES").unwrap_or_default();
    let wishes: Vec<&str> = wishes.split(';').map(str::trim).filter(|wish| !wish.is_empty()).collect();
    let scenes: Vec<&'static Scene> = SCENES
        .iter()
        .filter(|scene| wishes.is_empty() || wishes.iter().any(|wish| scene.name.contains(wish)))
        .collect();
    let names: Vec<&str> = SCENES.iter().map(|scene| scene.name).collect();
    assert!(!scenes.is_empty(), "no scene is called {wishes:?}; there are {names:#?}");
    if std::env::args().skip(1).any(|word| word == "--train") {
        return gangway_tests::run(train(&scenes, run.seconds));
    }
    let (run, all) = gangway_tests::run(compare(run, &scenes));
    if is_written {
        assert!(wishes.is_empty(), "only a run of all scenes is written");
        write(&run, &all);
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

async fn compare(mut run: Run, scenes: &[&'static Scene]) -> (Run, Vec<Results>) {
    let stage = Stage::set().await;
    let mut proxies: Vec<Proxy> = Vec::new();
    print!("{}", page::heading(&run));
    let mut all = Vec::new();
    for scene in scenes {
        for kind in scene.proxies {
            if !proxies.iter().any(|proxy| proxy.kind == *kind) {
                proxies.push(stage.start(*kind).await);
            }
        }
        let results = block_in_place(|| measure(scene, &stage, &proxies, &run));
        print!("{}", page::scene_text(&results));
        all.push(results);
    }
    run.memory = proxies.iter().map(|proxy| (proxy.kind.name(), proxy.resident_mib())).collect();
    println!("{}", page::memory_text(&run));
    (run, all)
}

/// Puts the load of each scene on Gangway alone, so that a binary that is built to count has something to count.
async fn train(scenes: &[&'static Scene], seconds: u64) {
    let stage = Stage::set().await;
    for scene in scenes {
        for kind in scene.proxies.iter().filter(|kind| kind.is_gangway()) {
            let proxy = stage.start(*kind).await;
            let sample = block_in_place(|| scene.measure(&stage, &proxy, seconds, None));
            println!("{}: {:.0}/s", scene.name, sample.rate());
            // Asked to end and not killed: it writes its counts then.
            block_in_place(|| proxy.stop());
        }
    }
}

fn measure(scene: &'static Scene, stage: &Stage, proxies: &[Proxy], run: &Run) -> Results {
    let of = |kind: &Kind| proxies.iter().find(|proxy| proxy.kind == *kind).expect("it was started");
    let rate = scene.rate(stage, proxies, run.seconds);
    let count = scene.proxies.len();
    let rounds = (0..run.rounds).map(|round| {
        let mut samples = vec![None; count];
        for turn in 0..count {
            // None is always first.
            let at = (turn + round) % count;
            samples[at] = Some(scene.measure(stage, of(&scene.proxies[at]), run.seconds, rate));
        }
        samples.into_iter().flatten().collect()
    });
    Results::new(scene, rounds.collect())
}

fn write(run: &Run, all: &[Results]) {
    let page = root().join("docs/performance.md");
    let text = std::fs::read_to_string(&page).expect("the page is there");
    let text = page::rewritten(&text, &page::part(run, all)).expect("the page has its marks");
    replace_file(&page, &text);
    replace_file(&root().join("docs/performance.svg"), &chart(all));
    println!("written: docs/performance.md, docs/performance.svg");
}
