//! The results as text for a terminal, and as tables of `docs/performance.md`.

use std::fmt::Write as _;

use crate::bench::results::{Medians, Results};
use crate::bench::scenes::Compared;

/// What stands around the part of the page that the bench writes.
const BEGIN: &str = "<!-- written by make bench: begin -->";
const END: &str = "<!-- written by make bench: end -->";

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The number of rounds.
    pub rounds: usize,
    /// The seconds of each measurement.
    pub seconds: u64,
    /// The number of cores.
    pub cores: usize,
    /// The versions of what is compared.
    pub versions: String,
    /// Name and MiB of each proxy after all scenes.
    pub memory: Vec<(&'static str, u64)>,
}

/// The lines of one scene for a terminal.
pub fn scene_text(results: &Results) -> String {
    let mut text = format!("{}\n", results.scene.name);
    for medians in results.medians() {
        let latency = medians
            .latency_millis
            .map_or_else(String::new, |[p50, p99, p999]| format!("   {p50:>7.2} {p99:>7.2} {p999:>7.2} ms"));
        let Medians { kind, cost, ratio, rate, .. } = medians;
        let _ = writeln!(text, "  {:<24}{cost:>9.2} s {ratio:>7.2}x {rate:>10.0}/s{latency}", kind.name());
    }
    let _ = writeln!(text, "  aim {:.2}x: {}", results.aim(), verdict(results));
    text
}

/// The heading of [`scene_text`].
pub fn heading(run: &Run) -> String {
    format!(
        "{}\n{} rounds of {} s, interleaved, {} cores; medians\n  {:<24}{:>11}{:>8} {:>12}   {:>7} {:>7} {:>7}\n",
        run.versions, run.rounds, run.seconds, run.cores, "", "s/100k", "ratio", "requests", "p50", "p99", "p99.9"
    )
}

/// One line about memory.
pub fn memory_text(run: &Run) -> String {
    let each: Vec<String> = run.memory.iter().map(|(name, mib)| format!("{name} {mib} MiB")).collect();
    format!("memory after all that: {}", each.join(", "))
}

fn verdict(results: &Results) -> &'static str {
    let reached = results.medians().first().is_some_and(|first| first.ratio <= results.aim());
    if reached { "reached" } else { "missed" }
}

/// The page with the part between its marks written anew. `None` if the page has no marks.
pub fn rewritten(page: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", part.trim()))
}

/// The part of the page that the bench writes.
pub fn part(run: &Run, all: &[Results]) -> String {
    let mut text = String::from("![Processor time of a request as a multiple of nginx's](performance.svg)\n\n");
    let _ = writeln!(
        text,
        "{}. {} rounds of {} s for each scene and proxy, interleaved, on {} cores. Medians; a ratio is made within a round.\n",
        run.versions, run.rounds, run.seconds, run.cores
    );
    text.push_str("### Processor time\n\nSeconds (user and system) for 100,000 requests, messages or events, and multiples of nginx's.\n\n");
    text.push_str("| scene | Gangway | nginx | HAProxy | Caddy | × nginx | aim |\n|---|--:|--:|--:|--:|--:|--:|\n");
    for results in all.iter().filter(|results| is_beside_others(results, Compared::Cost)) {
        let medians = results.medians();
        let costs: Vec<String> = medians.iter().map(|one| format!("{:.2}", one.cost)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | **{:.2}** | {:.2} |",
            results.scene.name,
            costs.join(" | "),
            medians[0].ratio,
            results.aim()
        );
    }
    text.push_str("\n### Latency\n\nMilliseconds: p50 / p99 / p99.9 of all requests, from the log of each.\n\n");
    text.push_str("| scene | Gangway | nginx | HAProxy | Caddy | p99 × nginx | aim |\n|---|--:|--:|--:|--:|--:|--:|\n");
    for results in all.iter().filter(|results| results.scene.proxies.len() > 2) {
        let medians = results.medians();
        let all: Option<Vec<[f64; 3]>> = medians.iter().map(|one| one.latency_millis).collect();
        let Some(all) = all else { continue };
        let cells: Vec<String> =
            all.iter().map(|[p50, p99, p999]| format!("{p50:.2} / {p99:.2} / {p999:.2}")).collect();
        let (ratio, aim) = match results.scene.compared {
            Compared::P99 => (medians[0].ratio, format!("{:.2}", results.aim())),
            Compared::Cost => (all[0][1] / all[1][1], String::new()),
        };
        let _ = writeln!(text, "| {} | {} | {ratio:.2} | {aim} |", results.scene.name, cells.join(" | "));
    }
    for results in all.iter().filter(|results| results.scene.proxies.len() == 2) {
        let medians = results.medians();
        let _ = writeln!(
            text,
            "\n{}: {:.2} s and {:.2} s for 100,000 requests, {:.2} × (aim {:.2}).",
            results.scene.name,
            medians[0].cost,
            medians[1].cost,
            medians[0].ratio,
            results.aim()
        );
    }
    let _ = writeln!(text, "\n{}.", memory_text(run).replacen("memory", "Memory", 1));
    text
}

fn is_beside_others(results: &Results, compared: Compared) -> bool {
    results.scene.compared == compared && results.scene.proxies.len() > 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::Sample;
    use crate::bench::scenes::SCENES;

    #[test]
    fn only_what_stands_between_the_marks_is_written_anew() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let page = rewritten(&page, "new").unwrap();
        assert_eq!(page, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(rewritten(&page, "new").unwrap(), page, "the second time changes nothing");
        assert_eq!(rewritten("no marks", "new"), None);
    }

    #[test]
    fn a_table_has_a_row_for_each_scene() {
        let sample = Sample { requests: 100_000, cpu_seconds: 1.0, micros: vec![1000], ..Sample::default() };
        let all: Vec<Results> =
            SCENES.iter().map(|scene| Results::new(scene, vec![vec![sample.clone(); scene.proxies.len()]])).collect();
        let run = Run { rounds: 1, seconds: 1, cores: 2, versions: "nginx 1".into(), memory: vec![("nginx", 3)] };
        let text = part(&run, &all);
        for scene in SCENES {
            assert!(text.contains(scene.name), "{}:\n{text}", scene.name);
        }
        assert!(text.contains("| 1 KB, h1 | 1.00 | 1.00 | 1.00 | 1.00 | **1.00** | 0.95 |"), "{text}");
        assert!(text.ends_with("Memory after all that: nginx 3 MiB.\n"), "{text}");
    }
}
