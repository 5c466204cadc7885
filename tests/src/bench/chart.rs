//! A chart of the ratios: bars beside the line of nginx.
//!
//! It is legible on a light and on a dark page: nothing is filled behind it, and a style sheet of its own follows
//! the reader's choice.

use std::fmt::Write as _;

use crate::bench::proxies::Kind;
use crate::bench::results::{Medians, Results};
use crate::bench::scenes::Compared;

const LABELS: f64 = 190.0;
const SCALE: f64 = 190.0;
const BAR: f64 = 9.0;
const ROW: f64 = 3.0 * BAR + 11.0;
const TOP: f64 = 44.0;
const WIDTH: f64 = 840.0;

/// A bar is never longer; its number says how much it stands for.
const RATIO_MAX: f64 = 3.2;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}.small{font-size:9px}.axis{stroke:#57606a}.grid{stroke:#d0d7de}\
.gangway{fill:#0969da}.haproxy{fill:#8250df}.caddy{fill:#9a6700}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.axis{stroke:#9198a1}.grid{stroke:#3d444d}\
.gangway{fill:#4493f8}.haproxy{fill:#ab7df8}.caddy{fill:#d29922}}";

/// An SVG of the scenes that compare processor time with nginx's.
pub fn chart(all: &[Results]) -> String {
    let shown: Vec<&Results> = all
        .iter()
        .filter(|results| results.scene.compared == Compared::Cost && results.scene.proxies.contains(&Kind::Nginx))
        .collect();
    let height = shown.iter().fold(TOP, |at, _| at + ROW) + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Processor time of a request as a multiple of nginx's</title>\n<style>{STYLE}</style>\n"
    );
    legend(&mut svg);
    for step in [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0] {
        let (x, class) = (LABELS + step * SCALE, if step == 1.0 { "axis" } else { "grid" });
        let name = if step == 1.0 { "nginx".to_owned() } else { format!("{step:.1}") };
        let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{}\"/>", height - 8.0);
        let _ =
            writeln!(svg, "<text class=\"small\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{name}</text>", TOP - 6.0);
    }
    let mut y = TOP + 6.0;
    for results in shown {
        row(&mut svg, y, results);
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    let mut x = LABELS;
    for (class, name) in [("gangway", "Gangway"), ("haproxy", "HAProxy"), ("caddy", "Caddy")] {
        let _ = writeln!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"8\" width=\"10\" height=\"10\" rx=\"2\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"17\">{name}</text>", x + 15.0);
        x += 90.0;
    }
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"17\">processor time, × nginx; less is better</text>");
}

fn row(svg: &mut String, y: f64, results: &Results) {
    let middle = y + 1.5 * BAR + 4.0;
    let name = escaped(results.scene.name);
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>", LABELS - 10.0);
    let mut at = y;
    for Medians { kind, ratio, .. } in results.medians() {
        let class = match kind {
            Kind::Gangway | Kind::Bare | Kind::OneHost | Kind::HundredHosts | Kind::ManyHosts => "gangway",
            Kind::Haproxy => "haproxy",
            Kind::Caddy => "caddy",
            Kind::Nginx => continue,
        };
        let width = ratio.clamp(0.0, RATIO_MAX) * SCALE;
        let height = BAR - 1.0;
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{LABELS}\" y=\"{at}\" width=\"{width:.1}\" height=\"{height}\" rx=\"1\"/>"
        );
        let (x, y) = (LABELS + width + 3.0, at + BAR - 2.0);
        let _ = writeln!(svg, "<text class=\"small\" x=\"{x:.1}\" y=\"{y}\">{ratio:.2}</text>");
        at += BAR;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample::Sample;
    use crate::bench::scenes::SCENES;

    #[test]
    fn a_bar_stands_for_a_ratio() {
        let sample = |cpu_seconds| Sample { requests: 100_000, cpu_seconds, ..Sample::default() };
        let round = vec![sample(0.5), sample(1.0), sample(9.0), sample(2.0)];
        let svg = chart(&[Results::new(&SCENES[0], vec![round])]);
        assert!(svg.contains(r#"<rect class="gangway" x="190" y="50" width="95.0""#), "{svg}");
        assert!(svg.contains(r#"<rect class="haproxy" x="190" y="59" width="608.0""#), "clipped: {svg}");
        assert!(svg.contains(">9.00</text>"), "its number is not: {svg}");
        assert!(svg.contains("prefers-color-scheme:dark"));
    }
}
