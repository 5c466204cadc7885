//! Metrics of the process itself, under the names that every Prometheus client uses.

use std::fs;

use prometheus::proto::MetricFamily;

use crate::metric_family::{counter, single};

/// Clock ticks per second in `/proc`. The number is the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics of this process. Those that cannot be read are left out.
pub(crate) fn families() -> Vec<MetricFamily> {
    [cpu_seconds(), start_time(), memory("VmRSS:"), memory("VmSize:"), threads(), open_files(), open_files_max()]
        .into_iter()
        .flatten()
        .collect()
}

fn cpu_seconds() -> Option<MetricFamily> {
    let ticks = stat_field(11)? + stat_field(12)?;
    let help = "User and system time spent, in seconds.";
    Some(counter("process_cpu_seconds_total", help).with(&[], ticks / TICKS_PER_SECOND).finish())
}

fn start_time() -> Option<MetricFamily> {
    let seconds = boot_time()? + stat_field(19)? / TICKS_PER_SECOND;
    Some(single("process_start_time_seconds", "When the process started, in seconds since the epoch.", seconds))
}

fn memory(line: &str) -> Option<MetricFamily> {
    let bytes = number_after(line, &read("/proc/self/status"))? * 1024.0;
    Some(match line {
        "VmRSS:" => single("process_resident_memory_bytes", "Memory in use.", bytes),
        _ => single("process_virtual_memory_bytes", "Memory mapped.", bytes),
    })
}

fn threads() -> Option<MetricFamily> {
    Some(single("process_threads", "Threads.", number_after("Threads:", &read("/proc/self/status"))?))
}

fn open_files() -> Option<MetricFamily> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(single("process_open_fds", "Open file descriptors.", open as f64))
}

fn open_files_max() -> Option<MetricFamily> {
    let max = number_after("Max open files", &read("/proc/self/limits"))?;
    Some(single("process_max_fds", "Most file descriptors that may be open.", max))
}

/// A field of `/proc/self/stat`, counted from the one after the name of the process.
fn stat_field(at: usize) -> Option<f64> {
    let stat = read("/proc/self/stat");
    // The name is in parentheses and may contain any character.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(at)?.parse().ok()
}

fn boot_time() -> Option<f64> {
    number_after("btime", &read("/proc/stat"))
}

/// The number at the beginning of the rest of the first line that begins like this.
fn number_after(beginning: &str, text: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_of_them() {
        let families = families();
        let names: Vec<_> = families.iter().map(MetricFamily::name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        let value = |family: &MetricFamily| {
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value().max(metric.get_counter().get_value())
        };
        assert!(families.iter().all(|family| value(family) >= 0.0));
    }
}
