//! Reads the value of a label into the fields of its route: one function for each key that is in force.

use std::num::NonZeroU64;
use std::time::Duration;

use http::HeaderValue;

use super::access;
use super::error_pages;
use super::forward_auth;
use super::header;
use super::label::Label;
use super::oidc_auth;
use super::redirect;
use super::rewrite;
use super::route_fields::RouteFields;
use super::schema::KeyId;
use super::values::{each, is_file_name};
use crate::content_coding::ContentCoding;
use crate::host::{HostPattern, Hostname};
use crate::internal_service::InternalService;
use crate::path::PathPattern;
use crate::route::{Balance, HostHeader, Middleware, STICKY_COOKIE, Scheme, TlsMode, TlsVersion};
use crate::rule;
use crate::tile::TileIcon;
use crate::upgrade_protocol::{self, WEBSOCKET};
use crate::upstream_url;
use crate::value;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// The longest `hold`: requests that wait cost memory, and one label must not take all of it.
const HOLD_MAX: Duration = Duration::from_secs(3600);

/// The longest `drain`: longer than any request that a client waits for, and not unlimited.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest `health.interval`, so that checks do not load the application.
const HEALTH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// The duration of `hsts` `true`.
pub(super) const HSTS_DEFAULT: Duration = Duration::from_secs(365 * 86_400);

/// The bytes of answers that `cache` `true` keeps: the pages and pictures of one application, and little beside what the
/// process uses otherwise.
const CACHE_DEFAULT: NonZeroU64 = NonZeroU64::new(64 << 20).expect("not 0");

/// Folders of the volume that no label may write to.
const EXPORT_NEVER: [&str; 9] = ["acme", "auth", "ca", "certs", "hosts", "import", "locks", "secret", "tickets"];

/// The deepest folder of `cert.export`; deeper ones are surely a mistake.
const EXPORT_DEPTH_MAX: usize = 4;

/// Reads the value of a label into the fields of its route. The value was [checked](Label::check) before.
pub(super) fn read<'a>(id: KeyId, label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    match id {
        KeyId::Enable => enable(label, fields, found),
        KeyId::Host => host(label, fields, found),
        KeyId::Path => path(label, fields, found),
        KeyId::Rule => rule(label, fields, found),
        KeyId::Priority => priority(label, fields, found),
        KeyId::Port => port(label, fields, found),
        KeyId::Scheme => scheme(label, fields, found),
        KeyId::Verify => verify(label, fields, found),
        KeyId::Network => network(label, fields, found),
        KeyId::Upstream => upstream(label, fields, found),
        KeyId::StripPrefix => strip_prefix(label, fields, found),
        KeyId::Rewrite => rewrite(label, fields, found),
        KeyId::AddPrefix => add_prefix(label, fields, found),
        KeyId::Redirect => redirect(label, fields, found),
        KeyId::Tls => tls(label, fields, found),
        KeyId::HttpsRedirect => https_redirect(label, fields, found),
        // Its names are read with the settings at hand.
        KeyId::Listen => fields.listen = Some(label.clone()),
        KeyId::RequestHeader => request_header(label, fields, found),
        KeyId::ResponseHeader => response_header(label, fields, found),
        KeyId::HostHeader => host_header(label, fields, found),
        KeyId::Upgrade => upgrade(label, fields, found),
        KeyId::BodyLimit => body_limit(label, fields, found),
        KeyId::TimeoutConnect => timeout_connect(label, fields, found),
        KeyId::TimeoutResponse => timeout_response(label, fields, found),
        KeyId::TimeoutIdle => timeout_idle(label, fields, found),
        KeyId::Hsts => hsts(label, fields, found),
        KeyId::Headers => headers(label, fields, found),
        KeyId::ClientCa => client_ca(label, fields, found),
        KeyId::TlsMin => tls_min(label, fields, found),
        KeyId::Balance => balance(label, fields, found),
        KeyId::Sticky => sticky(label, fields, found),
        KeyId::Weight => weight(label, fields, found),
        KeyId::HealthPath => health_path(label, fields, found),
        KeyId::HealthInterval => health_interval(label, fields, found),
        KeyId::HealthTimeout => health_timeout(label, fields, found),
        KeyId::HealthStatus => health_status(label, fields, found),
        KeyId::Hold => hold(label, fields, found),
        KeyId::Drain => drain(label, fields, found),
        KeyId::Group => group(label, fields, found),
        KeyId::Share => share(label, fields, found),
        KeyId::CertExport => cert_export(label, fields, found),
        KeyId::Allow => access::allow(label, fields, found),
        KeyId::Deny => access::deny(label, fields, found),
        KeyId::RateLimit => access::rate_limit(label, fields, found),
        KeyId::Concurrency => access::concurrency(label, fields, found),
        KeyId::Crowdsec => access::crowdsec(label, fields, found),
        KeyId::Appsec => access::appsec(label, fields, found),
        KeyId::AuthBasic => access::auth_basic(label, fields, found),
        KeyId::Cache => cache(label, fields, found),
        KeyId::Errors => error_pages::errors(label, fields, found),
        KeyId::AuthForward => forward_auth::auth_forward(label, fields, found),
        KeyId::AuthHeaders => forward_auth::auth_headers(label, fields, found),
        KeyId::AuthSkip => access::auth_skip(label, fields, found),
        KeyId::AuthKeep => access::auth_keep(label, fields, found),
        KeyId::AuthRealm => access::auth_realm(label, fields, found),
        KeyId::AuthOidc => oidc_auth::auth_oidc(label, fields, found),
        KeyId::AuthUsers => oidc_auth::auth_users(label, fields, found),
        KeyId::AuthGroups => oidc_auth::auth_groups(label, fields, found),
        KeyId::AuthDomains => oidc_auth::auth_domains(label, fields, found),
        KeyId::AuthBearer => oidc_auth::auth_bearer(label, fields, found),
        KeyId::Compress => compress(label, fields, found),
        KeyId::PageName => fields.tile.name = Some(label.value().into()),
        KeyId::PageIcon => page_icon(label, fields, found),
        KeyId::PageGroup => fields.tile.group = Some(label.value().into()),
        KeyId::PageDescription => fields.tile.description = Some(label.value().into()),
        KeyId::PageOrder => fields.tile.order = fields.accept(label, value::integer(label.value()), found),
        KeyId::PageHide => {
            fields.tile.hidden = fields.accept(label, value::boolean(label.value()), found).unwrap_or(false);
        }
        // These were obeyed when definitions were put among the labels.
        KeyId::Use | KeyId::OptOut => {}
    }
}

fn enable<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(enabled) = fields.accept(label, value::boolean(label.value()), found) {
        fields.enabled = enabled;
    }
}

fn host<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = value::list(label.value());
    fields.hosts = Some(each(label, fields, found, "hosts", entries, HostPattern::parse));
}

fn path<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = value::list_of_patterns(label.value());
    fields.paths = Some(each(label, fields, found, "paths", entries, PathPattern::parse));
}

fn rule<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let expression = rule::parse(label.value(), &mut findings);
    for finding in findings {
        fields.found(label, finding, found);
    }
    fields.rule = Some(expression);
}

fn priority<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(priority) = fields.accept(label, value::integer(label.value()), found) {
        (fields.priority, fields.priority_mark) = (priority, Some(label.mark));
    }
}

fn port<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let port = fields.accept(label, value::port(label.value()), found);
    fields.access.port = port.map(|port| (port, label.mark));
}

fn scheme<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let choices = [("http", Scheme::Http), ("https", Scheme::Https), ("h2c", Scheme::H2c)];
    let scheme = value::choice(label.value(), &choices).map_err(|finding| {
        let is_grpc = ["grpc", "h2", "http2"].iter().any(|word| word.eq_ignore_ascii_case(label.value()));
        let help = "write `h2c`, which is HTTP/2 without TLS, or `https`".to_owned();
        if is_grpc { Finding { help, ..finding } } else { finding }
    });
    fields.access.scheme = fields.accept(label, scheme, found);
}

fn verify<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let verify = fields.accept(label, value::boolean(label.value()), found);
    fields.access.verify = verify.map(|verify| (verify, label.mark));
}

fn network<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, _found: &mut Vec<Diagnostic>) {
    // Whether there is such a network only the engine knows.
    fields.access.network = Some((label.value(), label.mark));
}

fn upstream<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    // The services that are answered behind a route of the file; the others are Traefik's.
    fields.internal = InternalService::of_name(label.value().trim()).filter(|service| service.is_own_page());
    if fields.internal.is_some() {
        return;
    }
    let entries = value::list(label.value());
    fields.urls = each(label, fields, found, "upstreams", entries, |text, findings| {
        upstream_url::parse(text).map_err(|finding| findings.push(finding)).ok()
    });
}

fn strip_prefix<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.strip_prefix = fields.accept(label, value::boolean(label.value()), found).unwrap_or(false);
}

fn add_prefix<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let prefix = fields.accept(label, rewrite::path_to_send(label.value()), found);
    fields.add_prefix =
        prefix.map(|prefix| prefix.trim_end_matches('/')).filter(|prefix| !prefix.is_empty()).map(Into::into);
}

fn rewrite<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.rewrite = fields.accept(label, rewrite::parse(label.value()), found);
}

fn redirect<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let redirect = fields.accept(label, redirect::parse(label.value()), found);
    fields.redirect = redirect.map(|redirect| (redirect, label.clone()));
}

fn tls<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if label.value().eq_ignore_ascii_case("passthrough") {
        let later = Finding::error(
            codes::VALUE_LATER,
            0..label.value().len(),
            "`passthrough` is not in force yet",
            "planned",
            "write `auto`, and `gangway.scheme` `https` if the application speaks TLS",
        );
        fields.accept::<()>(label, Err(later), found);
        return;
    }
    let choices = [("auto", TlsMode::Auto), ("internal", TlsMode::Internal), ("off", TlsMode::Off)];
    let mode = value::choice(label.value(), &choices).map_err(|finding| match value::boolean(label.value()) {
        Ok(on) => Finding { help: format!("write `{}`", if on { "auto" } else { "off" }), ..finding },
        Err(_) => finding,
    });
    fields.tls = fields.accept(label, mode, found).unwrap_or_default();
}

fn https_redirect<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let redirect = fields.accept(label, value::boolean(label.value()), found);
    fields.https_redirect = redirect.map(|redirect| (redirect, label.clone()));
}

fn tls_min<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let choices = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let oldest = fields.accept(label, value::choice(label.value(), &choices), found).unwrap_or_default();
    fields.tls_min = fields.tls_min.max(oldest);
}

fn client_ca<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let text = label.value();
    let name = if is_file_name(text) {
        Ok(text.into())
    } else {
        let note = "1 to 64 letters, digits, dots, hyphens and underscores, and no dot in front";
        let help = "name a CA file in `certs/clients/` on the volume: `family` for `family.pem`";
        Err(value::wrong(codes::CLIENT_CA, text, "is not the name of a CA file", note, help))
    };
    fields.client_ca = fields.accept(label, name, found).map(|name| (name, label.clone()));
}

fn cert_export<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let text = label.value();
    let mut parts = text.split('/');
    let first = parts.next().unwrap_or_default();
    let refused = if text.starts_with('/') {
        Some(("not below the volume", "write it as it is seen from the volume: `mail` for `/data/mail`"))
    } else if EXPORT_NEVER.iter().any(|own| first.eq_ignore_ascii_case(own)) {
        Some(("Gangway's own", "choose another folder, such as `mail`"))
    } else if !is_file_name(first) || !parts.clone().all(is_file_name) || parts.count() >= EXPORT_DEPTH_MAX {
        Some(("up to four names of letters, digits, dots, hyphens and underscores", "write a folder such as `mail`"))
    } else {
        None
    };
    let folder = match refused {
        None => Ok(text.into()),
        Some((note, help)) => Err(value::wrong(codes::CERT_EXPORT, text, "is not a folder to export to", note, help)),
    };
    fields.cert_export = fields.accept(label, folder, found);
}

fn request_header<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some((name, value)) = header::read(label, fields, found) {
        fields.request_headers.push(Middleware::RequestHeader(name, value));
    }
}

fn response_header<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some((name, value)) = header::read(label, fields, found) {
        fields.response_headers.push(Middleware::ResponseHeader(name, value));
    }
}

fn host_header<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let header = match label.value().to_ascii_lowercase().as_str() {
        "keep" => Ok(HostHeader::Keep),
        "upstream" => Ok(HostHeader::Upstream),
        _ => named_host(label.value()).map(HostHeader::Named),
    };
    if let Some(header) = fields.accept(label, header, found) {
        fields.host_header = header;
    }
}

fn upgrade<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = value::list(label.value());
    let parse = |text: &str, findings: &mut Vec<Finding>| {
        upgrade_protocol::parse(text).map_err(|finding| findings.push(finding)).ok()
    };
    let mut upgrades = each(label, fields, found, "protocols", entries, parse);
    // WebSockets pass on every route.
    upgrades.retain(|name| &**name != WEBSOCKET);
    upgrades.sort_unstable();
    upgrades.dedup();
    fields.upgrades = upgrades.into();
}

fn body_limit<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let limit = fields.accept(label, value::size(label.value()), found);
    // Of several definitions the strictest holds.
    fields.body_limit = [fields.body_limit, limit].into_iter().flatten().min();
}

fn compress<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let codings = match value::boolean(label.value()) {
        Ok(true) => ContentCoding::ALL.into(),
        Ok(false) => Vec::new(),
        Err(_) => {
            let names = ContentCoding::ALL.map(|coding| (coding.token(), coding));
            let coding = |text: &str, findings: &mut Vec<Finding>| {
                value::choice(text, &names).map_err(|finding| findings.push(finding)).ok()
            };
            each(label, fields, found, "codings", value::list(label.value()), coding)
        }
    };
    let is_first = |(at, coding): &(usize, &ContentCoding)| !codings[..*at].contains(coding);
    fields.compress = codings.iter().enumerate().filter(is_first).map(|(_, coding)| *coding).collect();
}

fn cache<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let bytes = match value::boolean(label.value()) {
        Ok(true) => Ok(Some(CACHE_DEFAULT)),
        Ok(false) => Ok(None),
        Err(_) => value::size(label.value()).map(NonZeroU64::new).map_err(|finding| match label.value() {
            "0" => {
                let help = "write `false` to keep nothing".to_owned();
                Finding { note: "nothing could be kept".to_owned(), help, ..finding }
            }
            // What is wrong with a number, the finding says.
            text if text.starts_with(|first: char| first.is_ascii_digit()) => finding,
            _ => Finding { help: "write `true`, `false` or a size such as `64MiB`".to_owned(), ..finding },
        }),
    };
    fields.cache = fields.accept(label, bytes, found).flatten();
}

fn timeout_connect<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(duration) = fields.accept(label, value::duration(label.value()), found) {
        fields.timeouts.connect = duration;
    }
}

fn timeout_response<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(duration) = fields.accept(label, value::duration(label.value()), found) {
        fields.timeouts.response = duration;
    }
}

fn timeout_idle<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(duration) = fields.accept(label, value::duration(label.value()), found) {
        fields.timeouts.idle = duration;
    }
}

fn hsts<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let max_age = match value::boolean(label.value()) {
        Ok(true) => Ok(Some(HSTS_DEFAULT)),
        Ok(false) => Ok(None),
        Err(_) => value::duration(label.value()).map(Some).map_err(|finding| Finding {
            message: finding.message.replace("a duration", "a boolean or a duration"),
            help: "write `true`, or for how long, such as `30d`".into(),
            ..finding
        }),
    };
    let max_age = fields.accept(label, max_age, found).flatten();
    let seconds = max_age.and_then(|max_age| NonZeroU64::new(max_age.as_secs()));
    fields.hsts = seconds.map(|seconds| (seconds, label.clone()));
}

fn headers<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let choices = [("secure", true), ("off", false)];
    if let Some(is_secure) = fields.accept(label, value::choice(label.value(), &choices), found) {
        fields.has_secure_headers = is_secure;
    }
}

fn hold<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(hold) = fields.accept(label, value::duration_up_to(label.value(), HOLD_MAX), found) {
        fields.policy.hold = hold;
    }
}

fn drain<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(drain) = fields.accept(label, value::duration_up_to(label.value(), DRAIN_MAX), found) {
        fields.policy.drain = drain;
    }
}

fn balance<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let choices = [
        ("round-robin", Balance::RoundRobin),
        ("least-requests", Balance::LeastRequests),
        ("random-two", Balance::RandomTwo),
        ("client", Balance::Client),
    ];
    if let Some(balance) = fields.accept(label, value::choice(label.value(), &choices), found) {
        fields.policy.balance = balance;
    }
}

fn weight<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    const WEIGHT_MAX: u16 = 256;
    let weight = value::integer(label.value()).and_then(|weight| match u16::try_from(weight) {
        Ok(weight) if weight <= WEIGHT_MAX => Ok(weight),
        _ => Err(value::wrong(
            codes::NOT_INTEGER,
            label.value(),
            "is not a weight",
            "a number from 0 to 256",
            "write `1`, or a larger number for a larger share",
        )),
    });
    fields.weight = fields.accept(label, weight, found);
}

fn sticky<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    // What a cookie's name may be made of (RFC 6265, section 4.1.1).
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let text = label.value();
    let cookie = match value::boolean(text) {
        Ok(true) => Ok(Some(STICKY_COOKIE.into())),
        Ok(false) => Ok(None),
        Err(_) if text.len() <= 64 && !text.is_empty() && text.bytes().all(is_token) => Ok(Some(text.into())),
        Err(_) => Err(value::wrong(
            codes::COOKIE_NAME,
            text,
            "is not a boolean and not the name of a cookie",
            "letters, digits, hyphens and the like",
            "write `true`",
        )),
    };
    if let Some(cookie) = fields.accept(label, cookie, found) {
        fields.policy.sticky = cookie;
    }
}

fn health_path<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.health_path = fields.accept(label, rewrite::path_to_send(label.value()), found).map(Into::into);
}

fn health_interval<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(interval) = fields.accept(label, value::duration(label.value()), found) {
        fields.health.interval = Some(interval.max(HEALTH_INTERVAL_MIN));
        fields.health_details.push(label.clone());
    }
}

fn health_timeout<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(timeout) = fields.accept(label, value::duration(label.value()), found) {
        fields.health.timeout = Some(timeout);
        fields.health_details.push(label.clone());
    }
}

fn health_status<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = value::list(label.value());
    fields.health.statuses = each(label, fields, found, "statuses", entries, |text, findings| {
        value::statuses(text).map_err(|finding| findings.push(finding)).ok()
    });
    if !fields.health.statuses.is_empty() {
        fields.health_details.push(label.clone());
    }
}

fn group<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let group = name(label.value(), "a name of a group");
    fields.group = fields.accept(label, group, found).map(|group| group.to_ascii_lowercase().into());
}

fn page_icon<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let text = label.value();
    let icon = TileIcon::parse(text).ok_or_else(|| {
        let help = "write an emoji such as `📷`, up to three letters, or the path of a picture of the application, such as \
                    `/static/icon.png`; no icon comes from elsewhere";
        value::wrong(codes::PAGE_ICON, text, "is not an icon", "neither an emoji, nor a few letters, nor a path", help)
    });
    fields.tile.icon = fields.accept(label, icon, found);
}

fn share<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = value::list(label.value());
    let parse = |text: &str, findings: &mut Vec<Finding>| {
        party_name(text).map(Into::into).map_err(|finding| findings.push(finding)).ok()
    };
    fields.share = each(label, fields, found, "names", entries, parse).into();
}

/// Checks the name of a project or a container, or `*`.
pub(super) fn party_name(text: &str) -> value::Parsed<&str> {
    if text == "*" { Ok(text) } else { name(text, "a project or a container") }
}

/// Checks a name.
fn name<'t>(text: &'t str, what: &str) -> value::Parsed<&'t str> {
    const LEN_MAX: usize = 255;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=LEN_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
    let note = "letters, digits, hyphens, underscores and dots";
    let wrong =
        || value::wrong(codes::NAME_INVALID, text, &format!("is not {what}"), note, "write a name, such as `shop`");
    is_name.then_some(text).ok_or_else(wrong)
}

/// A name, and maybe a port, for `Host`.
fn named_host(text: &str) -> value::Parsed<HeaderValue> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let mut findings = Vec::new();
    let name = Hostname::parse(name, &mut findings);
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let host = name.filter(|_| is_port).map(|name| match port {
        Some(port) => format!("{name}:{port}"),
        None => name.to_string(),
    });
    host.and_then(|host| HeaderValue::from_str(&host).ok()).ok_or_else(|| {
        let note = findings.pop().map_or_else(|| "not a port".to_owned(), |finding| finding.note);
        let help = "write `keep`, `upstream`, or a name such as `app.example.org`";
        value::wrong(codes::HOST_HEADER, text, "is not a value for `host-header`", &note, help)
    })
}
