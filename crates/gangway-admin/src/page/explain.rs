//! The answer of `gangway explain`, drawn as the way of a request: listener, front door, routes, middlewares, endpoint.

use maud::{Markup, html};

use super::extent::{Extent, Page};
use super::findings;
use super::frame::{EVENTS, Follows, Part, View};
use super::overview::days_left;
use super::parts::{prose, several, shown, state, told};
use super::query::site;
use crate::api::{CandidateView, ErrorResponse, ExplainResponse, ListenerView, RouteView, StepView};

/// The methods that the form offers.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What was written into the form.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExplainForm {
    url: String,
    method: String,
    from: String,
    listener: String,
    headers: String,
}

impl ExplainForm {
    /// What the form has sent.
    pub(crate) fn parse(query: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "url" => &mut form.url,
                "method" => &mut form.method,
                "from" => &mut form.from,
                "listener" => &mut form.listener,
                "header" => &mut form.headers,
                _ => continue,
            };
            if !field.is_empty() {
                field.push('\n');
            }
            field.push_str(&value);
        }
        form
    }
}

/// What the view explains.
pub(crate) struct ExplainFacts<'f> {
    pub(crate) form: &'f ExplainForm,
    pub(crate) listeners: &'f [ListenerView],
    /// `None` until something was asked.
    pub(crate) answer: Option<&'f Result<ExplainResponse, ErrorResponse>>,
}

pub(super) fn view(facts: &ExplainFacts<'_>) -> View {
    let answer = html! {
        @match facts.answer {
            None => p.empty {
                "Write a URL to see which route takes a request for it, and why. Nothing is sent to any application."
            },
            Some(Err(error)) => p.refused role="alert" { (prose(&error.error)) ". " (prose(&error.help)) "." },
            Some(Ok(explained)) => (drawn(explained, facts.listeners)),
        }
    };
    View {
        title: "Explain".to_owned(),
        page: Some(Page::Explain),
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![Part::new("form", Follows::Nothing, form(facts)), Part::new("answer", Follows::Table, answer)],
        aside: Vec::new(),
    }
}

fn form(facts: &ExplainFacts<'_>) -> Markup {
    let form = facts.form;
    let has_more = [&form.from, &form.listener, &form.headers].iter().any(|text| !text.is_empty());
    html! {
        form.explain method="get" action="explain" {
            label.url { span { "URL" }
                input type="text" name="url" value=(form.url) placeholder="https://shop.example.org/cart" required
                    inputmode="url" autocapitalize="none" autocomplete="off" spellcheck="false";
            }
            label { span { "Method" }
                select name="method" {
                    @for method in METHODS { option selected[method == form.method] { (method) } }
                    @if !form.method.is_empty() && !METHODS.contains(&&*form.method) {
                        option selected { (form.method) }
                    }
                }
            }
            button { "Explain" }
            details open[has_more] {
                summary { "Client, listener and headers" }
                label { span { "Client address" }
                    input type="text" name="from" value=(form.from) placeholder="127.0.0.1" autocomplete="off";
                }
                label { span { "Listener" }
                    select name="listener" {
                        option value="" { "by the URL" }
                        @for listener in facts.listeners {
                            option selected[listener.name == form.listener] { (listener.name) }
                        }
                    }
                }
                label.url { span { "Headers, one a line" }
                    textarea name="header" rows="3" placeholder="Accept-Language: en" spellcheck="false" { (form.headers) }
                }
            }
        }
    }
}

/// How a station on the way ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Passage {
    /// The request goes on.
    Passed,
    /// It is answered here.
    Ended,
    /// It does not come here.
    NotReached,
}

impl Passage {
    fn class(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Ended => "ended",
            Self::NotReached => "not-reached",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Passed => "goes on",
            Self::Ended => "is answered here",
            Self::NotReached => "is not reached",
        }
    }
}

fn station(name: &str, passage: Passage, content: &Markup) -> Markup {
    html! {
        li class=(passage.class()) {
            h3 { (name) " " small { (passage.words()) } }
            (content)
        }
    }
}

fn drawn(explained: &ExplainResponse, listeners: &[ListenerView]) -> Markup {
    let begins = |text: &str| explained.outcome.starts_with(text);
    // An outcome that is an error begins with its status.
    let is_refusal = begins("4") || begins("5") || begins("probably 5");
    let is_redirected_first = begins("308: redirected to https://") && explained.request.scheme == "http";
    let is_closed = explained.route.as_ref().is_some_and(|route| route.closed) || begins("503 not-ready");
    let is_plain_only = explained.route.is_some() && begins("404");
    // The first station that answers ends the way.
    let ends = [
        ("front", is_redirected_first || begins("503 no-certificate")),
        ("route", explained.route.is_none() || is_closed || is_plain_only),
        ("middlewares", explained.steps.iter().any(answers)),
        ("endpoint", true),
    ];
    let end = ends.iter().find(|(_, is_end)| *is_end).map_or("endpoint", |(name, _)| name);
    let order = ["front", "route", "middlewares", "endpoint"];
    let at = |name: &str| order.iter().position(|known| *known == name);
    let passage = |name: &str| match at(name).cmp(&at(end)) {
        std::cmp::Ordering::Less => Passage::Passed,
        std::cmp::Ordering::Equal => Passage::Ended,
        std::cmp::Ordering::Greater => Passage::NotReached,
    };
    let request = &explained.request;
    html! {
        section aria-labelledby="outcome-h" {
            h2 #outcome-h.outcome.refusal[is_refusal] { (prose(&explained.outcome)) }
            ol.way {
                (station("Request", Passage::Passed, &html! {
                    p { code { (shown(&request.method)) " " (told(&request.url)) } " from " code { (request.from) } }
                }))
                (station("Listener", Passage::Passed, &listener(&request.listener, listeners)))
                // A route says that plain HTTP is redirected, so it is looked up first and shown after.
                (station("Front door", passage("front"), &front_door(explained)))
                (station("Route", passage("route"), &routes(explained)))
                (station("Middlewares", passage("middlewares"), &middlewares(&explained.steps)))
                (station("Endpoint", passage("endpoint"), &endpoint(explained)))
            }
        }
        (findings::list(&explained.diagnostics, Extent::All))
    }
}

/// Whether the decision of a step is an answer: those begin with its status.
fn answers(step: &StepView) -> bool {
    let status = step.decision.as_deref().and_then(|decision| decision.get(..3));
    status.is_some_and(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
}

fn listener(name: &str, listeners: &[ListenerView]) -> Markup {
    let found = listeners.iter().find(|listener| listener.name == name);
    html! {
        p {
            code { (shown(name)) }
            @if let Some(found) = found {
                " at " @for address in &found.addresses { code { (address) } " " }
                @if let Some(port) = found.port { "(clients use port " (port) ")" }
            }
        }
    }
}

fn front_door(explained: &ExplainResponse) -> Markup {
    html! {
        p {
            @if explained.request.scheme == "https" {
                "TLS for " code { (shown(&explained.request.host)) } ": "
                @match &explained.certificate {
                    None => "no certificate",
                    Some(one) => { "certificate " code { (told(&one.name)) } ", " (days_left(one)) },
                }
                @if let Some(one) = &explained.certificate { (findings::trouble(one.trouble.as_deref())) }
            } @else { "Plain HTTP for " code { (shown(&explained.request.host)) } "." }
        }
    }
}

fn routes(explained: &ExplainResponse) -> Markup {
    html! {
        @if let Some(route) = &explained.route {
            p.winner {
                a href=(site(&route.id)) { (shown(&route.name)) } " " (state(&route.state)) " takes it"
                @if let Some(matched) = &explained.matched { ": " code { (told(matched)) } }
                @if let Some(why) = &explained.why { small { (prose(why)) } }
            }
        }
        @if let Some(doubt) = &explained.doubt { p.trouble { (prose(doubt)) } }
        (candidates("Others under this host", &explained.considered))
        @if explained.considered_more > 0 { p.empty { (several(explained.considered_more, "further one", "further ones")) } }
        (candidates("Nearest", &explained.nearest))
        @if !explained.named.is_empty() {
            h4 { "Containers that name this host" }
            ul {
                @for one in &explained.named {
                    li {
                        (shown(&one.container))
                        @if !one.label.is_empty() { ", label " code { (shown(&one.label)) } }
                        small { (prose(&one.why)) }
                    }
                }
            }
        }
    }
}

fn candidates(title: &str, candidates: &[CandidateView]) -> Markup {
    html! {
        @if !candidates.is_empty() {
            h4 { (title) }
            ul {
                @for one in candidates {
                    li {
                        a href=(site(&one.id)) { (shown(&one.name)) } " " code { (told(&one.rule)) }
                        small { (prose(&one.why)) }
                    }
                }
            }
        }
    }
}

fn middlewares(steps: &[StepView]) -> Markup {
    html! {
        @if steps.is_empty() { p.empty { "None." } } @else {
            ol.steps {
                @for step in steps {
                    li class=[answers(step).then_some("answers")] {
                        code { (told(&step.step)) }
                        @if !step.definitions.is_empty() { small { "from " (told(&step.definitions.join(", "))) } }
                        @if !step.written.is_empty() { small { "from " code { (told(&step.written.join(", "))) } } }
                        @if let Some(decision) = &step.decision { small { (prose(decision)) } }
                    }
                }
            }
        }
    }
}

fn endpoint(explained: &ExplainResponse) -> Markup {
    let endpoints = explained.route.iter().flat_map(|route: &RouteView| &route.endpoints);
    html! {
        ul.plain {
            @for one in endpoints {
                li {
                    (shown(&one.name)) " " code { (one.scheme) "://" (shown(&one.address)) } " " (state(&one.state))
                    (findings::trouble(one.trouble.as_deref()))
                }
            }
        }
        @for one in &explained.containers {
            p { (shown(&one.name)) " " (state(&one.state)) small { (told(&one.reason)) } }
        }
    }
}
