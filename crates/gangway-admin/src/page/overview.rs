//! The overview: what is wrong, what is served and whether it is well, and the instance beside.

use std::collections::HashMap;

use gangway_tls::UnixTime;
use maud::{Markup, html};

use super::extent::{Extent, Page};
use super::figures;
use super::findings;
use super::frame::{EVENTS, Follows, Part, View};
use super::parts::{self, Paged, ago, fact, number, prose, several, shown, span, state};
use super::query::{PageQuery, link, site};
use crate::api::{
    CertificateView, ChangeView, DiagnosticView, FiguresView, IssuerView, ListenerView, RouteView, StatusResponse,
};

/// The states of a route, the ones that need a person first.
pub(super) const STATES: [&str; 5] = ["closed", "failing", "held", "starting", "up"];

/// The number of changes that are shown.
const CHANGES_MAX: usize = 8;

/// Within this time a certificate without a successor is worth a look.
const SOON: i64 = 14 * 86_400;

/// What the overview shows.
pub(crate) struct OverviewFacts<'f> {
    pub(crate) status: &'f StatusResponse,
    pub(crate) routes: &'f [RouteView],
    pub(crate) certificates: &'f [CertificateView],
    pub(crate) issuers: &'f [IssuerView],
    pub(crate) diagnostics: &'f [DiagnosticView],
    pub(crate) figures: &'f [FiguresView],
    pub(crate) changes: &'f [ChangeView],
    pub(crate) now: UnixTime,
}

pub(super) fn view(facts: &OverviewFacts<'_>, query: &PageQuery, extent: Extent) -> View {
    View {
        title: "Overview".to_owned(),
        page: Some(Page::Overview),
        events: EVENTS.to_owned(),
        beside: html! {},
        parts: vec![
            Part::new("findings", Follows::Table, findings::list(facts.diagnostics, extent)),
            Part::new("totals", Follows::Figures, totals(facts)),
            // Outside of what is fetched again: somebody may be writing into it.
            Part::new("filter", Follows::Nothing, parts::filter("sites", query, "Filter sites", &STATES)),
            Part::new("sites", Follows::Figures, sites(facts, query, extent)),
        ],
        aside: vec![
            Part::new("instance", Follows::Table, instance(facts, extent)),
            Part::new("changes", Follows::Figures, changes(facts)),
        ],
    }
}

fn totals(facts: &OverviewFacts<'_>) -> Markup {
    let of = |word: &str| facts.routes.iter().filter(|route| route.state == word).count();
    let per_second: f64 = facts.figures.iter().map(|figures| figures.per_second).sum();
    html! {
        ul.totals aria-label="Sites by state" {
            @for word in STATES {
                @let number = of(word);
                @if number > 0 || word == "up" {
                    li { a href=(link("./", "state", word)) { b { (number) } " " (state(word)) } }
                }
            }
            @if !facts.figures.is_empty() { li { b { (number(per_second)) } " requests/s" } }
        }
    }
}

fn rank(word: &str) -> usize {
    STATES.iter().position(|known| *known == word).unwrap_or(STATES.len())
}

fn sites(facts: &OverviewFacts<'_>, query: &PageQuery, extent: Extent) -> Markup {
    let is_taken = |route: &&RouteView| {
        (query.state.is_empty() || query.state == route.state)
            && query.takes([&*route.name, &route.rule].into_iter().chain(route.hosts.iter().map(String::as_str)))
    };
    let mut routes: Vec<&RouteView> = facts.routes.iter().filter(is_taken).collect();
    routes.sort_by_key(|route| (rank(&route.state), route.hosts.first(), &route.rule));
    let by_id: HashMap<&str, &FiguresView> = facts.figures.iter().map(|one| (&*one.route, one)).collect();
    let certificates = Certificates::new(facts.certificates);
    let paged = Paged::of(&routes, query);
    html! {
        @if facts.routes.is_empty() {
            @if facts.status.ready {
                p.empty {
                    "No site yet. Give a container the label " code { "gangway.host=app.example.org" }
                    @if extent.has(Page::Containers) {
                        "; " a href="containers" { "containers" } " says why each one is or is not served"
                    }
                    "."
                }
            } @else { p.empty { "No table is in force yet." } }
        } @else if routes.is_empty() {
            p.empty { "No site matches the filter." }
        } @else {
            table.sites {
                caption.hidden { "Sites" }
                thead {
                    tr {
                        th scope="col" { "site" }
                        th scope="col" { "state" }
                        th.n.mid scope="col" { "certificate" }
                        th.n scope="col" { "req/s" }
                        th.n scope="col" { "errors" }
                        th.n.wide scope="col" { "p50 / p99 ms" }
                        th.wide scope="col" { "last hour" }
                    }
                }
                tbody {
                    @for route in paged.rows {
                        tr {
                            th scope="row" { (name(route, facts.status)) }
                            td { (state(&route.state)) @if let Some(why) = why(route) { small { (why) } } }
                            td.n.mid { (certificates.cell(route)) }
                            (figures::cells(by_id.get(&*route.id).copied()))
                        }
                    }
                }
            }
            (paged.links(query))
        }
    }
}

/// The host as a link, and the route as a link to its view.
fn name(route: &RouteView, status: &StatusResponse) -> Markup {
    let host = route.hosts.first().map_or("any host", String::as_str);
    let url = url(route, status);
    let rest = conditions(route, host);
    let more = route.hosts.len().saturating_sub(1);
    html! {
        a.host href=(site(&route.id)) { (shown(host)) }
        @if let Some(url) = url { " " a.go href=(url) rel="noreferrer" aria-label={ "Open " (host) } { "↗" } }
        @if more > 0 { small { "+ " (several(more, "host", "hosts")) } }
        @if let Some(rest) = rest { small { (shown(&rest)) } }
    }
}

/// The conditions of a route beside its host. `None` if there are none.
fn conditions(route: &RouteView, host: &str) -> Option<String> {
    let of_host = format!("Host(`{host}`)");
    if route.rule == of_host || route.hosts.len() > 1 && !route.rule.contains("&&") {
        return None;
    }
    let rest = route.rule.strip_prefix(&of_host).and_then(|rest| rest.strip_prefix(" && "));
    Some(rest.unwrap_or(&route.rule).to_owned())
}

/// Where a browser finds the site. `None` if its host is no name.
pub(super) fn url(route: &RouteView, status: &StatusResponse) -> Option<String> {
    let host = route.hosts.first()?;
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let (scheme, usual) = if route.tls == "off" { ("http", 80) } else { ("https", 443) };
    let of_scheme = |listener: &&ListenerView| match route.listeners.first() {
        Some(name) => *name == listener.name,
        None => listener.name == scheme,
    };
    let port = status.listening.listeners.iter().find(of_scheme).and_then(|listener| listener.port);
    let port = port.filter(|port| *port != usual).map_or_else(String::new, |port| format!(":{port}"));
    is_name.then(|| format!("{scheme}://{host}{port}/"))
}

/// Why a route does not answer as it should, in a few words.
fn why(route: &RouteView) -> Option<Markup> {
    let trouble = route.endpoints.iter().find_map(|endpoint| endpoint.trouble.as_deref());
    match &*route.state {
        "up" => None,
        "closed" => Some(html! { "a protecting label could not be applied" }),
        _ => match (trouble, route.endpoints.first()) {
            (Some(trouble), _) => Some(shown(trouble)),
            (None, Some(endpoint)) => Some(html! { (shown(&endpoint.name)) " is " (endpoint.state) }),
            (None, None) => Some(html! { "no container" }),
        },
    }
}

/// Certificates by name.
pub(super) struct Certificates<'c>(HashMap<&'c str, &'c CertificateView>);

impl<'c> Certificates<'c> {
    pub(super) fn new(all: &'c [CertificateView]) -> Self {
        // Of several with one name, the first is the one in force.
        Self(all.iter().rev().map(|one| (&*one.name, one)).collect())
    }

    /// The certificate for a host: its own, or that of the wildcard above it.
    pub(super) fn of_host(&self, host: &str) -> Option<&'c CertificateView> {
        let wildcard = || format!("*.{}", host.split_once('.')?.1).into();
        let wildcard: Option<String> = wildcard();
        self.0.get(host).or_else(|| self.0.get(&*wildcard?)).copied()
    }

    fn cell(&self, route: &RouteView) -> Markup {
        let certificate = route.hosts.first().filter(|_| route.tls != "off").and_then(|host| self.of_host(host));
        html! {
            @match certificate {
                None if route.tls == "off" => span.no { "plain" },
                None => (figures::nothing()),
                Some(certificate) => (days_left(certificate)),
            }
        }
    }
}

/// The time for which a certificate is valid, and whether that is well.
pub(super) fn days_left(certificate: &CertificateView) -> Markup {
    html! {
        @match (certificate.seconds_left, certificate.origin.as_deref()) {
            (_, Some("placeholder")) => span.bad title="self-signed until there is a certificate" { "placeholder" },
            (Some(..0), _) => span.bad { "expired" },
            (Some(left), _) if left < SOON && certificate.trouble.is_some() => span.bad { (span(left)) },
            (Some(left), _) => (span(left)),
            (None, Some(_)) => span.no { "on demand" },
            (None, None) => span.bad { "none" },
        }
    }
}

fn instance(facts: &OverviewFacts<'_>, extent: Extent) -> Markup {
    let status = facts.status;
    let authority = facts.certificates.iter().filter(|one| one.trouble.is_some()).count();
    html! {
        section.box aria-labelledby="instance-h" {
            h2 #instance-h { "Instance" }
            dl.facts {
                (fact("phase", &state(&status.phase)))
                (fact("running since", &ago(&status.started, facts.now)))
                (fact("table", &html! { "no. " (status.generation) }))
                (fact("containers", &html! {
                    @if extent.has(Page::Containers) { a href="containers" { (status.containers) } }
                    @else { (status.containers) }
                }))
                @for listener in &status.listening.listeners {
                    (fact(&listener.name, &html! { @for address in &listener.addresses { (address) " " } }))
                }
                @if let Some(config) = &status.config {
                    (fact("config file", &html! { @if config.in_force { "in force" } @else { span.bad { "not in force" } } }))
                }
                @if status.volume_degraded { (fact("volume", &html! { span.bad { "cannot be written" } })) }
                @if status.task_restarts > 0 {
                    (fact("task restarts", &html! { span.bad { (status.task_restarts) } }))
                }
            }
            h2 { "Engines" }
            @if status.engines.is_empty() { p.empty { "None is followed." } }
            @for engine in &status.engines {
                dl.facts {
                    (fact("engine", &html! {
                        (shown(&engine.name)) " " (state(if engine.trouble.is_some() { "failing" } else { "up" }))
                        @if let Some(version) = &engine.version { small { (shown(version)) } }
                        (findings::trouble(engine.trouble.as_deref()))
                    }))
                    @if engine.reaction.count > 0 {
                        (fact("event to table", &html! { (number(engine.reaction.whole.median)) " ms" }))
                    }
                }
            }
            h2 { a href="certificates" { "Certificates" } }
            dl.facts {
                (fact("names", &html! { (status.certificates) }))
                (fact("in trouble", &html! {
                    @if authority == 0 { "none" } @else { span.bad { (authority) } }
                }))
                @for issuer in facts.issuers {
                    (fact("public CA", &html! { (shown(&issuer.name)) " " (state(&issuer.state)) }))
                }
            }
        }
    }
}

fn changes(facts: &OverviewFacts<'_>) -> Markup {
    html! {
        @if !facts.changes.is_empty() {
            section.box aria-labelledby="changes-h" {
                h2 #changes-h { "What changed last" }
                ol.changes {
                    @for change in facts.changes.iter().take(CHANGES_MAX) {
                        li {
                            (ago(&change.at, facts.now)) ": "
                            @match &change.route {
                                Some(route) => a href=(site(route)) { (prose(&change.what)) },
                                None => (prose(&change.what)),
                            }
                            @if change.lost > 0 || change.waited > 0 {
                                small {
                                    span class=[(change.lost > 0).then_some("bad")] {
                                        (several(usize::try_from(change.lost).unwrap_or(usize::MAX), "request", "requests"))
                                        " lost"
                                    }
                                    ", " (parts::count(change.waited)) " waited"
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
