//! One log event as text for people: the time, the level, the message, then the fields.
//!
//! Control characters in values are written as codes, so that no value can begin a line. Longer parts follow on
//! indented lines: the place that a diagnostic points at, its help and its effect. Empty fields are left out.

use std::env;
use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use gangway_diagnostic::printable;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::serve::route_log;

/// The form of the lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TextFormat {
    /// The day is left out: on a terminal people watch the log now.
    is_brief: bool,
    has_colour: bool,
}

/// Fields that are shown on lines of their own.
const BELOW: &[&str] = &["help", "effect"];

/// A field with a whole rendered diagnostic. The parts that the line does not contain follow below it.
const DIAGNOSTIC: &str = "diagnostic";

impl TextFormat {
    /// Brief and coloured for a terminal, unless `NO_COLOR` or `TERM=dumb` asks for no colour.
    pub(super) fn for_sink(sink: &impl IsTerminal) -> Self {
        let is_terminal = sink.is_terminal();
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_brief: is_terminal, has_colour: is_terminal && !is_set("NO_COLOR") && !is_dumb }
    }

    fn line(self, now: OffsetDateTime, level: Level, log_event: &LogEvent) -> String {
        let mut line = self.painted("2", &self.time(now));
        let _ = write!(line, " {} ", self.painted(colour(level), &format!("{level:>5}")));
        line.push_str(&printable(&log_event.message));
        for (name, value) in &log_event.fields {
            let quote = if value.contains([' ', '"', '=']) { "\"" } else { "" };
            let value = printable(value).replace('"', "\\\"");
            let _ = write!(line, " {}{quote}{value}{quote}", self.painted("2", &format!("{name}=")));
        }
        for (head, rest) in &log_event.below {
            let head = if head.is_empty() { String::new() } else { self.painted("2", &format!("{head}: ")) };
            let _ = write!(line, "\n  {head}{}", printable(rest));
        }
        line.push('\n');
        line
    }

    fn time(self, now: OffsetDateTime) -> String {
        let brief = format_description!("[hour]:[minute]:[second]Z");
        let whole = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        if self.is_brief { now.format(brief) } else { now.format(whole) }.unwrap_or_default()
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.has_colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "1;31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    }
}

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut log_event = LogEvent::default();
        event.record(&mut log_event);
        // The fields of these events are for programs: the message says the same.
        if event.metadata().target() == route_log::TARGET {
            log_event.fields.clear();
        }
        writer.write_str(&self.line(OffsetDateTime::now_utc(), *event.metadata().level(), &log_event))
    }
}

/// The content of one event.
#[derive(Debug, Default, Eq, PartialEq)]
struct LogEvent {
    message: String,
    fields: Vec<(&'static str, String)>,
    /// Lines below, each with its heading.
    below: Vec<(&'static str, String)>,
}

impl LogEvent {
    fn add(&mut self, name: &'static str, value: String) {
        match name {
            "message" => self.message = value,
            _ if value.is_empty() || name.starts_with("log.") => {}
            DIAGNOSTIC => self.below.extend(rest_of(&value).map(|line| ("", line.to_owned()))),
            _ if BELOW.contains(&name) => self.below.push((name, value)),
            _ => self.fields.push((name, value)),
        }
    }
}

/// The lines of a diagnostic after its message and its place.
fn rest_of(shown: &str) -> impl Iterator<Item = &str> {
    shown
        .lines()
        .skip(2)
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .filter(|line| !line.is_empty() && *line != "|")
}

impl Visit for LogEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TextFormat = TextFormat { is_brief: false, has_colour: false };

    fn line(text: TextFormat, fields: &[(&'static str, &str)]) -> String {
        let mut log_event = LogEvent::default();
        fields.iter().for_each(|(name, value)| log_event.add(name, (*value).to_owned()));
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).expect("a time");
        text.line(now, Level::WARN, &log_event)
    }

    #[test]
    fn the_message_comes_first_and_empty_fields_are_left_out() {
        let fields = [("code", "G401"), ("label", ""), ("message", "no shared network"), ("name", "a b"), ("n", "1")];
        assert_eq!(
            line(PLAIN, &fields),
            "2026-09-21T14:13:20.000Z  WARN no shared network code=G401 name=\"a b\" n=1\n"
        );
    }

    #[test]
    fn no_part_of_a_diagnostic_is_shown_twice() {
        let shown = "error[G104]: unknown matcher `Hosts`\n  in container `shop`, label `gangway.rule`\n  |\n  | Hosts(`a`)\n  | \
                     ^^^^^ not a matcher\n  |\n  help: did you mean `Host`?\n  effect: route `web` is not served";
        let fields =
            [("message", "unknown matcher `Hosts`"), ("code", "G104"), ("container", "shop"), ("diagnostic", shown)];
        // Shown by the guide on logs.
        assert_eq!(line(PLAIN, &fields), include_str!("../../../tests/log/diagnostic.txt"));
    }

    #[test]
    fn no_value_controls_a_terminal_or_begins_a_line() {
        let evil = "a\u{1b}[31m\nERROR gone";
        let line = line(PLAIN, &[("message", evil), ("field", evil), ("help", evil)]);
        assert!(!line.contains('\u{1b}') && line.lines().count() == 2, "{line}");
    }

    #[test]
    fn a_terminal_gets_colour_and_a_short_time() {
        let text = TextFormat { is_brief: true, has_colour: true };
        let coloured = line(text, &[("message", "m"), ("code", "G1")]);
        assert_eq!(coloured, "\u{1b}[2m14:13:20Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m m \u{1b}[2mcode=\u{1b}[0mG1\n");
        let plain = TextFormat { has_colour: false, ..text };
        assert_eq!(line(plain, &[("message", "m")]), "14:13:20Z  WARN m\n");
    }
}
