//! What `gangway log` has printed, so that nothing is printed twice: what the instance remembers and what its stream tells
//! overlap, and the log says in words what some events tell.

use std::collections::{HashMap, VecDeque};

use gangway_admin::api;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log_line::LogLine;

/// Lines of the log that are remembered: as many as the instance remembers.
const LINES_MAX: usize = 500;

/// Changes that are remembered: as many as the instance remembers.
const CHANGES_MAX: usize = 100;

/// What the log said, for events that say the same.
const SAID_MAX: usize = 500;

/// An event says the same as a line of the log if there are at most so many seconds between them.
const SAID_SECONDS: i64 = 10;

/// The log tells by this target what is served.
const SERVED: &str = "gangway::served";

/// What was printed.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// The number of the latest request of each route, of those that the instance told of last.
    requests: HashMap<String, u64>,
    lines: VecDeque<api::LogView>,
    changes: VecDeque<api::ChangeView>,
    /// What lines of the log have said, and when.
    said: VecDeque<(i64, Said)>,
}

/// What both a line of the log and an event can say.
#[derive(Debug, Eq, PartialEq)]
enum Said {
    Change(String),
    Diagnostic { is_resolved: bool, code: String, label: String },
}

impl Printed {
    /// Goes on with the requests that an instance remembers, newest first, as it may be another one. Returns the number of
    /// requests that ended meanwhile and are not among them, as far as that can be known.
    pub(super) fn go_on(&mut self, requests: &[api::RequestView]) -> u64 {
        let mut told: HashMap<&str, (u64, u64)> = HashMap::new();
        for request in requests {
            let (oldest, newest) = told.entry(&request.route).or_insert((request.number, request.number));
            (*oldest, *newest) = (request.number.min(*oldest), request.number.max(*newest));
        }
        // An instance that was started again counts anew.
        self.requests.retain(|route, known| told.get(route.as_str()).is_some_and(|(_, newest)| newest >= known));
        let gaps =
            told.iter().filter_map(|(route, (oldest, _))| Some(oldest.saturating_sub(self.requests.get(*route)? + 1)));
        gaps.sum()
    }

    /// Whether a line is to be printed. It counts as printed then.
    pub(super) fn takes(&mut self, line: &LogLine) -> bool {
        match line {
            LogLine::Request(request) => self.takes_request(request),
            LogLine::Change(change) => self.takes_change(change),
            LogLine::Diagnostic(event) => !self.was_said(&event.at, &Said::of_event(event)),
            LogLine::Log(line) => self.takes_line(line),
            LogLine::Missed(_) => true,
        }
    }

    fn takes_request(&mut self, request: &api::RequestView) -> bool {
        match self.requests.get_mut(&request.route) {
            Some(known) if request.number <= *known => return false,
            Some(known) => *known = request.number,
            None => drop(self.requests.insert(request.route.clone(), request.number)),
        }
        true
    }

    /// A change is printed again if it has cost further requests.
    fn takes_change(&mut self, change: &api::ChangeView) -> bool {
        let is_same = |known: &&mut api::ChangeView| {
            (&known.at, &known.what, &known.route) == (&change.at, &change.what, &change.route)
        };
        if let Some(known) = self.changes.iter_mut().find(is_same) {
            let is_news = known != change;
            known.clone_from(change);
            return is_news;
        }
        push(&mut self.changes, change.clone(), CHANGES_MAX);
        let costs = change.lost > 0 || change.waited > 0;
        !self.was_said(&change.at, &Said::Change(change.what.clone())) || costs
    }

    fn takes_line(&mut self, line: &api::LogView) -> bool {
        if self.lines.contains(line) {
            return false;
        }
        push(&mut self.lines, line.clone(), LINES_MAX);
        if let (Some(said), Some(at)) = (Said::of_line(line), seconds(&line.at)) {
            push(&mut self.said, (at, said), SAID_MAX);
        }
        true
    }

    /// Whether the log has said this. It has said it once.
    fn was_said(&mut self, at: &str, event: &Said) -> bool {
        let Some(now) = seconds(at) else { return false };
        let said = self.said.iter().position(|(at, said)| now.abs_diff(*at) <= SAID_SECONDS as u64 && said == event);
        said.is_some_and(|position| self.said.remove(position).is_some())
    }
}

impl Said {
    fn of_line(line: &api::LogView) -> Option<Self> {
        if line.target == SERVED {
            return Some(Self::Change(line.message.clone()));
        }
        let field = |wanted: &str| line.fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let is_resolved = line.message.starts_with("resolved: ");
        let code = field("code").filter(|_| is_resolved || field("diagnostic").is_some())?;
        Some(Self::Diagnostic { is_resolved, code, label: field("label").unwrap_or_default() })
    }

    fn of_event(event: &api::DiagnosticEvent) -> Self {
        let api::DiagnosticView { code, label, .. } = &event.diagnostic;
        let (is_resolved, label) = (event.news == "resolved", label.clone().unwrap_or_default());
        Self::Diagnostic { is_resolved, code: code.clone(), label }
    }
}

fn push<T>(values: &mut VecDeque<T>, value: T, max: usize) {
    if values.len() == max {
        values.pop_front();
    }
    values.push_back(value);
}

fn seconds(at: &str) -> Option<i64> {
    OffsetDateTime::parse(at, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(route: &str, number: u64) -> api::RequestView {
        api::RequestView { route: route.into(), number, ..api::RequestView::default() }
    }

    fn takes_request(printed: &mut Printed, route: &str, number: u64) -> bool {
        printed.takes(&LogLine::Request(request(route, number)))
    }

    #[test]
    fn a_request_is_printed_once_and_what_was_missed_is_counted() {
        let mut printed = Printed::default();
        assert_eq!(printed.go_on(&[request("web", 7), request("web", 6)]), 0, "nothing was expected");
        let taken = [6, 7, 7, 8].map(|number| takes_request(&mut printed, "web", number));
        assert_eq!(taken, [true, true, false, true]);
        assert!(takes_request(&mut printed, "api", 1), "each route counts for itself");
        // The stream was lost, and 9 to 11 are no longer remembered.
        assert_eq!(printed.go_on(&[request("web", 12), request("api", 2), request("api", 1)]), 3);
        let taken =
            [("web", 12), ("api", 1), ("api", 2)].map(|(route, number)| takes_request(&mut printed, route, number));
        assert_eq!(taken, [true, false, true]);
        // Another instance counts anew.
        assert_eq!(printed.go_on(&[request("web", 1)]), 0);
        assert!(takes_request(&mut printed, "web", 1) && takes_request(&mut printed, "api", 1));
    }

    fn change(lost: u64) -> LogLine {
        let (at, what) = ("2026-09-21T14:13:20.001Z".into(), "serving https://web.test".into());
        LogLine::Change(api::ChangeView { at, what, lost, ..api::ChangeView::default() })
    }

    /// So many seconds after two o'clock.
    fn served(seconds: u64) -> LogLine {
        LogLine::Log(api::LogView {
            at: format!("2026-09-21T14:{:02}:{:02}.000Z", seconds / 60, seconds % 60),
            target: SERVED.into(),
            message: "serving https://web.test".into(),
            ..api::LogView::default()
        })
    }

    #[test]
    fn a_change_is_printed_again_only_if_it_has_cost_more() {
        let mut printed = Printed::default();
        assert_eq!([0, 0, 2, 2].map(|lost| printed.takes(&change(lost))), [true, false, true, false]);
    }

    #[test]
    fn an_event_is_not_printed_behind_a_line_of_the_log_that_says_the_same() {
        let mut printed = Printed::default();
        assert_eq!([served(800), served(800), change(0)].map(|line| printed.takes(&line)), [true, false, false]);
        assert!(printed.takes(&change(1)), "the log does not say what it cost");
        let mut printed = Printed::default();
        assert!(printed.takes(&served(780)) && printed.takes(&change(0)), "that was another time");

        let logged = |code: &str, message: &str, field: &str| {
            let fields = [("code", code), ("label", "gangway.rule"), (field, "x")];
            LogLine::Log(api::LogView {
                at: "2026-09-21T14:13:20.000Z".into(),
                message: message.into(),
                fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                ..api::LogView::default()
            })
        };
        let event = |code: &str, news: &str| {
            let (code, label) = (code.to_owned(), Some("gangway.rule".to_owned()));
            let diagnostic = api::DiagnosticView { code, label, ..api::DiagnosticView::default() };
            let (at, news) = ("2026-09-21T14:13:22.000Z".to_owned(), news.to_owned());
            LogLine::Diagnostic(Box::new(api::DiagnosticEvent { at, news, diagnostic, routes: Vec::new() }))
        };
        let mut printed = Printed::default();
        for (line, is_taken) in [
            (logged("G104", "unknown matcher", "diagnostic"), true),
            (event("G104", "resolved"), true),
            (event("G104", "found"), false),
            (event("G104", "found"), true),
            (logged("G104", "resolved: unknown matcher", "container"), true),
            (event("G104", "resolved"), false),
            (logged("G105", "something else with a code", "container"), true),
            (event("G105", "found"), true),
        ] {
            assert_eq!(printed.takes(&line), is_taken, "{line:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut printed = Printed::default();
        for second in 0..2 * LINES_MAX as u64 {
            printed.takes(&served(second));
            let change = api::ChangeView { what: second.to_string(), ..api::ChangeView::default() };
            printed.takes(&LogLine::Change(change));
        }
        assert_eq!((printed.lines.len(), printed.changes.len()), (LINES_MAX, CHANGES_MAX));
        assert!(printed.said.len() <= SAID_MAX);
    }
}
