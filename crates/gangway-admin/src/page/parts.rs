//! The small things that several views are made of.

use std::borrow::Cow;

use gangway_diagnostic::printable;
use gangway_tls::UnixTime;
use maud::{Markup, html};

use super::query::PageQuery;
use crate::views::seconds_since_epoch;

/// The number of characters of a foreign text in a list. A view of the thing itself shows more of it.
const SHOWN_MAX: usize = 120;

/// The number of characters of a foreign text in the view of the thing itself.
const TOLD_MAX: usize = 2000;

/// The number of rows of a list on one page.
pub(super) const ROWS_MAX: usize = 200;

/// A foreign text in a list: on one line, bounded, and with a reading direction that ends where it ends.
pub(super) fn shown(text: &str) -> Markup {
    bounded(text, SHOWN_MAX)
}

/// The same, of a text that the view is about.
pub(super) fn told(text: &str) -> Markup {
    bounded(text, TOLD_MAX)
}

fn bounded(text: &str, max: usize) -> Markup {
    let text = clipped(text, max);
    // What is plain has no direction of its own.
    html! { @if text.is_ascii() { (text) } @else { bdi { (text) } } }
}

/// The text on one line, without what acts instead of being seen, and with at most about `max` characters.
pub(super) fn clipped(text: &str, max: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(max).map(|(at, _)| at);
    let is_plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match end {
        None if is_plain(text) => Cow::Borrowed(text),
        None => Cow::Owned(printable(text)),
        Some(end) => Cow::Owned(printable(&text[..end]) + "…"),
    }
}

/// The number of characters of a sentence of ours, which may repeat foreign texts.
const PROSE_MAX: usize = 600;

/// Prose of ours, in which pieces between backticks are code.
pub(super) fn prose(text: &str) -> Markup {
    let text = clipped(text, PROSE_MAX);
    html! {
        @for (at, piece) in text.split('`').enumerate() {
            @if at % 2 == 0 { (piece) } @else { code { bdi { (piece) } } }
        }
    }
}

/// The state of a thing: a word, with a mark beside it that differs in shape and not only in colour.
pub(super) fn state(word: &str) -> Markup {
    html! { span class={ "s " (word) } { (word) } }
}

/// A number for people: few digits, and no exponent.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        size if size >= 99.5 => format!("{value:.0}"),
        size if size >= 9.95 || size == 0.0 => format!("{value:.0}"),
        size if size >= 0.995 => format!("{value:.1}"),
        size if size < 0.005 => "< 0.01".to_owned(),
        _ => format!("{value:.2}"),
    }
}

/// A count with its thousands apart.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `one site`, `2 sites`.
pub(super) fn several(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

/// A time in milliseconds, with its unit.
pub(super) fn millis(value: f64) -> String {
    if value >= 1000.0 { format!("{} s", number(value / 1000.0)) } else { format!("{} ms", number(value)) }
}

/// A span of time in its largest unit.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// An instant as the time since then.
pub(super) fn ago(at: &str, now: UnixTime) -> Markup {
    let since = seconds_since_epoch(at).map(|at| now.seconds().saturating_sub(at));
    html! {
        time datetime=(at) title=(at) {
            @match since {
                Some(since @ 0..) => { (span(since)) " ago" }
                Some(ahead) => { "in " (span(-ahead)) }
                None => (shown(at)),
            }
        }
    }
}

/// The time of day of an instant, with the whole of it beside.
pub(super) fn clock(at: &str) -> Markup {
    let time = at.get(11..19).unwrap_or(at);
    html! { time datetime=(at) title=(at) { (time) } }
}

/// A number beside what it counts.
pub(super) fn fact(name: &str, value: &Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}

/// The form that says which rows of a list are shown.
pub(super) fn filter(part: &str, query: &PageQuery, hint: &str, states: &[&str]) -> Markup {
    html! {
        form.filter role="search" method="get" data-filter=(part) {
            input type="search" name="q" value=(query.text) placeholder=(hint) aria-label=(hint) autocomplete="off"
                spellcheck="false" maxlength="200";
            @if !states.is_empty() {
                select name="state" aria-label="State" {
                    option value="" { "all" }
                    @for one in states { option value=(one) selected[*one == query.state] { (one) } }
                }
            }
            button { "Filter" }
        }
    }
}

/// The rows of one page of a list.
pub(super) struct Paged<'r, R> {
    pub(super) rows: &'r [R],
    page: usize,
    pages: usize,
    all: usize,
}

impl<'r, R> Paged<'r, R> {
    /// The page that the query asks for; the last one if there are not as many.
    pub(super) fn of(all: &'r [R], query: &PageQuery) -> Self {
        let pages = all.len().div_ceil(ROWS_MAX).max(1);
        let page = query.page.clamp(1, pages);
        let begin = (page - 1) * ROWS_MAX;
        let end = all.len().min(begin + ROWS_MAX);
        Paged { rows: &all[begin..end], page, pages, all: all.len() }
    }

    /// The links to the other pages. Empty if there is one page.
    pub(super) fn links(&self, query: &PageQuery) -> Markup {
        let begin = (self.page - 1) * ROWS_MAX;
        html! {
            @if self.pages > 1 {
                nav.pager aria-label="Pages" {
                    @if self.page > 1 { a href=(query.with_page(self.page - 1)) rel="prev" { "← previous" } }
                    span {
                        (count(begin as u64 + 1)) "–" (count((begin + self.rows.len()) as u64)) " of "
                        (count(self.all as u64))
                    }
                    @if self.page < self.pages { a href=(query.with_page(self.page + 1)) rel="next" { "next →" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.001, 0.25, 1.0, 9.99, 12.4, 1234.5, f64::NAN];
        assert_eq!(numbers.map(number), ["0", "< 0.01", "0.25", "1.0", "10", "12", "1234", "–"]);
        assert_eq!([7, 1234, 1_234_567].map(count), ["7", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
        assert_eq!([0.5, 12.0, 2500.0].map(millis), ["0.50 ms", "12 ms", "2.5 s"]);
        assert_eq!([59, 60, 7200, 172_800].map(span), ["59 s", "1 min", "2 h", "2 d"]);
    }

    #[test]
    fn a_foreign_text_is_short_and_on_one_line() {
        assert_eq!(clipped("a\nb\u{202e}", 10), "a\\nb\\u{202e}");
        assert_eq!(clipped(&"é".repeat(5000), 3), "ééé…");
        assert_eq!(shown("<b>").into_string(), "&lt;b&gt;");
        assert_eq!(shown("שלום").into_string(), "<bdi>שלום</bdi>");
    }

    #[test]
    fn a_page_beyond_the_last_one_is_the_last_one() {
        let rows: Vec<usize> = (0..450).collect();
        let paged = Paged::of(&rows, &PageQuery::parse("page=9"));
        assert_eq!((paged.rows.len(), paged.rows[0]), (50, 400));
        assert!(Paged::of(&rows[..3], &PageQuery::parse("")).links(&PageQuery::default()).into_string().is_empty());
    }
}
