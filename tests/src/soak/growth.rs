//! Memory over time, and the line through it.

use std::time::Duration;

/// Memory in KiB at moments since the beginning.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    samples: Vec<(Duration, u64)>,
}

impl Growth {
    /// Adds a sample.
    pub fn add(&mut self, at: Duration, kib: u64) {
        self.samples.push((at, kib));
    }

    /// The slope of the line with the least squares, in MiB an hour. Zero for less than two samples.
    pub fn mib_per_hour(&self) -> f64 {
        let points: Vec<(f64, f64)> =
            self.samples.iter().map(|(at, kib)| (at.as_secs_f64() / 3600.0, mib(*kib))).collect();
        #[expect(clippy::cast_precision_loss, reason = "some hundreds of samples")]
        let count = points.len() as f64;
        let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (hours, mibs) = (mean(&|point| point.0), mean(&|point| point.1));
        let spread: f64 = points.iter().map(|(at, _)| (at - hours).powi(2)).sum();
        let common: f64 = points.iter().map(|(at, mib)| (at - hours) * (mib - mibs)).sum();
        if spread > 0.0 { common / spread } else { 0.0 }
    }

    /// By how many MiB the middle of the last third lies above the middle of the first.
    pub fn mib(&self) -> f64 {
        let third = self.samples.len() / 3;
        let middle = |part: &[(Duration, u64)]| {
            let mut kib: Vec<u64> = part.iter().map(|(_, kib)| *kib).collect();
            kib.sort_unstable();
            kib.get(kib.len() / 2).copied().unwrap_or_default()
        };
        mib(middle(&self.samples[self.samples.len() - third..])) - mib(middle(&self.samples[..third]))
    }

    /// The least and the most, in MiB.
    pub fn range_mib(&self) -> (f64, f64) {
        let all = || self.samples.iter().map(|(_, kib)| *kib);
        (mib(all().min().unwrap_or_default()), mib(all().max().unwrap_or_default()))
    }
}

/// KiB as MiB.
#[expect(clippy::cast_precision_loss, reason = "memory in KiB")]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(kib: impl Fn(u64) -> u64) -> Growth {
        let mut growth = Growth::default();
        (0..60).for_each(|minute| growth.add(Duration::from_secs(minute * 60), kib(minute)));
        growth
    }

    #[test]
    fn a_leak_is_a_slope() {
        let leak = growth(|minute| 50 * 1024 + minute * 1024);
        assert!((leak.mib_per_hour() - 60.0).abs() < 0.01, "{}", leak.mib_per_hour());
        assert!((leak.mib() - 40.0).abs() < 1.1, "{}", leak.mib());
    }

    #[test]
    fn noise_is_none() {
        let noise = growth(|minute| 50 * 1024 + (minute * 7919) % 1024);
        assert!(noise.mib_per_hour().abs() < 1.0 && noise.mib().abs() < 0.5, "{noise:?}");
        assert!(Growth::default().mib_per_hour().abs() < 1e-9 && Growth::default().mib().abs() < 1e-9);
    }
}
