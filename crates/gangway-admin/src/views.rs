//! Converts the types of the domain into those of the API. Everything that may be a secret is redacted here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gangway_diagnostic::Diagnostic;
use gangway_model::secret::{MASK, is_secret_name, masked_target, masked_value, without_password};
use gangway_model::{
    Address, AddressFilter, AddressSource, Authentication, ContainerReport, ContainerState, Endpoint, EndpointKey,
    ForwardAuth, Health, HostHeader, KeyOrigin, KeyPlace, LoginMethod, Middleware, Readiness, Route, Router, Scheme,
    Tile, TileIcon, Timeouts, TlsMode,
};
use gangway_tls::{ChainCertificate, Origin, UnixTime};
use http::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::api;
use crate::instance::EndpointActivity;
use crate::redact::redacted;

/// The present state of endpoints.
pub(crate) type Endpoints = HashMap<EndpointKey, EndpointActivity>;

/// The view of an engine with its password redacted.
pub(crate) fn engine(engine: api::EngineView) -> api::EngineView {
    api::EngineView { url: without_password(&engine.url), ..engine }
}

/// The view of a CA with its password redacted.
pub(crate) fn issuer(issuer: api::IssuerView) -> api::IssuerView {
    api::IssuerView { directory: without_password(&issuer.directory), ..issuer }
}

/// The view of a setting with what may be a secret redacted.
pub(crate) fn setting(setting: api::SettingView) -> api::SettingView {
    let is_secret = is_secret_name(&setting.name);
    let redact = |value: String| if is_secret { MASK.to_owned() } else { masked_value(&value) };
    api::SettingView { values: setting.values.into_iter().map(redact).collect(), ..setting }
}

pub(crate) fn route(route: &Route, endpoints: &Endpoints) -> api::RouteView {
    api::RouteView {
        id: route.id.to_string(),
        name: route.name.to_string(),
        rule: route.rule.to_string(),
        hosts: route.hosts.iter().map(ToString::to_string).collect(),
        origin: route.origin.iter().map(ToString::to_string).collect(),
        tls: tls_mode(route.listener.tls).to_owned(),
        https_redirect: route.listener.https_redirect,
        listeners: route.listener.scope.names.iter().flatten().map(ToString::to_string).collect(),
        state: route_state(route, endpoints).to_owned(),
        closed: route.closed,
        tile: tile(route),
        middlewares: route.middlewares.iter().map(middleware).collect(),
        definitions: definitions(&route.origins),
        written: route.origins.iter().filter_map(written).collect(),
        router: route.router.as_deref().map(router),
        host_header: host_header(&route.host_header),
        upgrades: route.upgrades.iter().map(ToString::to_string).collect(),
        timeouts: timeouts(&route.timeouts),
        endpoints: route.upstream.endpoints.iter().map(|one| endpoint(one, endpoints.get(&one.key))).collect(),
    }
}

fn tile(route: &Route) -> api::TileView {
    let Tile { name, icon, group, description, order, hidden } = &route.tile;
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    api::TileView {
        name: text(name),
        icon: icon.as_ref().map(|(TileIcon::Text(said) | TileIcon::Path(said))| said.to_string()),
        group: text(group),
        description: text(description),
        order: order.unwrap_or_default(),
        hidden: *hidden || route.upstream.internal.is_some(),
    }
}

/// How a route answers requests now. One endpoint that takes requests is enough.
fn route_state(route: &Route, endpoints: &Endpoints) -> &'static str {
    let now = |endpoint: &Endpoint| endpoints.get(&endpoint.key);
    let is_usable = |endpoint: &Endpoint| {
        endpoint.readiness == Readiness::Ready && !now(endpoint).is_some_and(|now| now.is_ejected)
    };
    // An endpoint that was never tried is ejected without an error.
    let is_untried = |endpoint: &Endpoint| now(endpoint).is_some_and(|now| now.is_ejected && now.trouble.is_none());
    let may_come = |endpoint: &Endpoint| match endpoint.readiness {
        Readiness::Starting | Readiness::Restarting => true,
        Readiness::Ready => is_untried(endpoint),
        Readiness::Unhealthy | Readiness::Leaving => false,
    };
    let all = &route.upstream.endpoints;
    if route.closed {
        "closed"
    } else if route.upstream.internal.is_some() || all.iter().any(is_usable) {
        "up"
    } else if all.iter().any(may_come) {
        "starting"
    } else if route.upstream.held || all.iter().any(|endpoint| endpoint.readiness == Readiness::Leaving) {
        "held"
    } else if all.is_empty() && route.middlewares.iter().any(Middleware::answers_all) {
        "up"
    } else {
        "failing"
    }
}

/// Where an endpoint is, as Traefik writes it.
pub(crate) fn server_url(endpoint: &Endpoint) -> String {
    let scheme = match endpoint.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::H2c => "h2c",
    };
    format!("{scheme}://{}", endpoint.key.address)
}

/// The shared definitions of a route, in the order in which it uses them, each with the keys that it gives.
fn definitions(origins: &[KeyOrigin]) -> Vec<api::DefinitionView> {
    let mut views: Vec<api::DefinitionView> = Vec::new();
    for origin in origins {
        let Some((name, by_default)) = origin.definition() else { continue };
        let known = views.iter().position(|view| view.name == name);
        let at = known.unwrap_or(views.len());
        if known.is_none() {
            views.push(api::DefinitionView { name: name.to_owned(), by_default, keys: Vec::new() });
        }
        views[at].keys.push(origin.key.to_string());
    }
    views
}

/// A key that the route says itself.
fn written(origin: &KeyOrigin) -> Option<api::WrittenKeyView> {
    Some(api::WrittenKeyView { key: origin.key.to_string(), place: own_place(origin)? })
}

/// Where the route says the key itself.
pub(crate) fn own_place(origin: &KeyOrigin) -> Option<String> {
    match &origin.place {
        KeyPlace::Label(label) => Some(label.to_string()),
        KeyPlace::File(place) => Some(place.to_string()),
        KeyPlace::Definition { .. } => None,
    }
}

fn router(router: &Router) -> api::RouterView {
    api::RouterView {
        rule: router.rule.to_string(),
        service: router.service_name.to_string(),
        middlewares: router.middlewares.iter().map(ToString::to_string).collect(),
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

fn timeouts(timeouts: &Timeouts) -> api::TimeoutsView {
    let [connect, response, idle] =
        [timeouts.connect, timeouts.response, timeouts.idle].map(|duration: Duration| duration.as_secs_f64());
    api::TimeoutsView { connect, response, idle }
}

/// The middleware as it would be written in a label.
pub(crate) fn middleware(middleware: &Middleware) -> String {
    match middleware {
        Middleware::StripPrefix(prefixes) => format!("strip-prefix {}", prefixes.join(" ")),
        Middleware::AddPrefix(prefix) => format!("add-prefix {prefix}"),
        Middleware::Rewrite { pattern, replacement } => format!("rewrite ~{} -> {replacement}", pattern.regex()),
        Middleware::Redirect { status, target } => format!("redirect {status} {target}"),
        Middleware::UrlRedirect(redirect) => format!("redirect {redirect}"),
        Middleware::PathChange(change) => format!("path: {change}"),
        Middleware::RequestHeader(name, value) => format!("request.header.{name} = {}", header(name.as_str(), value)),
        Middleware::ResponseHeader(name, value) => format!("response.header.{name} = {}", header(name.as_str(), value)),
        Middleware::BodyLimit(bytes) => format!("body-limit {bytes}"),
        Middleware::ResponseLimit(bytes) => format!("response-limit {bytes}"),
        Middleware::Hsts(seconds) => format!("hsts {seconds}"),
        Middleware::SecureHeaders { hsts } => match hsts {
            Some(seconds) => format!("headers secure; hsts {seconds}"),
            None => "headers secure".to_owned(),
        },
        Middleware::AddressFilter(filter) => {
            let AddressFilter { allow, deny, by, refusal } = &**filter;
            let allow = allow.as_ref().map(|list| format!("allow {list}"));
            let deny = (!deny.is_empty()).then(|| format!("deny {deny}"));
            let by = (by.source != AddressSource::Client).then(|| format!("by address of {}", by.source));
            let refusal = refusal.map(|status| format!("others get {}", status.as_u16()));
            allow.into_iter().chain(deny).chain(by).chain(refusal).collect::<Vec<_>>().join("; ")
        }
        Middleware::Crowdsec(on_doubt) => format!("crowdsec {}", on_doubt.word()),
        Middleware::Appsec(on_doubt) => format!("appsec {}", on_doubt.word()),
        Middleware::RateLimit(limit) => format!("rate-limit {limit}"),
        Middleware::ConcurrencyLimit(requests) => format!("concurrency {requests}"),
        Middleware::Authentication(authentication) => match &authentication.method {
            LoginMethod::Basic(_) | LoginMethod::Oidc(_) => authentication.to_string(),
            LoginMethod::Forward(forward) => {
                let method = LoginMethod::Forward(without_secrets(forward));
                Authentication { method, skip: authentication.skip.clone() }.to_string()
            }
        },
        Middleware::Compression(compression) => format!("compress {compression}"),
        Middleware::Cors(cors) => format!("cross-origin: {cors}"),
        Middleware::AllowedHosts(hosts) => format!("hosts {}", hosts.join(", ")),
        Middleware::ErrorPages(pages) => format!("errors {pages}"),
        Middleware::Cache(bytes) => format!("cache {bytes}"),
    }
}

/// The question to a log-in service without what may be secrets in its URL.
pub(crate) fn without_secrets(forward: &ForwardAuth) -> ForwardAuth {
    let masked = |text: &str| masked_target(text).into();
    ForwardAuth { service: masked(&forward.service), target: masked(&forward.target), ..forward.clone() }
}

fn header(name: &str, value: &Option<HeaderValue>) -> String {
    match value {
        None => "(removed)".to_owned(),
        Some(_) if is_secret_name(name) => MASK.to_owned(),
        Some(value) => text(value),
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The URL of an endpoint without a path.
pub(crate) fn endpoint_url(endpoint: &Endpoint) -> String {
    let scheme = match endpoint.scheme {
        Scheme::Http | Scheme::H2c => "http",
        Scheme::Https => "https",
    };
    format!("{scheme}://{}", endpoint.key.address)
}

fn endpoint(endpoint: &Endpoint, now: Option<&EndpointActivity>) -> api::EndpointView {
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
    api::EndpointView {
        name: without_password(&endpoint.name),
        address,
        scheme: scheme.to_owned(),
        verify: endpoint.transport.verify,
        state: state.to_owned(),
        trouble: now.and_then(|now| now.trouble.as_deref()).map(str::to_owned),
        under_way: now.map(|now| now.under_way),
    }
}

pub(crate) fn container(report: &ContainerReport) -> api::ContainerView {
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
    api::ContainerView {
        name: report.name.to_string(),
        id: report.id.to_string(),
        engine: report.engine.0.to_string(),
        image: report.image.to_string(),
        state: state.to_owned(),
        health: health.to_owned(),
        routes: report.routes.iter().map(ToString::to_string).collect(),
        reason: report.reason.clone(),
        missing_label: missing_label(report),
    }
}

/// The label that would ask for a route. Without one, nothing is known of the container that could be its host.
fn missing_label(report: &ContainerReport) -> Option<String> {
    let is_asked = !report.routes.is_empty() || !report.mentions.is_empty() || report.is_own;
    (!is_asked && report.state == ContainerState::Running).then(|| "gangway.host".to_owned())
}

impl api::CertificateView {
    /// Sets what is sent behind the certificate.
    #[must_use]
    pub fn with_chain(self, chain: &[ChainCertificate]) -> Self {
        let view = |one: &ChainCertificate| api::ChainView {
            subject: one.subject.to_string(),
            not_after: rfc3339(one.not_after),
        };
        Self { chain: chain.iter().map(view).collect(), ..self }
    }

    /// Sets where the certificate comes from. `None` if there is no certificate and none will be made.
    #[must_use]
    pub fn with_origin(self, origin: Option<&Origin>) -> Self {
        let (origin, file) = match origin {
            None => (None, None),
            Some(Origin::Placeholder) => (Some("placeholder"), None),
            Some(Origin::Internal) => (Some("internal"), None),
            Some(Origin::Acme) => (Some("acme"), None),
            Some(Origin::Folder(file)) => (Some("folder"), Some(file.to_string())),
        };
        Self { origin: origin.map(str::to_owned), file, ..self }
    }

    /// Sets the validity. Has no effect without an origin and a serial number: then there
    /// is no certificate yet.
    #[must_use]
    pub fn with_validity(self, not_before: UnixTime, not_after: UnixTime, now: UnixTime) -> Self {
        if self.origin.is_none() || self.serial.is_empty() {
            return self;
        }
        Self {
            not_before: Some(rfc3339(not_before)),
            not_after: Some(rfc3339(not_after)),
            seconds_left: Some(not_after.seconds().saturating_sub(now.seconds())),
            ..self
        }
    }
}

impl api::QuantilesView {
    /// The view of these durations.
    pub fn of(last: Duration, median: Duration, p99: Duration) -> Self {
        let [last, median, p99] = [last, median, p99].map(|time| time.as_secs_f64() * 1000.0);
        Self { last, median, p99 }
    }
}

/// The inverse of the conversion in [`api::QuantilesView::of`], exact to the nanosecond.
pub(crate) fn seconds_of_millis(millis: f64) -> f64 {
    Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default().as_secs_f64()
}

/// Formats an instant as the API writes it.
pub fn rfc3339(time: UnixTime) -> String {
    let time = OffsetDateTime::from_unix_timestamp(time.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

/// Formats an instant as the API writes it, with milliseconds.
pub fn rfc3339_millis(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

/// The inverse of [`rfc3339`], in seconds since the epoch.
pub(crate) fn seconds_since_epoch(time: &str) -> Option<i64> {
    OffsetDateTime::parse(time, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

/// The view of a finding with secrets redacted.
pub(crate) fn diagnostic(diagnostic: &Diagnostic) -> api::DiagnosticView {
    let diagnostic = redacted(diagnostic);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let (place, at) = (&diagnostic.place, diagnostic.place.position());
    let has_text = !diagnostic.text.is_empty();
    api::DiagnosticView {
        title: diagnostic.code.title().to_owned(),
        code: diagnostic.code.to_string(),
        severity: diagnostic.severity.as_str().to_owned(),
        container: owned(place.container()),
        project: owned(place.project()),
        label: owned(place.subject()),
        file: at.map(|at| at.file.to_string()),
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        start: has_text.then_some(diagnostic.span.start),
        end: has_text.then_some(diagnostic.span.end),
        shown: diagnostic.to_string(),
        text: Some(diagnostic.text).filter(|_| has_text),
        message: diagnostic.message,
        note: diagnostic.note,
        help: diagnostic.help,
        effect: diagnostic.effect,
    }
}

/// Whether a finding is about a route: about a container of it, about a key of it in a file, or about a host of it.
pub(crate) fn is_about(
    finding: &api::DiagnosticView,
    name: &str,
    origin: &[impl AsRef<str>],
    hosts: &[impl ToString],
) -> bool {
    let of_container = finding.container.as_ref().is_some_and(|name| origin.iter().any(|one| one.as_ref() == name));
    let key = format!("routes.{name}.");
    let of_file = finding.file.is_some() && finding.label.as_ref().is_some_and(|label| label.starts_with(&key));
    let of_host = finding.label.as_ref().is_some_and(|label| hosts.iter().any(|host| host.to_string() == *label));
    of_container || of_file || of_host
}

#[cfg(test)]
mod tests {
    use gangway_model::{Container, EntryPoint, ListenerName, Settings, Snapshot, TraefikSettings, compile};

    use super::*;

    #[test]
    fn a_route_of_traefik_tells_its_router() {
        let entry_point = EntryPoint {
            name: ListenerName::parse("web").expect("a name"),
            is_default: true,
            tls: None,
            redirection: None,
            middlewares: Vec::new(),
        };
        let traefik = TraefikSettings { entry_points: vec![entry_point], ..TraefikSettings::default() };
        let labels = [
            ("traefik.http.routers.one.rule", "Host(`one.test`)"),
            ("traefik.http.routers.one.middlewares", "m"),
            ("traefik.http.middlewares.m.stripprefix.prefixes", "/x"),
        ];
        let app = Container::named("app").with_labels(&labels).reached_at("edge", [172, 20, 0, 3].into(), 80);
        let snapshot = Snapshot { containers: vec![app], ..Snapshot::default() };
        let compiled = compile(&snapshot, &Settings { traefik: Some(traefik), ..Settings::default() });
        let view = route(&compiled.table.routes()[0], &Endpoints::new());
        let written: Vec<_> = view.written.iter().map(|one| (&*one.key, &*one.place)).collect();
        assert_eq!(written, [("router", "traefik.http.routers.one.rule")]);
        let router = view.router.expect("a router");
        assert_eq!((&*router.rule, &*router.service), ("Host(`one.test`)", "app@docker"));
        assert_eq!(router.middlewares, ["m@docker"]);
    }

    #[test]
    fn latencies_in_milliseconds_keep_their_nanoseconds() {
        for nanos in [0, 1, 37_123_457, 999_999_999, 3_600_000_000_001] {
            let time = Duration::from_nanos(nanos);
            let view = api::QuantilesView::of(time, time, time);
            assert_eq!(seconds_of_millis(view.p99).to_bits(), time.as_secs_f64().to_bits());
        }
    }
}
