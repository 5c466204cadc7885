//! Which part of traces is recorded.

use std::str::FromStr;

use crate::trace_context::TraceId;

/// The part of traces that is recorded, from none to all.
///
/// The trace's id decides, as in the SDKs of OpenTelemetry: who uses the same ratio records the same traces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SampleRatio {
    /// Ids whose last eight bytes, halved, are smaller are recorded.
    bound: u64,
}

/// A text that is no number from 0 to 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a number from 0 to 1")]
pub struct NotARatio;

/// One more than the greatest half of eight bytes.
const ALL: u64 = 1 << 63;

impl SampleRatio {
    /// Every trace.
    pub const ALL: Self = Self { bound: ALL };

    /// The ratio that is this number. None if it is not from 0 to 1.
    pub fn of(ratio: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the product is from 0 to 2^63")]
        let bound = |ratio: f64| (ratio * ALL as f64) as u64;
        (0.0..=1.0).contains(&ratio).then(|| Self { bound: bound(ratio) })
    }

    /// Whether a trace with this id is recorded.
    pub fn takes(self, trace: TraceId) -> bool {
        let last = trace.bytes().last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
        last >> 1 < self.bound
    }
}

impl FromStr for SampleRatio {
    type Err = NotARatio;

    fn from_str(text: &str) -> Result<Self, NotARatio> {
        text.parse().ok().and_then(Self::of).ok_or(NotARatio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_takes_its_part_of_all_traces() {
        fastrand::seed(7);
        let taken = |ratio: &str| {
            let ratio: SampleRatio = ratio.parse().expect("a ratio");
            (0..10_000).filter(|_| ratio.takes(TraceId::random())).count()
        };
        assert_eq!((taken("0"), taken("1"), taken("1.0")), (0, 10_000, 10_000));
        assert!((800..1200).contains(&taken("0.1")) && (4700..5300).contains(&taken(".5")));
        for wrong in ["", "-0.1", "1.1", "NaN", "inf", "10%", "a"] {
            assert_eq!(wrong.parse::<SampleRatio>(), Err(NotARatio), "{wrong}");
        }
    }

    #[test]
    fn a_trace_that_a_small_ratio_takes_a_greater_one_takes_too() {
        let (small, great) = (SampleRatio::of(0.1).expect("a ratio"), SampleRatio::of(0.2).expect("a ratio"));
        for _ in 0..1000 {
            let trace = TraceId::random();
            assert!(!small.takes(trace) || great.takes(trace));
        }
    }
}
