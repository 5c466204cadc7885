//! `auth.forward` and `auth.headers`: the log-in service that is asked, and the fields that it gives to applications.

use http::HeaderName;

use super::label::Label;
use super::route_fields::{ForwardFields, RouteFields};
use super::values::each;
use crate::forward_auth::IdentityField;
use crate::reserved_fields;
use crate::spec::AuthServiceSpec;
use crate::upstream_url;
use crate::value::{self, Parsed};
use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

/// Fields, besides the reserved ones, that say something else to an application than who the user is, or that we set.
const NOT_IDENTITY: [&str; 18] = [
    "accept",
    "content-encoding",
    "content-type",
    "cookie",
    "date",
    "forwarded",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-real-ip",
];

pub(super) fn auth_forward<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.auth.forward_label = Some(label.clone());
    if let Some(place) = fields.accept(label, service(label), found) {
        fields.auth.forward = Some(ForwardFields { service: label.value(), place });
    }
}

/// A name with or without a port, or a URL.
fn service<'a>(label: &Label<'a>) -> Parsed<AuthServiceSpec<'a>> {
    let (text, mark) = (label.value(), label.mark);
    let wrong =
        |note: &str, help: &str| Finding::error(codes::AUTH_SERVICE, 0..text.len(), "not a log-in service", note, help);
    let Some((scheme, rest)) = text.split_once("://") else {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(value::port(port)?)),
            None => (text, None),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || !name.bytes().all(is_name) {
            let help = "write a name such as `authelia`, or a URL such as `http://login:8080/check`";
            return Err(wrong("neither a name nor a URL", help));
        }
        return Ok(AuthServiceSpec {
            name: name.into(),
            port,
            url: None,
            target: None,
            mark,
            is_shared: label.is_shared(),
        });
    };
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(path_at);
    let url = upstream_url::parse(&format!("{scheme}://{authority}"))
        .map_err(|finding| wrong(&finding.note, "write one such as `http://login:8080/check`"))?;
    if !target.is_empty() && (!target.starts_with('/') || target.contains('#')) {
        return Err(wrong("no path behind the host", "write one such as `http://login:8080/check`"));
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("not only ASCII", "write other bytes with percent signs, such as `%20`"));
    }
    let port = url.address.port();
    let target = Some(target).filter(|target| !target.is_empty()).map(Into::into);
    Ok(AuthServiceSpec {
        name: url.host.clone(),
        port: Some(port),
        url: Some(url),
        target,
        mark,
        is_shared: label.is_shared(),
    })
}

pub(super) fn auth_headers<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let headers = each(label, fields, found, "headers", value::list(label.value()), identity_field);
    fields.auth.headers = Some((headers, label.clone()));
}

fn identity_field(text: &str, findings: &mut Vec<Finding>) -> Option<IdentityField> {
    let begin = text.strip_suffix('*');
    let name = begin.unwrap_or(text);
    let known = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| !name.contains('*'));
    let Some(known) = known else {
        let message = format!("{} is not a header name", quoted(text));
        let note = "letters, digits and hyphens, and maybe `*` at the end";
        let help = "write a name such as `Remote-User` or `X-Team-*`";
        findings.push(Finding::error(codes::FIELD_NAME, 0..text.len(), message, note, help));
        return None;
    };
    let known = known.as_str();
    let is_other = |other: &&str| if begin.is_some() { other.starts_with(known) } else { *other == known };
    if let Some(other) = reserved_fields::names().chain(NOT_IDENTITY).find(is_other) {
        let message = format!("{} cannot be taken from a log-in service", quoted(text));
        let note = if begin.is_some() { format!("`{other}` begins like this") } else { "not about a user".to_owned() };
        let help = "name the fields that say who the user is, such as `Remote-User`";
        findings.push(Finding::error(codes::FIELD_RESERVED, 0..text.len(), message, note, help));
        return None;
    }
    Some(IdentityField::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_or_is_ours_to_say_is_no_identity() {
        let read = |text: &str| identity_field(text, &mut Vec::new()).map(|field| field.to_string());
        for (text, field) in [
            ("Remote-User", Some("remote-user")),
            ("X-Team-*", Some("x-team-*")),
            ("X-Forwarded-User", Some("x-forwarded-user")),
            ("Authorization", Some("authorization")),
            ("Cookie", None),
            ("Set-Cookie", None),
            ("Host", None),
            ("Content-Length", None),
            ("Transfer-Encoding", None),
            ("X-Forwarded-For", None),
            ("X-Forwarded-*", None),
            ("X-*", None),
            ("*", None),
            ("c*", None),
            ("a b", None),
            ("Remote-*-x", None),
        ] {
            assert_eq!(read(text).as_deref(), field, "{text}");
        }
    }
}
