//! `headers`: fields that are set, replaced or removed.

use std::num::NonZeroU64;
use std::sync::Arc;

use gangway_diagnostic::quoted;
use http::header::HOST;
use http::{HeaderName, HeaderValue};

use super::super::findings::without_effect;
use super::super::tree::{Node, Options};
use super::super::values;
use super::paths::expression;
use super::reading::Reading;
use crate::cased_header_name::CasedHeaderName;
use crate::cors::Cors;
use crate::label::Mark;
use crate::reserved_fields;
use crate::route::{Hsts, Middleware};

/// Fields that are one option: the option, the field, and its value where the option is a switch. Of two for one field the
/// first counts.
const SIMPLE: [(&str, &str, Option<&str>); 9] = [
    ("customframeoptionsvalue", "x-frame-options", None),
    ("framedeny", "x-frame-options", Some("DENY")),
    ("contenttypenosniff", "x-content-type-options", Some("nosniff")),
    ("custombrowserxssvalue", "x-xss-protection", None),
    ("browserxssfilter", "x-xss-protection", Some("1; mode=block")),
    ("contentsecuritypolicy", "content-security-policy", None),
    ("contentsecuritypolicyreportonly", "content-security-policy-report-only", None),
    ("referrerpolicy", "referrer-policy", None),
    ("permissionspolicy", "permissions-policy", None),
];

/// The one option that keeps somebody out.
pub(super) const ALLOWED_HOSTS: &str = "allowedhosts";

pub(super) fn headers<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut steps = Vec::new();
    for (name, value) in custom(options.get("customrequestheaders"), reading) {
        steps.push(Middleware::RequestHeader(name, value));
    }
    // Responses pass the steps from the last one to the first, so the custom ones win.
    for (name, value) in custom(options.get("customresponseheaders"), reading) {
        steps.push(Middleware::ResponseHeader(name, value));
    }
    let mut said = Vec::new();
    for (option, field, of_switch) in SIMPLE {
        let Some(mark) = options.text(option) else { continue };
        let text = match of_switch {
            None => Some(mark.value.trim()),
            Some(value) => {
                reading.problems.take(mark, values::boolean(mark.value.trim())).filter(|on| *on).map(|_| value)
            }
        };
        let Some(text) = text.filter(|text| !text.is_empty() && !said.contains(&field)) else { continue };
        said.push(field);
        let value = reading.problems.take(mark, field_value(text));
        steps.extend(value.map(|value| Middleware::ResponseHeader(HeaderName::from_static(field).into(), Some(value))));
    }
    let is_development = reading.problems.read(options, "isdevelopment", values::boolean).unwrap_or(false);
    let seconds = reading.problems.read(options, "stsseconds", values::integer).unwrap_or(0);
    let [subdomains, preload, in_clear] = ["stsincludesubdomains", "stspreload", "forcestsheader"]
        .map(|name| reading.problems.read(options, name, values::boolean).unwrap_or(false));
    let max_age = u64::try_from(seconds).ok().and_then(NonZeroU64::new).filter(|_| !is_development);
    steps.extend(max_age.map(|max_age| Middleware::Hsts(Hsts { max_age, subdomains, preload, in_clear })));
    steps.extend(cors(options, reading).map(|cors| Middleware::Cors(Arc::new(cors))));
    let old = ["sslredirect", "ssltemporaryredirect", "sslhost", "sslforcehost", "featurepolicy", "publickey"];
    reading.idle(options, &old, "Traefik 3 ignores it too, or it is no longer used by browsers");
    let tells_the_usual = |node: &Node<'_>| {
        let says_https = |one: &Node<'_>| one.mark.is_some_and(|mark| mark.value.trim() == "https");
        node.children.iter().all(|(name, one)| name == "x-forwarded-proto" && says_https(one))
    };
    if !options.get("sslproxyheaders").is_some_and(tells_the_usual) {
        reading.idle(options, &["sslproxyheaders"], "`X-Forwarded-Proto` of trusted proxies counts");
    }
    reading.idle(options, &["hostsproxyheaders"], "the host that is asked for counts");
    let hosts: Vec<Box<str>> = texts(options, ALLOWED_HOSTS).iter().map(|host| host.to_lowercase().into()).collect();
    if hosts.is_empty()
        && let Some(node) = options.get(ALLOWED_HOSTS)
    {
        reading.problems.add(node.first, values::invalid("no host is named", "name hosts, or remove the option"));
    }
    if !hosts.is_empty() && !is_development {
        // Before the rest: a request for another host gets none of it.
        steps.insert(0, Middleware::AllowedHosts(hosts.into()));
    }
    if options.node.children.is_empty() {
        reading.problems.add(options.node.first, values::invalid("nothing is set", "add an option of `headers`"));
    }
    steps
}

/// What is said to pages of other origins.
fn cors<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Option<Cors> {
    const NAMES: [&str; 8] = [
        "accesscontrolallowcredentials",
        "accesscontrolallowheaders",
        "accesscontrolallowmethods",
        "accesscontrolalloworiginlist",
        "accesscontrolalloworiginlistregex",
        "accesscontrolexposeheaders",
        "accesscontrolmaxage",
        "addvaryheader",
    ];
    // All are asked for: each is known, whichever is there.
    if NAMES.iter().filter(|name| options.get(name).is_some()).count() == 0 {
        return None;
    }
    let origins: Vec<Box<str>> = texts(options, NAMES[3]).into_iter().map(Into::into).collect();
    let mut origin_patterns = Vec::new();
    for (mark, pattern) in options.list(NAMES[4]) {
        origin_patterns.extend(expression(mark, pattern, reading).filter(|_| !pattern.is_empty()));
    }
    let mut list = |name| {
        let text = texts(options, name).join(",");
        let mark = options.text(name).unwrap_or(options.node.first);
        reading.problems.take(mark, field_value(&text)).filter(|_| !text.is_empty())
    };
    let (headers, methods, exposed) = (list(NAMES[1]), list(NAMES[2]), list(NAMES[5]));
    let [credentials, varies] =
        [NAMES[0], NAMES[7]].map(|name| reading.problems.read(options, name, values::boolean).unwrap_or(false));
    let max_age = reading.problems.read(options, NAMES[6], values::integer).and_then(|age| u64::try_from(age).ok());
    let max_age = max_age.filter(|seconds| *seconds > 0);
    let (origins, origin_patterns) = (origins.into(), origin_patterns.into());
    let cors = Cors { origins, origin_patterns, credentials, methods, headers, exposed, max_age, varies };
    if cors.is_open_with_credentials() {
        let what = "every website may read what its visitors see here, for `*` stands beside credentials";
        let mark = options.get(NAMES[3]).map_or(options.node.first, |node| node.first);
        reading.without_effect.push((mark, without_effect(what, "name the origins that may")));
    }
    (cors != Cors::default()).then_some(cors)
}

/// The entries of a list that are not empty.
fn texts<'s>(options: &Options<'_, 's>, name: &'static str) -> Vec<&'s str> {
    let listed = options.list(name);
    listed.into_iter().map(|(_, text)| text).filter(|text| !text.is_empty()).collect()
}

/// The fields of a map; those without a value are removed.
fn custom<'s>(map: Option<&Node<'s>>, reading: &mut Reading<'_, 's>) -> Vec<(CasedHeaderName, Option<HeaderValue>)> {
    let mut fields = Vec::new();
    for node in map.into_iter().flat_map(|map| map.children.values()) {
        let mark: Mark<'s> = node.mark.unwrap_or(node.first);
        let help = "a name has letters, digits and hyphens only";
        let name = CasedHeaderName::parse(node.name).map_err(|_| values::invalid("not the name of a header", help));
        let (Some(name), true) = (reading.problems.take(mark, name), node.mark.is_some()) else { continue };
        if let Some(why) = reserved_fields::why(name.name().as_str()).filter(|_| name.name() != HOST) {
            let what = format!("{} is not set: it {why}", quoted(node.name));
            reading.without_effect.push((node.first, without_effect(&what, "remove it")));
            continue;
        }
        let text = mark.value.trim();
        let value = if text.is_empty() { Some(None) } else { reading.problems.take(mark, field_value(text)).map(Some) };
        fields.extend(value.map(|value| (name, value)));
    }
    fields
}

fn field_value(text: &str) -> Result<HeaderValue, gangway_diagnostic::Finding> {
    let finding = || values::invalid("a control character in the value of a header", "remove it");
    HeaderValue::from_str(text).or_else(|_| HeaderValue::from_bytes(text.as_bytes())).map_err(|_| finding())
}
