//! Prints answers of the API as text.

use std::fmt::Write as _;

use gangway_admin::api;
use gangway_diagnostic::printable;
use serde::Serialize;

use super::table::{Sheet, table};
use crate::terminal::{Paint, Tone};

/// The output of `status --format json`.
#[derive(Debug, Serialize)]
pub(super) struct StatusWithDiagnostics {
    #[serde(flatten)]
    pub(super) status: api::StatusResponse,
    pub(super) diagnostics: Vec<api::DiagnosticView>,
}

pub(super) fn routes(routes: &api::RoutesResponse, sheet: Sheet) -> String {
    if routes.routes.is_empty() {
        return "No route is in force. `gangway status` says why.\n".to_owned();
    }
    let rows: Vec<_> = routes.routes.iter().flat_map(route_rows).collect();
    table(sheet, ["ROUTE", "RULE", "TLS", "ENDPOINT", "ADDRESS", "STATE", "ACTIVE"], &rows, |column, cell| {
        if column == 5 { tone_of_state(cell) } else { Tone::Neutral }
    })
}

/// The routes with the most requests first.
pub(super) fn figures(figures: &api::FiguresResponse, sheet: Sheet) -> String {
    if figures.routes.is_empty() {
        return "No route is in force. `gangway status` says why.\n".to_owned();
    }
    let mut routes: Vec<&api::FiguresView> = figures.routes.iter().collect();
    routes.sort_by(|a, b| b.per_second.total_cmp(&a.per_second).then(a.route.cmp(&b.route)));
    let millis = |millis: Option<f64>| millis.map_or_else(|| "–".to_owned(), |millis| format!("{millis:.1}"));
    let row = |one: &&api::FiguresView| {
        let last_hour: u64 = one.statuses.iter().sum();
        [
            one.route.clone(),
            format!("{:.1}", one.per_second),
            if one.error_share > 0.0 { format!("{:.1} %", one.error_share * 100.0) } else { "–".to_owned() },
            millis(one.p50_ms),
            millis(one.p99_ms),
            one.under_way.to_string(),
            last_hour.to_string(),
        ]
    };
    let rows: Vec<_> = routes.iter().map(row).collect();
    let head = ["ROUTE", "REQ/S", "5XX", "P50 MS", "P99 MS", "ACTIVE", "LAST HOUR"];
    table(sheet, head, &rows, |column, cell| if column == 2 && cell != "–" { Tone::Bad } else { Tone::Neutral })
}

fn tone_of_state(state: &str) -> Tone {
    match state {
        "ready" => Tone::Good,
        "closed" | "no endpoint" | "ejected" | "unhealthy" => Tone::Bad,
        _ if state.starts_with("redirect ") => Tone::Neutral,
        _ => Tone::Warning,
    }
}

/// One row for each endpoint. The cells about the route are in the first row.
fn route_rows(route: &api::RouteView) -> Vec<[String; 7]> {
    let tls = match route.listeners.as_slice() {
        [] => route.tls.clone(),
        listeners => format!("{} on {}", route.tls, listeners.join(", ")),
    };
    let about = || [route.name.clone(), route.rule.clone(), tls.clone()];
    if route.closed || route.endpoints.is_empty() {
        let [name, rule, tls] = about();
        let redirect = route.middlewares.iter().find(|middleware| middleware.starts_with("redirect "));
        let state = match redirect {
            _ if route.closed => "closed",
            Some(redirect) => redirect,
            None => "no endpoint",
        };
        return vec![[name, rule, tls, "–".into(), "–".into(), state.to_owned(), String::new()]];
    }
    let row = |(at, endpoint): (usize, &api::EndpointView)| {
        let [name, rule, tls] = if at == 0 { about() } else { Default::default() };
        let under_way = endpoint.under_way.map_or_else(String::new, |count| count.to_string());
        [name, rule, tls, endpoint.name.clone(), address(endpoint), endpoint.state.clone(), under_way]
    };
    route.endpoints.iter().enumerate().map(row).collect()
}

fn address(endpoint: &api::EndpointView) -> String {
    match endpoint.scheme.as_str() {
        "http" => endpoint.address.clone(),
        scheme => format!("{scheme}://{}", endpoint.address),
    }
}

pub(super) fn certificates(certificates: &api::CertificatesResponse, sheet: Sheet) -> String {
    if certificates.certificates.is_empty() {
        return "No name needs a certificate.\n".to_owned();
    }
    let row = |one: &api::CertificateView| {
        let from = match (one.origin.as_deref(), &one.file) {
            (Some("folder"), Some(file)) => format!("certs/{}", file.trim_start_matches("certs/")),
            (Some(origin), _) if one.on_demand => format!("{origin}, on demand"),
            (Some(origin), _) => origin.to_owned(),
            (None, _) => "–".to_owned(),
        };
        let left = match one.seconds_left {
            Some(seconds) => left(seconds),
            None if one.origin.is_some() => "not asked for yet".to_owned(),
            None => "–".to_owned(),
        };
        // Without the seconds, which do not matter here.
        let next = one.next.as_deref().map_or_else(|| "–".to_owned(), |next| next.chars().take(16).collect());
        [one.name.clone(), from, one.issuer.clone(), left, next, one.trouble.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = certificates.certificates.iter().map(row).collect();
    table(sheet, ["NAME", "FROM", "ISSUER", "LEFT", "NEXT ORDER", "TROUBLE"], &rows, |column, cell| {
        match (column, cell) {
            (3, "over") | (5, _) => Tone::Bad,
            _ => Tone::Neutral,
        }
    })
}

/// A time that is left, rounded: minutes do not matter here.
fn left(seconds: i64) -> String {
    match seconds {
        ..=0 => "over".to_owned(),
        1..7200 => format!("{} min", seconds.div_euclid(60)),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn status(status: &api::StatusResponse, diagnostics: &api::DiagnosticsResponse) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:14}{}", printable(&value));
    };
    line("gangway", format!("{}, {}, since {}", status.version, status.phase, status.started));
    let listening = &status.listening;
    for listener in &listening.listeners {
        let by_name = match listener.name.as_str() {
            "http" | "https" => String::new(),
            _ => format!(" ({})", listener.protocol.word()),
        };
        let at = if listener.addresses.is_empty() { "not open".to_owned() } else { listener.addresses.join(", ") };
        line(&listener.name, format!("{at}{by_name}"));
    }
    line("admin", listening.admin.clone());
    for engine in &status.engines {
        let version = engine.version.as_deref().unwrap_or("version unknown");
        let state = match &engine.trouble {
            Some(trouble) => format!("failed to {trouble}"),
            None => format!("{version}, {}{}", count(engine.containers, "container"), latency(engine.reaction)),
        };
        line("engine", format!("{} at {}: {state}", engine.name, engine.url));
    }
    if status.engines.is_empty() {
        line("engine", "none; only routes of the config file".to_owned());
    }
    if let Some(config) = &status.config {
        let state = if config.in_force { "in force" } else { "not in force as it stands; the last settings are" };
        line("config", format!("{}: {state}", config.file));
    }
    let closed =
        if status.routes_closed > 0 { format!(", {} of them closed", status.routes_closed) } else { String::new() };
    line("table", format!("generation {}, {}{closed}", status.generation, count(status.routes, "route")));
    line("endpoints", format!("{} ready, {} not", status.endpoints_ready, status.endpoints_not_ready));
    let degraded = if status.volume_degraded { "; degraded: the volume cannot be written" } else { "" };
    let troubled = status.certificates_in_trouble;
    line("certificates", format!("{}, {troubled} in trouble{degraded}", count(status.certificates, "name")));
    if status.task_restarts > 0 {
        line("bugs", format!("{} background tasks had to be started again; the log says why", status.task_restarts));
    }
    line("findings", format!("{}, {}", count(status.errors, "error"), count(status.warnings, "warning")));
    text + &shown(&diagnostics.diagnostics)
}

fn latency(latency: api::LatencyView) -> String {
    if latency.count == 0 {
        return String::new();
    }
    let api::QuantilesView { median, p99, .. } = latency.whole;
    format!(
        "; from event to table {median:.1} ms (median), {p99:.1} ms (p99), of which ours {:.1} ms",
        latency.ours.median
    )
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The diagnostics as everywhere, with an empty line before each.
fn shown(diagnostics: &[api::DiagnosticView]) -> String {
    let paint = Paint::of_stdout();
    diagnostics.iter().map(|diagnostic| format!("\n{}\n", paint.diagnostics(diagnostic.shown.trim_end()))).collect()
}

pub(super) fn explanation(explanation: &api::ExplainResponse) -> String {
    let mut text = String::new();
    let request = &explanation.request;
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:14}{}", printable(value));
    };
    line("request", &format!("{} {} from {}", request.method, request.url, request.from));
    if !["", "http", "https"].contains(&&*request.listener) {
        line("listener", &request.listener);
    }
    line("outcome", &explanation.outcome);
    if request.scheme == "https" {
        line("certificate", &certificate(explanation.certificate.as_ref()));
    }
    if let Some(doubt) = &explanation.doubt {
        line("doubt", doubt);
    }
    if let Some(route) = &explanation.route {
        line("route", &format!("{} ({})", route.name, route.id));
        line("rule", &route.rule);
        if let Some(matched) = explanation.matched.as_ref().filter(|matched| **matched != route.rule) {
            line("matched", matched);
        }
        line("why", explanation.why.as_deref().unwrap_or_default());
        line("written in", &route.origin.join(", "));
        for definition in &route.definitions {
            let by_default = if definition.by_default { ", by default" } else { "" };
            line("uses", &format!("{}{by_default}: {}", definition.name, definition.keys.join(", ")));
        }
        for step in &explanation.steps {
            let of = if step.definitions.is_empty() { "" } else { ", of " };
            line("step", &format!("{}{of}{}", step.step, step.definitions.join(" and ")));
            if let Some(decision) = &step.decision {
                line("", decision);
            }
        }
        for endpoint in &route.endpoints {
            let under_way = endpoint.under_way.map_or_else(String::new, |count| format!(", {count} active"));
            let trouble = endpoint.trouble.as_ref().map_or_else(String::new, |trouble| format!(" ({trouble})"));
            let state = &endpoint.state;
            line("endpoint", &format!("{} at {}: {state}{trouble}{under_way}", endpoint.name, address(endpoint)));
        }
    }
    for container in &explanation.containers {
        let health = if container.health == "none" { String::new() } else { format!(", {}", container.health) };
        line("container", &format!("{} ({}{health}): {}", container.name, container.state, container.reason));
    }
    for (name, others) in [("considered", &explanation.considered), ("nearest", &explanation.nearest)] {
        for other in others {
            line(name, &format!("{}: {}", other.name, other.rule));
            line("", &other.why);
        }
    }
    if explanation.considered_more > 0 {
        line("", &format!("and {} more", explanation.considered_more));
    }
    for named in &explanation.named {
        line("named", &named.why);
    }
    let others = explanation.nearest.len() + explanation.considered.len() + explanation.named.len();
    if explanation.route.is_none() && others == 0 {
        line("nearest", "none; `gangway routes` lists all");
    }
    text + &shown(&explanation.diagnostics)
}

fn certificate(certificate: Option<&api::CertificateView>) -> String {
    let Some(one) = certificate else {
        return "none: https gets an alert, or on the local network a page that says why".to_owned();
    };
    let origin = one.origin.as_deref().unwrap_or("unknown origin");
    let from = one.file.as_ref().map_or_else(|| origin.to_owned(), |file| format!("from {file}"));
    let left = one
        .seconds_left
        .map_or_else(|| "made in the handshake".to_owned(), |seconds| format!("{} left", left(seconds)));
    let trouble = one.trouble.as_ref().map_or_else(String::new, |trouble| format!("; {trouble}"));
    let issuer = if one.issuer.is_empty() { String::new() } else { format!(" by {}", one.issuer) };
    format!("{}{issuer} ({from}, {left}){trouble}", one.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str, state: &str) -> api::EndpointView {
        api::EndpointView {
            name: name.into(),
            address: "172.20.0.3:80".into(),
            scheme: "http".into(),
            state: state.into(),
            under_way: Some(2),
            ..api::EndpointView::default()
        }
    }

    #[test]
    fn each_endpoint_has_a_row_and_each_route_its_name_once() {
        let route = api::RouteView {
            name: "shop".into(),
            rule: "Host(`shop.test`)".into(),
            tls: "auto".into(),
            endpoints: vec![endpoint("shop-1", "ready"), endpoint("shop-2", "starting")],
            ..api::RouteView::default()
        };
        let closed = api::RouteView { name: "door".into(), closed: true, ..route.clone() };
        let sheet = Sheet { width: None, paint: Paint::Plain };
        let shown = routes(&api::RoutesResponse { generation: 1, routes: vec![route, closed] }, sheet);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert!(lines[1].starts_with("shop ") && lines[1].contains("ready"), "{shown}");
        assert!(lines[2].starts_with("     ") && lines[2].contains("shop-2"), "{shown}");
        assert!(lines[3].contains("closed") && !lines[3].contains("172.20.0.3"), "{shown}");
    }

    #[test]
    fn times_left_are_rough() {
        assert_eq!([-1, 0, 90, 7200, 172_800].map(left), ["over", "over", "1 min", "2 h", "2 days"]);
    }

    #[test]
    fn a_request_without_a_route_is_explained_by_the_nearest_routes() {
        let explanation = api::ExplainResponse {
            outcome: "404 no-route: no route takes it".into(),
            nearest: vec![api::CandidateView {
                id: "shop".into(),
                name: "shop".into(),
                rule: "Host(`shop.test`)".into(),
                why: "it is served at `shop.test`; you asked for `shp.test`".into(),
            }],
            ..api::ExplainResponse::default()
        };
        let shown = super::explanation(&explanation);
        assert!(shown.contains("404 no-route") && shown.contains("shp.test"), "{shown}");
    }
}
