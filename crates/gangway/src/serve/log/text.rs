//! One event of the log as text for people: the time, the level, the message, then fields.
//!
//! A line is a line whatever its values hold: control characters are written as their codes. What takes
//! more room stands below, indented: where a diagnostic points, what to do about it, and what was done
//! instead. A field that is empty is left out.

use std::env;
use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use gangway_model::diagnostic::printable;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::super::served;

/// How lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Text {
    /// On a terminal: people watch it now, so the day says nothing.
    is_brief: bool,
    has_colour: bool,
}

/// Fields that have lines of their own.
const BELOW: &[&str] = &["help", "effect"];

/// A diagnostic as it is shown everywhere; in the text its parts that are not said yet stand below.
const DIAGNOSTIC: &str = "diagnostic";

impl Text {
    /// As fits where it goes: brief and coloured on a terminal, unless `NO_COLOR` or `TERM=dumb` asks for none.
    pub(super) fn fit_for(sink: &impl IsTerminal) -> Self {
        let is_terminal = sink.is_terminal();
        let is_said = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_brief: is_terminal, has_colour: is_terminal && !is_said("NO_COLOR") && !is_dumb }
    }

    fn line(self, now: OffsetDateTime, level: Level, said: &Said) -> String {
        let mut line = self.painted("2", &self.time(now));
        let _ = write!(line, " {} ", self.painted(colour(level), &format!("{level:>5}")));
        line.push_str(&printable(&said.message));
        for (name, value) in &said.fields {
            let quote = if value.contains([' ', '"', '=']) { "\"" } else { "" };
            let value = printable(value).replace('"', "\\\"");
            let _ = write!(line, " {}{quote}{value}{quote}", self.painted("2", &format!("{name}=")));
        }
        for (head, rest) in &said.below {
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

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        // Their fields are for programs: the message says the same.
        if event.metadata().target() == served::TARGET {
            said.fields.clear();
        }
        writer.write_str(&self.line(OffsetDateTime::now_utc(), *event.metadata().level(), &said))
    }
}

/// What one event says.
#[derive(Debug, Default, Eq, PartialEq)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
    /// Lines below, each with its head.
    below: Vec<(&'static str, String)>,
}

impl Said {
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

/// The lines of a diagnostic that its message and its place do not say.
fn rest_of(shown: &str) -> impl Iterator<Item = &str> {
    shown
        .lines()
        .skip(2)
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .filter(|line| !line.is_empty() && *line != "|")
}

impl Visit for Said {
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

    const PLAIN: Text = Text { is_brief: false, has_colour: false };

    fn line(text: Text, fields: &[(&'static str, &str)]) -> String {
        let mut said = Said::default();
        fields.iter().for_each(|(name, value)| said.add(name, (*value).to_owned()));
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).expect("a time");
        text.line(now, Level::WARN, &said)
    }

    #[test]
    fn the_message_comes_first_and_what_is_empty_is_left_out() {
        let fields = [("code", "G401"), ("label", ""), ("message", "no shared network"), ("name", "a b"), ("n", "1")];
        assert_eq!(
            line(PLAIN, &fields),
            "2026-09-21T14:13:20.000Z  WARN no shared network code=G401 name=\"a b\" n=1\n"
        );
    }

    #[test]
    fn a_diagnostic_says_nothing_twice() {
        let shown = "error[G104]: unknown matcher `Hosts`\n  in container `shop`, label `gangway.rule`\n  |\n  | Hosts(`a`)\n  | \
                     ^^^^^ not a matcher\n  |\n  help: did you mean `Host`?\n  effect: route `web` is not served";
        let fields =
            [("message", "unknown matcher `Hosts`"), ("code", "G104"), ("container", "shop"), ("diagnostic", shown)];
        // Shown by the guide on logs.
        assert_eq!(line(PLAIN, &fields), include_str!("../../../tests/log/diagnostic.txt"));
    }

    #[test]
    fn nothing_in_a_value_commands_a_terminal_or_begins_a_line() {
        let evil = "a\u{1b}[31m\nERROR gone";
        let line = line(PLAIN, &[("message", evil), ("field", evil), ("help", evil)]);
        assert!(!line.contains('\u{1b}') && line.lines().count() == 2, "{line}");
    }

    #[test]
    fn a_terminal_gets_colour_and_a_short_time() {
        let text = Text { is_brief: true, has_colour: true };
        let coloured = line(text, &[("message", "m"), ("code", "G1")]);
        assert_eq!(coloured, "\u{1b}[2m14:13:20Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m m \u{1b}[2mcode=\u{1b}[0mG1\n");
        let plain = Text { has_colour: false, ..text };
        assert_eq!(line(plain, &[("message", "m")]), "14:13:20Z  WARN m\n");
    }
}
