//! `auth.oidc`, what narrows it (`auth.users`, `auth.groups`, `auth.domains`) and what widens it (`auth.bearer`).

use super::label::Label;
use super::route_fields::RouteFields;
use super::values::each;
use crate::host::Hostname;
use crate::oidc_auth::BearerAudience;
use crate::value;
use gangway_diagnostic::{Diagnostic, Finding, codes};

/// Bytes of a user or a group. Cookies hold no longer ones.
const ENTRY_LEN_MAX: usize = 255;

pub(super) fn auth_oidc<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.auth.oidc_label = Some(label.clone());
    let text = label.value();
    // The name of a cookie is made of it.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_name = (1..=32).contains(&text.len()) && text.bytes().all(is_part);
    let name = is_name.then(|| text.into()).ok_or_else(|| {
        let note = "1 to 32 letters, digits, hyphens and underscores";
        let help = "write the name of a table of the configuration file: `company` for `[oidc.company]`";
        Finding::error(codes::OIDC_NAME, 0..text.len(), "not the name of a provider", note, help)
    });
    fields.auth.oidc = fields.accept(label, name, found);
}

pub(super) fn auth_users<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.auth.oidc_users = each(label, fields, found, "users", value::list(label.value()), entry);
    fields.auth.details.push(label.clone());
}

pub(super) fn auth_groups<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.auth.oidc_groups = each(label, fields, found, "groups", value::list(label.value()), entry);
    fields.auth.details.push(label.clone());
}

pub(super) fn auth_domains<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    fields.auth.oidc_domains = each(label, fields, found, "domains", value::list(label.value()), domain);
    fields.auth.details.push(label.clone());
}

pub(super) fn auth_bearer<'a>(label: &Label<'a>, fields: &mut RouteFields<'a>, found: &mut Vec<Diagnostic>) {
    let text = label.value();
    let is_audience = (1..=ENTRY_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let audience = match value::boolean(text) {
        Ok(true) => Ok(Some(BearerAudience::Client)),
        Ok(false) => Ok(None),
        Err(_) if is_audience => Ok(Some(BearerAudience::Named(text.into()))),
        Err(_) => {
            let help = "write the audience of the access tokens, such as `https://api.example.org`, or `true`";
            let note = "1 to 255 characters of ASCII without spaces";
            Err(Finding::error(codes::OIDC_ENTRY, 0..text.len(), "not an audience", note, help))
        }
    };
    fields.auth.oidc_bearer = fields.accept(label, audience, found).flatten();
    fields.auth.details.push(label.clone());
}

fn entry(text: &str, findings: &mut Vec<Finding>) -> Option<Box<str>> {
    if text.len() <= ENTRY_LEN_MAX && !text.contains(char::is_control) {
        return Some(text.into());
    }
    let help = "write it as the provider says it";
    let note = "at most 255 bytes, and no control characters";
    findings.push(Finding::error(codes::OIDC_ENTRY, 0..text.len(), "not a user or a group", note, help));
    None
}

/// A domain as it stands behind the `@`. One with an `@` in front is meant the same.
fn domain(text: &str, findings: &mut Vec<Finding>) -> Option<Box<str>> {
    let name = text.strip_prefix('@').unwrap_or(text);
    Hostname::parse(name, findings).map(|name| name.to_string().to_ascii_lowercase().into())
}
