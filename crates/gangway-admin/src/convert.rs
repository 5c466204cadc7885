//! The domain's types → what the API answers. Everything that may be a secret is masked here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use gangway_model::container_report::ContainerReport;
use gangway_model::route::{Address, EndpointKey, HostHeader, Readiness, Scheme, Timeouts, TlsMode};
use gangway_model::snapshot::{ContainerState, Health};
use gangway_model::{Diagnostic, Endpoint, Middleware, Route};
use gangway_tls::Origin;
use http::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api;
use crate::instance::{Certificate, EndpointNow, Engine, Spread};
use crate::mask::{MASK, is_secret, masked, without_password};

/// What is known of endpoints at one moment.
pub(crate) type Endpoints = HashMap<EndpointKey, EndpointNow>;

pub(crate) fn engine(engine: Engine) -> api::Engine {
    let Engine { name, url, version, trouble, containers, reads, failures, reaction } = engine;
    let reaction = api::Reaction { count: reaction.count, whole: spread(reaction.whole), ours: spread(reaction.ours) };
    api::Engine { name, url: without_password(&url), version, trouble, containers, reads, failures, reaction }
}

fn spread(spread: Spread) -> api::Spread {
    let [last, median, p99] = [spread.last, spread.median, spread.p99].map(|time| time.as_secs_f64() * 1000.0);
    api::Spread { last, median, p99 }
}

pub(crate) fn route(route: &Route, endpoints: &Endpoints) -> api::Route {
    api::Route {
        id: route.id.to_string(),
        name: route.name.to_string(),
        rule: route.rule.to_string(),
        hosts: route.hosts.iter().map(ToString::to_string).collect(),
        origin: route.origin.iter().map(ToString::to_string).collect(),
        tls: tls_mode(route.listener.tls).to_owned(),
        https_redirect: route.listener.https_redirect,
        closed: route.closed,
        middlewares: route.middlewares.iter().map(middleware).collect(),
        host_header: host_header(&route.host_header),
        timeouts: timeouts(&route.timeouts),
        endpoints: route.upstream.endpoints.iter().map(|one| endpoint(one, endpoints.get(&one.key))).collect(),
    }
}

fn tls_mode(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Auto => "auto",
        TlsMode::Internal => "internal",
        TlsMode::Off => "off",
    }
}

fn host_header(header: &HostHeader) -> String {
    match header {
        HostHeader::Keep => "keep".to_owned(),
        HostHeader::Upstream => "upstream".to_owned(),
        HostHeader::Named(name) => text(name),
    }
}

fn timeouts(timeouts: &Timeouts) -> api::Timeouts {
    let [connect, response, idle] =
        [timeouts.connect, timeouts.response, timeouts.idle].map(|duration: Duration| duration.as_secs_f64());
    api::Timeouts { connect, response, idle }
}

/// As it would be written as a label, as far as that says enough.
pub(crate) fn middleware(middleware: &Middleware) -> String {
    match middleware {
        Middleware::StripPrefix(prefixes) => format!("strip-prefix {}", prefixes.join(" ")),
        Middleware::AddPrefix(prefix) => format!("add-prefix {prefix}"),
        Middleware::Rewrite { pattern, replacement } => format!("rewrite ~{} -> {replacement}", pattern.regex()),
        Middleware::Redirect { status, target } => format!("redirect {status} {target}"),
        Middleware::RequestHeader(name, value) => format!("request.header.{name} = {}", header(name.as_str(), value)),
        Middleware::ResponseHeader(name, value) => format!("response.header.{name} = {}", header(name.as_str(), value)),
        Middleware::BodyLimit(bytes) => format!("body-limit {bytes}"),
        Middleware::Hsts(seconds) => format!("hsts {seconds}"),
    }
}

fn header(name: &str, value: &Option<HeaderValue>) -> String {
    match value {
        None => "(removed)".to_owned(),
        Some(_) if is_secret(name) => MASK.to_owned(),
        Some(value) => text(value),
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn endpoint(endpoint: &Endpoint, now: Option<&EndpointNow>) -> api::Endpoint {
    let address = match &endpoint.key.address {
        Address::Ip(ip, port) => SocketAddr::new(*ip, *port).to_string(),
        Address::Name(name, port) => format!("{name}:{port}"),
    };
    let is_ejected = now.is_some_and(|now| now.is_ejected);
    let state = match endpoint.readiness {
        Readiness::Ready if is_ejected => "ejected",
        Readiness::Ready => "ready",
        Readiness::Starting => "starting",
        Readiness::Unhealthy => "unhealthy",
        Readiness::Leaving => "leaving",
        Readiness::Restarting => "restarting",
    };
    let scheme = match endpoint.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::H2c => "h2c",
    };
    api::Endpoint {
        name: without_password(&endpoint.name),
        address,
        scheme: scheme.to_owned(),
        verify: endpoint.verify,
        state: state.to_owned(),
        trouble: now.and_then(|now| now.trouble.as_deref()).map(str::to_owned),
        under_way: now.map(|now| now.under_way),
    }
}

pub(crate) fn container(report: &ContainerReport) -> api::Container {
    let state = match report.state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
    };
    let health = match report.health {
        Health::NoCheck => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    };
    api::Container {
        name: report.name.to_string(),
        id: report.id.to_string(),
        engine: report.engine.0.to_string(),
        image: report.image.to_string(),
        state: state.to_owned(),
        health: health.to_owned(),
        routes: report.routes.iter().map(ToString::to_string).collect(),
        reason: report.reason.clone(),
    }
}

/// `now` in seconds since the epoch.
pub(crate) fn certificate(certificate: &Certificate, now: i64) -> api::Certificate {
    let exists = certificate.is_there();
    let (origin, file) = match &certificate.origin {
        None => (None, None),
        Some(Origin::Placeholder) => (Some("placeholder"), None),
        Some(Origin::Internal) => (Some("internal"), None),
        Some(Origin::Acme) => (Some("acme"), None),
        Some(Origin::Folder(file)) => (Some("folder"), Some(file.to_string())),
    };
    api::Certificate {
        name: certificate.name.clone(),
        issuer: certificate.issuer.clone(),
        serial: certificate.serial.clone(),
        not_before: exists.then(|| rfc3339(certificate.not_before)),
        not_after: exists.then(|| rfc3339(certificate.not_after)),
        seconds_left: exists.then(|| certificate.not_after.saturating_sub(now)),
        origin: origin.map(str::to_owned),
        file,
        next: certificate.next.map(rfc3339),
        renewal_window: certificate.renewal_window.map(|(from, to)| (rfc3339(from), rfc3339(to))),
        on_demand: certificate.on_demand,
        trouble: certificate.trouble.clone(),
    }
}

pub(crate) fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

pub(crate) fn diagnostic(diagnostic: &Diagnostic) -> api::Diagnostic {
    let masked = masked(diagnostic);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let (place, at) = (&masked.place, masked.place.position());
    let has_text = !masked.text.is_empty();
    api::Diagnostic {
        title: diagnostic.code.title().to_owned(),
        code: masked.code.to_string(),
        severity: masked.severity.as_str().to_owned(),
        container: owned(place.container()),
        project: owned(place.project()),
        label: owned(place.subject()),
        file: at.map(|at| at.file.to_string()),
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        start: has_text.then_some(masked.span.start),
        end: has_text.then_some(masked.span.end),
        shown: masked.to_string(),
        text: Some(masked.text).filter(|_| has_text),
        message: masked.message,
        note: masked.note,
        help: masked.help,
        effect: masked.effect,
    }
}
