//! The lines of `gangway log`. Whatever a client, a label or a name holds, a line is one line and commands no terminal.

use gangway_admin::api;
use gangway_diagnostic::printable;
use serde::Serialize;

use crate::terminal::{Paint, Tone};

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LogLine {
    /// A request that has ended.
    Request(api::RequestView),
    /// A change of what is served.
    Change(api::ChangeView),
    /// A finding that is new or was resolved.
    Diagnostic(Box<api::DiagnosticEvent>),
    /// A line of the instance's own log.
    Log(api::LogView),
    /// What the stream did not tell.
    Missed(api::MissedEvent),
}

/// A line as a JSON object, with its kind.
#[derive(Serialize)]
struct Tagged<'v, V> {
    event: &'static str,
    #[serde(flatten)]
    value: &'v V,
}

impl LogLine {
    /// The line of an event of the API. None if the event is for others.
    pub(super) fn of_event(event: &str, data: &str) -> Option<Self> {
        match event {
            "request" => serde_json::from_str(data).ok().map(Self::Request),
            "change" => serde_json::from_str(data).ok().map(Self::Change),
            "diagnostic" => serde_json::from_str(data).ok().map(Self::Diagnostic),
            "log" => serde_json::from_str(data).ok().map(Self::Log),
            "missed" => serde_json::from_str(data).ok().map(Self::Missed),
            _ => None,
        }
    }

    /// When it happened. Texts of later times are greater.
    pub(super) fn at(&self) -> &str {
        match self {
            Self::Request(request) => &request.at,
            Self::Change(change) => &change.at,
            Self::Diagnostic(event) => &event.at,
            Self::Log(line) => &line.at,
            Self::Missed(missed) => &missed.at,
        }
    }

    /// Whether it is about the route of this id. What was missed may be.
    pub(super) fn is_about(&self, route: &str) -> bool {
        match self {
            // Those of other routes are in no stream of this one.
            Self::Request(_) | Self::Missed(_) => true,
            Self::Change(change) => change.routes.iter().any(|one| one == route),
            Self::Diagnostic(event) => event.routes.iter().any(|one| one == route),
            Self::Log(_) => false,
        }
    }

    /// The line for people, which names its route if asked.
    pub(super) fn text(&self, paint: Paint, names_route: bool) -> String {
        match self {
            Self::Request(request) => request_text(request, paint, names_route),
            Self::Change(change) => change_text(change, paint, names_route),
            Self::Diagnostic(event) => diagnostic_text(event, paint),
            Self::Log(line) => {
                let fields = line.fields.iter().filter(|(name, _)| name != "diagnostic");
                let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
                level_text(&line.at, &line.level, &line.message, fields, paint)
            }
            Self::Missed(missed) => {
                let counts = [("requests", missed.requests), ("diagnostics", missed.diagnostics)];
                let counts = counts.map(|(name, count)| (name, count.to_string()));
                let fields = counts.iter().filter(|(_, count)| count != "0").map(|(name, count)| (*name, &**count));
                level_text(&missed.at, "WARN", "there was more than is shown", fields, paint)
            }
        }
    }

    /// The line for programs.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Request(value) => tagged("request", value),
            Self::Change(value) => tagged("change", value),
            Self::Diagnostic(value) => tagged("diagnostic", value),
            Self::Log(value) => tagged("log", value),
            Self::Missed(value) => tagged("missed", value),
        }
    }
}

fn tagged(event: &'static str, value: &impl Serialize) -> String {
    serde_json::to_string(&Tagged { event, value }).expect("texts, numbers and lists always become JSON")
}

fn request_text(request: &api::RequestView, paint: Paint, names_route: bool) -> String {
    let tone = match request.status {
        200..400 => Tone::Good,
        400..500 => Tone::Warning,
        _ => Tone::Bad,
    };
    let status = paint.paint(tone, &format!("{:>5}", request.status));
    let (method, path) = (printable(&request.method), printable(&request.path));
    let mut text =
        format!("{} {status} {method} {path} {} {:.1} ms", request.at, request.protocol, request.duration_ms);
    let route = Some(&request.route).filter(|_| names_route);
    for (name, value) in
        [("route", route), ("reason", request.reason.as_ref()), ("endpoint", request.endpoint.as_ref())]
    {
        if let Some(value) = value {
            text += &field(name, value);
        }
    }
    text
}

fn change_text(change: &api::ChangeView, paint: Paint, names_route: bool) -> String {
    let mut text = format!("{} {} {}", change.at, paint.paint(Tone::Strong, "EVENT"), printable(&change.what));
    if change.lost > 0 || change.waited > 0 {
        let requests = if change.lost == 1 { "request" } else { "requests" };
        let lost = format!("{} {requests} lost", change.lost);
        let lost = paint.paint(if change.lost > 0 { Tone::Bad } else { Tone::Neutral }, &lost);
        text += &format!(", {lost}, {} waited", change.waited);
    }
    if let Some(route) = change.route.as_ref().filter(|_| names_route) {
        text += &field("route", route);
    }
    text
}

/// A finding as the log has it.
fn diagnostic_text(event: &api::DiagnosticEvent, paint: Paint) -> String {
    let found = &event.diagnostic;
    let (level, message) = match (event.news.as_str(), found.severity.as_str()) {
        ("resolved", _) => ("INFO", format!("resolved: {}", found.message)),
        (_, "error") => ("ERROR", found.message.clone()),
        (_, "warning") => ("WARN", found.message.clone()),
        _ => ("INFO", found.message.clone()),
    };
    let place = found.file.as_ref().map(|file| {
        let numbers = [found.line, found.column].into_iter().flatten();
        numbers.fold(file.clone(), |place, number| format!("{place}:{number}"))
    });
    let fields = [
        ("code", Some(&found.code)),
        ("container", found.container.as_ref()),
        ("label", found.label.as_ref()),
        ("at", place.as_ref()),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?.as_str())));
    level_text(&event.at, level, &message, fields, paint)
}

fn level_text<'f>(
    at: &str,
    level: &str,
    message: &str,
    fields: impl Iterator<Item = (&'f str, &'f str)>,
    paint: Paint,
) -> String {
    let tone = match level {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Warning,
        "INFO" => Tone::Good,
        _ => Tone::Neutral,
    };
    let text = format!("{at} {} {}", paint.paint(tone, &format!("{level:>5}")), printable(message));
    fields.fold(text, |text, (name, value)| text + &field(name, value))
}

fn field(name: &str, value: &str) -> String {
    let quote = if value.contains([' ', '"', '=']) { "\"" } else { "" };
    format!(" {name}={quote}{}{quote}", printable(value).replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-09-21T14:13:20.000Z";

    /// A text that would command a terminal and begin a line.
    const HOSTILE: &str = "/a\u{1b}[2J\n\u{202e}";
    const SHOWN: &str = "/a\\u{1b}[2J\\n\\u{202e}";

    fn request() -> LogLine {
        LogLine::Request(api::RequestView {
            at: AT.into(),
            route: "web".into(),
            method: "GET".into(),
            path: HOSTILE.into(),
            status: 502,
            duration_ms: 1.25,
            reason: Some("upstream-refused".into()),
            protocol: "HTTP/2".into(),
            ..api::RequestView::default()
        })
    }

    fn change(lost: u64, waited: u64) -> LogLine {
        let (at, what) = (AT.into(), format!("`{HOSTILE}` recreated"));
        let routes = vec!["web".to_owned()];
        LogLine::Change(api::ChangeView { at, what, route: Some("web".into()), routes, lost, waited })
    }

    fn diagnostic(news: &str) -> LogLine {
        let diagnostic = api::DiagnosticView {
            code: "G104".into(),
            severity: "error".into(),
            message: format!("unknown matcher `{HOSTILE}`"),
            container: Some("web-1".into()),
            label: Some("gangway.rule".into()),
            ..api::DiagnosticView::default()
        };
        let (news, routes) = (news.to_owned(), vec!["web".to_owned()]);
        LogLine::Diagnostic(Box::new(api::DiagnosticEvent { at: AT.into(), news, routes, diagnostic }))
    }

    fn log() -> LogLine {
        LogLine::Log(api::LogView {
            at: AT.into(),
            level: "WARN".into(),
            message: "requests failed".into(),
            fields: vec![("route".into(), "web".into()), ("why".into(), "a b\n".into())],
            ..api::LogView::default()
        })
    }

    fn missed() -> LogLine {
        LogLine::Missed(api::MissedEvent { at: AT.into(), requests: 7, diagnostics: 0 })
    }

    #[test]
    fn lines_say_what_they_know_and_command_no_terminal() {
        for (line, alone, among_others) in [
            (request(), format!("  502 GET {SHOWN} HTTP/2 1.2 ms"), " route=web reason=upstream-refused"),
            (change(0, 0), format!("EVENT `{SHOWN}` recreated"), " route=web"),
            (change(1, 14), format!("EVENT `{SHOWN}` recreated, 1 request lost, 14 waited"), " route=web"),
            (
                diagnostic("found"),
                format!("ERROR unknown matcher `{SHOWN}`"),
                " code=G104 container=web-1 label=gangway.rule",
            ),
            (
                diagnostic("resolved"),
                format!(" INFO resolved: unknown matcher `{SHOWN}`"),
                " code=G104 container=web-1 label=gangway.rule",
            ),
            (log(), " WARN requests failed".into(), " route=web why=\"a b\\n\""),
            (missed(), " WARN there was more than is shown".into(), " requests=7"),
        ] {
            assert_eq!(line.text(Paint::Plain, true), format!("{AT} {alone}{among_others}"));
            assert!(line.text(Paint::Plain, false).starts_with(&format!("{AT} {alone}")), "{line:?}");
            assert!(line.text(Paint::Ansi, true).contains("\u{1b}["), "{line:?}");
        }
        assert!(!request().text(Paint::Plain, false).contains("route="), "it is the one that was asked for");
    }

    #[test]
    fn lines_for_programs_name_their_kind() {
        for (line, kind) in [
            (request(), "request"),
            (change(0, 0), "change"),
            (diagnostic("found"), "diagnostic"),
            (log(), "log"),
            (missed(), "missed"),
        ] {
            let json = line.json();
            assert!(json.starts_with(&format!("{{\"event\":\"{kind}\",")) && json.lines().count() == 1, "{json}");
            assert_eq!(LogLine::of_event(kind, &json), Some(line), "an event of the API is a line");
        }
        assert_eq!(LogLine::of_event("figures", "{}"), None);
    }

    #[test]
    fn what_is_about_a_route_is_told_by_its_id() {
        let is_about =
            |route: &str| [request(), change(0, 0), diagnostic("found"), log()].map(|one| one.is_about(route));
        assert_eq!(is_about("web"), [true, true, true, false]);
        assert_eq!(is_about("other"), [true, false, false, false]);
    }
}
