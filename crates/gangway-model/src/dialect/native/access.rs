//! Reads the labels that say who may come in, and how much: `allow`, `deny`, `rate-limit`, `concurrency`, `auth.*`.

use std::sync::Arc;

use http::Method;

use super::label::Label;
use super::route_fields::{AuthFields, ForwardFields, RouteFields};
use super::schema::KeyId;
use super::values::{each, is_file_name};
use crate::address_filter::{AddressEntry, AddressFilter, AddressList, ClientEntry, ClientList};
use crate::authentication::{Authentication, BasicAuth, BasicUser, LoginMethod, REALM_DEFAULT, SkipRule};
use crate::forward_auth::ForwardAuth;
use crate::geography::{CountryCode, PlaceKind};
use crate::path::PathPattern;
use crate::request_limit::{ClientKey, RateLimit, parse_concurrency};
use crate::route::Middleware;
use crate::rule::network;
use crate::value;
use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

pub(super) fn allow<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = each(label, fields, found, "entries", value::list(label.value()), client);
    require_databases(label, fields, found);
    // Nobody is let in by a list of which nothing could be read; the route is closed anyway.
    fields.allow.push(ClientList::of(entries));
}

pub(super) fn deny<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let mut denied = Vec::new();
    let mut count = 0;
    for (offset, entry) in value::list(label.value()) {
        count += 1;
        let mut findings = Vec::new();
        denied.extend(client(entry, &mut findings));
        // An entry that cannot be read would keep somebody out: the route is closed, unlike with `allow`.
        findings.into_iter().for_each(|finding| fields.found(label, finding.shifted(offset), found));
    }
    if count == 0 {
        let help = "write at least one entry, or remove the label";
        let finding = Finding::error(codes::VALUE_EMPTY, 0..label.value().len(), "empty list", "no entry", help);
        fields.found(label, finding, found);
    }
    require_databases(label, fields, found);
    fields.deny.append(&mut denied);
}

/// Closes the route if the list names a place and no database tells where clients are.
fn require_databases<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if fields.has_geoip {
        return;
    }
    let mut places = value::list(label.value()).filter_map(|(at, text)| {
        let kind = client(text, &mut Vec::new())?.place_kind()?;
        Some((at, text, kind))
    });
    if let Some((at, text, kind)) = places.next() {
        let (what, file) = match kind {
            PlaceKind::Country => ("countries", "GeoLite2-Country.mmdb"),
            PlaceKind::AutonomousSystem => ("AS numbers", "GeoLite2-ASN.mmdb"),
        };
        let message = format!("{} needs a database of {what}", quoted(text));
        let help = format!("give Gangway one by the flag `--geoip`, such as `--geoip /geoip/{file}`");
        let finding = Finding::error(codes::GEOIP_MISSING, 0..text.len(), message, "`--geoip` is not given", help);
        fields.found(label, finding.shifted(at), found);
    }
}

/// An entry of `allow` or `deny`.
fn client(text: &str, findings: &mut Vec<Finding>) -> Option<ClientEntry> {
    if let Some(code) = behind("country:", text) {
        return country(text, code, findings).map(ClientEntry::Country);
    }
    let number = behind("as:", text);
    if number.is_some() || is_bare_as_number(text) {
        return autonomous_system(text, number, findings).map(ClientEntry::AutonomousSystem);
    }
    address(text, findings).map(ClientEntry::Address)
}

fn country(text: &str, code: &str, findings: &mut Vec<Finding>) -> Option<CountryCode> {
    let country = CountryCode::assigned(code);
    if country.is_none() {
        let help = match code.to_ascii_uppercase().as_str() {
            "UK" => "write `country:GB`".to_owned(),
            "EL" => "write `country:GR`".to_owned(),
            _ => "write the two letters of ISO 3166, such as `country:DE`".to_owned(),
        };
        let message = format!("{} is not a country", quoted(text));
        findings.push(Finding::error(codes::COUNTRY, 0..text.len(), message, "no such code", help));
    }
    country
}

fn autonomous_system(text: &str, number: Option<&str>, findings: &mut Vec<Finding>) -> Option<u32> {
    let plain = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten();
    // No network is announced by 0 (RFC 7607).
    let number = number.and_then(plain).filter(|number| *number > 0);
    if number.is_none() {
        let help = match text.get(2..).and_then(plain) {
            Some(bare) => format!("write `as:{bare}`"),
            None => "write a number, such as `as:64500`".to_owned(),
        };
        let message = format!("{} is not the number of an autonomous system", quoted(text));
        let note = "`as:` and a number from 1 to 4294967295";
        findings.push(Finding::error(codes::AS_NUMBER, 0..text.len(), message, note, help));
    }
    number
}

/// `AS3320`, as registries write it.
fn is_bare_as_number(text: &str) -> bool {
    behind("as", text).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What stands behind a prefix, in whichever case that is written.
fn behind<'t>(prefix: &str, text: &'t str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A network, an address, or `lan`.
fn address(text: &str, findings: &mut Vec<Finding>) -> Option<AddressEntry> {
    if text.eq_ignore_ascii_case("lan") {
        return Some(AddressEntry::Lan);
    }
    network(text, findings).map(AddressEntry::Network)
}

pub(super) fn rate_limit<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let limit = fields.accept(label, RateLimit::parse(label.value()), found);
    fields.rate_limit = limit.map(|limit| (limit, label.clone()));
}

pub(super) fn concurrency<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let limit = fields.accept(label, parse_concurrency(label.value()), found);
    fields.concurrency = [fields.concurrency, limit].into_iter().flatten().min();
}

pub(super) fn auth_basic<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.auth.basic_label = Some(label.clone());
    enum Entry {
        User(BasicUser),
        List(Box<str>),
    }
    let entry = |text: &str, findings: &mut Vec<Finding>| match text.strip_prefix('@') {
        Some(name) if is_file_name(name) => Some(Entry::List(name.into())),
        Some(_) => {
            let note = "1 to 64 letters, digits, dots, hyphens and underscores, and no dot in front";
            let help = "name a file in `auth/` on the volume: `@friends` for `auth/friends`";
            findings.push(Finding::error(codes::BASIC_USER, 0..0, "not the name of a list of users", note, help));
            None
        }
        None => {
            let user = BasicUser::parse(text).map_err(|finding| findings.push(finding)).ok()?;
            if user.hash.scheme().is_weak() {
                let message = format!("weak hash of the password of {}", quoted(&user.name));
                let help = "make a better one by `gangway hash`";
                findings.push(Finding::error(codes::PASSWORD_HASH_WEAK, 0..0, message, "", help).warning());
            }
            Some(Entry::User(user))
        }
    };
    for entry in each(label, fields, found, "users", users(label.value()), entry) {
        match entry {
            Entry::List(list) if fields.auth.lists.contains(&list) => {}
            Entry::List(list) => fields.auth.lists.push(list),
            Entry::User(user) if fields.auth.users.iter().any(|other| other.name == user.name) => {
                let message = format!("user {} stands twice", quoted(&user.name));
                let help = "remove one of them";
                let finding = Finding::error(codes::BASIC_USER, 0..0, message, "", help);
                fields.found_in_part(label, finding, "users", found);
            }
            Entry::User(user) => fields.auth.users.push(user),
        }
    }
}

/// The entries of a list of users. The hashes of argon2 have commas: what has no colon belongs to the entry before.
fn users(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut users: Vec<(usize, &str)> = Vec::new();
    for (at, part) in value::list(text) {
        match users.last_mut() {
            Some((start, user))
                if !part.contains(':')
                    && !part.starts_with('@')
                    && user.contains("$argon2")
                    && text[..at].ends_with(',') =>
            {
                *user = &text[*start..at + part.len()];
            }
            Some(_) | None => users.push((at, part)),
        }
    }
    users.into_iter()
}

pub(super) fn auth_skip<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let entries = value::list_of_patterns(label.value());
    fields.auth.skip = each(label, fields, found, "entries", entries, skip_rule);
    fields.auth.details.push(label.clone());
}

fn skip_rule(text: &str, findings: &mut Vec<Finding>) -> Option<SkipRule> {
    const METHOD: &str = "method:";
    if text.get(..METHOD.len()).is_some_and(|start| start.eq_ignore_ascii_case(METHOD)) {
        let name = text[METHOD.len()..].to_ascii_uppercase();
        let Ok(method) = Method::from_bytes(name.as_bytes()) else {
            let help = "write a method of HTTP after the colon, such as `method:OPTIONS`";
            findings.push(Finding::error(codes::SKIP_RULE, 0..text.len(), "not a method", "", help));
            return None;
        };
        return Some(SkipRule::Method(method));
    }
    if text.starts_with(['/', '=', '~']) {
        return PathPattern::parse(text, findings).map(SkipRule::Path);
    }
    // What names neither a path nor a method is one of addresses, and only what looks like one.
    if text.eq_ignore_ascii_case("lan") || text.contains([':', '.']) {
        if behind("country:", text).is_some() || behind("as:", text).is_some() {
            let message = format!("{} is not in force yet", quoted(text));
            let help = "write addresses or networks; only `allow` and `deny` know countries and AS numbers";
            findings.push(Finding::error(codes::VALUE_LATER, 0..text.len(), message, "planned", help));
            return None;
        }
        return address(text, findings).map(|entry| SkipRule::Client(AddressList::of(vec![entry])));
    }
    let message = format!("{} is neither a path nor a method nor an address", quoted(text));
    let help = "write a path such as `/api`, a method such as `method:OPTIONS`, an address, a network or `lan`";
    findings.push(Finding::error(codes::SKIP_RULE, 0..text.len(), message, "", help));
    None
}

pub(super) fn auth_keep<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    if let Some(keep) = fields.accept(label, value::boolean(label.value()), found) {
        fields.auth.keep = keep;
        fields.auth.details.push(label.clone());
    }
}

pub(super) fn auth_realm<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    const LEN_MAX: usize = 100;
    let text = label.value();
    let is_realm = text.len() <= LEN_MAX && !text.contains(['"', '\\']) && !text.contains(char::is_control);
    let realm = is_realm.then(|| text.into()).ok_or_else(|| {
        let note = "no quotes, no backslashes, at most 100 bytes";
        Finding::error(codes::REALM, 0..0, "not a realm", note, "write a few words, such as `household`")
    });
    if let Some(realm) = fields.accept(label, realm, found) {
        fields.auth.realm = Some(realm);
        fields.auth.details.push(label.clone());
    }
}

/// The middlewares, in the order in which they see a request: what costs least to check comes first. A limit by user
/// knows its client only after the log-in.
pub(super) fn middlewares<'a>(fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) -> Vec<Middleware> {
    let mut chain = Vec::new();
    let (allow, deny) = (std::mem::take(&mut fields.allow), ClientList::of(std::mem::take(&mut fields.deny)));
    let mut allow = allow.into_iter();
    let first = allow.next();
    if first.is_some() || !deny.is_empty() {
        chain.push(Middleware::AddressFilter(AddressFilter { allow: first, deny }));
    }
    // A client has to be in every list.
    let further = allow.map(|allow| AddressFilter { allow: Some(allow), deny: ClientList::default() });
    chain.extend(further.map(Middleware::AddressFilter));
    chain.extend(fields.concurrency.map(Middleware::ConcurrencyLimit));
    let authentication = authentication(fields, found);
    let (mut limit, mut limit_by_user) = (None, None);
    if let Some((rate, label)) = fields.rate_limit.take() {
        if rate.key != ClientKey::User {
            limit = Some(Middleware::RateLimit(rate));
        } else if authentication.is_some() {
            limit_by_user = Some(Middleware::RateLimit(rate));
        } else {
            let help = "add a label by which clients log in, such as `auth.basic`, or remove `by user`";
            let finding = Finding::error(
                codes::AUTH_MISSING,
                0..label.value().len(),
                "no users to limit",
                "nobody logs in",
                help,
            );
            fields.found(&label, finding, found);
        }
    }
    chain.extend(limit);
    chain.extend(authentication.map(|authentication| Middleware::Authentication(Arc::new(authentication))));
    chain.extend(limit_by_user);
    chain
}

fn authentication<'a>(fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) -> Option<Authentication> {
    let auth = std::mem::take(&mut fields.auth);
    let AuthFields { users, lists, skip, keep, realm, forward, headers, details, forward_label, basic_label } = auth;
    if let (Some(label), Some(_)) = (&forward_label, &basic_label) {
        let help = "remove one of them; who comes in by a name and a password can be listed at the log-in service";
        let message = "`auth.forward` beside `auth.basic`";
        let span = 0..label.value().len();
        fields.found(label, Finding::error(codes::AUTH_TWICE, span, message, "two ways to log in", help), found);
        return None;
    }
    let beside_forward: &[KeyId] = &[KeyId::AuthKeep, KeyId::AuthRealm];
    let mut lacking = Vec::new();
    if forward_label.is_some() {
        let is_of_basic = |label: &&Label<'a>| label.key.id().is_some_and(|id| beside_forward.contains(&id));
        lacking.extend(details.iter().filter(is_of_basic).cloned().map(|label| (label, "`auth.basic`")));
    } else {
        lacking.extend(headers.iter().map(|(_, label)| (label.clone(), "`auth.forward`")));
        if users.is_empty() && lists.is_empty() {
            lacking.extend(details.into_iter().map(|label| (label, "`auth.basic`")));
        }
    }
    for (label, needed) in lacking {
        let message = format!("{} without a way to log in", quoted(label.key.name));
        let help = format!("add a label by which clients log in, such as {needed}");
        let (message, help) = match (&forward_label, &basic_label) {
            (None, None) => (message, help),
            (Some(_), _) | (_, Some(_)) => {
                let other = if forward_label.is_some() { "auth.forward" } else { "auth.basic" };
                let message = format!("{} beside {}", quoted(label.key.name), quoted(other));
                (message, format!("remove it: it is for {needed}"))
            }
        };
        let span = 0..label.value().len();
        fields.found(&label, Finding::error(codes::AUTH_MISSING, span, message, "", help), found);
    }
    if let Some(ForwardFields { service, place }) = forward {
        let identity = headers.map(|(headers, _)| headers.into()).unwrap_or_default();
        // The product, and what follows from it, may only be known when the service is looked up.
        let target = place.target.clone().unwrap_or_default();
        let method = LoginMethod::Forward(ForwardAuth { service: service.into(), product: None, target, identity });
        fields.auth_service = Some(place);
        return Some(Authentication { method, skip });
    }
    if users.is_empty() && lists.is_empty() {
        return None;
    }
    let realm = realm.unwrap_or_else(|| REALM_DEFAULT.into());
    Some(Authentication { method: LoginMethod::Basic(BasicAuth { users, lists, realm, keep }), skip })
}
