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
use crate::image_defaults;
use crate::label::Source;
use crate::oidc_auth::OidcAuth;
use crate::path::PathPattern;
use crate::reputation::OnDoubt;
use crate::request_limit::{ClientKey, ConcurrencyLimit, RateLimit, parse_concurrency};
use crate::route::Middleware;
use crate::rule::network;
use crate::value;
use gangway_diagnostic::{Diagnostic, Finding, Severity, codes, quoted};

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

pub(super) fn crowdsec<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let Some(on_doubt) = fields.accept(label, on_doubt(label.value()), found) else { return };
    if on_doubt.is_some() && !fields.has_crowdsec {
        let help = "give Gangway the engine by the flags `--crowdsec-url` and `--crowdsec-key-file`";
        let (span, note) = (0..label.value().len(), "`--crowdsec-url` is not given");
        let message = "nobody tells who is banned";
        fields.found(label, Finding::error(codes::CROWDSEC_MISSING, span, message, note, help), found);
    }
    // Of several definitions the strictest counts.
    fields.crowdsec = [fields.crowdsec, on_doubt].into_iter().flatten().min();
}

pub(super) fn appsec<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let Some(on_doubt) = fields.accept(label, on_doubt(label.value()), found) else { return };
    if on_doubt.is_some() && !fields.has_appsec {
        let help = "give Gangway the firewall by the flag `--crowdsec-appsec-url`, beside `--crowdsec-url`";
        let (span, note) = (0..label.value().len(), "`--crowdsec-appsec-url` is not given");
        let message = "no web application firewall to ask";
        fields.found(label, Finding::error(codes::APPSEC_MISSING, span, message, note, help), found);
    }
    // Of several definitions the strictest counts.
    fields.appsec = [fields.appsec, on_doubt].into_iter().flatten().min();
}

fn on_doubt(text: &str) -> value::Parsed<Option<OnDoubt>> {
    const CHOICES: [(&str, Option<OnDoubt>); 8] = [
        ("closed", Some(OnDoubt::Close)),
        ("open", Some(OnDoubt::Admit)),
        ("true", Some(OnDoubt::Close)),
        ("on", Some(OnDoubt::Close)),
        ("yes", Some(OnDoubt::Close)),
        ("false", None),
        ("off", None),
        ("no", None),
    ];
    value::choice(text, &CHOICES)
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
    enum Entry {
        Preset,
        Rules(Vec<SkipRule>),
    }
    let entry = |text: &str, findings: &mut Vec<Finding>| match is_preset(text) {
        true => Some(Entry::Preset),
        false => skip_rules(text, findings).map(Entry::Rules),
    };
    for entry in each(label, fields, found, "entries", value::list_of_phrases(label.value()), entry) {
        match entry {
            Entry::Preset => fields.auth.skip_preset = Some(label.clone()),
            Entry::Rules(mut rules) => fields.auth.skip.append(&mut rules),
        }
    }
    fields.auth.details.push(label.clone());
}

fn is_preset(text: &str) -> bool {
    text.eq_ignore_ascii_case("preset")
}

/// Adds the paths that are known for the image of a route's container to `auth.skip`, and says which. Where none are known,
/// or all of the application would be open, nothing is added: the route asks for a log-in as it would without the entry.
/// The result is a finding about the label, with its effect.
pub(super) fn skip_preset<'a>(
    source: Source<'_>,
    fields: &mut RouteFields<'a>,
) -> Option<(Label<'a>, Finding, String)> {
    let label = fields.auth.skip_preset.take()?;
    if fields.auth.basic_label.is_none() && fields.auth.forward_label.is_none() && fields.auth.oidc_label.is_none() {
        // That there is nothing to leave out is said of the whole label, and closes the route.
        return None;
    }
    let name = fields.called();
    let entry = value::list_of_phrases(label.value()).find(|(_, entry)| is_preset(entry));
    let (at, entry) = entry.unwrap_or((0, ""));
    let about = |code, message: String, note: &str, help: &str| {
        Finding::error(code, 0..entry.len(), message, note, help).shifted(at)
    };
    let none = |message: String, note: &str, help: &str| {
        let effect = format!("`preset` opens nothing: without another entry, everybody logs in at {name}");
        (about(codes::SKIP_PRESET, message, note, help), effect)
    };
    let image = match source {
        Source::Container(container) => Some(&*container.image),
        Source::File(_) | Source::Definition(_) | Source::Provider(_) => None,
    };
    let patterns = image.and_then(image_defaults::skipped).map(Iterator::collect::<Vec<_>>);
    let (finding, effect) = match (image, patterns) {
        (None, _) => none(
            format!("no image that `preset` could be about on {name}"),
            "only containers have one",
            "write the paths, such as `/api`",
        ),
        (Some(image), None) => none(
            format!("no preset of `auth.skip` for image {}", quoted(image)),
            "not in the catalogue of images",
            "write the paths that its own clients ask for, such as `/api`",
        ),
        (Some(image), Some(patterns)) if patterns.contains(&"/") => none(
            format!("`preset` would open all of {}", quoted(image)),
            "its own clients log in at any path",
            "remove the log-in of the route, so that the application's own counts, or name whom to spare it, such as `lan`",
        ),
        (Some(image), Some(patterns)) => {
            let rules = patterns.iter().filter_map(|pattern| PathPattern::parse(pattern, &mut Vec::new()));
            fields.auth.skip.extend(rules.map(SkipRule::path));
            if fields.closed {
                return None;
            }
            let opened = value::and_list(patterns);
            let message = format!("`preset` of {} opens {opened}", quoted(image));
            let help = "write these paths instead if later versions of Gangway shall not change them";
            let finding = about(codes::SKIPPED_BY_PRESET, message, "no log-in there", help);
            let effect = format!("on {name} only the application itself protects {opened}");
            (Finding { severity: Severity::Note, ..finding }, effect)
        }
    };
    Some((label, finding, effect))
}

/// The kind of condition that a word of `auth.skip` states.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SkipWord {
    Method,
    Path,
    Client,
}

const METHOD: &str = "method:";

impl SkipWord {
    fn of(text: &str) -> Option<Self> {
        match text {
            _ if text.get(..METHOD.len()).is_some_and(|start| start.eq_ignore_ascii_case(METHOD)) => Some(Self::Method),
            _ if text.starts_with(['/', '=', '~']) => Some(Self::Path),
            // What names neither a path nor a method is one of addresses, and only what looks like one.
            _ if text.eq_ignore_ascii_case("lan") || text.contains([':', '.']) => Some(Self::Client),
            _ => None,
        }
    }

    fn parse(self, text: &str, findings: &mut Vec<Finding>) -> Option<SkipRule> {
        match self {
            Self::Method => {
                let name = text[METHOD.len()..].to_ascii_uppercase();
                let Ok(method) = Method::from_bytes(name.as_bytes()) else {
                    let help = "write a method of HTTP after the colon, such as `method:OPTIONS`";
                    findings.push(Finding::error(codes::SKIP_RULE, 0..text.len(), "not a method", "", help));
                    return None;
                };
                Some(SkipRule::method(method))
            }
            Self::Path => PathPattern::parse(text, findings).map(SkipRule::path),
            Self::Client if behind("country:", text).is_some() || behind("as:", text).is_some() => {
                let message = format!("{} is not in force yet", quoted(text));
                let help = "write addresses or networks; only `allow` and `deny` know countries and AS numbers";
                findings.push(Finding::error(codes::VALUE_LATER, 0..text.len(), message, "planned", help));
                None
            }
            Self::Client => address(text, findings).map(|entry| SkipRule::clients(AddressList::of(vec![entry]))),
        }
    }
}

/// The alternatives in what stands between two commas. Words of one kind are alternatives; a method, a path and an
/// address have to hold together. None where a word cannot be read beside others of another kind: the rest of them
/// would apply to more requests.
fn skip_rules(text: &str, findings: &mut Vec<Finding>) -> Option<Vec<SkipRule>> {
    let mut words = Vec::new();
    let mut is_readable = true;
    for (at, word) in value::list_of_patterns(text) {
        match SkipWord::of(word) {
            Some(kind) => words.push((at, word, kind)),
            None if is_preset(word) => {
                let help = "write a comma before and after `preset`";
                let message = "`preset` is an entry of its own";
                findings.push(Finding::error(codes::SKIP_RULE, at..at + word.len(), message, "", help));
                is_readable = false;
            }
            None => {
                let message = format!("{} is neither a path nor a method nor an address", quoted(word));
                let help =
                    "write a path such as `/api`, a method such as `method:OPTIONS`, an address, a network or `lan`";
                findings.push(Finding::error(codes::SKIP_RULE, at..at + word.len(), message, "", help));
                is_readable = false;
            }
        }
    }
    let is_mixed = words.iter().any(|(_, _, kind)| *kind != words[0].2);
    let mut rules = Vec::new();
    let count = words.len();
    for (at, word, kind) in words {
        let mut of_word = Vec::new();
        rules.extend(kind.parse(word, &mut of_word));
        findings.extend(of_word.into_iter().map(|finding| finding.shifted(at)));
    }
    if !is_mixed {
        return (is_readable && !rules.is_empty()).then_some(rules);
    }
    let is_whole = is_readable && rules.len() == count;
    // Lines of a list look like entries of their own.
    let together = rules.into_iter().map(Some).reduce(|all, rule| all?.and(rule?)).flatten();
    match together.filter(|_| !text.contains(['\n', '\r'])) {
        Some(rule) => is_whole.then(|| vec![rule]),
        None => {
            let help = "write a comma between entries of which one is enough, as in `method:OPTIONS, /api`; in an entry, \
                        one method, one path and one address hold together, as in `method:GET /feeds`";
            let message = format!("{} can be read in two ways", quoted(text));
            let note = "all of them, or one of them?";
            findings.push(Finding::error(codes::SKIP_RULE, 0..text.len(), message, note, help));
            None
        }
    }
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
        let filter = AddressFilter { allow: first, deny, ..AddressFilter::default() };
        chain.push(Middleware::AddressFilter(Arc::new(filter)));
    }
    // A client has to be in every list.
    let further = allow.map(|allow| AddressFilter { allow: Some(allow), ..AddressFilter::default() });
    chain.extend(further.map(Arc::new).map(Middleware::AddressFilter));
    chain.extend(fields.crowdsec.map(Middleware::Crowdsec));
    chain.extend(fields.concurrency.map(ConcurrencyLimit::of_address).map(Middleware::ConcurrencyLimit));
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
    // After the limits, which it would otherwise be asked to keep by itself, and before a log-in, which it protects as well.
    chain.extend(fields.appsec.map(Middleware::Appsec));
    chain.extend(authentication.map(|authentication| Middleware::Authentication(Arc::new(authentication))));
    chain.extend(limit_by_user);
    chain
}

fn authentication<'a>(fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) -> Option<Authentication> {
    let auth = std::mem::take(&mut fields.auth);
    let methods = [
        (&auth.forward_label, KeyId::AuthForward),
        (&auth.oidc_label, KeyId::AuthOidc),
        (&auth.basic_label, KeyId::AuthBasic),
    ];
    let mut written = methods.into_iter().filter_map(|(label, id)| Some((label.as_ref()?, id)));
    let (first, second) = (written.next(), written.next());
    if let (Some((label, _)), Some((other, _))) = (first, second) {
        let help = "remove one of them; who comes in by a name and a password can be listed at the log-in service";
        let message = format!("{} beside {}", quoted(label.key.name), quoted(other.key.name));
        let span = 0..label.value().len();
        let (label, finding) =
            (label.clone(), Finding::error(codes::AUTH_TWICE, span, message, "two ways to log in", help));
        fields.found(&label, finding, found);
        return None;
    }
    let (way, way_name) = (first.map(|(_, id)| id), first.map(|(label, _)| label.key.name));
    for (label, needed) in misplaced(&auth, way) {
        let message = format!("{} without a way to log in", quoted(label.key.name));
        let help = format!("add a label by which clients log in, such as {}", quoted(needed));
        let (message, help) = match way_name {
            None => (message, help),
            // Nobody could be read who may come in by it.
            Some(name) if name == needed => (message, help),
            Some(name) => {
                let message = format!("{} beside {}", quoted(label.key.name), quoted(name));
                (message, format!("remove it: it is for {}", quoted(needed)))
            }
        };
        let span = 0..label.value().len();
        fields.found(&label, Finding::error(codes::AUTH_MISSING, span, message, "", help), found);
    }
    let AuthFields { users, lists, skip, keep, realm, forward, headers, .. } = auth;
    if let Some(ForwardFields { service, place }) = forward {
        let identity = headers.map(|(headers, _)| headers.into()).unwrap_or_default();
        // The product, and what follows from it, may only be known when the service is looked up.
        let target = place.target.clone().unwrap_or_default();
        let method =
            LoginMethod::Forward(ForwardAuth { service: service.into(), product: None, target, identity, rules: None });
        fields.auth_service = Some(place);
        return Some(Authentication { method, skip });
    }
    if let Some(provider) = auth.oidc {
        let (users, groups, domains) = (auth.oidc_users, auth.oidc_groups, auth.oidc_domains);
        let oidc = OidcAuth { provider, users, groups, domains, bearer: auth.oidc_bearer, keep };
        return Some(Authentication { method: LoginMethod::Oidc(oidc), skip });
    }
    if users.is_empty() && lists.is_empty() {
        return None;
    }
    let realm = realm.unwrap_or_else(|| REALM_DEFAULT.into());
    Some(Authentication { method: LoginMethod::Basic(BasicAuth { users, lists, realm, keep, user_field: None }), skip })
}

/// The labels that say how clients log in by another way than the one that is written, with the way that they are for.
fn misplaced<'a>(auth: &AuthFields<'a>, way: Option<KeyId>) -> Vec<(Label<'a>, &'static str)> {
    let mut lacking = Vec::new();
    if way != Some(KeyId::AuthForward) {
        lacking.extend(auth.headers.iter().map(|(_, label)| (label.clone(), "auth.forward")));
    }
    for label in &auth.details {
        let id = label.key.id();
        // What needs no log-in is the same for each way.
        if id == Some(KeyId::AuthSkip) && matches!(way, Some(KeyId::AuthForward | KeyId::AuthOidc)) {
            continue;
        }
        let is_token_kept = id == Some(KeyId::AuthKeep) && auth.oidc_bearer.is_some();
        let is_of_oidc =
            matches!(id, Some(KeyId::AuthUsers | KeyId::AuthGroups | KeyId::AuthDomains | KeyId::AuthBearer));
        let (needed, is_written) = match is_of_oidc || is_token_kept {
            true => ("auth.oidc", way == Some(KeyId::AuthOidc)),
            false => ("auth.basic", way == Some(KeyId::AuthBasic) && !(auth.users.is_empty() && auth.lists.is_empty())),
        };
        if !is_written {
            lacking.push((label.clone(), needed));
        }
    }
    lacking
}
