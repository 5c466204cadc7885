//! Middlewares that protect: who comes in, and how much.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::quoted;
use http::{HeaderName, StatusCode};

use super::super::tree::Options;
use super::super::values;
use super::paths::expression;
use super::reading::Reading;
use crate::address_choice::{AddressChoice, AddressSource};
use crate::address_filter::{AddressEntry, AddressFilter, ClientEntry, ClientList};
use crate::authentication::{Authentication, BasicAuth, BasicUser, LoginMethod};
use crate::forward_auth::{FORWARDED_BODY_MAX, ForwardAuth, ForwardRules, IdentityField};
use crate::request_limit::{ClientKey, ConcurrencyLimit, RateLimit};
use crate::reserved_fields;
use crate::route::{Middleware, Scheme};
use crate::rule::network;
use crate::spec::{LogInService, NamedSteps, UrlTarget};
use crate::transport_settings::{ClientCertificate, PemSource, TransportSettings};
use crate::upstream_url;

/// Traefik's realm.
const REALM: &str = "traefik";

const NAME_HELP: &str = "write a name such as `Remote-User`";

pub(super) fn basic_auth<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut users: Vec<BasicUser> = Vec::new();
    for (mark, text) in options.list("users") {
        if let Some(user) = reading.problems.take(mark, BasicUser::parse(text))
            && !users.iter().any(|known| known.name == user.name)
        {
            users.push(user);
        }
    }
    let mut lists: Vec<Box<str>> = Vec::new();
    if let Some(mark) = options.text("usersfile").filter(|mark| !mark.value.trim().is_empty()) {
        let path = mark.value.trim();
        match path.starts_with('/') && !path.contains("..") && !path.chars().any(char::is_control) {
            true => lists.push(path.into()),
            false => {
                let help = "write the whole path of the file, such as `/etc/traefik/users`";
                reading.problems.add(mark, values::invalid("not the whole path of a file", help));
            }
        }
    }
    let realm = options.text("realm").map_or(REALM, |mark| mark.value.trim());
    if realm.chars().any(char::is_control) {
        reading.problems.add(options.node.first, values::invalid("the realm has a control character", "remove it"));
    }
    let removes = reading.problems.read(options, "removeheader", values::boolean).unwrap_or(false);
    let user_field = user_field(options, reading);
    if users.is_empty() && lists.is_empty() {
        reading.problems.add(options.node.first, values::invalid("no user is named", "add `users` or `usersFile`"));
        return Vec::new();
    }
    let basic = BasicAuth { users, lists, realm: realm.into(), keep: !removes, user_field };
    let authentication = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
    vec![Middleware::Authentication(Arc::new(authentication))]
}

/// A service that is asked about each request.
pub(super) fn forward_auth<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Option<NamedSteps> {
    let identity = identity_fields(options, reading);
    let rules = forward_rules(options, reading);
    // Both words come to the same: forwarded fields count where `forwardedHeaders` trusts the client.
    reading.problems.read(options, "trustforwardheader", values::boolean);
    reading.idle(options, &["authsigninurl"], "the answer of the service is the client's");
    let mut transport = tls(options, reading);
    let Some(address) = options.text("address").filter(|mark| !mark.value.trim().is_empty()) else {
        reading.problems.add(options.node.first, values::invalid("no address of a service", "add `address`"));
        return None;
    };
    let text = address.value.trim();
    let begin = text.find("://").map_or(0, |at| at + 3);
    let at = text[begin..].find(['/', '?']).map_or(text.len(), |at| begin + at);
    let (base, target) = text.split_at(at);
    let url = reading.problems.take(address, upstream_url::parse(base))?;
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        reading.problems.add(address, values::invalid("not the address of a service", "write a URL"));
    }
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let rules = Some(Box::new(rules));
    let forward = ForwardAuth { service: base.into(), product: None, target: target.into(), identity, rules };
    let authentication = Authentication { method: LoginMethod::Forward(forward), skip: Vec::new() };
    let steps = vec![Middleware::Authentication(Arc::new(authentication))];
    // Where the name is that of a container, the certificate is for the name all the same, as nothing else is written.
    if url.scheme == Scheme::Https {
        transport.server_name = Some(url.host.trim_matches(['[', ']']).into());
    }
    let url = UrlTarget { transport: Arc::new(transport), ..url };
    Some(NamedSteps { log_in: Some(LogInService { url, endpoints: Vec::new() }), ..NamedSteps::of(steps) })
}

fn forward_rules<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> ForwardRules {
    let names = |name| {
        let listed = options.list(name);
        let names = listed.into_iter().map(|(_, name)| name).filter(|name| !name.is_empty());
        names.map(Box::<str>::from).collect::<Box<[Box<str>]>>()
    };
    let wanted = names("authrequestheaders");
    let request_fields = wanted.iter().map(|name| name.to_ascii_lowercase().into());
    let request_fields = (!wanted.is_empty()).then(|| request_fields.collect());
    let cookies = names("addauthcookiestoresponse");
    let [forwards_body, keeps_method, keeps_location] =
        ["forwardbody", "preserverequestmethod", "preservelocationheader"]
            .map(|name| reading.problems.read(options, name, values::boolean).unwrap_or(false));
    // A negative number is no bound of the user's.
    let mut bound = |name| {
        let bound = reading.problems.read(options, name, values::integer);
        bound.and_then(|bound| usize::try_from(bound).ok())
    };
    let (body_max, answer_max) = (bound("maxbodysize"), bound("maxresponsebodysize"));
    let body_max = body_max.unwrap_or(FORWARDED_BODY_MAX).min(FORWARDED_BODY_MAX);
    ForwardRules {
        request_fields,
        cookies,
        body_max: forwards_body.then_some(body_max),
        keeps_method,
        answer_max,
        keeps_location,
        user_field: user_field(options, reading),
    }
}

/// How a log-in service is connected to.
fn tls<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> TransportSettings {
    let Some(tls) = options.get("tls") else { return TransportSettings::default() };
    let inner = tls.options();
    let skips = reading.problems.read(&inner, "insecureskipverify", values::boolean).unwrap_or(false);
    let pem = |name| {
        let text = inner.text(name).map(|mark| mark.value.trim()).filter(|text| !text.is_empty());
        text.map(PemSource::new)
    };
    let (roots, chain, key) = (pem("ca"), pem("cert"), pem("key"));
    if chain.is_some() != key.is_some() {
        let finding =
            values::invalid("a certificate without its key, or a key without its certificate", "add the other");
        reading.problems.add(tls.first, finding);
    }
    reading.idle(&inner, &["caoptional"], "Traefik 3 ignores it too");
    reading.problems.unknown(&inner, "`tls`");
    let certificate = chain.zip(key).map(|(chain, key)| ClientCertificate { chain, key });
    TransportSettings {
        verify: !skips,
        roots: roots.into_iter().collect(),
        certificates: certificate.into_iter().collect(),
        ..TransportSettings::default()
    }
}

/// The name of a header in an option.
fn field_name<'s>(
    options: &Options<'_, 's>,
    option: &'static str,
    reading: &mut Reading<'_, 's>,
) -> Option<HeaderName> {
    let mark = options.text(option).filter(|mark| !mark.value.trim().is_empty())?;
    let name = HeaderName::from_bytes(mark.value.trim().as_bytes());
    let name = name.map_err(|_| values::invalid("not the name of a header", NAME_HELP));
    reading.problems.take(mark, name)
}

/// The name of the header that tells the application who the user is.
fn user_field<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Option<HeaderName> {
    let name = field_name(options, "headerfield", reading)?;
    let Some(why) = reserved_fields::why(name.as_str()) else { return Some(name) };
    let finding = values::invalid(format!("{} cannot name a user: it {why}", quoted(name.as_str())), NAME_HELP);
    reading.problems.add(options.text("headerfield")?, finding);
    None
}

/// The fields of the service's answers that are for the application.
fn identity_fields<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Box<[IdentityField]> {
    let mut fields = Vec::new();
    for (mark, name) in options.list("authresponseheaders") {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => fields.push(IdentityField::new(name.as_str())),
            Err(_) if name.is_empty() => {}
            Err(_) => reading.problems.add(mark, values::invalid("not the name of a header", NAME_HELP)),
        }
    }
    if let Some(mark) = options.text("authresponseheadersregex").filter(|mark| !mark.value.trim().is_empty()) {
        // Most say how the names begin, and that can be said.
        let text = mark.value.trim();
        let begin = text.strip_prefix('^').map(|rest| rest.strip_suffix('$').unwrap_or(rest));
        let begin = begin.map(|rest| rest.strip_suffix(".*").or_else(|| rest.strip_suffix(".+")).unwrap_or(rest));
        match begin
            .filter(|begin| !begin.is_empty() && begin.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        {
            Some(begin) => fields.push(IdentityField::new(&format!("{begin}*"))),
            None => fields.extend(expression(mark, text, reading).map(IdentityField::Matches)),
        }
    }
    fields.into()
}

pub(super) fn allow_list<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut entries = Vec::new();
    for (mark, text) in options.list("sourcerange") {
        let mut findings = Vec::new();
        match network(text, &mut findings) {
            Some(network) => entries.push(ClientEntry::Address(AddressEntry::Network(network))),
            None => findings.into_iter().for_each(|finding| reading.problems.add(mark, finding)),
        }
    }
    let by = strategy(options, reading);
    let refusal = reading.problems.read(options, "rejectstatuscode", |text| {
        let status = text.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.filter(|status| status.is_client_error() || status.is_server_error());
        status.ok_or_else(|| values::invalid("not the status of a refusal", "write a status such as `403` or `404`"))
    });
    if entries.is_empty() {
        reading.problems.add(options.node.first, values::invalid("no network is named", "add `sourceRange`"));
        return Vec::new();
    }
    let allow = Some(ClientList::of(entries));
    vec![Middleware::AddressFilter(Arc::new(AddressFilter { allow, by, refusal, ..AddressFilter::default() }))]
}

/// `ipStrategy`: which of the addresses on the way counts. Without it the one of the connection does.
fn strategy<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> AddressChoice {
    let Some(strategy) = options.get("ipstrategy") else { return AddressChoice::of_connection() };
    let inner = strategy.options();
    let small = |text: &str| {
        text.parse::<u8>().map_err(|_| values::invalid("not a small number", "write a number from 0 to 255"))
    };
    let depth = reading.problems.read(&inner, "depth", small).and_then(NonZeroU8::new);
    let mut excluded = Vec::new();
    for (mark, text) in inner.list("excludedips") {
        let mut findings = Vec::new();
        excluded.extend(network(text, &mut findings));
        findings.into_iter().for_each(|finding| reading.problems.add(mark, finding));
    }
    let ipv6_len = reading.problems.read(&inner, "ipv6subnet", small).and_then(NonZeroU8::new);
    if ipv6_len.is_some_and(|len| len.get() > 128) {
        reading.problems.add(strategy.first, values::invalid("an IPv6 address has 128 bits", "write fewer"));
    }
    reading.problems.unknown(&inner, "`ipStrategy`");
    let source = match depth {
        Some(depth) => AddressSource::ForwardedAt(depth),
        None if !excluded.is_empty() => AddressSource::ForwardedBefore(excluded.into()),
        None => AddressSource::Connection,
    };
    AddressChoice { source, ipv6_len }
}

/// `sourceCriterion`: what tells one client from another.
fn criterion<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Option<ClientKey> {
    let criterion = options.get("sourcecriterion")?;
    let inner = criterion.options();
    let by_address = inner.get("ipstrategy").is_some().then(|| ClientKey::AddressBy(strategy(&inner, reading)));
    let by_field = field_name(&inner, "requestheadername", reading).map(ClientKey::Header);
    let by_host = reading.problems.read(&inner, "requesthost", values::boolean).filter(|by_host| *by_host);
    reading.problems.unknown(&inner, "`sourceCriterion`");
    let all: Vec<ClientKey> = by_address.into_iter().chain(by_field).chain(by_host.map(|_| ClientKey::Host)).collect();
    if all.len() > 1 {
        reading
            .problems
            .add(criterion.first, values::invalid("several things tell clients apart", "write one of them"));
    }
    all.into_iter().next()
}

pub(super) fn rate_limit<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let average = reading.problems.read(options, "average", values::count).unwrap_or(0);
    let period = reading.problems.read(options, "period", values::duration).unwrap_or(Duration::from_secs(1));
    let burst = reading.problems.read(options, "burst", values::count).unwrap_or(1);
    let key = criterion(options, reading).unwrap_or_else(|| ClientKey::AddressBy(AddressChoice::of_connection()));
    reading.idle(options, &["redis"], "each instance counts by itself");
    if period.is_zero() {
        reading.problems.add(options.node.first, values::invalid("a period of no time", "write a longer one"));
    }
    let number = |count: u64| NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX));
    // No average is no limit.
    let Some(requests) = number(average) else { return Vec::new() };
    let burst = number(burst).unwrap_or(NonZeroU32::MIN);
    vec![Middleware::RateLimit(RateLimit { requests, period, burst, key })]
}

pub(super) fn in_flight<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let amount = reading.problems.read(options, "amount", values::count).unwrap_or(0);
    // Traefik counts all clients of a host together where nothing is said.
    let key = criterion(options, reading).unwrap_or(ClientKey::Host);
    match NonZeroU32::new(u32::try_from(amount).unwrap_or(u32::MAX)) {
        Some(requests) => vec![Middleware::ConcurrencyLimit(ConcurrencyLimit { requests, key })],
        None => {
            reading.problems.add(options.node.first, values::invalid("no request may be under way", "add `amount`"));
            Vec::new()
        }
    }
}
