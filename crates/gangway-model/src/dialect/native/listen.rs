//! `listen`: on which listeners a route is served.

use super::label::Label;
use super::route_fields::RouteFields;
use super::values::each;
use crate::listener::{KnownListener, ListenerName, ListenerScope, Transport};
use crate::route::TlsMode;
use crate::settings::Settings;
use crate::value::{list, or_list};
use gangway_diagnostic::{Diagnostic, Finding, codes, nearest, quoted};

/// The scope that the label says; everywhere without it. `is_tls_written` says whether the route itself has `tls`.
///
/// A name that no listener has serves nothing. Where no name is known, the route is closed, on every listener: nobody
/// can tell which of them it was to be kept from, and without it a broader route would get its requests.
pub(super) fn scope(
    fields: &mut RouteFields<'_>,
    is_tls_written: bool,
    settings: &Settings,
    found: &mut Vec<Diagnostic>,
) -> ListenerScope {
    let Some(label) = fields.listen.take() else { return ListenerScope::default() };
    let known = |text: &str, findings: &mut Vec<Finding>| {
        let name = ListenerName::parse(text).filter(|name| settings.listeners.iter().any(|known| known.name == *name));
        if name.is_none() {
            findings.push(unknown(text, &settings.listeners));
        }
        name
    };
    let mut names: Vec<ListenerName> = each(&label, fields, found, "listeners", list(label.value()), known);
    names.sort();
    names.dedup();
    if names.is_empty() {
        return ListenerScope::default();
    }
    let scope = ListenerScope { names: Some(names.into()), transport: Transport::Any };
    found.extend(check_tls(&scope, &label, fields, is_tls_written, settings));
    scope
}

fn unknown(text: &str, listeners: &[KnownListener]) -> Finding {
    let names = listeners.iter().map(|known| &*known.name);
    let help = match nearest(text, names.clone()) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => format!("write {}, or open a listener of this name by `--listen`", or_list(names)),
    };
    let message = format!("there is no listener {}", quoted(text));
    Finding::error(codes::LISTENER_UNKNOWN, 0..text.len(), message, "not known here", help)
}

/// Says that the listeners do not fit `tls`.
fn check_tls(
    scope: &ListenerScope,
    label: &Label<'_>,
    fields: &RouteFields<'_>,
    is_tls_written: bool,
    settings: &Settings,
) -> Option<Diagnostic> {
    let may_be_plain = |known: &KnownListener| known.protocol.may_be_plain() && scope.takes_listener(&known.name);
    let (finding, effect) = if fields.tls == TlsMode::Off && !settings.listeners.iter().any(may_be_plain) {
        let finding = Finding::error(
            codes::LISTENERS_AGAINST_TLS,
            0..label.value().len(),
            "only listeners with TLS for a route without",
            "`tls` is `off`",
            "name a listener for plain HTTP, such as `http`, or remove `tls`",
        );
        (finding, format!("route `{}` gets no request; other routes are unaffected", fields.name))
    } else if fields.tls == TlsMode::Internal && !scope.has_tls(&settings.listeners) && is_tls_written {
        let finding = Finding::error(
            codes::LISTENERS_AGAINST_TLS,
            0..label.value().len(),
            "no listener with TLS for a route with a certificate",
            "`tls` is `internal`",
            "name a listener with TLS, such as `https`, or remove `tls`",
        );
        (finding, format!("route `{}` is served by plain HTTP only", fields.name))
    } else {
        return None;
    };
    Some(label.found(finding, effect))
}
