//! Figures as lines and bars. The sizes are attributes of SVG, for no style may stand in a view.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::parts::{count, millis, number};
use crate::api::{BucketView, FiguresView, PointView};

/// The size of a line of figures, in its own units: a step is two minutes.
const WIDTH: usize = 30;
const HEIGHT: u64 = 16;

/// The requests of each minute of the last hour, and over them those that failed. What it says stands beside it in
/// figures, so it is hidden from readers of a screen.
pub(super) fn hour(points: &[PointView]) -> Markup {
    let steps = points.rchunks(2).rev().map(|pair| {
        pair.iter().fold((0, 0), |(requests, errors), point| (requests + point.requests, errors + point.errors))
    });
    let (requests, errors): (Vec<u64>, Vec<u64>) = steps.unzip();
    let most = requests.iter().copied().max().unwrap_or_default();
    html! {
        svg.hour viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
            @if most > 0 {
                path d=(area(&requests, most)) {}
                @if errors.iter().any(|errors| *errors > 0) { path.bad d=(area(&errors, most)) {} }
            }
        }
    }
}

/// The outline of steps of the width 1. Equal steps become one.
fn area(values: &[u64], most: u64) -> String {
    let begin = WIDTH.saturating_sub(values.len());
    let mut path = format!("M{begin} {HEIGHT}");
    let (mut at, mut height) = (begin, HEIGHT);
    for value in values.iter().map(|value| (*value).min(most)) {
        // What is not zero is seen.
        let rise = if value == 0 { 0 } else { (value.saturating_mul(HEIGHT) / most).max(1) };
        let next = HEIGHT - rise;
        if next != height {
            // Writing into a text cannot fail.
            let _ = write!(path, "H{at}V{next}");
            height = next;
        }
        at += 1;
    }
    let _ = write!(path, "H{at}V{HEIGHT}Z");
    path
}

/// The cells of a row with the figures of a site.
pub(super) fn cells(figures: Option<&FiguresView>) -> Markup {
    html! {
        td.n { @match figures { Some(now) => (number(now.per_second)), None => (nothing()) } }
        td.n {
            @match figures {
                Some(now) => span class=[is_bad(now.error_share).then_some("bad")] { (share(now.error_share)) },
                None => (nothing()),
            }
        }
        td.n.wide { (quantiles(figures)) }
        td.wide { (hour(figures.map_or(&[], |now| &now.hour))) }
    }
}

/// What stands where there is no figure.
pub(super) fn nothing() -> Markup {
    html! { span.no { "–" } }
}

fn quantiles(figures: Option<&FiguresView>) -> Markup {
    html! {
        @match figures.and_then(|now| Some((now.p50_ms?, now.p99_ms?))) {
            Some((p50, p99)) => { (number(p50)) " / " (number(p99)) },
            None => (nothing()),
        }
    }
}

/// Whether a share of errors needs a look. One of thousands may be a client's.
pub(super) fn is_bad(error_share: f64) -> bool {
    error_share >= 0.01
}

/// A share as percent.
pub(super) fn share(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// How many requests took how long, as a bar for each bound.
pub(super) fn histogram(buckets: &[BucketView]) -> Markup {
    let most = buckets.iter().map(|bucket| bucket.requests).max().unwrap_or_default();
    html! {
        @if most == 0 { p.empty { "No request yet." } } @else {
            table.bars {
                thead { tr { th scope="col" { "took at most" } th scope="col" { "requests" } th.wide { } } }
                tbody {
                    @for bucket in buckets {
                        tr {
                            th scope="row" {
                                @match bucket.up_to_ms { Some(bound) => (millis(bound)), None => "longer" }
                            }
                            td.n { (count(bucket.requests)) }
                            td { (bar(bucket.requests, most)) }
                        }
                    }
                }
            }
        }
    }
}

fn bar(value: u64, most: u64) -> Markup {
    let width = value.saturating_mul(100) / most.max(1);
    html! {
        svg.rule viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(width) height="8" {}
        }
    }
}

/// How many requests got a status of each class.
pub(super) fn statuses(statuses: &[u64; 5]) -> Markup {
    let most = statuses.iter().copied().max().unwrap_or_default();
    html! {
        table.bars {
            thead { tr { th scope="col" { "status" } th scope="col" { "requests" } th.wide { } } }
            tbody {
                @for (class, requests) in (1..).zip(statuses) {
                    tr {
                        th scope="row" { (class) "xx" }
                        td.n { (count(*requests)) }
                        td class=[(class == 5).then_some("bad")] { (bar(*requests, most)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_figures_ends_now_and_equal_minutes_are_one_step() {
        assert_eq!(area(&[0, 4, 4, 8, 1], 8), "M25 16H26V8H28V0H29V14H30V16Z");
        assert_eq!(area(&[0; 30], 8), "M0 16H30V16Z");
        assert!(area(&[1; 90], u64::MAX).starts_with("M0 16"));
    }

    #[test]
    fn a_minute_with_an_error_is_seen() {
        let points = [PointView { requests: 1000, errors: 1, ..PointView::default() }];
        assert!(hour(&points).into_string().contains(r#"<path class="bad" d="M29 16H29V15H30V16Z"></path>"#));
    }
}
