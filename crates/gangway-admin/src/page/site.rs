//! A site: its route as compiled, its endpoints, its certificate, and how it answers.

use gangway_tls::UnixTime;
use maud::{Markup, html};

use super::extent::{Extent, Page};
use super::frame::{EVENTS, Follows, Part, View};
use super::overview::{Certificates, url};
use super::parts::{clock, fact, millis, number, prose, shown, state, told};
use super::query::link;
use super::{certificates, figures, findings};
use crate::api::{
    CertificateView, ContainerView, DiagnosticView, EndpointView, FiguresView, RequestView, RouteView, StatusResponse,
};
use crate::views::is_about;

/// What the view of a site shows.
pub(crate) struct SiteFacts<'f> {
    pub(crate) route: &'f RouteView,
    pub(crate) status: &'f StatusResponse,
    /// All containers; those of the route are shown.
    pub(crate) containers: &'f [ContainerView],
    pub(crate) certificates: &'f [CertificateView],
    /// All findings; those about the route's containers are shown.
    pub(crate) diagnostics: &'f [DiagnosticView],
    pub(crate) figures: Option<&'f FiguresView>,
    /// The last requests, newest first. `None` where they are not told.
    pub(crate) requests: Option<&'f [RequestView]>,
    pub(crate) now: UnixTime,
}

pub(super) fn view(facts: &SiteFacts<'_>, extent: Extent) -> View {
    let route = facts.route;
    let host = route.hosts.first().unwrap_or(&route.name).clone();
    let url = url(route, facts.status);
    let beside = html! {
        p.beside {
            @if let Some(url) = &url {
                a href=(url) rel="noreferrer" { "Open" }
                @if extent.has(Page::Explain) { a href=(link("explain", "url", url)) { "Explain" } }
            }
        }
    };
    let about: Vec<DiagnosticView> = facts
        .diagnostics
        .iter()
        .filter(|one| is_about(one, &route.name, &route.origin, &route.hosts))
        .cloned()
        .collect();
    let mut parts = vec![
        Part::new("findings", Follows::Table, findings::list(&about, extent)),
        Part::new("state", Follows::Figures, answers(facts)),
        Part::new("endpoints", Follows::Figures, endpoints(facts)),
        Part::new("route", Follows::Table, compiled(route, extent)),
        Part::new("certificate", Follows::Table, certificate(facts)),
    ];
    parts.extend(facts.requests.map(|all| Part::new("requests", Follows::Requests, requests(all))));
    View {
        title: host,
        page: Some(Page::Site),
        events: link(EVENTS, "route", &route.id),
        beside,
        parts,
        aside: Vec::new(),
    }
}

fn answers(facts: &SiteFacts<'_>) -> Markup {
    html! {
        section aria-labelledby="state-h" {
            h2.hidden #state-h { "How it answers" }
            ul.totals {
                li { (state(&facts.route.state)) }
                @if let Some(now) = facts.figures {
                    li { b { (number(now.per_second)) } " requests/s" }
                    li { b class=[figures::is_bad(now.error_share).then_some("bad")] { (figures::share(now.error_share)) } " errors" }
                    @if let Some(p50) = now.p50_ms { li { b { (millis(p50)) } " p50" } }
                    @if let Some(p99) = now.p99_ms { li { b { (millis(p99)) } " p99" } }
                    li { b { (now.under_way) } " under way" }
                    li.hour { (figures::hour(&now.hour)) small { "last hour" } }
                }
            }
            @if let Some(now) = facts.figures {
                details.figures {
                    summary { "Durations and statuses" }
                    div.pair { (figures::histogram(&now.durations)) (figures::statuses(&now.statuses)) }
                }
            }
        }
    }
}

fn endpoints(facts: &SiteFacts<'_>) -> Markup {
    let why = |endpoint: &EndpointView| {
        let of_name = |one: &&ContainerView| one.name == endpoint.name && one.routes.contains(&facts.route.id);
        facts.containers.iter().find(of_name).map(|one| &one.reason)
    };
    html! {
        section aria-labelledby="endpoints-h" {
            h2 #endpoints-h { "Endpoints" }
            @if facts.route.endpoints.is_empty() {
                p.empty { "None." }
            } @else {
                table {
                    thead {
                        tr {
                            th scope="col" { "endpoint" }
                            th scope="col" { "state" }
                            th scope="col" { "address" }
                            th.n scope="col" { "under way" }
                        }
                    }
                    tbody {
                        @for endpoint in &facts.route.endpoints {
                            tr {
                                th scope="row" {
                                    (shown(&endpoint.name))
                                    @if let Some(why) = why(endpoint) { small { (prose(why)) } }
                                }
                                td { (state(&endpoint.state)) (findings::trouble(endpoint.trouble.as_deref())) }
                                td { code { (endpoint.scheme) "://" (shown(&endpoint.address)) } }
                                td.n {
                                    @match endpoint.under_way { Some(number) => (number), None => (figures::nothing()) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn compiled(route: &RouteView, extent: Extent) -> Markup {
    // What a middleware does stands before what it is given.
    let given = |middleware: &str| match extent.has_details() {
        true => middleware.to_owned(),
        false => middleware.split([' ', ':']).next().unwrap_or_default().to_owned(),
    };
    html! {
        section aria-labelledby="route-h" {
            h2 #route-h { "Route" }
            dl.facts.broad {
                (fact("id", &html! { code { (told(&route.id)) } }))
                (fact("rule", &html! { code { (told(&route.rule)) } }))
                (fact("hosts", &html! { ul.plain { @for host in &route.hosts { li { (told(host)) } } } }))
                (fact("written in", &html! { ul.plain { @for origin in &route.origin { li { (told(origin)) } } } }))
                @if extent.has_details() && !route.written.is_empty() {
                    (fact("labels and keys", &html! {
                        ul.plain { @for one in &route.written { li { code { (told(&one.place)) } } } }
                    }))
                }
                @if let Some(router) = route.router.as_ref().filter(|_| extent.has_details()) {
                    (fact("service", &html! { code { (told(&router.service)) } }))
                    @if !router.middlewares.is_empty() {
                        (fact("middlewares named", &html! {
                            ol.plain { @for one in &router.middlewares { li { code { (told(one)) } } } }
                        }))
                    }
                }
                @for one in &route.definitions {
                    (fact("shared definition", &html! {
                        (shown(&one.name)) @if one.by_default { " (by default)" } ": " (told(&one.keys.join(", ")))
                    }))
                }
                (fact("TLS", &html! { (route.tls) @if route.https_redirect { ", plain HTTP is redirected" } }))
                (fact("listeners", &html! {
                    @if route.listeners.is_empty() { "all" } @else { (told(&route.listeners.join(", "))) }
                }))
                (fact("Host for the app", &told(&route.host_header)))
                @if !route.upgrades.is_empty() { (fact("upgrades", &told(&route.upgrades.join(", ")))) }
                (fact("time limits", &html! {
                    "connect " (number(route.timeouts.connect)) " s, response " (number(route.timeouts.response))
                    " s, idle " (number(route.timeouts.idle)) " s"
                }))
                (fact("middlewares", &html! {
                    @if route.middlewares.is_empty() { "none" } @else {
                        ol.steps { @for one in &route.middlewares { li { code { (told(&given(one))) } } } }
                    }
                }))
            }
        }
    }
}

fn certificate(facts: &SiteFacts<'_>) -> Markup {
    let all = Certificates::new(facts.certificates);
    let mut found: Vec<&CertificateView> = facts.route.hosts.iter().filter_map(|host| all.of_host(host)).collect();
    found.dedup_by_key(|one| &one.name);
    html! {
        @if !found.is_empty() {
            section aria-labelledby="certificate-h" {
                h2 #certificate-h { "Certificate" }
                (certificates::table(&found, facts.now))
            }
        }
    }
}

fn requests(requests: &[RequestView]) -> Markup {
    html! {
        section aria-labelledby="requests-h" {
            h2 #requests-h { "Last requests" }
            @if requests.is_empty() {
                p.empty { "No request yet." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Newest first" {
                    table.requests {
                        thead {
                            tr {
                                th scope="col" { "when" }
                                th scope="col" { "request" }
                                th.n scope="col" { "status" }
                                th.n scope="col" { "time" }
                                th.wide scope="col" { "answered by" }
                            }
                        }
                        tbody {
                            @for one in requests {
                                tr {
                                    td.n { (clock(&one.at)) }
                                    td { code { (shown(&one.method)) " " (shown(&one.path)) } }
                                    td.n { span class=[(one.status >= 500).then_some("bad")] { (one.status) } }
                                    td.n { (millis(one.duration_ms)) }
                                    td.wide {
                                        @match (&one.reason, &one.endpoint) {
                                            (Some(reason), _) => { "Gangway: " (shown(reason)) },
                                            (None, Some(endpoint)) => (shown(endpoint)),
                                            (None, None) => (figures::nothing()),
                                        }
                                        " " span.no { (one.protocol) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
