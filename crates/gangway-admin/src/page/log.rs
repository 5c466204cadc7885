//! The process's own log: the last lines, newest first.

use gangway_tls::UnixTime;
use maud::{Markup, html};

use super::extent::Page;
use super::frame::{EVENTS, Follows, Part, View};
use super::parts::{self, clock, shown, told};
use super::query::PageQuery;
use crate::api::LogView;
use crate::views::seconds_since_epoch;

/// The levels, the worst first. A line has to be at least as bad as the one that is asked for.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What the view of the log shows.
pub(crate) struct LogFacts<'f> {
    /// The lines, oldest first.
    pub(crate) lines: &'f [LogView],
    pub(crate) now: UnixTime,
}

pub(super) fn view(facts: &LogFacts<'_>, query: &PageQuery) -> View {
    View {
        title: "Log".to_owned(),
        page: Some(Page::Log),
        events: format!("{EVENTS}?log"),
        beside: html! {},
        parts: vec![
            Part::new("filter", Follows::Nothing, parts::filter("lines", query, "Filter lines", &LEVELS)),
            Part::new("lines", Follows::Log, lines(facts, query)),
        ],
        aside: Vec::new(),
    }
}

fn rank(level: &str) -> usize {
    LEVELS.iter().position(|known| known.eq_ignore_ascii_case(level)).unwrap_or(LEVELS.len())
}

fn lines(facts: &LogFacts<'_>, query: &PageQuery) -> Markup {
    let least = if query.state.is_empty() { LEVELS.len() } else { rank(&query.state) };
    let is_taken = |line: &&LogView| {
        let of_fields = line.fields.iter().flat_map(|(name, value)| [&**name, value]);
        rank(&line.level) <= least && query.takes([&*line.message, &line.target].into_iter().chain(of_fields))
    };
    let lines: Vec<&LogView> = facts.lines.iter().rev().filter(is_taken).collect();
    html! {
        @if lines.is_empty() {
            p.empty { @if facts.lines.is_empty() { "No line yet." } @else { "No line matches the filter." } }
        } @else {
            table.log {
                thead {
                    tr { th scope="col" { "when" } th scope="col" { "level" } th scope="col" { "message" } }
                }
                tbody {
                    @for line in lines {
                        tr {
                            td.n { (when(line, facts.now)) }
                            td { span class={ "s " (line.level.to_ascii_lowercase()) } { (line.level.to_ascii_lowercase()) } }
                            td {
                                (told(&line.message))
                                @for (name, value) in &line.fields {
                                    " " span.field { span { (shown(name)) "=" } (told(value)) }
                                }
                                small { (shown(&line.target)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The time of day, with the day of a line that is older than one.
fn when(line: &LogView, now: UnixTime) -> Markup {
    let is_old = seconds_since_epoch(&line.at).is_some_and(|at| now.seconds().saturating_sub(at) > 86_400);
    html! { @if is_old { (line.at.get(..10).unwrap_or_default()) " " } (clock(&line.at)) }
}
