//! Keeps mixed load and faults on the release binary for `SOAK_MINUTES` (30), and fails if memory or descriptors
//! grow, or if anything is lost.
#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::process::ExitCode;
use std::time::Duration;

use gangway_tests::calm::Calm;
use gangway_tests::gangway::Gangway;
use gangway_tests::load::{Load, Outcome};
use gangway_tests::soak::clients::{COUNTED, Clients, FAULTY};
use gangway_tests::soak::faults::Faults;
use gangway_tests::soak::growth::{Growth, mib};
use gangway_tests::soak::stage::{PLAIN, STEADY, Stage, TURNING};
use tokio::time::{Instant, interval_at, timeout};

/// Pools, caches and the allocator's own reserves fill in this share of the time; then memory has to stay.
const WARM_UP: u32 = 4;

/// The number of samples of memory.
const SAMPLES: u32 = 120;

/// So many of them make one line of figures on the way.
const SAMPLES_A_LINE: u32 = 12;

/// Noise of single moments, in MiB, and in descriptors.
const FLAT_MIB: f64 = 4.0;
const FLAT_FILES: f64 = 16.0;

/// After the load has ended, this many more descriptors than before it are none that leak: threads have some
/// of their own, and they are started when first used.
const MORE_FILES: usize = 16;

/// Idle connections to endpoints are closed by then.
const IDLE_MAX: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let minutes = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(30.0_f64);
    let span = Duration::from_secs_f64(minutes.max(0.5) * 60.0);
    println!("{:.1} minutes of mixed load and faults", span.as_secs_f64() / 60.0);
    gangway_tests::run(async { if soak(span).await { ExitCode::SUCCESS } else { ExitCode::FAILURE } })
}

async fn soak(span: Duration) -> bool {
    let mut stage = Stage::set().await;
    let files_before = stage.gangway.process.open_files();
    let begun = Instant::now();
    let calm = Calm::begin(&stage.gangway.secure(), STEADY).await;
    let loads = [Load::begin(&stage.gangway, TURNING), Load::through(&stage.gangway.plain(), PLAIN)];
    let clients: Vec<Clients> =
        COUNTED.iter().chain(FAULTY).map(|kind| Clients::begin(&stage.gangway, *kind)).collect();
    let watching = tokio::spawn(watch(stage.gangway.process.id(), span));
    let faults = Faults::until(&mut stage, begun + span).await;
    let (memory, files) = watching.await.expect("looking does not panic");

    let mut is_good = true;
    let mut verdict = |is_passed: bool, line: String| {
        println!("{} {line}", if is_passed { "pass" } else { "FAIL" });
        is_good &= is_passed;
    };
    let mut outcome = Outcome::default();
    for load in loads {
        outcome.join(load.end().await);
    }
    verdict(outcome.failed.is_empty() && outcome.answered > 0, format!("small requests: {}", outcome.told()));
    for lost in outcome.failed.iter().take(10) {
        println!("       lost: {lost}");
    }
    for clients in clients {
        let kind = clients.kind;
        let (answered, lost, outcomes) = clients.end().await;
        let is_counted = COUNTED.contains(&kind);
        let lost_text =
            if is_counted { format!("{lost} lost") } else { format!("{lost} ended otherwise, as they may") };
        verdict(answered > 0 && (lost == 0 || !is_counted), format!("{kind:?}: {answered} answered, {lost_text}"));
        if is_counted {
            outcomes.iter().for_each(|outcome| println!("       lost: {outcome}"));
        }
    }
    let disturbed = calm.disturbed().await;
    verdict(
        disturbed.is_empty(),
        format!("lasting WebSockets and streams: {} disturbed {disturbed:?}", disturbed.len()),
    );
    println!("     {faults}");
    for (growth, flat, what) in [(memory, FLAT_MIB, "MiB"), (files, FLAT_FILES, "descriptors")] {
        let (least, most) = growth.range();
        let (slope, thirds) = (growth.per_hour(), growth.of_thirds());
        verdict(
            thirds <= flat,
            format!(
                "{least:.1} to {most:.1} {what}, slope {slope:+.1} an hour, {thirds:+.1} from the first third to the last"
            ),
        );
    }
    let files_after = settled(&stage.gangway, files_before + MORE_FILES).await;
    verdict(
        files_after <= files_before + MORE_FILES,
        format!("descriptors: {files_before} before, {files_after} after"),
    );
    println!("     memory after: {:.1} MiB", mib(stage.gangway.process.resident_kib()));
    verdict(stage.gangway.stop().await, "ended by itself when told to".to_owned());
    is_good
}

/// Looks at the memory, in MiB, and the descriptors of a process from time to time, after a while in which they fill.
async fn watch(process: u32, span: Duration) -> (Growth, Growth) {
    let (mut memory, mut files, begun) = (Growth::default(), Growth::default(), Instant::now());
    let mut sample = 0;
    let mut ticks = interval_at(begun + span / WARM_UP, (span - span / WARM_UP) / SAMPLES);
    while begun.elapsed() < span {
        ticks.tick().await;
        let now = mib(gangway_tests::process::resident_kib(process));
        memory.add(begun.elapsed(), now);
        let open = u32::try_from(gangway_tests::process::open_files(process)).unwrap_or(u32::MAX);
        files.add(begun.elapsed(), f64::from(open));
        sample += 1;
        // What there is is known also where the rest of the time is cut short.
        if sample % SAMPLES_A_LINE == 0 {
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            println!(
                "     after {minutes:.1} minutes: {now:.1} MiB, {open} descriptors, {:+.1} MiB an hour",
                memory.per_hour()
            );
        }
    }
    (memory, files)
}

/// Waits until no more descriptors than these are open; how many there are then, or at last.
async fn settled(gangway: &Gangway, most: usize) -> usize {
    let mut ticks = interval_at(Instant::now(), Duration::from_millis(100));
    let _ = timeout(IDLE_MAX, async {
        while gangway.process.open_files() > most {
            ticks.tick().await;
        }
    })
    .await;
    gangway.process.open_files()
}
