//! Builds metric families from values, for metrics that no counter of the registry holds.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// A metric family that is being built.
pub(crate) struct MetricFamilyBuilder {
    family: MetricFamily,
    kind: MetricType,
}

/// Begins a family of gauges.
pub(crate) fn gauge(name: &str, help: &str) -> MetricFamilyBuilder {
    MetricFamilyBuilder::new(name, help, MetricType::GAUGE)
}

/// Begins a family of counters.
pub(crate) fn counter(name: &str, help: &str) -> MetricFamilyBuilder {
    MetricFamilyBuilder::new(name, help, MetricType::COUNTER)
}

/// One gauge without labels.
pub(crate) fn single(name: &str, help: &str, value: f64) -> MetricFamily {
    gauge(name, help).with(&[], value).finish()
}

impl MetricFamilyBuilder {
    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self { family, kind }
    }

    /// Adds a sample.
    pub(crate) fn with(mut self, labels: &[(&str, &str)], value: f64) -> Self {
        let label = |(name, value): &(&str, &str)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        };
        let mut metric = Metric::from_label(labels.iter().map(label).collect());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family.mut_metric().push(metric);
        self
    }

    pub(crate) fn finish(self) -> MetricFamily {
        self.family
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn a_label_value_cannot_end_its_label() {
        let family = gauge("x", "For the test.").with(&[("a", "b\"c\\d\ne"), ("f", "g")], 1.5).finish();
        let text = TextEncoder::new().encode_to_string(&[family]).expect("it has a sample");
        assert!(text.ends_with("\nx{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 1.5\n"), "{text}");
    }
}
