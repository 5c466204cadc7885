//! Middlewares that protect: who comes in, and how much.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::quoted;

use super::super::tree::{Node, Options};
use super::super::values;
use super::Reading;
use crate::address_filter::{AddressEntry, AddressFilter, ClientEntry, ClientList};
use crate::authentication::{Authentication, BasicAuth, BasicUser, LoginMethod};
use crate::forward_auth::{ForwardAuth, IdentityField};
use crate::request_limit::{ClientKey, RateLimit};
use crate::route::Middleware;
use crate::rule::network;
use crate::spec::{LogInService, NamedSteps};
use crate::upstream_url;

/// Traefik's realm.
const REALM: &str = "traefik";

pub(super) fn basic_auth<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut users: Vec<BasicUser> = Vec::new();
    for (mark, text) in options.get("users").map(Node::list).unwrap_or_default() {
        if let Some(user) = reading.problems.take(mark, BasicUser::parse(text))
            && !users.iter().any(|known| known.name == user.name)
        {
            users.push(user);
        }
    }
    if let Some(file) = options.get("usersfile") {
        let help = "put the file into `users/` on the volume and write `gangway.auth.basic`";
        reading.problems.add(file.first, values::invalid("files of users are not read yet", help));
    }
    let realm = options.text("realm").map_or(REALM, |mark| mark.value.trim());
    if realm.contains(['"', '\\']) || realm.chars().any(char::is_control) {
        reading.problems.add(options.node.first, values::invalid("the realm has a quote", "remove it"));
    }
    let removes = reading.problems.read(options, "removeheader", values::boolean).unwrap_or(false);
    if let Some(field) = options.get("headerfield") {
        let help = "the name of the user is not passed on; let the application log in itself";
        reading.problems.add(field.first, values::invalid("`headerField` is not in force yet", help));
    }
    if users.is_empty() {
        reading.problems.add(options.node.first, values::invalid("no user is named", "add `users`"));
        return Vec::new();
    }
    let basic = BasicAuth { users, lists: Vec::new(), realm: realm.into(), keep: !removes };
    let authentication = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
    vec![Middleware::Authentication(Arc::new(authentication))]
}

/// A service that is asked about each request.
pub(super) fn forward_auth<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Option<NamedSteps> {
    let identity = identity_fields(options, reading);
    reading.idle(options, &["authrequestheaders"], "the service gets all fields of the request but its body");
    let trust = reading.problems.read(options, "trustforwardheader", values::boolean);
    if trust == Some(true) {
        reading.idle(
            options,
            &["trustforwardheader"],
            "forwarded fields count where `forwardedHeaders` trusts the client",
        );
    }
    reading.idle(options, &["maxbodysize", "maxresponsebodysize"], "Gangway has bounds of its own");
    let cookies = ["addauthcookiestoresponse", "preservelocationheader", "headerfield", "authsigninurl"];
    reading.idle(options, &cookies, "cookies and redirections of the service are passed on to the client");
    for name in ["forwardbody", "preserverequestmethod"] {
        if reading.problems.read(options, name, values::boolean) == Some(true) {
            let message = "the service would have to get the body or the method of the request";
            reading
                .problems
                .add(options.node.first, values::invalid(message, "let the service decide by the other fields"));
        }
    }
    if let Some(tls) = options.get("tls") {
        let help = "the certificate of the service is checked by the public authorities";
        reading.problems.add(tls.first, values::invalid("`tls` of a log-in service is not in force yet", help));
    }
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
    let forward = ForwardAuth { service: base.into(), product: None, target: target.into(), identity };
    let authentication = Authentication { method: LoginMethod::Forward(forward), skip: Vec::new() };
    let steps = vec![Middleware::Authentication(Arc::new(authentication))];
    Some(NamedSteps { steps, log_in: Some(LogInService { url, endpoints: Vec::new() }) })
}

/// The fields of the service's answers that are for the application.
fn identity_fields<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Box<[IdentityField]> {
    let mut fields = Vec::new();
    for (mark, name) in options.get("authresponseheaders").map(Node::list).unwrap_or_default() {
        match http::HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => fields.push(IdentityField::new(name.as_str())),
            Err(_) if name.is_empty() => {}
            Err(_) => reading
                .problems
                .add(mark, values::invalid("not the name of a header", "write a name such as `Remote-User`")),
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
            None => {
                let help = "write how the names begin, such as `^X-Team-`, or list them in `authResponseHeaders`";
                reading.problems.add(mark, values::invalid("an expression for names of headers", help));
            }
        }
    }
    fields.into()
}

pub(super) fn allow_list<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut entries = Vec::new();
    for (mark, text) in options.get("sourcerange").map(Node::list).unwrap_or_default() {
        let mut findings = Vec::new();
        match network(text, &mut findings) {
            Some(network) => entries.push(ClientEntry::Address(AddressEntry::Network(network))),
            None => findings.into_iter().for_each(|finding| reading.problems.add(mark, finding)),
        }
    }
    strategy(options, reading);
    if let Some(status) = reading.problems.read(options, "rejectstatuscode", values::count)
        && status != 403
    {
        reading.idle(options, &["rejectstatuscode"], "who is kept out gets 403");
    }
    if entries.is_empty() {
        reading.problems.add(options.node.first, values::invalid("no network is named", "add `sourceRange`"));
        return Vec::new();
    }
    let allow = Some(ClientList::of(entries));
    vec![Middleware::AddressFilter(AddressFilter { allow, deny: ClientList::default() })]
}

/// `ipStrategy`: which of the addresses on the way counts. The trusted proxies decide that here.
fn strategy<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) {
    let Some(strategy) = options.get("ipstrategy") else { return };
    let inner = strategy.options();
    for name in ["depth", "excludedips", "ipv6subnet"] {
        if let Some(node) = inner.get(name) {
            let help = "list the proxies before Gangway in `forwardedHeaders.trustedIPs` of the entry point instead";
            reading
                .problems
                .add(node.first, values::invalid(format!("{} is not in force yet", quoted(node.name)), help));
        }
    }
    reading.problems.unknown(&inner, "`ipStrategy`");
}

/// `sourceCriterion`: what tells one client from another.
fn criterion<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> ClientKey {
    let Some(criterion) = options.get("sourcecriterion") else { return ClientKey::Address };
    let inner = criterion.options();
    strategy(&inner, reading);
    let name = inner.text("requestheadername");
    if reading.problems.read(&inner, "requesthost", values::boolean) == Some(true) {
        let help = "count by address or by a request header";
        reading.problems.add(criterion.first, values::invalid("`requestHost` is not in force yet", help));
    }
    reading.problems.unknown(&inner, "`sourceCriterion`");
    let Some(mark) = name else { return ClientKey::Address };
    let parsed = http::HeaderName::from_bytes(mark.value.trim().as_bytes());
    let parsed = parsed.map_err(|_| values::invalid("not the name of a header", "write the name without a colon"));
    reading.problems.take(mark, parsed).map_or(ClientKey::Address, ClientKey::Header)
}

pub(super) fn rate_limit<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let average = reading.problems.read(options, "average", values::count).unwrap_or(0);
    let period = reading.problems.read(options, "period", values::duration).unwrap_or(Duration::from_secs(1));
    let burst = reading.problems.read(options, "burst", values::count).unwrap_or(1);
    let key = criterion(options, reading);
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
    if criterion(options, reading) != ClientKey::Address {
        reading.problems.add(
            options.node.first,
            values::invalid("requests under way are counted by address", "remove `requestHeaderName`"),
        );
    }
    match NonZeroU32::new(u32::try_from(amount).unwrap_or(u32::MAX)) {
        Some(max) => vec![Middleware::ConcurrencyLimit(max)],
        None => {
            reading.problems.add(options.node.first, values::invalid("no request may be under way", "add `amount`"));
            Vec::new()
        }
    }
}
