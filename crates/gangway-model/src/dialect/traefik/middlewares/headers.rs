//! `headers`: fields that are set, replaced or removed.

use std::num::NonZeroU64;

use http::{HeaderName, HeaderValue};

use super::super::tree::{Node, Options};
use super::super::values;
use super::Reading;
use crate::label::Mark;
use crate::route::{Hsts, Middleware};

/// Fields that are one option: the option, the field, and its value where the option is a switch.
const SIMPLE: [(&str, &str, Option<&str>); 9] = [
    ("framedeny", "x-frame-options", Some("DENY")),
    ("customframeoptionsvalue", "x-frame-options", None),
    ("contenttypenosniff", "x-content-type-options", Some("nosniff")),
    ("browserxssfilter", "x-xss-protection", Some("1; mode=block")),
    ("custombrowserxssvalue", "x-xss-protection", None),
    ("contentsecuritypolicy", "content-security-policy", None),
    ("contentsecuritypolicyreportonly", "content-security-policy-report-only", None),
    ("referrerpolicy", "referrer-policy", None),
    ("permissionspolicy", "permissions-policy", None),
];

pub(super) fn headers<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let mut steps = Vec::new();
    for (name, value) in custom(options.get("customrequestheaders"), reading) {
        steps.push(Middleware::RequestHeader(name, value));
    }
    // The custom ones come last, and so they win.
    for (option, field, of_switch) in SIMPLE {
        let Some(mark) = options.text(option) else { continue };
        let text = match of_switch {
            None => Some(mark.value.trim()),
            Some(value) => {
                reading.problems.take(mark, values::boolean(mark.value.trim())).filter(|on| *on).map(|_| value)
            }
        };
        let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
        let value = reading.problems.take(mark, field_value(text));
        steps.extend(value.map(|value| Middleware::ResponseHeader(HeaderName::from_static(field), Some(value))));
    }
    let seconds = reading.problems.read(options, "stsseconds", values::integer).unwrap_or(0);
    let [subdomains, preload, in_clear] = ["stsincludesubdomains", "stspreload", "forcestsheader"]
        .map(|name| reading.problems.read(options, name, values::boolean).unwrap_or(false));
    let max_age = u64::try_from(seconds).ok().and_then(NonZeroU64::new);
    steps.extend(max_age.map(|max_age| Middleware::Hsts(Hsts { max_age, subdomains, preload, in_clear })));
    for (name, value) in custom(options.get("customresponseheaders"), reading) {
        steps.push(Middleware::ResponseHeader(name, value));
    }
    let of_cors = [
        "accesscontrolallowcredentials",
        "accesscontrolallowheaders",
        "accesscontrolallowmethods",
        "accesscontrolalloworiginlist",
        "accesscontrolalloworiginlistregex",
        "accesscontrolexposeheaders",
        "accesscontrolmaxage",
        "addvaryheader",
    ];
    reading.idle(options, &of_cors, "the application answers questions about other origins itself");
    let old = [
        "sslredirect",
        "ssltemporaryredirect",
        "sslhost",
        "sslforcehost",
        "isdevelopment",
        "featurepolicy",
        "publickey",
    ];
    reading.idle(options, &old, "Traefik 3 ignores it too, or it is no longer used by browsers");
    reading.idle(options, &["sslproxyheaders", "hostsproxyheaders"], "forwarded fields of trusted proxies count");
    if let Some(hosts) = options.get("allowedhosts") {
        let help = "name the hosts in the rule of the router";
        reading.problems.add(hosts.first, values::invalid("`allowedHosts` is not in force yet", help));
    }
    if options.node.children.is_empty() {
        reading.problems.add(options.node.first, values::invalid("nothing is set", "add an option of `headers`"));
    }
    steps
}

/// The fields of a map; those without a value are removed.
fn custom<'s>(map: Option<&Node<'s>>, reading: &mut Reading<'_, 's>) -> Vec<(HeaderName, Option<HeaderValue>)> {
    let mut fields = Vec::new();
    for node in map.into_iter().flat_map(|map| map.children.values()) {
        let mark: Mark<'s> = node.mark.unwrap_or(node.first);
        let help = "a name has letters, digits and hyphens only";
        let name =
            HeaderName::from_bytes(node.name.as_bytes()).map_err(|_| values::invalid("not the name of a header", help));
        let (Some(name), true) = (reading.problems.take(mark, name), node.mark.is_some()) else { continue };
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
