//! A value over time, and the line through it.

use std::time::Duration;

/// A value at moments since the beginning.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    samples: Vec<(Duration, f64)>,
}

impl Growth {
    /// Adds a sample.
    pub fn add(&mut self, at: Duration, value: f64) {
        self.samples.push((at, value));
    }

    /// The slope of the line with the least squares, per hour. Zero for less than two samples.
    pub fn per_hour(&self) -> f64 {
        let points: Vec<(f64, f64)> =
            self.samples.iter().map(|(at, value)| (at.as_secs_f64() / 3600.0, *value)).collect();
        #[expect(clippy::cast_precision_loss, reason = "some hundreds of samples")]
        let count = points.len() as f64;
        let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (hours, values) = (mean(&|point| point.0), mean(&|point| point.1));
        let spread: f64 = points.iter().map(|(at, _)| (at - hours).powi(2)).sum();
        let common: f64 = points.iter().map(|(at, value)| (at - hours) * (value - values)).sum();
        if spread > 0.0 { common / spread } else { 0.0 }
    }

    /// By how much the middle of the last third lies above the middle of the first.
    pub fn of_thirds(&self) -> f64 {
        let third = self.samples.len() / 3;
        let middle = |part: &[(Duration, f64)]| {
            let mut values: Vec<f64> = part.iter().map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        middle(&self.samples[self.samples.len() - third..]) - middle(&self.samples[..third])
    }

    /// The least and the most.
    pub fn range(&self) -> (f64, f64) {
        let values = || self.samples.iter().map(|(_, value)| *value);
        (values().reduce(f64::min).unwrap_or_default(), values().reduce(f64::max).unwrap_or_default())
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
        (0..60).for_each(|minute| growth.add(Duration::from_secs(minute * 60), mib(kib(minute))));
        growth
    }

    #[test]
    fn a_leak_is_a_slope() {
        let leak = growth(|minute| 50 * 1024 + minute * 1024);
        assert!((leak.per_hour() - 60.0).abs() < 0.01, "{}", leak.per_hour());
        assert!((leak.of_thirds() - 40.0).abs() < 1.1, "{}", leak.of_thirds());
        assert_eq!(leak.range(), (50.0, 109.0));
    }

    #[test]
    fn noise_is_none() {
        let noise = growth(|minute| 50 * 1024 + (minute * 7919) % 1024);
        assert!(noise.per_hour().abs() < 1.0 && noise.of_thirds().abs() < 0.5, "{noise:?}");
        assert!(Growth::default().per_hour().abs() < 1e-9 && Growth::default().of_thirds().abs() < 1e-9);
    }
}
