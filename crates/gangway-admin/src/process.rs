//! How the process itself is doing, under the names that every Prometheus client uses.

use std::fs;

/// Clock ticks a second in `/proc`; the same on every Linux.
const TICKS: f64 = 100.0;

/// Names, kinds, help and values; those that cannot be read are left out.
pub(crate) fn figures() -> Vec<(&'static str, &'static str, &'static str, f64)> {
    let mut figures = Vec::new();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the process stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        let help = "User and system time spent, in seconds.";
        figures.push(("process_cpu_seconds_total", "counter", help, (user + system) / TICKS));
    }
    if let (Some(since_boot), Some(boot)) = (ticks(19), boot_time()) {
        let help = "When the process started, in seconds since the epoch.";
        figures.push(("process_start_time_seconds", "gauge", help, boot + since_boot / TICKS));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (line, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory in use."),
        ("VmSize:", "process_virtual_memory_bytes", "Memory mapped."),
    ] {
        if let Some(kib) = number_behind(&status, line) {
            figures.push((name, "gauge", help, kib * 1024.0));
        }
    }
    if let Some(threads) = number_behind(&status, "Threads:") {
        figures.push(("process_threads", "gauge", "Threads.", threads));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        figures.push(("process_open_fds", "gauge", "Open file descriptors.", open.count() as f64));
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = number_behind(&limits, "Max open files") {
        figures.push(("process_max_fds", "gauge", "Most file descriptors that may be open.", most));
    }
    figures
}

fn number_behind(text: &str, beginning: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    line.split_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    number_behind(&fs::read_to_string("/proc/stat").ok()?, "btime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_of_them() {
        let names: Vec<_> = figures().iter().map(|figure| figure.0).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(figures().iter().all(|figure| figure.3 >= 0.0));
    }
}
