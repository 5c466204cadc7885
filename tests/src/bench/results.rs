//! Rounds of samples, and the medians that are shown of them.

use crate::bench::proxies::Kind;
use crate::bench::sample::Sample;
use crate::bench::scenes::{Aim, Compared, Scene};

/// All samples of a scene.
#[derive(Debug)]
pub struct Results {
    /// The scene.
    pub scene: &'static Scene,
    /// A round holds one sample for each proxy of the scene.
    rounds: Vec<Vec<Sample>>,
}

/// Medians of one proxy.
#[derive(Clone, Copy, Debug)]
pub struct Medians {
    /// The proxy.
    pub kind: Kind,
    /// Processor seconds for 100,000 requests.
    pub cost: f64,
    /// The value that the scene compares, as a multiple of the second proxy's in the same round.
    pub ratio: f64,
    /// Requests a second.
    pub rate: f64,
    /// Milliseconds in which half, 99 % and 99.9 % of the requests were answered, if they were timed.
    pub latency_millis: Option<[f64; 3]>,
}

impl Results {
    /// The samples by rounds, each in the order of the scene's proxies.
    pub fn new(scene: &'static Scene, rounds: Vec<Vec<Sample>>) -> Self {
        Self { scene, rounds }
    }

    /// The medians of each proxy.
    pub fn medians(&self) -> Vec<Medians> {
        (0..).zip(self.scene.proxies).map(|(at, kind)| self.medians_of(at, *kind)).collect()
    }

    /// The ratio that is aimed at, in the light of what HAProxy reached.
    pub fn aim(&self) -> f64 {
        let haproxy = self.medians().iter().find(|medians| medians.kind == Kind::Haproxy).map(|medians| medians.ratio);
        match self.scene.aim {
            Aim::AtMost(aim) => aim,
            Aim::AtMostOrHaproxy(aim) => haproxy.map_or(aim, |ratio| ratio.min(aim)),
        }
    }

    fn medians_of(&self, at: usize, kind: Kind) -> Medians {
        let of = |value: &dyn Fn(&Sample) -> f64| median(self.rounds.iter().map(|round| value(&round[at])).collect());
        let quantile = |share: f64| {
            let all: Option<Vec<f64>> = self.rounds.iter().map(|round| round[at].latency_millis(share)).collect();
            all.map(median)
        };
        let compared = |sample: &Sample| match self.scene.compared {
            Compared::Cost => sample.cost(),
            Compared::P99 => sample.latency_millis(0.99).unwrap_or(f64::NAN),
        };
        let latency_millis = match (quantile(0.5), quantile(0.99), quantile(0.999)) {
            (Some(p50), Some(p99), Some(p999)) => Some([p50, p99, p999]),
            _ => None,
        };
        Medians {
            kind,
            cost: of(&Sample::cost),
            ratio: median(self.rounds.iter().map(|round| compared(&round[at]) / compared(&round[1])).collect()),
            rate: of(&Sample::rate),
            latency_millis,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenes::SCENES;

    fn sample(cpu_seconds: f64) -> Sample {
        Sample { requests: 100_000, cpu_seconds, micros: vec![1000], ..Sample::default() }
    }

    #[test]
    fn a_ratio_is_made_within_a_round() {
        // The machine was three times slower in the second round: ratios of medians would say 0.83.
        let of = |gangway, nginx| vec![sample(gangway), sample(nginx), sample(1.0), sample(1.0)];
        let results = Results::new(&SCENES[0], vec![of(0.8, 1.0), of(2.4, 3.0), of(1.0, 1.2)]);
        let medians = results.medians();
        assert!((medians[0].ratio - 0.8).abs() < 1e-9, "{medians:?}");
        assert!((medians[0].cost - 1.0).abs() < 1e-9);
        assert!((medians[1].ratio - 1.0).abs() < 1e-9);
    }

    #[test]
    fn where_haproxy_is_better_it_is_the_aim() {
        let scene = SCENES.iter().find(|scene| matches!(scene.aim, Aim::AtMostOrHaproxy(_))).unwrap();
        let of =
            |haproxy| Results::new(scene, vec![vec![sample(1.0), sample(1.0), sample(haproxy), sample(1.0)]]).aim();
        assert!((of(0.6) - 0.6).abs() < 1e-9 && (of(2.0) - 0.9).abs() < 1e-9);
    }

    #[test]
    fn medians_of_even_numbers_lie_between() {
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
