//! A table as text: everything that is in force, in one canonical form, for snapshots and to compare two tables.
//!
//! Values that may be secrets are not shown.

use std::fmt::Write as _;
use std::sync::Arc;

use gangway_diagnostic::printable;
use gangway_model::{
    AddressChoice, AddressSource, Balance, CasedHeaderName, Endpoint, HealthCheck, HostHeader, Middleware, Policy,
    Readiness, Route, RoutingTable, Scheme, Tile, TileIcon, Timeouts, TlsMode, TlsVersion, Transport,
    TransportSettings,
};
use http::HeaderValue;

/// Every route with all that it does, in the order of their ids.
pub fn table(table: &RoutingTable<Arc<Route>>) -> String {
    let mut priorities = vec![0; table.routes().len()];
    for (route, precedence) in table.precedences() {
        priorities[route] = precedence.priority;
    }
    let mut text = String::new();
    for (route, priority) in table.routes().iter().zip(priorities) {
        if priority != 0 {
            text += &format!("priority {priority}, ");
        }
        text += &self::route(route);
    }
    text
}

/// One line for what decides, one for each middleware and each endpoint.
pub fn route(route: &Route) -> String {
    let mut text = String::new();
    fmt_route(&mut text, route).expect("writing into a text cannot fail");
    text
}

fn fmt_route(f: &mut String, route: &Route) -> std::fmt::Result {
    write!(f, "{}: {}", route.id, printable(&route.rule))?;
    f.push_str(match route.listener.tls {
        TlsMode::Auto => "",
        TlsMode::Internal => ", tls internal",
        TlsMode::Off => ", tls off",
    });
    if let Some(names) = &route.listener.scope.names {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        write!(f, ", on {}", names.join(" "))?;
    }
    f.push_str(match route.listener.scope.transport {
        Transport::Any => "",
        Transport::Plain => ", in clear only",
        Transport::Tls => ", over TLS only",
    });
    if !route.listener.https_redirect && route.listener.tls != TlsMode::Off {
        f.push_str(", plain HTTP too");
    }
    if route.listener.tls_min == TlsVersion::Tls13 {
        f.push_str(", TLS 1.3 only");
    }
    if let Some(file) = &route.listener.client_ca {
        write!(f, ", clients of `{file}`")?;
    }
    if let Some(folder) = &route.listener.cert_export {
        write!(f, ", exported to `{folder}`")?;
    }
    if let Some(issuer) = &route.listener.cert_issuer {
        write!(f, ", issuer `{issuer}`")?;
    }
    if route.closed {
        f.push_str(", closed");
    }
    f.push('\n');
    for origin in &route.origins {
        if let Some((definition, is_default)) = origin.definition() {
            writeln!(f, "  {} by {definition}{}", origin.key, if is_default { ", by default" } else { "" })?;
        }
    }
    if route.tile != Tile::default() {
        let Tile { name, icon, group, description, order, hidden } = &route.tile;
        let of_text = |text: Option<&str>| text.map_or_else(|| "–".to_owned(), printable);
        let icon = icon.as_ref().map(|(TileIcon::Text(said) | TileIcon::Path(said))| &**said);
        let [name, icon, group, description] =
            [name.as_deref(), icon, group.as_deref(), description.as_deref()].map(of_text);
        let order = order.map_or_else(|| "–".to_owned(), |order| order.to_string());
        let hidden = if *hidden { ", hidden" } else { "" };
        writeln!(f, "  tile {name} / icon {icon} / group {group} / order {order} / {description}{hidden}")?;
    }
    for middleware in &route.middlewares {
        writeln!(f, "  {}", middleware_text(middleware))?;
    }
    let Timeouts { connect, response, idle } = route.timeouts;
    if route.timeouts != Timeouts::default() {
        writeln!(f, "  timeouts: connect {connect:?}, response {response:?}, idle {idle:?}")?;
    }
    match &route.host_header {
        HostHeader::Keep => {}
        HostHeader::Upstream => f.push_str("  Host of the upstream\n"),
        HostHeader::Named(name) => writeln!(f, "  Host {}", text(name))?,
    }
    if !route.upgrades.is_empty() {
        writeln!(f, "  upgrades to {}", route.upgrades.join(" "))?;
    }
    fmt_policy(f, &route.upstream.policy)?;
    if let Some(service) = route.upstream.internal {
        writeln!(f, "  answered by {service}")?;
    }
    if route.upstream.held {
        f.push_str("  held for the next container\n");
    }
    if let Some(why) = &route.upstream.unreachable {
        writeln!(f, "  nothing to wait for: {}", printable(why))?;
    }
    let asked =
        route.auth_services.iter().flatten().map(|endpoint| endpoint_text(endpoint).replacen("to ", "asks ", 1));
    let pages = route.page_services.iter().flat_map(|(rule, endpoints)| {
        let line = move |endpoint| endpoint_text(endpoint).replacen("to ", &format!("pages of rule {rule} from "), 1);
        endpoints.iter().map(line)
    });
    asked
        .chain(pages)
        .chain(route.upstream.endpoints.iter().map(endpoint_text))
        .try_for_each(|line| writeln!(f, "  {line}"))
}

/// A line for each thing that is not as usual.
fn fmt_policy(f: &mut String, policy: &Policy) -> std::fmt::Result {
    let usual = Policy::default();
    match policy.balance {
        Balance::RandomTwo => {}
        Balance::RoundRobin => f.push_str("  balance round-robin\n"),
        Balance::LeastRequests => f.push_str("  balance least-requests\n"),
        Balance::Client => f.push_str("  balance client\n"),
    }
    if let Some(cookie) = &policy.sticky {
        writeln!(f, "  sticky by the cookie {}", printable(cookie))?;
    }
    if let Some(HealthCheck { path, interval, timeout, statuses }) = &policy.health {
        let ranges: Vec<String> = statuses.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        writeln!(f, "  asked for {path} every {interval:?} within {timeout:?}, good are {}", ranges.join(" "))?;
    }
    if policy.hold != usual.hold {
        writeln!(f, "  hold {:?}", policy.hold)?;
    }
    if policy.drain != usual.drain {
        writeln!(f, "  drain {:?}", policy.drain)?;
    }
    Ok(())
}

fn middleware_text(middleware: &Middleware) -> String {
    match middleware {
        Middleware::StripPrefix(prefixes) => format!("strip {}", prefixes.join(" ")),
        Middleware::AddPrefix(prefix) => format!("add {prefix}"),
        Middleware::Rewrite { pattern, replacement } => {
            format!("rewrite ~{} -> {}", printable(pattern.regex().as_str()), printable(replacement.as_str()))
        }
        Middleware::Redirect { status, target } => format!("redirect {status} {target}"),
        Middleware::UrlRedirect(redirect) => format!("redirect {redirect}"),
        Middleware::PathChange(change) => format!("path: {change}"),
        Middleware::RequestHeader(name, value) => header("request", name, value.as_ref()),
        Middleware::ResponseHeader(name, value) => header("response", name, value.as_ref()),
        Middleware::BodyLimit(bytes) => format!("bodies of at most {bytes} bytes"),
        Middleware::ResponseLimit(bytes) => format!("answers of at most {bytes} bytes"),
        Middleware::Hsts(hsts) => format!("hsts {hsts}{}", if hsts.in_clear { ", in clear too" } else { "" }),
        Middleware::SecureHeaders { hsts } => match hsts {
            Some(seconds) => format!("secure headers, hsts for {seconds} seconds"),
            None => "secure headers".to_owned(),
        },
        Middleware::AddressFilter(filter) => {
            let allow = filter.allow.as_ref().map_or_else(|| "everybody".to_owned(), ToString::to_string);
            let deny = if filter.deny.is_empty() { "nobody".to_owned() } else { filter.deny.to_string() };
            let by = match &filter.by {
                AddressChoice { source: AddressSource::Client, ipv6_len: None } => String::new(),
                AddressChoice { source, ipv6_len: None } => format!("; by {source}"),
                AddressChoice { source, ipv6_len: Some(len) } => format!("; by {len} bits of {source}"),
            };
            let refusal = filter.refusal.map(|status| format!("; with {}", status.as_u16())).unwrap_or_default();
            format!("lets in {allow}; keeps out {deny}{by}{refusal}")
        }
        Middleware::Crowdsec(on_doubt) => format!("crowdsec {}", on_doubt.word()),
        Middleware::Appsec(on_doubt) => format!("appsec {}", on_doubt.word()),
        Middleware::RateLimit(limit) => format!("rate {limit}"),
        Middleware::ConcurrencyLimit(limit) => format!("at most {limit} requests under way"),
        Middleware::Authentication(authentication) => authentication.to_string(),
        Middleware::Compression(compression) => format!("compress {}", compression.to_string().replace(", ", " ")),
        Middleware::Cors(cors) => format!("cross-origin: {cors}"),
        Middleware::AllowedHosts(hosts) => format!("hosts {}", hosts.join(" ")),
        Middleware::ErrorPages(pages) => format!("errors {pages}"),
        Middleware::Cache(bytes) => format!("cache {bytes} bytes"),
    }
}

/// The name, the address, the protocol, and whether it may be used.
fn endpoint_text(endpoint: &Endpoint) -> String {
    let scheme = match endpoint.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::H2c => "h2c",
    };
    let transport = transport_text(&endpoint.transport, endpoint.scheme);
    let weight = if endpoint.weight == 1 { String::new() } else { format!(", weight {}", endpoint.weight) };
    let readiness = match endpoint.readiness {
        Readiness::Ready => "ready",
        Readiness::Starting => "starting",
        Readiness::Unhealthy => "unhealthy",
        Readiness::Leaving => "leaving",
        Readiness::Restarting => "restarting",
    };
    let (name, address) = (printable(&endpoint.name), &endpoint.key.address);
    format!("to {name} at {scheme}://{address}{transport}{weight}, {readiness}")
}

/// What is not usual about connections to an endpoint.
fn transport_text(transport: &TransportSettings, scheme: Scheme) -> String {
    let TransportSettings { verify, server_name, roots, certificates, offers_http2, idle_timeout, idle_max } =
        transport;
    let mut parts = Vec::new();
    if scheme == Scheme::Https {
        parts.extend((!verify).then(|| "certificate not checked".to_owned()));
        parts.extend(server_name.iter().map(|name| format!("as {name}")));
        parts.extend(roots.iter().map(|root| format!("trusting {root:?}")));
        parts.extend(certificates.iter().map(|one| format!("showing {:?} with {:?}", one.chain, one.key)));
        parts.extend((!offers_http2).then(|| "without HTTP/2".to_owned()));
    }
    parts.extend(idle_timeout.map(|time| format!("idle for {time:?}")));
    parts.extend(idle_max.map(|max| format!("{max} idle")));
    parts.into_iter().map(|part| format!(", {part}")).collect()
}

fn header(of: &str, name: &CasedHeaderName, value: Option<&HeaderValue>) -> String {
    match value {
        Some(value) => format!("{of} {name}: {}", text(value)),
        None => format!("{of} without {name}"),
    }
}

fn text(value: &HeaderValue) -> String {
    match value.is_sensitive() {
        true => "(not shown)".to_owned(),
        false => printable(&String::from_utf8_lossy(value.as_bytes())),
    }
}
